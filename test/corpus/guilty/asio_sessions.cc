// Asio: the end of the input ends the reading, and the session stays in its list.
#include <asio.hpp>
#include <array>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

using asio::ip::tcp;

struct Session {
	explicit Session(asio::io_context &io) : socket(io)
	{
	}

	void read()
	{
		socket.async_read_some(asio::buffer(data), [this](std::error_code error, std::size_t) {
			if (!error)
				read(); // else: take it out of the list
		});
	}

	tcp::socket socket;
	std::array<char, 65536> data;
};

static std::vector<std::unique_ptr<Session>> sessions;

static void fetch(asio::io_context &io, const tcp::endpoint &server)
{
	sessions.push_back(std::make_unique<Session>(io));
	Session &session = *sessions.back();
	session.socket.connect(server); // LEAK
	asio::write(session.socket, asio::buffer(std::string("GET / HTTP/1.1\r\nHost: corpus\r\n\r\n")));
	session.read();
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	asio::io_context io;
	tcp::endpoint server(asio::ip::make_address(argv[1]), static_cast<unsigned short>(std::atoi(argv[2])));
	for (int i = 0; i < 1000; i++) {
		fetch(io, server);
		io.run_for(std::chrono::milliseconds(100)); // EOF
		io.restart();
	}
	return 0;
}
