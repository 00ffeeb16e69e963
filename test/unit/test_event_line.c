/* test_event_line.c - one event as a line of JSON: what stands there, and what does not. Each test is a process of its own. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/options.h"
#include "child.h"
#include "event_lines.h"
#include "ledger/peers.h"
#include "ledger/sites.h"
#include "report/event_line.h"
#include "stack/names.h"

static char told[64 << 10];
static size_t told_bytes;

static int start(void **state)
{
	(void)state;
	sl_options_defaults(&sl_options);
	sl_sites_start();
	return 0;
}

/* One more line in `told`; it fits its bounds. */
static void tell(const struct sl_event *event)
{
	struct sl_out out;
	sl_out_init(&out, told + told_bytes, SL_EVENT_LINE_BYTES, NULL, NULL);
	errno = 4711;
	sl_event_line(&out, event, 1795327387123);
	CHECK(errno == 4711);
	CHECK(!out.is_cut);
	told_bytes += out.length;
	told[told_bytes] = '\0';
}

static struct sl_event event_of(enum sl_event_kind kind, int fd)
{
	return (struct sl_event){.kind = kind, .fd = fd, .site = SL_SITE_NO_STACK, .quiet_ms = -1};
}

static uint32_t peer_of(enum sl_direction direction, const char *address, uint16_t port)
{
	struct sl_endpoint at = {.port = port};
	if (inet_pton(AF_INET6, address, at.address) != 1) {
		at.address[10] = at.address[11] = 0xff;
		CHECK(inet_pton(AF_INET, address, at.address + 12) == 1);
	}
	return sl_peer_intern(direction, &at);
}

static void describe_java(uint64_t word, uint64_t second, void *text, struct sl_frame *frame)
{
	(void)word, (void)second;
	frame->role = SL_ROLE_APPLICATION;
	frame->text = text; /* the blame is this, where no class and method are known apart */
}

/* A site whose blame is this text. */
static uint32_t java_site(const char *text)
{
	static uint64_t next;
	const uint64_t words[] = {++next, 1};
	const struct sl_stack stack = {SL_STACK_JAVA, 1, false, words};
	bool is_new;
	uint32_t id = sl_site_intern(&stack, &is_new);
	CHECK(id > SL_SITE_NO_STACK);
	sl_site_name(sl_site_get(id), describe_java, (void *)(uintptr_t)text);
	return id;
}

struct expected {
	const char *member;
	const char *raw; /* NULL: not there */
};

static void check_values(unsigned n, const struct expected *expected, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *raw = expected[i].raw ? expected[i].raw : "(missing)";
		const char *value = event_lines_value(n, expected[i].member);
		if (strcmp(value, raw) != 0)
			printf("%s is %s, not %s\n", expected[i].member, value, raw);
		CHECK(strcmp(value, raw) == 0);
	}
}

#define CHECK_VALUES(n, ...)                                                       \
	do {                                                                       \
		const struct expected expected[] = {__VA_ARGS__};                  \
		check_values(n, expected, sizeof(expected) / sizeof(expected[0])); \
	} while (0)

static void one_connection_child(void)
{
	char site[32], pid[32];
	struct sl_event event = {
		.kind = SL_EVENT_STUCK,
		.fd = 57,
		.cookie = UINT64_MAX,
		.peer = peer_of(SL_DIRECTION_OUT, "172.21.191.100", 8080),
		.site = java_site("LeakyClient.fetch(LeakyClient.java:11)"),
		.quiet_ms = 60004,
		.cause = SL_CAUSE_NEVER_LOOKED,
	};
	snprintf(site, sizeof(site), "%u", event.site);
	snprintf(pid, sizeof(pid), "%d", getpid());
	tell(&event);
	/* Inbound: the client's address, and our port. */
	event.peer = peer_of(SL_DIRECTION_IN, "2001:db8::17", 443);
	event.fd = 0;
	event.quiet_ms = 0;
	tell(&event);
	event.peer = SL_PEER_OVERFLOW;
	event.site = SL_SITE_ADOPTED;
	event.cookie = 0;
	event.quiet_ms = -1;
	event.cause = SL_CAUSE_NONE;
	tell(&event);
	CHECK(event_lines_read(told) == 3);
	CHECK_VALUES(0, {"pid", pid}, {"event", "\"stuck\""}, {"fd", "57"},
	             {"cookie", "\"18446744073709551615\""}, {"peer.direction", "\"out\""},
	             {"peer.address", "\"172.21.191.100\""}, {"peer.port", "8080"}, {"site", site},
	             {"blame", "\"LeakyClient.fetch(LeakyClient.java:11)\""},
	             {"cause", "\"never-looked\""}, {"quiet_ms", "60004"}, {"reason", NULL},
	             {"rung", NULL}, {"rescue", NULL}, {"dry_run", NULL}, {"error", NULL},
	             {"count", NULL});
	CHECK_VALUES(1, {"fd", "0"}, {"peer.direction", "\"in\""},
	             {"peer.address", "\"2001:db8::17\""}, {"peer.port", "443"}, {"quiet_ms", "0"});
	CHECK_VALUES(2, {"fd", "0"}, {"cookie", "null"}, {"peer", "null"}, {"site", "1"},
	             {"blame", "null"}, {"cause", "null"}, {"quiet_ms", "null"});
}

