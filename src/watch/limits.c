#include "watch/limits.h"

#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clerk.h"
#include "base/sys.h"

#include "base/poison.h"

#define SL_LIST_BYTES 4096

static struct sl_limits known = {
	.nofile_soft = -1, .nofile_hard = -1, .port_low = -1, .port_high = -1, .tcp_tw_reuse = -1};
static uint8_t reserved[SL_PORT_BITS_BYTES];

/* A number at *at, which moves behind it; -1: there is none. */
static int32_t take_number(const char **at)
{
	int32_t number = 0;
	const char *start = *at;
	for (; **at >= '0' && **at <= '9' && number < 1000000; ++*at)
		number = number * 10 + (**at - '0');
	return *at == start ? -1 : number;
}

/* A port or a range of them at *list, which moves behind it. False: the list is over. */
static bool take_range(const char **list, int32_t *first, int32_t *last)
{
	*first = *last = take_number(list);
	if (*first < 0)
		return false;
	if (**list == '-') {
		++*list;
		*last = take_number(list);
	}
	if (**list == ',')
		++*list;
	return true;
}

int32_t sl_limits_count_reserved(const char *list, int32_t low, int32_t high)
{
	int32_t count = 0, first, last;
	while (take_range(&list, &first, &last)) {
		int32_t from = first > low ? first : low;
		int32_t to = last < high ? last : high;
		count += to >= from ? to - from + 1 : 0;
	}
	return count;
}

void sl_limits_mark_reserved(const char *list, uint8_t bits[SL_PORT_BITS_BYTES])
{
	int32_t first, last;
	memset(bits, 0, SL_PORT_BITS_BYTES);
	while (take_range(&list, &first, &last))
		for (int32_t port = first; port <= last && port < SL_PORT_BITS_BYTES * 8; port++)
			bits[port / 8] |= (uint8_t)(1u << (port % 8));
}

void sl_limits_reserved(uint8_t bits[SL_PORT_BITS_BYTES])
{
	memcpy(bits, reserved, sizeof(reserved));
}

/* -1: it cannot be read. */
static int32_t read_number(const char *path)
{
	char text[32];
	const char *at = text;
	return sl_clerk_read(path, text, sizeof(text)) ? take_number(&at) : -1;
}

/* A port in TIME_WAIT is given out again only where both ends say when they sent what (tcp_twsk_unique()). */
static void read_reuse(void)
{
	int32_t reuse = read_number("/proc/sys/net/ipv4/tcp_tw_reuse");
	int32_t timestamps = read_number("/proc/sys/net/ipv4/tcp_timestamps");
	if (reuse >= 0 && timestamps >= 0)
		known.tcp_tw_reuse = timestamps ? reuse : 0;
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
	if (sl_clerk_read("/proc/sys/net/ipv4/ip_local_reserved_ports", text, sizeof(text))) {
		known.ports_reserved = sl_limits_count_reserved(text, low, high);
		sl_limits_mark_reserved(text, reserved);
	}
	read_reuse();
}

void sl_limits_read(struct sl_limits *limits)
{
	struct rlimit limit;
	read_ports();
	if (SL_SYS4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) == 0) {
		known.nofile_soft = limit.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)limit.rlim_cur;
		known.nofile_hard = limit.rlim_max == RLIM_INFINITY ? -1 : (int64_t)limit.rlim_max;
	}
	*limits = known;
}
