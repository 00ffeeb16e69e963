/* test_sinks.c - where reports go: files that take them, and all those that do not. What is said once has a process of its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "captured.h"
#include "child.h"
#include "json_reader.h"
#include "report/paths.h"
#include "report/sinks.h"
#include "sample_snapshot.h"

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

/* Options as a user gives them. */
static void set_path(char option[SL_OPTION_TEXT_MAX], const char *path)
{
	size_t n = strlen(path);
	assert_true(n < SL_OPTION_TEXT_MAX);
	memcpy(option, path, n + 1);
}

static void set_report(const char *path)
{
	set_path(sl_options.report, path);
}

static void set_json(const char *path)
{
	set_path(sl_options.json, path);
}

static struct sl_snapshot *snapshot(void)
{
	static struct sl_snapshot sample;
	sample = sample_rich();
	sample.process.pid = getpid();
	return &sample;
}

static void write_files(void)
{
	errno = 4711;
	sl_sinks_write_files(snapshot());
	CHECK(errno == 4711);
}

static bool exists(const char *path)
{
	struct stat file;
	return lstat(path, &file) == 0;
}

static unsigned mode_of(const char *path)
{
	struct stat file;
	return lstat(path, &file) == 0 ? file.st_mode & 07777 : 0;
}

/* ---- paths ---- */

static const char *expand(const char *path)
{
	static char expanded[4096];
	memset(expanded, 'x', sizeof(expanded));
	(void)sl_paths_expand(path, expanded, sizeof(expanded));
	return expanded;
}

static void paths(void **state)
{
	(void)state;
	char expected[1024];
	struct utsname names;
	uname(&names);
	assert_string_equal(expand("/var/log/report.txt"), "/var/log/report.txt");
	assert_string_equal(expand(""), "");
	snprintf(expected, sizeof(expected), "/x/test_sinks-%d@%s.txt", getpid(), names.nodename);
	assert_string_equal(expand("/x/%e-%p@%h.txt"), expected);
	snprintf(expected, sizeof(expected), "%d%d", getpid(), getpid());
	assert_string_equal(expand("%p%p"), expected);
	assert_string_equal(expand("100%%"), "100%");
	assert_string_equal(expand("%z"), "z");
	assert_string_equal(expand("%"), "%");
	assert_string_equal(expand("a%%p"), "a%p");
	/* Half a path would be another one. */
	char small[8];
	(void)sl_paths_expand("/1234567", small, sizeof(small));
	assert_string_equal(small, "");
	(void)sl_paths_expand("/123456", small, sizeof(small));
	assert_string_equal(small, "/123456");
}

static void forked_paths_child(void)
{
	char expected[64];
	sl_paths_forked();
	sl_sinks_forked();
	snprintf(expected, sizeof(expected), "/x/report.%d", getpid());
	CHECK(strcmp(expand("/x/report"), expected) == 0);
	snprintf(expected, sizeof(expected), "/x/%d", getpid());
	CHECK(strcmp(expand("/x/%p"), expected) == 0);
	snprintf(expected, sizeof(expected), "%%p.%d", getpid());
	CHECK(strcmp(expand("%%p"), expected) == 0);
}

static void paths_of_a_forked_child(void **state)
{
	(void)state;
	in_child(forked_paths_child);
}

/* ---- text ---- */

static void text_is_appended(void **state)
{
	(void)state;
	const char *path = in_directory("report.txt");
	size_t one, two;
	set_report(path);
	mode_t before = umask(0077);
	sl_options.mode = 0644;
	write_files();
	umask(before);
	assert_int_equal(mode_of(path), 0644);
	const char *text = file_text(path, &one);
	assert_int_equal(occurrences(text, "\nWHERE "), 1);
	assert_null(strchr(text, 0x1b)); /* no colour in a file */
	chmod(path, 0600);
	write_files();
	text = file_text(path, &two);
	assert_int_equal(two, 2 * one);
	assert_int_equal(occurrences(text, "\nWHERE "), 2);
	/* A file that is there keeps its mode. */
	assert_int_equal(mode_of(path), 0600);
	assert_string_equal(directory_list(), "report.txt");
}

static int lowest_free(void)
{
	int fd = open("/dev/null", O_RDONLY);
	close(fd);
	return fd;
}

