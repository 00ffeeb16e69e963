#include "watch/limits.h"

#include <string.h>
#include <sys/resource.h>

#include "base/clerk.h"
#include "base/sys.h"

#include "base/poison.h"

#define SL_LIST_BYTES 4096

static struct sl_limits known = {.nofile_soft = -1, .port_low = -1, .port_high = -1};

/* A number at *at, which moves behind it; -1: there is none. */
static int32_t take_number(const char **at)
{
	int32_t number = 0;
	const char *start = *at;
	for (; **at >= '0' && **at <= '9' && number < 1000000; ++*at)
		number = number * 10 + (**at - '0');
	return *at == start ? -1 : number;
}

int32_t sl_limits_count_reserved(const char *list, int32_t low, int32_t high)
{
	int32_t count = 0;
	while (*list) {
		int32_t first = take_number(&list);
		if (first < 0)
			break;
		int32_t last = first;
		if (*list == '-') {
			list++;
			last = take_number(&list);
		}
		int32_t from = first > low ? first : low;
		int32_t to = last < high ? last : high;
		count += to >= from ? to - from + 1 : 0;
		if (*list == ',')
			list++;
	}
	return count;
}

static void read_ports(void)
{
	char text[SL_LIST_BYTES];
	if (sl_clerk_read("/proc/sys/net/ipv4/ip_local_port_range", text, sizeof(text)) == 0)
		return;
	const char *at = text;
	int32_t low = take_number(&at);
	at += strspn(at, " \t");
	int32_t high = take_number(&at);
	if (low < 0 || high < low)
		return;
	known.port_low = low;
	known.port_high = high;
	if (sl_clerk_read("/proc/sys/net/ipv4/ip_local_reserved_ports", text, sizeof(text)))
		known.ports_reserved = sl_limits_count_reserved(text, low, high);
}

void sl_limits_read(struct sl_limits *limits)
{
	struct rlimit limit;
	read_ports();
	if (SL_SYS4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) == 0)
		known.nofile_soft = limit.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)limit.rlim_cur;
	*limits = known;
}
