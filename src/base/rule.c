#include "base/rule.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/poison.h"

#define SL_ADDRESS_TEXT 64
#define SL_V4_OFFSET 12 /* bytes before the IPv4 address in a v4-mapped one */
#define SL_V4_BITS (SL_V4_OFFSET * 8)

static const uint8_t v4_mapped[SL_V4_OFFSET] = {[10] = 0xff, [11] = 0xff};

static bool is_v4_mapped(const uint8_t address[16])
{
	return memcmp(address, v4_mapped, sizeof(v4_mapped)) == 0;
}

/* Decimal digits that fill all of n bytes. False: something else, or above `most`. */
static bool read_number(const char *text, size_t n, unsigned most, unsigned *number)
{
	*number = 0;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*number = *number * 10 + (unsigned)(text[i] - '0');
		if (*number > most)
			return false;
	}
	return n > 0;
}

static bool read_port(const char *text, size_t n, uint16_t *port)
{
	unsigned number;
	if (!read_number(text, n, 65535, &number) || number == 0)
		return false;
	*port = (uint16_t)number;
	return true;
}

/* IPv4 becomes v4-mapped, and *bits_before the bits of that prefix. */
static bool read_address(const char *text, size_t n, uint8_t address[16], unsigned *bits_before)
{
	char copy[SL_ADDRESS_TEXT];
	if (n >= sizeof(copy) || memchr(text, 0, n))
		return false;
	memcpy(copy, text, n);
	copy[n] = 0;
	*bits_before = 0;
	if (inet_pton(AF_INET6, copy, address) == 1)
		return true;
	*bits_before = SL_V4_BITS;
	memcpy(address, v4_mapped, sizeof(v4_mapped));
	return inet_pton(AF_INET, copy, address + SL_V4_OFFSET) == 1;
}

static void clear_bits_past(struct sl_rule *rule)
{
	for (unsigned bit = rule->bits; bit < 128; bit++)
		rule->address[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
}

/* The readers below return why the rule is refused, or NULL. */

/* ADDRESS or ADDRESS/BITS */
static const char *read_network(const char *text, size_t n, struct sl_rule *rule)
{
	const char *slash = memchr(text, '/', n);
	size_t address_length = slash ? (size_t)(slash - text) : n;
	unsigned bits_before, bits;
	if (!read_address(text, address_length, rule->address, &bits_before))
		return "not an address";
	bits = 128 - bits_before;
	if (slash && !read_number(slash + 1, n - address_length - 1, bits, &bits))
		return "not a prefix length";
	/* ::ffff:10.0.0.0/8 is meant as 10.0.0.0/8, and says ::/8. */
	if (is_v4_mapped(rule->address) && bits_before + bits < SL_V4_BITS)
		return "a prefix of less than 96 for a v4-mapped address";
	rule->bits = (uint8_t)(bits_before + bits);
	rule->has_address = true;
	clear_bits_past(rule);
	return NULL;
}

/* [ADDRESS/BITS] with or without :PORT */
static const char *read_bracketed(const char *text, size_t n, struct sl_rule *rule)
{
	const char *end = memchr(text, ']', n);
	if (!end)
		return "no closing bracket";
	size_t length = (size_t)(end - text);
	const char *refusal = read_network(text + 1, length - 1, rule);
	if (refusal || length + 1 == n)
		return refusal;
	if (end[1] != ':' || !read_port(end + 2, n - length - 2, &rule->port))
		return "not a port";
	return NULL;
}

/* The colon before a port, in a rule without brackets. 2001:db8::1:443 has none: that is an address. */
static const char *find_port(const char *text, size_t n)
{
	const char *colon = memrchr(text, ':', n);
	if (!colon)
		return NULL;
	size_t before = (size_t)(colon - text);
	bool is_port = before == 0 || memchr(text, '.', before) || memchr(text, '/', before);
	return is_port ? colon : NULL;
}

const char *sl_rule_read(const char *text, size_t n, struct sl_rule *rule)
{
	static const char local[] = "local:";
	const size_t local_length = sizeof(local) - 1;
	memset(rule, 0, sizeof(*rule));
	if (n == 0)
		return "empty";
	if (n >= local_length && memcmp(text, local, local_length) == 0) {
		bool is_port = read_port(text + local_length, n - local_length, &rule->local_port);
		return is_port ? NULL : "not a port";
	}
	if (text[0] == '[')
		return read_bracketed(text, n, rule);
	const char *colon = find_port(text, n);
	size_t before = colon ? (size_t)(colon - text) : n;
	const char *refusal = before > 0 ? read_network(text, before, rule) : NULL;
	if (refusal || !colon)
		return refusal;
	return read_port(colon + 1, n - before - 1, &rule->port) ? NULL : "not a port";
}

bool sl_rule_covers(const struct sl_rule *rule, const uint8_t address[16], uint16_t port,
                    uint16_t local_port)
{
	if (rule->local_port)
		return rule->local_port == local_port;
	if (rule->port && rule->port != port)
		return false;
	if (rule->has_address && rule->bits < SL_V4_BITS && is_v4_mapped(address))
		return false;
	for (unsigned bit = 0; bit < rule->bits; bit++)
		if ((rule->address[bit / 8] ^ address[bit / 8]) & (0x80u >> bit % 8))
			return false;
	return true;
}