static void one_fd_stays_open_child(void)
{
	sl_sinks_start(); /* what earlier tests left open is not this one's */
	int before = lowest_free();
	set_report(in_directory("report.txt"));
	set_json(in_directory("report.json"));
	for (int i = 0; i < 3; i++) {
		write_files();
		CHECK(lowest_free() == before + 1); /* by which the file is ours */
	}
	unlink(in_directory("report.txt"));
	write_files();
	CHECK(access(in_directory("report.txt"), F_OK) == 0);
	CHECK(lowest_free() == before);
	set_report(in_directory("no/report.txt"));
	set_json("/dev/null");
	write_files();
	CHECK(lowest_free() == before);
}

static void one_fd_stays_open(void **state)
{
	(void)state;
	in_child(one_fd_stays_open_child);
}

static void stderr_takes_the_short_form(void **state)
{
	(void)state;
	capture_stderr();
	sl_sinks_write_stderr(snapshot());
	const char *said = captured_stderr();
	assert_int_equal(occurrences(said, "\nWHERE "), 1);
	assert_true(occurrences(said, "\n") <= 40);
	assert_null(strchr(said, 0x1b)); /* a pipe is no terminal */
	/* Not where the report has a file. */
	capture_stderr();
	set_report(in_directory("report.txt"));
	sl_sinks_write_stderr(snapshot());
	said = captured_stderr();
	assert_string_equal(said, "");
}

