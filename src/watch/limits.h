/* limits.h - how many ports and fds there are.
 *
 * Layer: watch. Locks: none: the worker only. Fork: no state but a cache. errno: untouched.
 * Source: ip_local_port_range and ip_local_reserved_ports in ip-sysctl of the kernel; getrlimit(2).
 */
#ifndef SL_WATCH_LIMITS_H
#define SL_WATCH_LIMITS_H

#include <stdint.h>

struct sl_limits {
	int64_t nofile_soft; /* -1: not known, or no limit */
	int64_t nofile_hard; /* the same */
	int32_t port_low;    /* -1: not known */
	int32_t port_high;
	int32_t ports_reserved; /* of low..high */
	int32_t tcp_tw_reuse; /* as in ip-sysctl; 0 where there are no timestamps; -1: not known */
};

/* What could not be read now is what was read before. */
void sl_limits_read(struct sl_limits *limits);

/* The ports of ip_local_reserved_ports as it was read last, a bit each. */
#define SL_PORT_BITS_BYTES (65536 / 8)
void sl_limits_reserved(uint8_t bits[SL_PORT_BITS_BYTES]);
/* Those of "1,3-5,...": the same. Pure. */
void sl_limits_mark_reserved(const char *list, uint8_t bits[SL_PORT_BITS_BYTES]);

/* Ports of "1,3-5,..." that lie in low..high. Pure. */
int32_t sl_limits_count_reserved(const char *list, int32_t low, int32_t high);

#endif
