/* test_events.c - the audit trail: what a line says, and that none is lost, halved or waited for. Each test is a process of its
 * own, with a clerk. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "base/sys.h"
#include "captured.h"
#include "child.h"
#include "event_lines.h"
#include "ledger/peers.h"
#include "ledger/sites.h"
#include "report/event_line.h"
#include "report/events.h"
#include "report/sinks.h"
#include "stack/names.h"

#define ERRNO_BEFORE 4711
#define PATIENCE_MS 8000
#define FIFO_BYTES 65536 /* what a pipe holds, pipe(7) */

static _Atomic uint64_t ahead_ms;

/* Stands before libc's: an hour passes when a test says so. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = (int)syscall(SYS_clock_gettime, clock, now);
	now->tv_sec += (time_t)(ahead_ms / 1000);
	return result;
}

static int set_up(void **state)
{
	(void)state;
	sl_options_defaults(&sl_options);
	directory_make();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	directory_remove();
	return 0;
}

static const char *events_path(void)
{
	return in_directory("events.jsonl");
}

static void set_events(const char *path)
{
	CHECK(strlen(path) < sizeof(sl_options.events));
	strcpy(sl_options.events, path);
}

/* In the child: a clerk, and a file to write to. */
static void begin(void)
{
	sl_sites_start();
	sl_clerk_start();
	set_events(events_path());
	sl_options.max_output_bytes = 1 << 30;
	errno = ERRNO_BEFORE;
}

static struct sl_event event_of(enum sl_event_kind kind, int fd)
{
	return (struct sl_event){.kind = kind, .fd = fd, .site = SL_SITE_NO_STACK, .quiet_ms = -1};
}

static void tell_series(int first_fd, int last_fd)
{
	errno = ERRNO_BEFORE;
	for (int fd = first_fd; fd <= last_fd; fd++) {
		struct sl_event event = event_of(SL_EVENT_STUCK, fd);
		event.cookie = 1000000u + (unsigned)fd;
		sl_events_tell(&event);
	}
	CHECK(errno == ERRNO_BEFORE);
}

static void await_clerk(void)
{
	uint64_t until_ms = sl_clock_ms() + PATIENCE_MS;
	while (sl_clerk_is_busy() && sl_clock_ms() < until_ms)
		usleep(1000);
	CHECK(!sl_clerk_is_busy());
}

/* As the worker does at the end of a turn; waits until the clerk is through. */
static void flush(void)
{
	errno = ERRNO_BEFORE;
	sl_events_flush();
	CHECK(errno == ERRNO_BEFORE);
	await_clerk();
}

static unsigned read_file(void)
{
	return event_lines_read(file_text(events_path(), NULL));
}

static bool is_written(void)
{
	return access(events_path(), F_OK) == 0;
}

/* ---- what a line says ---- */

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
	frame->class_name = "LeakyClient";
	frame->text = text;
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
	begin();
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
	sl_events_tell(&event);
	/* Inbound: the client's address, and our port. */
	event.peer = peer_of(SL_DIRECTION_IN, "2001:db8::17", 443);
	event.fd = 0;
	event.quiet_ms = 0;
	sl_events_tell(&event);
	event.peer = SL_PEER_OVERFLOW;
	event.site = SL_SITE_ADOPTED;
	event.cookie = 0;
	event.quiet_ms = -1;
	event.cause = SL_CAUSE_NONE;
	sl_events_tell(&event);
	flush();
	CHECK(read_file() == 3);
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