static void stderr_that_is_another_file(void **state)
{
	(void)state;
	capture_stderr();
	int file = open(in_directory("programs-own"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int kept = dup(2);
	dup2(file, 2);
	close(file);
	sl_sinks_write_stderr(snapshot());
	dup2(kept, 2);
	close(kept);
	const char *said = captured_stderr();
	size_t n;
	assert_string_equal(said, "");
	(void)file_text(in_directory("programs-own"), &n);
	assert_int_equal(n, 0);
}

static void wants_files(void **state)
{
	(void)state;
	assert_false(sl_sinks_want_files());
	set_json("/tmp/x");
	assert_true(sl_sinks_want_files());
	set_json("");
	set_report("/tmp/x");
	assert_true(sl_sinks_want_files());
}

/* ---- JSON ---- */

static void json_replaces_the_last(void **state)
{
	(void)state;
	const char *path = in_directory("report.json");
	static struct json_reader reader;
	size_t one, two;
	set_json(path);
	mode_t before = umask(0077);
	sl_options.mode = 0640;
	write_files();
	umask(before);
	assert_int_equal(mode_of(path), 0640);
	if (!json_reader_read(&reader, file_text(path, &one)))
		fail_msg("%s", reader.complaint);
	write_files();
	(void)file_text(path, &two);
	assert_int_equal(two, one);
	/* Nothing is left of what was written beside it, not even by one that died. */
	char left[64];
	snprintf(left, sizeof(left), "report.json.tmp.%d", getpid());
	file_write(in_directory(left), "half a rep");
	write_files();
	assert_string_equal(directory_list(), "report.json");
}

static _Atomic bool is_over;
static _Atomic unsigned reads, bad_reads;

static void *read_all_the_time(void *path)
{
	static char text[1 << 18];
	static struct json_reader reader;
	while (!atomic_load(&is_over)) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = read(fd, text, sizeof(text) - 1);
		close(fd);
		text[n > 0 ? n : 0] = '\0';
		reads++;
		bad_reads += n <= 0 || !json_reader_read(&reader, text);
	}
	return NULL;
}

/* Whoever reads it sees a whole report, the last or the one before. */
static void json_is_never_half(void **state)
{
	(void)state;
	pthread_t thread;
	char path[256];
	snprintf(path, sizeof(path), "%s", in_directory("report.json"));
	set_json(path);
	write_files();
	assert_int_equal(pthread_create(&thread, NULL, read_all_the_time, path), 0);
	uint64_t until_ms = sl_clock_ms() + 5000;
	sl_options.max_output_bytes = 1 << 30;
	for (int i = 0; (i < 200 || reads < 50) && sl_clock_ms() < until_ms; i++)
		write_files();
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	assert_true(reads >= 50);
	assert_int_equal(bad_reads, 0);
}

/* Another program with the same options lives, and has written there: we take a name of our own. */
static void json_of_another_living_process_child(void)
{
	char other[128], ours[64];
	set_json(in_directory("report.json"));
	snprintf(other, sizeof(other), "{\"process\":{\"pid\":%d}}", getppid());
	file_write(in_directory("report.json"), other);
	write_files();
	write_files();
	snprintf(ours, sizeof(ours), "report.json report.json.%d", getpid());
	CHECK(strcmp(directory_list(), ours) == 0);
	CHECK(strcmp(file_text(in_directory("report.json"), NULL), other) == 0);
}

static void json_of_another_living_process(void **state)
{
	(void)state;
	in_child(json_of_another_living_process_child);
}

/* One that has ended leaves the name to us. */
static void json_of_a_dead_process_child(void)
{
	char text[128];
	pid_t dead = fork();
	if (dead == 0)
		_exit(0);
	waitpid(dead, NULL, 0);
	snprintf(text, sizeof(text), "{\"process\":{\"pid\":%d}}", dead);
	file_write(in_directory("report.json"), text);
	set_json(in_directory("report.json"));
	write_files();
	CHECK(strcmp(directory_list(), "report.json") == 0);
	CHECK(strstr(file_text(in_directory("report.json"), NULL), "sockleak-snapshot/1") != NULL);
}

static void json_of_a_dead_process(void **state)
{
	(void)state;
	in_child(json_of_a_dead_process_child);
}

static void forked_files_child(void)
{
	char expected[128];
	sl_paths_forked();
	sl_sinks_forked();
	set_report(in_directory("report.txt"));
	set_json(in_directory("report.json"));
	write_files();
	snprintf(expected, sizeof(expected), "report.json.%d report.txt.%d", getpid(), getpid());
	CHECK(strcmp(directory_list(), expected) == 0);
}

static void files_of_a_forked_child(void **state)
{
	(void)state;
	in_child(forked_files_child);
}

/* ---- what takes no report ---- */

static char bad_path[4096];
static bool is_bad_json;
static const char *complaint_text;

/* Twice; it is said once, and nothing is written. */
static void refused_child(void)
{
	char expected[5000];
	capture_stderr();
	if (is_bad_json)
		set_json(bad_path);
	else
		set_report(bad_path);
	for (int i = 0; i < 2; i++) {
		write_files();
		sl_sinks_say();
	}
	const char *said = captured_stderr();
	snprintf(expected, sizeof(expected),
	         "sockleak: %s=%s: %s; the program runs on without it\n",
	         is_bad_json ? "json" : "report", bad_path, complaint_text);
	CHECK(strcmp(said, expected) == 0);
}

static void refused(bool is_json, const char *path, const char *complaint)
{
	is_bad_json = is_json;
	snprintf(bad_path, sizeof(bad_path), "%s", path);
	complaint_text = complaint;
	in_child(refused_child);
}

static void no_such_directory(void **state)
{
	(void)state;
	refused(false, in_directory("no/report.txt"), "no such directory");
	refused(true, in_directory("no/report.json"), "no such directory");
	file_write(in_directory("file"), "x");
	refused(false, in_directory("file/report.txt"), "a part of the path is no directory");
	refused(true, in_directory("file/report.json"), "a part of the path is no directory");
	assert_string_equal(directory_list(), "file");
}

static void directories(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in_directory("d"), 0700), 0);
	refused(false, in_directory("d"), "it is a directory");
	refused(true, in_directory("d"), "it is a directory");
	assert_string_equal(directory_list(), "d");
}

/* Nobody may turn our report into another file of ours. */
static void links(void **state)
{
	(void)state;
	file_write(in_directory("target"), "precious");
	assert_int_equal(symlink("target", in_directory("link")), 0);
	assert_int_equal(symlink("nowhere", in_directory("dangling")), 0);
	refused(false, in_directory("link"), "it is a symbolic link");
	refused(true, in_directory("link"), "it is a symbolic link");
	refused(false, in_directory("dangling"), "it is a symbolic link");
	refused(true, in_directory("dangling"), "it is a symbolic link");
	assert_string_equal(file_text(in_directory("target"), NULL), "precious");
	assert_string_equal(directory_list(), "dangling link target");
}

/* A link where the JSON is first written is not followed: it is removed. */
static void a_link_in_the_way_child(void)
{
	char name[64];
	snprintf(name, sizeof(name), "report.json.tmp.%d", getpid());
	file_write(in_directory("target"), "precious");
	CHECK(symlink("target", in_directory(name)) == 0);
	set_json(in_directory("report.json"));
	write_files();
	CHECK(strcmp(directory_list(), "report.json target") == 0);
	CHECK(strcmp(file_text(in_directory("target"), NULL), "precious") == 0);
}

