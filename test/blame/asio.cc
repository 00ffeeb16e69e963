/* asio PORT COUNT: Boost.Asio, of which there is no library: all of it is compiled into this program. The connections
 * are made synchronously in fetch(), and by the loop for those that retry() has asked for. */
#include <boost/asio.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

using boost::asio::ip::tcp;

static std::vector<std::unique_ptr<tcp::socket>> kept;
static int left;

static __attribute__((noinline)) void fetch(boost::asio::io_context &context, const tcp::endpoint &at)
{
	kept.push_back(std::make_unique<tcp::socket>(context));
	kept.back()->connect(at); // BLAME fetch
}

static __attribute__((noinline)) void retry(boost::asio::io_context &context, const tcp::endpoint &at)
{
	kept.push_back(std::make_unique<tcp::socket>(context));
	kept.back()->async_connect(at, [&context, at](const boost::system::error_code &error) { // BLAME retry
		if (!error && --left > 0)
			retry(context, at);
	});
}

int main(int, char **argv)
{
	boost::asio::io_context context;
	tcp::endpoint at(boost::asio::ip::address_v4::loopback(), static_cast<unsigned short>(atoi(argv[1])));
	left = atoi(argv[2]) / 2;
	for (int i = 0; i < atoi(argv[2]) / 2; i++)
		fetch(context, at);
	retry(context, at);
	context.run();
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		continue;
}
