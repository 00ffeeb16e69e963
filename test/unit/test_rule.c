/* test_rule.c - rules of only= and never=: every form, what is refused, and which connections one covers. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rule.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* An IPv6 address of 16 bytes; IPv4 as v4-mapped. */
static const uint8_t *address_of(const char *text)
{
	static uint8_t address[16];
	memset(address, 0, sizeof(address));
	if (inet_pton(AF_INET6, text, address) == 1)
		return address;
	address[10] = address[11] = 0xff;
	assert_int_equal(inet_pton(AF_INET, text, address + 12), 1);
	return address;
}

static struct sl_rule read_rule(const char *text)
{
	struct sl_rule rule;
	memset(&rule, 0xa5, sizeof(rule));
	errno = 4711;
	const char *refusal = sl_rule_read(text, strlen(text), &rule);
	if (refusal)
		fail_msg("%s: %s", text, refusal);
	assert_int_equal(errno, 4711);
	return rule;
}

static void forms(void **state)
{
	(void)state;
	static const struct {
		const char *text, *address; /* address NULL: any */
		unsigned bits, port, local_port;
	} rows[] = {
		{"10.1.2.3", "10.1.2.3", 128, 0, 0},
		{"10.1.2.3:8080", "10.1.2.3", 128, 8080, 0},
		{"10.0.0.0/8", "10.0.0.0", 104, 0, 0},
		{"10.0.0.0/8:443", "10.0.0.0", 104, 443, 0},
		{"2001:db8::1", "2001:db8::1", 128, 0, 0},
		{"2001:db8::/32", "2001:db8::", 32, 0, 0},
		{"2001:db8::/32:443", "2001:db8::", 32, 443, 0},
		{"[2001:db8::1]", "2001:db8::1", 128, 0, 0},
		{"[2001:db8::1]:443", "2001:db8::1", 128, 443, 0},
		{"[2001:db8::/32]", "2001:db8::", 32, 0, 0},
		{"[2001:db8::/32]:443", "2001:db8::", 32, 443, 0},
		{"[::1]:65535", "::1", 128, 65535, 0},
		{"[10.0.0.0/8]:443", "10.0.0.0", 104, 443, 0},
		{":1", NULL, 0, 1, 0},
		{":443", NULL, 0, 443, 0},
		{":0443", NULL, 0, 443, 0},
		{":65535", NULL, 0, 65535, 0},
		{"local:1", NULL, 0, 0, 1},
		{"local:65535", NULL, 0, 0, 65535},
		/* What netstat shows of an IPv4 connection of a JVM. */
		{"::ffff:172.21.191.100", "172.21.191.100", 128, 0, 0},
		{"::ffff:172.21.191.100:8080", "172.21.191.100", 128, 8080, 0},
		{"[::ffff:172.21.191.100]:8080", "172.21.191.100", 128, 8080, 0},
		{"::ffff:10.0.0.0/104", "10.0.0.0", 104, 0, 0},
		{"::ffff:a00:0/104", "10.0.0.0", 104, 0, 0},
		/* No port without brackets: these are addresses. */
		{"::1:80", "::1:80", 128, 0, 0},
		{"2001:db8::1:443", "2001:db8::1:443", 128, 0, 0},
		{"::", "::", 128, 0, 0},
		{"::/0", "::", 0, 0, 0},
		{"FE80::A", "fe80::a", 128, 0, 0},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct sl_rule rule = read_rule(rows[i].text);
		assert_int_equal(rule.has_address, rows[i].address != NULL);
		const uint8_t *address = address_of(rows[i].address ? rows[i].address : "::");
		assert_memory_equal(rule.address, address, 16);
		assert_int_equal(rule.bits, rows[i].bits);
		assert_int_equal(rule.port, rows[i].port);
		assert_int_equal(rule.local_port, rows[i].local_port);
	}
}

