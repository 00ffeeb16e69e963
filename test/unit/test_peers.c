/* test_peers.c - the other ends: addresses as the program and the kernel give them, their text, their ids. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger/peers.h"
#include "racers.h"

/* offsetof(struct sockaddr_in6, sin6_scope_id): the shortest that the kernel takes. */
#define V6_SHORTEST 24u

static struct sockaddr_in v4_address(const char *text, uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
	return address;
}

static struct sockaddr_in6 v6_address(const char *text, uint16_t port)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	assert_int_equal(inet_pton(AF_INET6, text, &address.sin6_addr), 1);
	return address;
}

static struct sl_endpoint endpoint_of(const void *address, unsigned n)
{
	struct sl_endpoint endpoint;
	memset(&endpoint, 0xa5, sizeof(endpoint));
	assert_true(sl_endpoint_of(address, n, &endpoint));
	return endpoint;
}

static struct sl_endpoint v4_endpoint(const char *text, uint16_t port)
{
	struct sockaddr_in address = v4_address(text, port);
	return endpoint_of(&address, sizeof(address));
}

static struct sl_endpoint v6_endpoint(const char *text, uint16_t port)
{
	struct sockaddr_in6 address = v6_address(text, port);
	return endpoint_of(&address, sizeof(address));
}