/* RFC 3339 with milliseconds, in UTC, and of now. */
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
	begin();
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		sl_out_init(&out, line, sizeof(line), NULL, NULL);
		sl_event_line(&out, &event, times[i].ms);
		CHECK(strncmp(line, times[i].text, strlen(times[i].text)) == 0);
	}
	char before[16], after[16];
	time_t now = time(NULL);
	strftime(before, sizeof(before), "\"%Y-%m-%dT%H", gmtime(&now));
	tell_series(1, 1);
	flush();
	now = time(NULL);
	strftime(after, sizeof(after), "\"%Y-%m-%dT%H", gmtime(&now));
	CHECK(read_file() == 1);
	const char *told = event_lines_value(0, "time");
	CHECK(strncmp(told, before, strlen(before)) == 0 ||
	      strncmp(told, after, strlen(after)) == 0);
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
		"rescue",      "pressure",  "keepalive",
	};
	begin();
	for (int kind = 0; kind < SL_EVENT_COUNT; kind++) {
		struct sl_event event = {
			.kind = (enum sl_event_kind)kind,
			.fd = kind == SL_EVENT_STOPPED || kind == SL_EVENT_RESCUE ||
		                              kind == SL_EVENT_PRESSURE
		                      ? -1
		                      : 7,
			.site = SL_SITE_NO_STACK,
			.quiet_ms = 5,
			.spared = SL_SPARED_PEER_WAITS,
			.rung = SL_RUNG_NEUTRALIZE,
			.is_rescue = true,
			.error = EADDRNOTAVAIL,
			.count = 16,
		};
		sl_events_tell(&event);
	}
	flush();
	CHECK(read_file() == SL_EVENT_COUNT);
	/* What each kind has, and the others have not. */
	for (unsigned kind = 0; kind < SL_EVENT_COUNT; kind++) {
		bool is_skipped = kind == SL_EVENT_SKIPPED;
		bool is_action = kind == SL_EVENT_PROBED || kind == SL_EVENT_SHUTDOWN ||
		                 kind == SL_EVENT_NEUTRALIZED || kind == SL_EVENT_CLOSED ||
		                 kind == SL_EVENT_RESCUE;
		bool has_connection = kind != SL_EVENT_STOPPED && kind != SL_EVENT_RESCUE &&
		                      kind != SL_EVENT_PRESSURE;
		event_lines_check_kind(kind, kinds[kind]);
		CHECK_VALUES(kind, {"fd", has_connection ? "7" : "null"},
		             {"site", has_connection ? "2" : "null"},
		             {"reason", is_skipped ? "\"peer-waits\"" : NULL},
		             {"rung",
		              is_skipped || kind == SL_EVENT_REGRETTED ? "\"neutralize\"" : NULL},
		             {"rescue", kind == SL_EVENT_SHUTDOWN ? "true" : NULL},
		             {"dry_run", is_action ? "false" : NULL},
		             {"error", kind == SL_EVENT_PRESSURE ? "\"EADDRNOTAVAIL\"" : NULL},
		             {"count", kind == SL_EVENT_RESCUE ? "16" : NULL});
	}
}

static void every_kind(void **state)
{
	(void)state;
	in_child(every_kind_child);
}

static void flags_child(void)
{
	begin();
	struct sl_event event = event_of(SL_EVENT_SHUTDOWN, 7);
	event.is_dry_run = true;
	sl_events_tell(&event);
	event.kind = SL_EVENT_RETRACTED; /* of one that had been shut down in words only */
	sl_events_tell(&event);
	event = event_of(SL_EVENT_REGRETTED, -1); /* there was no room to note whose */
	sl_events_tell(&event);
	flush();
	CHECK(read_file() == 3);
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
	begin();
	memset(huge, 1, sizeof(huge) - 1);
	struct sl_event event = event_of(SL_EVENT_STUCK, 7);
	event.cookie = UINT64_MAX;
	event.quiet_ms = INT64_MAX;
	event.cause = SL_CAUSE_DEAD_BUT_OPEN;
	event.peer = peer_of(SL_DIRECTION_OUT, "2001:db8:1111:2222:3333:4444:5555:6666", 65535);
	event.site = java_site("evil\033[2J\"\\\r\n\xc2\x9b\xe2\x80\xae\xff(");
	sl_events_tell(&event);
	event.site = java_site(huge);
	sl_events_tell(&event);
	event.site = sl_site_intern(&stack, &is_new);
	sl_events_tell(&event); /* no names yet */
	sl_names_native();
	sl_events_tell(&event);
	flush();
	size_t length;
	const char *text = file_text(events_path(), &length);
	const char *end = text;
	for (int line = 0; line < 4; line++) {
		const char *from = end;
		end = strchr(from, '\n') + 1;
		CHECK(end - from <= SL_EVENT_LINE_BYTES); /* a pipe takes it in one piece */
	}
	for (const char *at = text; *at; at++)
		CHECK((unsigned char)*at >= 0x20 || *at == '\n');
	CHECK(read_file() == 4);
	CHECK_VALUES(0, {"blame",
	                 "\"evil\\u001b[2J\\\"\\\\\\u000d\\u000a\\u009b\\u202e\xef\xbf\xbd(\""});
	const char *blame = event_lines_value(1, "blame");
	CHECK(strlen(blame) == 512 * 6 + 4 && strcmp(blame + 512 * 6 - 2, "001..\"") == 0);
	const struct sl_site_frames *named = atomic_load(&sl_site_get(event.site)->named);
	snprintf(native, sizeof(native), "\"test_events+0x%llx\"",
	         (unsigned long long)named->frames[0]->offset);
	CHECK_VALUES(2, {"blame", "null"});
	CHECK_VALUES(3, {"blame", native});
}