static void one_connection(void **state)
{
	(void)state;
	in_child(one_connection_child);
}

/* RFC 3339 with milliseconds, in UTC. */
static void time_child(void)
{
	char line[SL_EVENT_LINE_BYTES];
	struct sl_out out;
	struct sl_event event = event_of(SL_EVENT_STUCK, 1);
	static const struct {
		uint64_t ms;
		const char *text;
	} times[] = {
		{1795327387123, "{\"time\":\"2026-11-22T06:03:07.123Z\","},
		{1795327387007, "{\"time\":\"2026-11-22T06:03:07.007Z\","},
		{1795327387000, "{\"time\":\"2026-11-22T06:03:07.000Z\","},
		{1795327387999, "{\"time\":\"2026-11-22T06:03:07.999Z\","},
	};
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		sl_out_init(&out, line, sizeof(line), NULL, NULL);
		sl_event_line(&out, &event, times[i].ms);
		CHECK(strncmp(line, times[i].text, strlen(times[i].text)) == 0);
	}
}

static void the_time(void **state)
{
	(void)state;
	in_child(time_child);
}

static void every_kind_child(void)
{
	static const char *const kinds[SL_EVENT_COUNT] = {
		"stuck",       "retracted", "probed",    "shutdown",  "app_reacted",
		"neutralized", "closed",    "skipped",   "regretted", "stopped",
		"rescue",      "pressure",  "keepalive", "set",       "reverted",
	};
	for (int kind = 0; kind < SL_EVENT_COUNT; kind++) {
		struct sl_event event = {
			.kind = (enum sl_event_kind)kind,
			.fd = kind == SL_EVENT_STOPPED || kind == SL_EVENT_RESCUE ||
		                              kind == SL_EVENT_PRESSURE || kind == SL_EVENT_SET ||
		                              kind == SL_EVENT_REVERTED
		                      ? -1
		                      : 7,
			.site = SL_SITE_NO_STACK,
			.quiet_ms = 5,
			.spared = SL_SPARED_PEER_WAITS,
			.rung = SL_RUNG_NEUTRALIZE,
			.is_rescue = true,
			.error = EADDRNOTAVAIL,
			.count = 16,
			.option = {"deadline", "60s", "5s", 1000, 7200000},
		};
		tell(&event);
	}
	CHECK(event_lines_read(told) == SL_EVENT_COUNT);
	/* What each kind has, and the others have not. */
	for (unsigned kind = 0; kind < SL_EVENT_COUNT; kind++) {
		bool is_skipped = kind == SL_EVENT_SKIPPED;
		bool is_action = kind == SL_EVENT_PROBED || kind == SL_EVENT_SHUTDOWN ||
		                 kind == SL_EVENT_NEUTRALIZED || kind == SL_EVENT_CLOSED ||
		                 kind == SL_EVENT_RESCUE;
		bool has_connection = kind != SL_EVENT_STOPPED && kind != SL_EVENT_RESCUE &&
		                      kind != SL_EVENT_PRESSURE && kind != SL_EVENT_SET &&
		                      kind != SL_EVENT_REVERTED;
		bool is_option = kind == SL_EVENT_SET || kind == SL_EVENT_REVERTED;
		event_lines_check_kind(kind, kinds[kind]);
		CHECK_VALUES(kind, {"fd", has_connection ? "7" : "null"},
		             {"site", has_connection ? "2" : "null"},
		             {"reason", is_skipped ? "\"peer-waits\"" : NULL},
		             {"rung",
		              is_skipped || kind == SL_EVENT_REGRETTED ? "\"neutralize\"" : NULL},
		             {"rescue", kind == SL_EVENT_SHUTDOWN ? "true" : NULL},
		             {"dry_run", is_action ? "false" : NULL},
		             {"error", kind == SL_EVENT_PRESSURE ? "\"EADDRNOTAVAIL\"" : NULL},
		             {"count", kind == SL_EVENT_RESCUE ? "16" : NULL},
		             {"key", is_option ? "\"deadline\"" : NULL},
		             {"old", is_option ? "\"60s\"" : NULL},
		             {"new", is_option ? "\"5s\"" : NULL},
		             {"uid", is_option ? "1000" : NULL},
		             {"for_ms", is_option ? "7200000" : NULL});
	}
}