static bool is_same(const struct sl_endpoint *a, const struct sl_endpoint *b)
{
	return a->port == b->port && memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

static void an_ipv4_address_is_kept_as_v4_mapped(void **state)
{
	(void)state;
	static const uint8_t bytes[16] = {0, 0, 0,    0,    0,   0,  0,   0,
	                                  0, 0, 0xff, 0xff, 172, 21, 191, 100};
	struct sl_endpoint v4 = v4_endpoint("172.21.191.100", 8080);
	struct sl_endpoint mapped = v6_endpoint("::ffff:172.21.191.100", 8080);
	assert_memory_equal(v4.address, bytes, 16);
	assert_int_equal(v4.port, 8080);
	assert_true(is_same(&v4, &mapped));
	assert_int_equal(sl_peer_intern(SL_DIRECTION_OUT, &v4),
	                 sl_peer_intern(SL_DIRECTION_OUT, &mapped));
}

static void an_ipv6_address_is_kept_as_it_is(void **state)
{
	(void)state;
	struct sockaddr_in6 address = v6_address("2001:db8::1:2", 65535);
	struct sl_endpoint endpoint = endpoint_of(&address, sizeof(address));
	assert_memory_equal(endpoint.address, &address.sin6_addr, 16);
	assert_int_equal(endpoint.port, 65535);
	/* Scope and flow are no part of it. */
	address.sin6_scope_id = 3;
	address.sin6_flowinfo = 9;
	struct sl_endpoint scoped = endpoint_of(&address, sizeof(address));
	struct sl_endpoint unscoped = endpoint_of(&address, V6_SHORTEST);
	assert_true(is_same(&endpoint, &scoped));
	assert_true(is_same(&endpoint, &unscoped));
}

static void short_or_foreign_addresses_are_refused(void **state)
{
	(void)state;
	struct sockaddr_in v4 = v4_address("127.0.0.1", 80);
	struct sockaddr_in6 v6 = v6_address("::1", 80);
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/tmp/x"};
	struct sockaddr_storage none = {.ss_family = AF_UNSPEC};
	struct sl_endpoint endpoint;
	for (unsigned n = 0; n < sizeof(v4); n++)
		assert_false(sl_endpoint_of((struct sockaddr *)&v4, n, &endpoint));
	for (unsigned n = 0; n < V6_SHORTEST; n++)
		assert_false(sl_endpoint_of((struct sockaddr *)&v6, n, &endpoint));
	assert_false(sl_endpoint_of((struct sockaddr *)&un, sizeof(un), &endpoint));
	assert_false(sl_endpoint_of((struct sockaddr *)&none, sizeof(none), &endpoint));
	assert_false(sl_endpoint_of(NULL, sizeof(v4), &endpoint));
	assert_false(sl_endpoint_of(NULL, 0, &endpoint));
	/* Longer is fine: programs pass sizeof(struct sockaddr_storage). */
	struct sockaddr_storage wide = {0};
	memcpy(&wide, &v4, sizeof(v4));
	assert_true(sl_endpoint_of((struct sockaddr *)&wide, sizeof(wide), &endpoint));
}

/* Only the bytes it was promised, at any address: ASan and UBSan watch. */
static void the_buffer_need_not_be_aligned(void **state)
{
	(void)state;
	struct sockaddr_in v4 = v4_address("10.1.2.3", 4);
	struct sockaddr_in6 v6 = v6_address("fe80::1", 5);
	struct sl_endpoint want4 = v4_endpoint("10.1.2.3", 4), want6 = v6_endpoint("fe80::1", 5),
			   got;
	for (unsigned shift = 0; shift < 8; shift++) {
		char *bytes = malloc(shift + V6_SHORTEST);
		assert_non_null(bytes);
		memcpy(bytes + shift, &v4, sizeof(v4));
		assert_true(sl_endpoint_of((void *)(bytes + shift), sizeof(v4), &got));
		assert_true(is_same(&got, &want4));
		memcpy(bytes + shift, &v6, V6_SHORTEST);
		assert_true(sl_endpoint_of((void *)(bytes + shift), V6_SHORTEST, &got));
		assert_true(is_same(&got, &want6));
		free(bytes);
	}
}

static void assert_prints(const struct sl_endpoint *endpoint, const char *address,
                          const char *whole)
{
	char text[64];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
	sl_endpoint_print_address(&out, endpoint);
	text[out.length] = 0;
	assert_string_equal(text, address);
	sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
	sl_endpoint_print(&out, endpoint);
	text[out.length] = 0;
	assert_string_equal(text, whole);
}

static void ipv4_prints_dotted(void **state)
{
	(void)state;
	struct sl_endpoint a = v4_endpoint("0.0.0.0", 0), b = v4_endpoint("255.255.255.255", 65535);
	struct sl_endpoint c = v6_endpoint("::ffff:1.20.0.3", 80);
	assert_prints(&a, "0.0.0.0", "0.0.0.0:0");
	assert_prints(&b, "255.255.255.255", "255.255.255.255:65535");
	assert_prints(&c, "1.20.0.3", "1.20.0.3:80");
}

static void ipv6_prints_as_rfc_5952_says(void **state)
{
	(void)state;
	static const struct {
		const char *given, *printed;
	} rows[] = {
		{"::", "::"},
		{"::1", "::1"},
		{"1::", "1::"},
		{"0:1::", "0:1::"},
		{"::1:0", "::1:0"},
		{"1:0:0:0:0:0:0:1", "1::1"},
		/* 4.1: leading zeros go. */
		{"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
		{"2001:db8:aaaa:bbbb:cccc:dddd:eeee:0001", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1"},
		{"0001:0020:0300:4000:0050:0600:7000:0008", "1:20:300:4000:50:600:7000:8"},
		/* 4.2.1: as short as can be. 4.2.2: never for one group alone. */
		{"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"0:1:1:1:1:1:1:1", "0:1:1:1:1:1:1:1"},
		{"1:1:1:1:1:1:1:0", "1:1:1:1:1:1:1:0"},
		{"0:1:0:1:0:1:0:1", "0:1:0:1:0:1:0:1"},
		/* 4.2.3: the longest run, the first of equals. */
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"0:0:1:0:0:0:1:1", "0:0:1::1:1"},
		{"1:0:0:2:0:0:0:0", "1:0:0:2::"},
		{"0:0:0:1:0:0:0:0", "0:0:0:1::"},
		{"0:0:1:1:1:1:0:0", "::1:1:1:1:0:0"},
		{"1:1:1:1:1:1:0:0", "1:1:1:1:1:1::"},
		{"0:0:1:1:1:1:1:1", "::1:1:1:1:1:1"},
		{"1:0:0:1:1:1:1:1", "1::1:1:1:1:1"},
		/* 4.3: lower case. */
		{"2001:DB8::ABCD:EF", "2001:db8::abcd:ef"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		/* Close to v4-mapped, but not. */
		{"::fffe:1.2.3.4", "::fffe:102:304"},
		{"1::ffff:1.2.3.4", "1::ffff:102:304"},
		{"fe80::1", "fe80::1"},
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char whole[64] = "[";
		strcat(whole, rows[i].printed);
		strcat(whole, "]:443");
		struct sl_endpoint endpoint = v6_endpoint(rows[i].given, 443);
		assert_prints(&endpoint, rows[i].printed, whole);
	}
}

/* Whatever the zeros, the text reads back as the address, and inet_ntop() says the same. */
static void every_pattern_of_zeros_reads_back(void **state)
{
	(void)state;
	for (unsigned zeros = 0; zeros < 256; zeros++) {
		struct sockaddr_in6 address = {.sin6_family = AF_INET6};
		char text[64], reference[INET6_ADDRSTRLEN];
		uint8_t back[16];
		struct sl_out out;
		for (unsigned group = 0; group < 8; group++)
			if (!(zeros >> group & 1))
				address.sin6_addr.s6_addr[2 * group + 1] = (uint8_t)(0x10 + group);
		struct sl_endpoint endpoint = endpoint_of(&address, sizeof(address));
		sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
		sl_endpoint_print_address(&out, &endpoint);
		text[out.length] = 0;
		assert_int_equal(inet_pton(AF_INET6, text, back), 1);
		assert_memory_equal(back, endpoint.address, 16);
		/* It writes ::1.2.3.4 for the addresses of RFC 4291, 2.5.5.1, long given up. */
		assert_non_null(inet_ntop(AF_INET6, back, reference, sizeof(reference)));
		if (!strchr(reference, '.'))
			assert_string_equal(text, reference);
	}
}

static void a_peer_is_direction_address_and_port(void **state)
{
	(void)state;
	struct sl_endpoint at = v4_endpoint("192.0.2.1", 443), port = v4_endpoint("192.0.2.1", 444);
	struct sl_endpoint host = v4_endpoint("192.0.2.2", 443);
	const uint32_t ids[] = {
		sl_peer_intern(SL_DIRECTION_OUT, &at),
		sl_peer_intern(SL_DIRECTION_IN, &at),
		sl_peer_intern(SL_DIRECTION_OUT, &port),
		sl_peer_intern(SL_DIRECTION_OUT, &host),
	};
	for (int i = 0; i < 4; i++) {
		assert_int_not_equal(ids[i], 0);
		assert_non_null(sl_peer_get(ids[i]));
		for (int j = 0; j < i; j++)
			assert_int_not_equal(ids[i], ids[j]);
	}
	assert_int_equal(sl_peer_intern(SL_DIRECTION_IN, &at), ids[1]);
	assert_int_equal(sl_peer_get(ids[1])->direction, SL_DIRECTION_IN);
	assert_true(is_same(&sl_peer_get(ids[2])->at, &port));
	assert_null(sl_peer_get(0));
	assert_null(sl_peer_get(sl_peer_last() + 1));
	assert_null(sl_peer_get(SL_PEER_OVERFLOW));
	assert_null(sl_peer_get(UINT32_MAX));
}

static struct sl_endpoint numbered(uint32_t n)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons((uint16_t)(n % 3 + 1))};
	address.sin_addr.s_addr = htonl(0x0a000000 + n / 3);
	return endpoint_of(&address, sizeof(address));
}

static _Atomic unsigned wrong;

static void connect_to_many(unsigned index, void *context)
{
	(void)index;
	(void)context;
	for (uint32_t i = 0; i < RACE_ROUNDS(100000u); i++) {
		struct sl_endpoint at = numbered(i % 999);
		const struct sl_peer *peer = sl_peer_get(sl_peer_intern(SL_DIRECTION_OUT, &at));
		wrong += !peer || !is_same(&peer->at, &at) || peer->direction != SL_DIRECTION_OUT;
	}
}

static uint32_t count_shown(void)
{
	uint32_t shown = 0;
	for (uint32_t id = 1; id <= sl_peer_last(); id++)
		shown += sl_peer_get(id) != NULL;
	return shown;
}

static void threads_share_peers(void **state)
{
	(void)state;
	uint32_t before = count_shown();
	race(4, connect_to_many, NULL);
	assert_int_equal(wrong, 0);
	assert_int_equal(count_shown() - before, 999);
}

static void peers_without_room_share_one_id(void **state)
{
	(void)state;
	uint32_t overflowed = 0, n = 5000;
	struct sl_endpoint known = numbered(1);
	uint32_t known_id = sl_peer_intern(SL_DIRECTION_OUT, &known);
	for (; n < 5000 + 2 * SL_PEERS_MAX; n++) {
		struct sl_endpoint at = numbered(n);
		uint32_t id = sl_peer_intern(SL_DIRECTION_IN, &at);
		assert_int_not_equal(id, 0);
		if (id == SL_PEER_OVERFLOW)
			overflowed++;
		else
			assert_true(is_same(&sl_peer_get(id)->at, &at));
	}
	assert_true(overflowed >= SL_PEERS_MAX);
	assert_true(sl_peer_last() <= SL_PEERS_MAX);
	assert_null(sl_peer_get(SL_PEER_OVERFLOW));
	/* Those that had their place keep it, and outbound peers have room of their own. */
	struct sl_endpoint unknown = numbered(n);
	assert_int_equal(sl_peer_intern(SL_DIRECTION_OUT, &known), known_id);
	assert_int_not_equal(sl_peer_intern(SL_DIRECTION_OUT, &unknown), SL_PEER_OVERFLOW);
}

static int set_up(void **state)
{
	(void)state;
	alarm(60);
	return 0;
}

int main(void)
{
	/* One table for the process: the last test fills it. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ipv4_address_is_kept_as_v4_mapped),
		cmocka_unit_test(an_ipv6_address_is_kept_as_it_is),
		cmocka_unit_test(short_or_foreign_addresses_are_refused),
		cmocka_unit_test(the_buffer_need_not_be_aligned),
		cmocka_unit_test(ipv4_prints_dotted),
		cmocka_unit_test(ipv6_prints_as_rfc_5952_says),
		cmocka_unit_test(every_pattern_of_zeros_reads_back),
		cmocka_unit_test(a_peer_is_direction_address_and_port),
		cmocka_unit_test(threads_share_peers),
		cmocka_unit_test(peers_without_room_share_one_id),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