static void the_blame(void **state)
{
	(void)state;
	in_child(blame_child);
}

/* ---- the file ---- */

static void off_child(void)
{
	begin();
	sl_options.events[0] = 0;
	tell_series(1, 5000);
	flush();
	CHECK(strcmp(directory_list(), "") == 0);
	/* Nothing was kept either. */
	set_events(events_path());
	flush();
	CHECK(!is_written());
	tell_series(7, 7);
	flush();
	CHECK(read_file() == 1);
}

static void events_off(void **state)
{
	(void)state;
	in_child(off_child);
}

static void appended_child(void)
{
	struct stat file;
	begin();
	sl_options.mode = 0640;
	umask(0077);
	flush();
	CHECK(!is_written()); /* nothing to write */
	tell_series(1, 3);
	flush();
	CHECK(stat(events_path(), &file) == 0 && (file.st_mode & 07777) == 0640);
	tell_series(4, 4);
	flush();
	CHECK(read_file() == 4);
	CHECK(event_lines_check_series(1, 4) == 0);
	/* Moved away by a rotation: a new one. */
	CHECK(rename(events_path(), in_directory("events.1")) == 0);
	tell_series(5, 6);
	flush();
	CHECK(read_file() == 2);
	CHECK(event_lines_check_series(5, 6) == 0);
	CHECK(strcmp(directory_list(), "events.1 events.jsonl") == 0);
}

static void lines_are_appended(void **state)
{
	(void)state;
	in_child(appended_child);
}

static void names_child(void)
{
	char expected[64];
	begin();
	set_events(in_directory("%e.%p"));
	tell_series(1, 1);
	flush();
	snprintf(expected, sizeof(expected), "test_events.%d", getpid());
	CHECK(strcmp(directory_list(), expected) == 0);
}

static void names_in_the_path(void **state)
{
	(void)state;
	in_child(names_child);
}

/* What the parent has still to write is the parent's. */
static void grandchild(void)
{
	char name[64];
	sl_clerk_forked();
	sl_sinks_forked();
	sl_events_forked();
	sl_clerk_start();
	tell_series(20, 21);
	flush();
	snprintf(name, sizeof(name), "events.jsonl.%d", getpid());
	CHECK(event_lines_read(file_text(in_directory(name), NULL)) == 2);
	CHECK(event_lines_check_series(20, 21) == 0);
}

static void forked_child(void)
{
	begin();
	tell_series(1, 2);
	CHECK(child_status(grandchild) == 0);
	CHECK(!is_written());
	flush();
	CHECK(read_file() == 2);
}

static void a_forked_child(void **state)
{
	(void)state;
	in_child(forked_child);
}

/* ---- files that take nothing ---- */

static const char *refused_path, *refused_why;

/* Said once, and nothing is lost: it is tried again. */
static void refused_child(void)
{
	char expected[512];
	begin();
	set_events(refused_path);
	capture_stderr();
	for (int i = 0; i < 3; i++) {
		tell_series(1 + i, 1 + i);
		flush();
		flush(); /* what went wrong is said once the clerk is through */
	}
	const char *said = captured_stderr();
	snprintf(expected, sizeof(expected),
	         "sockleak: events=%s: %s; the program runs on without it\n", refused_path,
	         refused_why);
	CHECK(strcmp(said, expected) == 0);
	set_events(events_path());
	flush();
	CHECK(read_file() == 3);
	CHECK(event_lines_check_series(1, 3) == 0);
}

static void refused(const char *path, const char *why)
{
	refused_path = path;
	refused_why = why;
	in_child(refused_child);
	unlink(events_path());
}

static void files_that_take_nothing(void **state)
{
	(void)state;
	refused(in_directory("no/events"), "no such directory");
	file_write(in_directory("target"), "precious");
	assert_int_equal(symlink("target", in_directory("link")), 0);
	refused(in_directory("link"), "it is a symbolic link");
	assert_string_equal(file_text(in_directory("target"), NULL), "precious");
	assert_int_equal(mkdir(in_directory("d"), 0700), 0);
	refused(in_directory("d"), "it is a directory");
	assert_int_equal(mkfifo(in_directory("fifo"), 0600), 0);
	refused(in_directory("fifo"), "nobody reads from it");
	refused("/dev/full", "no space left");
}

