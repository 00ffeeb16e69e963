/* test_events.c - the audit trail: no line is lost, halved or waited for. Each test is a process of its own, with a clerk. */
#define _GNU_SOURCE
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
#include "ledger/sites.h"
#include "report/events.h"
#include "report/paths.h"
#include "report/sinks.h"

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

static void nothing(void *unused)
{
	(void)unused;
}

static void start_clerk(void)
{
	bool is_begun;
	sl_clerk_start();
	CHECK(sl_clerk_do(nothing, NULL, PATIENCE_MS, &is_begun));
}

/* In the child: a clerk, and a file to write to. */
static void begin(void)
{
	sl_sites_start();
	start_clerk();
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

/* As the worker does at the end of each turn, until both buffers had their time to be written: on a machine that is busy
 * the clerk may take longer than a turn waits. */
static void flush(void)
{
	errno = ERRNO_BEFORE;
	for (int turn = 0; turn < 3; turn++) {
		sl_events_flush();
		CHECK(errno == ERRNO_BEFORE);
		await_clerk();
		errno = ERRNO_BEFORE;
	}
}

static unsigned read_file(void)
{
	return event_lines_read(file_text(events_path(), NULL));
}

static bool is_written(void)
{
	return access(events_path(), F_OK) == 0;
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

/* Told as it happens, and by the wall clock. */
static void now_child(void)
{
	char before[16], after[16];
	begin();
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

static void the_time_is_now(void **state)
{
	(void)state;
	in_child(now_child);
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
	sl_paths_forked();
	sl_sinks_forked();
	sl_events_forked();
	start_clerk();
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
	CHECK(event_lines_check_series(1, 5000) > 1000);
	/* And it goes on. */
	tell_series(5001, 5002);
	flush();
	CHECK(event_lines_read(read_more(reader)) == count + 2);
	CHECK(event_lines_check_series(1, 5002) > 1000);
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
	CHECK(event_lines_check_series(1, 10000) > 8000);
	CHECK(strcmp(event_lines_value(count - 1, "fd"), "(missing)") == 0);
	/* From now on it is asked again, in the middle of a turn too. */
	CHECK(unlink(events_path()) == 0);
	uint64_t lost = 1;
	for (int attempt = 0; attempt < 5 && lost > 0; attempt++) {
		sl_events_flush();
		tell_series(10001, 12000);
		flush();
		(void)read_file();
		lost = event_lines_check_series(10001, 12000);
		CHECK(unlink(events_path()) == 0);
	}
	CHECK(lost == 0);
}

static void a_clerk_that_hangs(void **state)
{
	(void)state;
	in_child(hanging_clerk_child);
}

/* More in one turn than the buffers hold: handed over in between, and nothing is lost, unless the disk is slow just then. */
static void storm_child(void)
{
	uint64_t lost = 1;
	begin();
	for (int attempt = 0; attempt < 5 && lost > 0; attempt++) {
		tell_series(1, 3000);
		flush();
		(void)read_file();
		lost = event_lines_check_series(1, 3000);
		CHECK(unlink(events_path()) == 0);
	}
	CHECK(lost == 0);
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
	CHECK(event_lines_check_series(1, 602) > 400);
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
	CHECK(strcmp(event_lines_value(0, "count"), "10") == 0);
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
		TEST(events_off),         TEST(lines_are_appended),
		TEST(the_time_is_now),    TEST(names_in_the_path),
		TEST(a_forked_child),     TEST(files_that_take_nothing),
		TEST(without_a_clerk),    TEST(a_full_disk),
		TEST(a_slow_reader),      TEST(a_reader_that_sleeps),
		TEST(a_clerk_that_hangs), TEST(a_storm),
		TEST(the_budget),         TEST(a_budget_that_is_used_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
