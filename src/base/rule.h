/* rule.h - which connections: one rule of only= or never=.
 *
 *   10.0.0.0/8        the peer's address          10.1.2.3:8080         address and port
 *   2001:db8::/32     the same, IPv6              [2001:db8::1]:443     address and port
 *   :443              the peer's port             local:8080            our own port
 *
 * Every /BITS may be followed by :PORT too, and brackets may hold it: [2001:db8::/32]:443. An IPv6 address with neither
 * brackets nor /BITS has no port: 2001:db8::1:443 is an address as a whole.
 *
 * IPv4 is kept as v4-mapped IPv6 (RFC 4291, 2.5.5.2) and covers a v4-mapped peer. An IPv6 network covers
 * IPv6 alone: ::/0 is no IPv4 connection.
 *
 * Pure functions. Layer: base. Locks: none. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_BASE_RULE_H
#define SL_BASE_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_rule {
	uint8_t address[16]; /* network order; bits past `bits` are 0 */
	uint8_t bits;        /* of the address that count */
	bool has_address;    /* false: any */
	uint16_t port;       /* the peer's, host order; 0: any */
	uint16_t local_port; /* ours; 0: any. Else all above is empty */
};

/* Reads a rule of n bytes. NULL, or why it is refused: then *rule is not to be used. */
const char *sl_rule_read(const char *text, size_t n, struct sl_rule *rule);

/* Does the rule cover this connection? The address as IPv6 or v4-mapped, ports in host order. */
bool sl_rule_covers(const struct sl_rule *rule, const uint8_t address[16], uint16_t port,
                    uint16_t local_port);

#endif