/* Linux before 5.9, or no thread to be had. */
static void no_clerk_child(void)
{
	sl_sites_start();
	set_events(events_path());
	errno = ERRNO_BEFORE;
	capture_stderr();
	uint64_t began_ms = sl_clock_ms();
	tell_series(1, 5000);
	for (int i = 0; i < 3; i++)
		sl_events_flush();
	CHECK(sl_clock_ms() - began_ms < PATIENCE_MS / 2);
	const char *said = captured_stderr();
	CHECK(occurrences(said, "\n") == 1);
	CHECK(strstr(said,
	             ": no thread with an fd table of its own is to be had for it (Linux 5.9); "
	             "the program runs on without it\n") != NULL);
	CHECK(!is_written());
}

static void without_a_clerk(void **state)
{
	(void)state;
	in_child(no_clerk_child);
}

/* The disk is full in the middle of a line. */
static void full_child(void)
{
	struct rlimit limit;
	struct stat file;
	begin();
	CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	limit.rlim_cur = 1000;
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	capture_stderr();
	tell_series(1, 20);
	flush();
	flush();
	CHECK(strstr(captured_stderr(), "it has reached the limit of a file's size") != NULL);
	unsigned count = read_file(); /* each whole */
	CHECK(count > 2 && count < 20);
	/* The kernel took 1,000 bytes. */
	CHECK(stat(events_path(), &file) == 0 && file.st_size < 1000 && file.st_size > 700);
	tell_series(21, 30);
	flush();
	CHECK(read_file() == count);
	limit.rlim_cur = limit.rlim_max;
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	flush();
	CHECK(read_file() == 30);
	CHECK(event_lines_check_series(1, 30) == 0);
}

static void a_full_disk(void **state)
{
	(void)state;
	in_child(full_child);
}

/* ---- readers and clerks that are slow ---- */