static void a_change_of_an_option_child(void)
{
	struct sl_event event = {.kind = SL_EVENT_SET,
	                         .fd = -1,
	                         .quiet_ms = -1,
	                         .option = {"never", "", "10.0.0.0/8,:443", 0, -1}};
	tell(&event);
	event.kind = SL_EVENT_REVERTED;
	event.option = (struct sl_event_option){"action", "shutdown", "report", -1, 5};
	tell(&event);
	CHECK(event_lines_read(told) == 2);
	CHECK_VALUES(0, {"key", "\"never\""}, {"old", "\"\""}, {"new", "\"10.0.0.0/8,:443\""},
	             {"uid", "0"}, {"for_ms", "null"}, {"fd", "null"}, {"quiet_ms", "null"});
	CHECK_VALUES(1, {"key", "\"action\""}, {"uid", "null"}, {"for_ms", "5"});
}

static void a_change_of_an_option(void **state)
{
	(void)state;
	in_child(a_change_of_an_option_child);
}

static void every_kind(void **state)
{
	(void)state;
	in_child(every_kind_child);
}

static void flags_child(void)
{
	struct sl_event event = event_of(SL_EVENT_SHUTDOWN, 7);
	event.is_dry_run = true;
	tell(&event);
	event.kind = SL_EVENT_RETRACTED; /* of one that had been shut down in words only */
	tell(&event);
	event = event_of(SL_EVENT_REGRETTED, -1); /* there was no room to note whose */
	tell(&event);
	CHECK(event_lines_read(told) == 3);
	CHECK_VALUES(0, {"rescue", "false"}, {"dry_run", "true"});
	CHECK_VALUES(1, {"rescue", NULL}, {"dry_run", "true"});
	CHECK_VALUES(2, {"fd", "null"}, {"site", "null"}, {"rung", "null"}, {"dry_run", NULL});
}

static void flags(void **state)
{
	(void)state;
	in_child(flags_child);
}

/* The words of the blame are those of the report, whatever stands there. */
static void blame_child(void)
{
	static char huge[3000];
	const uint64_t words[] = {(uint64_t)(uintptr_t)blame_child + 1};
	const struct sl_stack stack = {SL_STACK_NATIVE, 1, false, words};
	char native[64];
	bool is_new;
	memset(huge, 1, sizeof(huge) - 1);
	struct sl_event event = event_of(SL_EVENT_STUCK, 7);
	event.cookie = UINT64_MAX;
	event.quiet_ms = INT64_MAX;
	event.cause = SL_CAUSE_DEAD_BUT_OPEN;
	event.peer = peer_of(SL_DIRECTION_OUT, "2001:db8:1111:2222:3333:4444:5555:6666", 65535);
	event.site = java_site("evil\033[2J\"\\\r\n\xc2\x9b\xe2\x80\xae\xff(");
	tell(&event);
	event.site = java_site(huge);
	tell(&event);
	event.site = sl_site_intern(&stack, &is_new);
	tell(&event); /* no names yet */
	sl_names_native();
	tell(&event);
	for (const char *at = told; *at; at++)
		CHECK((unsigned char)*at >= 0x20 || *at == '\n');
	CHECK(event_lines_read(told) == 4);
	CHECK_VALUES(0, {"blame",
	                 "\"evil\\u001b[2J\\\"\\\\\\u000d\\u000a\\u009b\\u202e\xef\xbf\xbd(\""});
	const char *blame = event_lines_value(1, "blame");
	CHECK(strlen(blame) == 512 * 6 + 4 && strcmp(blame + 512 * 6 - 2, "001..\"") == 0);
	const struct sl_site_frames *named = atomic_load(&sl_site_get(event.site)->named);
	snprintf(native, sizeof(native), "\"test_event_line+0x%llx\"",
	         (unsigned long long)named->frames[0]->offset);
	CHECK_VALUES(2, {"blame", "null"});
	CHECK_VALUES(3, {"blame", native});
}

static void the_blame(void **state)
{
	(void)state;
	in_child(blame_child);
}

/* How many were lost: no connection, and nothing else. */
static void dropped_child(void)
{
	struct sl_out out;
	char pid[16];
	snprintf(pid, sizeof(pid), "%d", getpid());
	sl_out_init(&out, told, sizeof(told) - 1, NULL, NULL);
	sl_event_line_dropped(&out, UINT64_MAX, 1795327387123);
	told[out.length] = '\0';
	CHECK(event_lines_read(told) == 1);
	CHECK_VALUES(0, {"time", "\"2026-11-22T06:03:07.123Z\""}, {"pid", pid},
	             {"event", "\"dropped\""}, {"count", "18446744073709551615"}, {"fd", NULL},
	             {"cookie", NULL}, {"peer", NULL}, {"site", NULL});
}

static void dropped(void **state)
{
	(void)state;
	in_child(dropped_child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_connection), cmocka_unit_test(the_time),
		cmocka_unit_test(every_kind),     cmocka_unit_test(a_change_of_an_option),
		cmocka_unit_test(flags),          cmocka_unit_test(the_blame),
		cmocka_unit_test(dropped),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