static void refused(void **state)
{
	(void)state;
	static const char v4_prefix[] = "a prefix of less than 96 for a v4-mapped address";
	static const char *const rows[][2] = {
		{"", "empty"},
		{":", "not a port"},
		{":0", "not a port"},
		{":65536", "not a port"},
		{":99999999999999999999", "not a port"},
		{":-1", "not a port"},
		{":+1", "not a port"},
		{": 1", "not a port"},
		{":1 ", "not a port"},
		{":0x50", "not a port"},
		{":https", "not a port"},
		{":443/8", "not a port"},
		{":443:", "not an address"},
		{":80:443", "not an address"},
		{"local", "not an address"},
		{"local:", "not a port"},
		{"local:0", "not a port"},
		{"local:65536", "not a port"},
		{"local:80 ", "not a port"},
		{"local::80", "not a port"},
		{"local:10.0.0.1:80", "not a port"},
		{"local:80:90", "not a port"},
		{"Local:80", "not an address"},
		{"peer:80", "not an address"},
		{"1.2.3.4:", "not a port"},
		{"1.2.3.4:0", "not a port"},
		{"1.2.3.4:65536", "not a port"},
		{"1.2.3.4:80/8", "not a port"},
		{"1.2.3.4:80:90", "not an address"},
		{"1.2.3", "not an address"},
		{"1.2.3.4.5", "not an address"},
		{"1.2.3.256", "not an address"},
		{"1.2.3.04", "not an address"},
		{"0x1.2.3.4", "not an address"},
		{"16909060", "not an address"},
		{"1.2.3.4/", "not a prefix length"},
		{"1.2.3.4/33", "not a prefix length"},
		{"1.2.3.4/128", "not a prefix length"},
		{"1.2.3.4/-1", "not a prefix length"},
		{"1.2.3.4/8/8", "not a prefix length"},
		{"1.2.3.4/255.0.0.0", "not a prefix length"},
		{"1.2.3.4/4294967304", "not a prefix length"},
		{"1.2.3.4/ 8", "not a prefix length"},
		{"/8", "not an address"},
		{"/", "not an address"},
		{"/:80", "not an address"},
		{"::1/129", "not a prefix length"},
		{"::1/", "not a prefix length"},
		{"::1/64:", "not a port"},
		{"::1/64:0", "not a port"},
		{":::", "not an address"},
		{"1::2::3", "not an address"},
		{"1:2:3:4:5:6:7:8:9", "not an address"},
		{"12345::", "not an address"},
		{"g::", "not an address"},
		{"fe80::1%eth0", "not an address"},
		{"[", "no closing bracket"},
		{"[::1", "no closing bracket"},
		{"[::1:80", "no closing bracket"},
		{"[]", "not an address"},
		{"[]:80", "not an address"},
		{"[::1]:", "not a port"},
		{"[::1]:0", "not a port"},
		{"[::1]:65536", "not a port"},
		{"[::1]80", "not a port"},
		{"[::1]]:80", "not a port"},
		{"[::1]/128", "not a port"},
		{"[::1/129]:80", "not a prefix length"},
		{"[[::1]]:80", "not an address"},
		{"::1]:80", "not an address"},
		{"[:80]", "not an address"},
		{"[local:80]", "not an address"},
		{" 10.0.0.1", "not an address"},
		{"10.0.0.1 ", "not an address"},
		{"\t:80", "not an address"},
		{"10.0.0.1\n", "not an address"},
		{"10.0.0.0 /8", "not an address"},
		{"*", "not an address"},
		{"*:443", "not an address"},
		{"all", "not an address"},
		{"example.com", "not an address"},
		{"example.com:443", "not an address"},
		{"10.0.0.*", "not an address"},
		{"10.0.0.1-10.0.0.9", "not an address"},
		{"!10.0.0.1", "not an address"},
		{"\xd9\xa1.2.3.4", "not an address"},
		/* Taken at its word it would be ::/8. */
		{"::ffff:10.0.0.0/8", v4_prefix},
		{"::ffff:10.0.0.0/95", v4_prefix},
		{"[::ffff:10.0.0.0/24]:80", v4_prefix},
		{"::ffff:0:0/0", v4_prefix},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct sl_rule rule;
		errno = 4711;
		const char *refusal = sl_rule_read(rows[i][0], strlen(rows[i][0]), &rule);
		if (!refusal || strcmp(refusal, rows[i][1]) != 0)
			fail_msg("%s: %s", rows[i][0], refusal ? refusal : "taken");
		assert_int_equal(errno, 4711);
	}
}