/* Reads what is there now, behind what was read before; returns the whole. */
static const char *read_more(int fd)
{
	static char text[8 << 20];
	static size_t length;
	ssize_t got;
	while ((got = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)got;
	text[length] = '\0';
	return text;
}

/* A pipe whose reader sleeps takes 64 KiB; what follows waits here, and comes when he wakes. */
static void slow_reader_child(void)
{
	const char *fifo = in_directory("fifo");
	begin();
	CHECK(mkfifo(fifo, 0600) == 0);
	int reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	set_events(fifo);
	capture_stderr();
	uint64_t began_ms = sl_clock_ms();
	tell_series(1, 600);
	flush();
	CHECK(sl_clock_ms() - began_ms < PATIENCE_MS / 2);
	CHECK(strcmp(captured_stderr(), "") == 0); /* nothing is wrong yet */
	const char *text = read_more(reader);
	CHECK(strlen(text) > FIFO_BYTES / 2 && strlen(text) <= FIFO_BYTES);
	CHECK(event_lines_read(text) < 600);
	tell_series(601, 700);
	uint64_t until_ms = sl_clock_ms() + PATIENCE_MS;
	do {
		flush();
		text = read_more(reader);
	} while (event_lines_read(text) < 700 && sl_clock_ms() < until_ms);
	CHECK(event_lines_check_series(1, 700) == 0);
}

static void a_slow_reader(void **state)
{
	(void)state;
	in_child(slow_reader_child);
}

/* It never reads: the buffer is bounded, and what finds no room is counted, and told once there is. */
static void sleeping_reader_child(void)
{
	const char *fifo = in_directory("fifo");
	begin();
	CHECK(mkfifo(fifo, 0600) == 0);
	int reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	set_events(fifo);
	capture_stderr();
	uint64_t began_ms = sl_clock_ms();
	errno = ERRNO_BEFORE;
	for (int i = 0; i < 10; i++) {
		tell_series(1 + i * 500, 500 + i * 500);
		flush();
	}
	CHECK(sl_clock_ms() - began_ms < PATIENCE_MS / 2);
	const char *said = captured_stderr();
	CHECK(occurrences(said, "\n") == 1);
	CHECK(strstr(said, "its reader does not take it") != NULL);
	const char *text = read_more(reader);
	unsigned before = event_lines_read(text), count;
	do {
		flush();
		count = before;
		before = event_lines_read(read_more(reader));
	} while (before > count);
	CHECK(count < 3000);
	event_lines_check_kind(count - 1, "dropped");
	CHECK(event_lines_check_series(1, 5000) == 5001 - count);
	/* And it goes on. */
	tell_series(5001, 5002);
	flush();
	CHECK(event_lines_read(read_more(reader)) == count + 2);
	CHECK(event_lines_check_series(1, 5002) == 5001 - count);
}

static void a_reader_that_sleeps(void **state)
{
	(void)state;
	in_child(sleeping_reader_child);
}

/* Another task of the clerk hangs in a FIFO that nobody writes to. */
static void hang(void *fifo)
{
	int fd = sl_sys_open(fifo, O_RDONLY | O_CLOEXEC, 0);
	if (fd >= 0)
		(void)sl_sys_close(fd);
}

static void hanging_clerk_child(void)
{
	char fifo[256];
	bool is_begun;
	begin();
	snprintf(fifo, sizeof(fifo), "%s", in_directory("fifo"));
	CHECK(mkfifo(fifo, 0600) == 0);
	CHECK(!sl_clerk_do(hang, fifo, 1, &is_begun) && is_begun);
	errno = ERRNO_BEFORE;
	uint64_t began_ms = sl_clock_ms();
	for (int turn = 0; turn < 10; turn++) {
		tell_series(1 + turn * 1000, 1000 + turn * 1000);
		sl_events_flush();
	}
	/* Ten turns of 50 ms each at most, where the buffer is full; far less than this. */
	CHECK(sl_clock_ms() - began_ms < PATIENCE_MS / 2);
	CHECK(sl_clerk_is_busy());
	CHECK(!is_written());
	int writer = open(fifo, O_WRONLY | O_CLOEXEC); /* lets it go */
	close(writer);
	await_clerk();
	flush();
	unsigned count = read_file();
	CHECK(count > 200 && count < 1000);
	event_lines_check_kind(count - 1, "dropped");
	CHECK(event_lines_check_series(1, 10000) == 10001 - count);
	CHECK_VALUES(count - 1, {"fd", NULL}, {"cookie", NULL});
	/* From now on it is asked again, and as quick as ever. */
	tell_series(10001, 12000);
	flush();
	CHECK(read_file() == count + 2000);
}

static void a_clerk_that_hangs(void **state)
{
	(void)state;
	in_child(hanging_clerk_child);
}

/* More in one turn than the buffer holds: handed over in between, and nothing is lost. */
static void storm_child(void)
{
	begin();
	tell_series(1, 3000);
	flush();
	CHECK(read_file() == 3000);
	CHECK(event_lines_check_series(1, 3000) == 0);
}

static void a_storm(void **state)
{
	(void)state;
	in_child(storm_child);
}

/* ---- the budget ---- */

/* Events leave a quarter of it to the reports. What it refused is told when the hour is over. */
static void budget_child(void)
{
	size_t length;
	begin();
	sl_options.max_output_bytes = 40000;
	tell_series(1, 500);
	flush();
	(void)file_text(events_path(), &length);
	CHECK(length <= 30000 && length > 28000);
	unsigned count = read_file();
	CHECK(sl_log_budget_take(9000)); /* a report */
	tell_series(501, 600);
	flush();
	CHECK(read_file() == count);
	CHECK(sl_log_held_back_bytes() == 0);
	/* In the next hour: first how many were lost. */
	ahead_ms += 3600000;
	tell_series(601, 602);
	flush();
	CHECK(read_file() == count + 3);
	event_lines_check_kind(count, "dropped");
	CHECK(event_lines_check_series(1, 602) == 600 - count);
}

static void the_budget(void **state)
{
	(void)state;
	in_child(budget_child);
}

/* Reports have used it up: that is said on stderr when there is room for the line, and in the file in the next hour even
 * if no event follows. */
static void used_up_child(void)
{
	begin();
	sl_options.max_output_bytes = 40000;
	CHECK(sl_log_budget_take(40000));
	tell_series(1, 10);
	flush();
	CHECK(!is_written());
	uint64_t held_back = sl_log_held_back_bytes();
	CHECK(held_back > 1000);
	for (int turn = 0; turn < 100; turn++)
		flush();
	CHECK(sl_log_held_back_bytes() - held_back < 1000); /* it is not asked at each turn */
	ahead_ms += 3600000;
	flush();
	CHECK(read_file() == 1);
	event_lines_check_kind(0, "dropped");
	CHECK_VALUES(0, {"count", "10"});
}

static void a_budget_that_is_used_up(void **state)
{
	(void)state;
	in_child(used_up_child);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_connection),     TEST(the_time),
		TEST(every_kind),         TEST(flags),
		TEST(the_blame),          TEST(events_off),
		TEST(lines_are_appended), TEST(names_in_the_path),
		TEST(a_forked_child),     TEST(files_that_take_nothing),
		TEST(without_a_clerk),    TEST(a_full_disk),
		TEST(a_slow_reader),      TEST(a_reader_that_sleeps),
		TEST(a_clerk_that_hangs), TEST(a_storm),
		TEST(the_budget),         TEST(a_budget_that_is_used_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