static void a_link_in_the_way(void **state)
{
	(void)state;
	in_child(a_link_in_the_way_child);
}

static void devices(void **state)
{
	(void)state;
	refused(false, "/dev/full", "no space left");
	refused(true, "/dev/full", "not a regular file");
	refused(true, "/dev/null", "not a regular file");
	assert_true(exists("/dev/null") && exists("/dev/full"));
}

static void a_fifo_without_a_reader(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(in_directory("fifo"), 0600), 0);
	uint64_t before_ms = sl_clock_ms();
	refused(false, in_directory("fifo"), "nobody reads from it");
	assert_true(sl_clock_ms() - before_ms < 3000);
	refused(true, in_directory("fifo"), "not a regular file");
	assert_string_equal(directory_list(), "fifo");
}

/* A reader that sleeps holds us up for a second at most. */
static void a_fifo_that_is_full(void **state)
{
	(void)state;
	char page[4096] = {0};
	assert_int_equal(mkfifo(in_directory("fifo"), 0600), 0);
	int reader = open(in_directory("fifo"), O_RDWR | O_NONBLOCK | O_CLOEXEC);
	while (write(reader, page, sizeof(page)) > 0)
		;
	is_bad_json = false;
	refused(false, in_directory("fifo"), "its reader does not take it");
	close(reader);
}