/* Only n bytes are read, whatever comes behind them; a NUL within them ends nothing. */
static void as_long_as_said(void **state)
{
	(void)state;
	struct sl_rule rule;
	assert_null(sl_rule_read("10.0.0.0/8,:443", 10, &rule));
	assert_int_equal(rule.bits, 104);
	assert_int_equal(rule.port, 0);
	assert_null(sl_rule_read("10.0.0.0/16", 10, &rule));
	assert_int_equal(rule.bits, 97);
	assert_null(sl_rule_read(":4430", 4, &rule));
	assert_int_equal(rule.port, 443);
	assert_null(sl_rule_read("[::1]:80", 5, &rule));
	assert_int_equal(rule.port, 0);
	assert_non_null(sl_rule_read("[::1]:80", 4, &rule));
	assert_non_null(sl_rule_read("local:80", 6, &rule));
	assert_non_null(sl_rule_read("10.0.0.1", 0, &rule));
	assert_non_null(sl_rule_read("10.0.0.1\0", 9, &rule));
	assert_non_null(sl_rule_read("10.0.0.1\0:80", 12, &rule));
	assert_non_null(sl_rule_read("10.0.0.1\0/8", 11, &rule));
	assert_non_null(sl_rule_read(":80\0", 4, &rule));
}

static void overlong(void **state)
{
	(void)state;
	static char text[5000];
	struct sl_rule rule;
	static const char fills[] = "0:1f.[]/ l";
	for (const char *fill = fills; *fill; fill++) {
		memset(text, *fill, sizeof(text));
		assert_non_null(sl_rule_read(text, sizeof(text), &rule));
		text[0] = '[';
		text[sizeof(text) - 1] = ']';
		assert_non_null(sl_rule_read(text, sizeof(text), &rule));
		memcpy(text, "10.0.0.1/", 9);
		assert_non_null(sl_rule_read(text, sizeof(text), &rule));
	}
	for (size_t length = 40; length < 140; length++) {
		memset(text, '1', length);
		assert_non_null(sl_rule_read(text, length, &rule));
	}
	/* The longest address there is, and one byte more. */
	static const char longest[] = "[1111:2222:3333:4444:5555:6666:255.255.255.255/128]:65535";
	assert_null(sl_rule_read(longest, sizeof(longest) - 1, &rule));
	assert_int_equal(rule.port, 65535);
	assert_non_null(sl_rule_read("1111:2222:3333:4444:5555:6666:255.255.255.2555", 46, &rule));
}

static bool covers(const char *text, const char *peer, uint16_t port, uint16_t local_port)
{
	struct sl_rule rule = read_rule(text);
	return sl_rule_covers(&rule, address_of(peer), port, local_port);
}