/* With one that reads, a FIFO does as well as a file. */
static void a_fifo_with_a_reader(void **state)
{
	(void)state;
	char text[8192];
	assert_int_equal(mkfifo(in_directory("fifo"), 0600), 0);
	int reader = open(in_directory("fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	set_report(in_directory("fifo"));
	write_files();
	ssize_t n = read(reader, text, sizeof(text) - 1);
	close(reader);
	assert_true(n > 100);
	text[n] = '\0';
	assert_int_equal(occurrences(text, "\nWHERE "), 1);
}

static void no_permission_child(void)
{
	if (getuid() == 0)
		CHECK(setresuid(65533, 65533, 65533) == 0);
	refused_child();
}

static void no_permission(void **state)
{
	(void)state;
	assert_int_equal(chmod(in_directory(""), 0755), 0);
	file_write(in_directory("file"), "x");
	assert_int_equal(chmod(in_directory("file"), 0400), 0);
	assert_int_equal(mkdir(in_directory("d"), 0500), 0);
	if (getuid() == 0)
		assert_int_equal(chmod(in_directory("d"), 0555), 0);
	complaint_text = "not permitted";
	is_bad_json = false;
	snprintf(bad_path, sizeof(bad_path), "%s", in_directory("file"));
	in_child(no_permission_child);
	is_bad_json = true;
	snprintf(bad_path, sizeof(bad_path), "%s", in_directory("d/report.json"));
	in_child(no_permission_child);
}

/* A limit on the size of files: the program must not get the signal. */
static void too_large_child(void)
{
	struct rlimit limit = {100, 100};
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	refused_child();
}

static void too_large(void **state)
{
	(void)state;
	complaint_text = "it has reached the limit of a file's size";
	for (int is_json = 0; is_json < 2; is_json++) {
		is_bad_json = is_json;
		snprintf(bad_path, sizeof(bad_path), "%s", in_directory(is_json ? "j" : "t"));
		in_child(too_large_child);
	}
	/* Of the JSON no half is left. */
	assert_string_equal(directory_list(), "t");
}

static void no_clerk_child(void)
{
	capture_stderr();
	set_json("/tmp/report.json");
	sl_sinks_no_files();
	sl_sinks_no_files();
	sl_sinks_say();
	sl_sinks_say();
	const char *said = captured_stderr();
	CHECK(strcmp(said,
	             "sockleak: json=/tmp/report.json: no thread with an fd table of its own is to "
	             "be had for it (Linux 5.9); the program runs on without it\n") == 0);
}

static void no_thread_for_files(void **state)
{
	(void)state;
	in_child(no_clerk_child);
}

static void hang(void *gate)
{
	while (!atomic_load((_Atomic bool *)gate))
		usleep(1000);
}

/* There is one, and it does not come back. */
static void busy_clerk_child(void)
{
	static _Atomic bool may_end;
	bool is_begun;
	sl_clerk_start();
	do /* it may be starting yet */
		CHECK(!sl_clerk_do(hang, &may_end, 1, &is_begun));
	while (!is_begun);
	capture_stderr();
	set_report("/tmp/report.txt");
	sl_sinks_no_files();
	sl_sinks_say();
	const char *said = captured_stderr();
	CHECK(strcmp(said, "sockleak: report=/tmp/report.txt: the one before is still being "
	                   "written; the program runs on without it\n") == 0);
	atomic_store(&may_end, true);
}

static void a_thread_for_files_that_hangs(void **state)
{
	(void)state;
	in_child(busy_clerk_child);
}

/* What a path holds cannot move the cursor of whoever reads the complaint. */
static void paths_are_shown_safely_child(void)
{
	capture_stderr();
	set_report("/no/\x1b[2Jx\n");
	write_files();
	sl_sinks_say();
	const char *said = captured_stderr();
	CHECK(strcmp(said,
	             "sockleak: report=/no/\\x1b[2Jx\\x0a: no such directory; the program runs on "
	             "without it\n") == 0);
}

static void paths_are_shown_safely(void **state)
{
	(void)state;
	in_child(paths_are_shown_safely_child);
}

/* ---- the budget ---- */

/* Leave less than so many bytes of the budget. */
static void drain_budget(size_t least)
{
	for (size_t n = 1u << 20; n >= least; n /= 2)
		while (sl_log_budget_take(n))
			;
}

static void budget_child(void)
{
	size_t one, n;
	set_report(in_directory("report.txt"));
	set_json(in_directory("report.json"));
	capture_stderr();
	write_files();
	(void)file_text(in_directory("report.txt"), &one);
	/* The JSON of the last report stays as it was. */
	file_write(in_directory("report.json"), "{}");
	drain_budget(256);
	sl_options.max_output_bytes += 100; /* room for a line, not for a report */
	uint64_t held_back = sl_log_held_back_bytes();
	for (int i = 0; i < 3; i++) {
		write_files();
		sl_sinks_say();
	}
	const char *said = captured_stderr();
	CHECK(sl_log_held_back_bytes() > held_back + 1000);
	CHECK(strcmp(said,
	             "sockleak: max_output is used up for this hour: reports are held back, and "
	             "counted\n") == 0);
	(void)file_text(in_directory("report.txt"), &n);
	CHECK(n == one);
	CHECK(strcmp(file_text(in_directory("report.json"), NULL), "{}") == 0);
	CHECK(strcmp(directory_list(), "report.json report.txt") == 0);
}

static void the_budget_is_used_up(void **state)
{
	(void)state;
	in_child(budget_child);
}

/* Nothing is left even for the line that says so: then it is said when there is. */
static void no_room_for_the_line_child(void)
{
	capture_stderr();
	drain_budget(1);
	sl_sinks_write_stderr(snapshot());
	sl_sinks_say();
	sl_options.max_output_bytes += 1000; /* as a new hour would */
	sl_sinks_say();
	sl_sinks_say();
	const char *said = captured_stderr();
	CHECK(occurrences(said, "max_output is used up") == 1);
	CHECK(occurrences(said, "\n") == 1);
}

static void no_room_for_the_line(void **state)
{
	(void)state;
	in_child(no_room_for_the_line_child);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(paths),
		TEST(paths_of_a_forked_child),
		TEST(text_is_appended),
		TEST(one_fd_stays_open),
		TEST(stderr_takes_the_short_form),
		TEST(stderr_that_is_another_file),
		TEST(wants_files),
		TEST(json_replaces_the_last),
		TEST(json_is_never_half),
		TEST(json_of_another_living_process),
		TEST(json_of_a_dead_process),
		TEST(files_of_a_forked_child),
		TEST(no_such_directory),
		TEST(directories),
		TEST(links),
		TEST(a_link_in_the_way),
		TEST(devices),
		TEST(a_fifo_without_a_reader),
		TEST(a_fifo_that_is_full),
		TEST(a_fifo_with_a_reader),
		TEST(no_permission),
		TEST(too_large),
		TEST(no_thread_for_files),
		TEST(a_thread_for_files_that_hangs),
		TEST(paths_are_shown_safely),
		TEST(the_budget_is_used_up),
		TEST(no_room_for_the_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