static void what_a_rule_covers(void **state)
{
	(void)state;
	static const struct {
		const char *text, *peer;
		uint16_t port, local_port;
		bool covered;
	} rows[] = {
		{"10.1.2.3", "10.1.2.3", 80, 4000, true},
		{"10.1.2.3", "10.1.2.2", 80, 4000, false},
		{"10.1.2.3", "::ffff:10.1.2.3", 80, 4000, true},
		{"::ffff:10.1.2.3", "10.1.2.3", 80, 4000, true},
		{"10.1.2.3", "::10.1.2.3", 80, 4000, false},
		{"10.1.2.3:80", "10.1.2.3", 80, 4000, true},
		{"10.1.2.3:80", "10.1.2.3", 81, 4000, false},
		{"10.1.2.3:80", "10.1.2.4", 80, 4000, false},
		{"10.1.2.3:80", "10.1.2.3", 4000, 80, false},
		{"10.0.0.0/8:80", "10.255.255.255", 80, 4000, true},
		{"10.0.0.0/8:80", "10.255.255.255", 443, 4000, false},
		{":80", "10.1.2.3", 80, 4000, true},
		{":80", "2001:db8::1", 80, 4000, true},
		{":80", "10.1.2.3", 4000, 80, false},
		{":80", "10.1.2.3", 20480, 4000, false}, /* 80 in the other byte order */
		{"local:80", "10.1.2.3", 4000, 80, true},
		{"local:80", "2001:db8::1", 4000, 80, true},
		{"local:80", "10.1.2.3", 80, 4000, false},
		{"[2001:db8::/32]:443", "2001:db8:ffff::1", 443, 4000, true},
		{"[2001:db8::/32]:443", "2001:db8:ffff::1", 80, 4000, false},
		{"[2001:db8::/32]:443", "2001:db9::1", 443, 4000, false},
		{"2001:db8::1:443", "2001:db8::1", 443, 4000, false},
		{"2001:db8::1:443", "2001:db8::1:443", 80, 4000, true},
		/* Ports that are not known are 0, and no rule's. */
		{":80", "10.1.2.3", 0, 0, false},
		{"local:80", "10.1.2.3", 0, 0, false},
		{"10.1.2.3", "10.1.2.3", 0, 0, true},
		/* IPv4 and IPv6 apart, however short the prefix. */
		{"0.0.0.0/0", "10.1.2.3", 80, 4000, true},
		{"0.0.0.0/0", "0.0.0.0", 80, 4000, true},
		{"0.0.0.0/0", "2001:db8::1", 80, 4000, false},
		{"0.0.0.0/0", "::", 80, 4000, false},
		{"::ffff:0:0/96", "10.1.2.3", 80, 4000, true},
		{"::/0", "2001:db8::1", 80, 4000, true},
		{"::/0", "::1", 80, 4000, true},
		{"::/0", "10.1.2.3", 80, 4000, false},
		{"[::/0]:80", "10.1.2.3", 80, 4000, false},
		{"::/8", "10.1.2.3", 80, 4000, false},
		{"::/95", "10.1.2.3", 80, 4000, false},
		{"::/95", "::1", 80, 4000, true},
		{"::fffe:0:0/95", "10.1.2.3", 80, 4000, false},
		{"::fffe:0:0/95", "::fffe:1.2.3.4", 80, 4000, true},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (covers(rows[i].text, rows[i].peer, rows[i].port, rows[i].local_port) !=
		    rows[i].covered)
			fail_msg("%s and %s:%u", rows[i].text, rows[i].peer, rows[i].port);
}

/* One bit inside the prefix decides, the next one does not. */
static void prefix_edges(void **state)
{
	(void)state;
	static const struct {
		const char *text, *inside, *outside; /* outside NULL: nothing of the family */
	} rows[] = {
		{"128.0.0.0/0", "1.2.3.4", NULL},
		{"128.0.0.0/1", "255.255.255.255", "127.255.255.255"},
		{"0.0.0.0/1", "127.255.255.255", "128.0.0.0"},
		{"10.20.30.40/31", "10.20.30.41", "10.20.30.42"},
		{"10.20.30.41/31", "10.20.30.40", "10.20.30.39"},
		{"10.20.30.40/32", "10.20.30.40", "10.20.30.41"},
		{"10.20.30.40/00032", "10.20.30.40", "10.20.30.41"},
		{"10.96.0.0/11", "10.127.255.255", "10.128.0.0"},
		{"2001::/0", "fe80::1", NULL},
		{"8000::/1", "ffff::", "7fff::"},
		{"2001:db8::/31", "2001:db9::", "2001:dba::"},
		{"2001:db8::/32", "2001:db8:ffff::", "2001:db9::"},
		{"2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"},
		{"2001:db8::2/127", "2001:db8::3", "2001:db8::4"},
		{"2001:db8::2/128", "2001:db8::2", "2001:db8::3"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_true(covers(rows[i].text, rows[i].inside, 1, 2));
		if (rows[i].outside)
			assert_false(covers(rows[i].text, rows[i].outside, 1, 2));
	}
}

/* What stands past the prefix is no part of the rule. */
static void host_bits(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"10.1.2.3/8", "10.0.0.0/8"},       {"10.255.255.255/9:80", "10.128.0.0/9:80"},
		{"255.255.255.255/0", "0.0.0.0/0"}, {"ffff:ffff::ffff/17", "ffff:8000::/17"},
		{"[2001:db8::1/0]:80", "::/0:80"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct sl_rule rule = read_rule(rows[i][0]), same = read_rule(rows[i][1]);
		assert_memory_equal(rule.address, same.address, sizeof(rule.address));
		assert_int_equal(rule.bits, same.bits);
		assert_int_equal(rule.port, same.port);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(refused),
		cmocka_unit_test(as_long_as_said),
		cmocka_unit_test(overlong),
		cmocka_unit_test(what_a_rule_covers),
		cmocka_unit_test(prefix_edges),
		cmocka_unit_test(host_bits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
