/* test_self.c - who this process is, and the main class in the command lines of many a JVM. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/options.h"
#include "captured.h"
#include "child.h"
#include "report/self.h"

#define MODE "SOCKLEAK_TEST_SELF" /* set: this program is the one described */
#define LONG_BYTES 100000

static const char *own_path(void)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	return path;
}

static struct sl_snapshot describe(bool is_jvm)
{
	static struct sl_arena arena = SL_ARENA(1u << 20, 0);
	struct sl_snapshot snapshot = {0};
	sl_self_describe(&arena, is_jvm, &snapshot);
	return snapshot;
}

/* ---- the command lines of java(1) ---- */

static void main_class_or_jar(void **state)
{
	(void)state;
#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})
	const struct {
		const char *const *argv;
		const char *main;
	} rows[] = {
		{ARGV("java", "LeakyClient"), "LeakyClient"},
		{ARGV("java", "com.acme.Main", "-cp", "secret"), "com.acme.Main"},
		{ARGV("java", "-jar", "app.jar", "--password=x"), "app.jar"},
		{ARGV("java", "-Xmx1g", "-Dkey=value", "-jar", "/opt/app.jar"), "/opt/app.jar"},
		{ARGV("java", "-cp", "a.jar:b.jar", "Main", "arg"), "Main"},
		{ARGV("java", "-classpath", "a.jar", "-server", "Main"), "Main"},
		{ARGV("java", "--class-path", "a.jar", "Main"), "Main"},
		{ARGV("java", "--class-path=a.jar", "Main"), "Main"},
		{ARGV("java", "-p", "mods", "-m", "com.acme/com.acme.Main", "x"),
	         "com.acme/com.acme.Main"},
		{ARGV("java", "--module-path", "mods", "--module", "com.acme"), "com.acme"},
		{ARGV("java", "-p", "mods", "--module=com.acme/com.acme.Main", "secret"),
	         "com.acme/com.acme.Main"},
		{ARGV("java", "--add-opens", "java.base/java.net=ALL-UNNAMED", "--add-modules",
	              "jdk.x", "Main"),
	         "Main"},
		{ARGV("java", "--add-opens=java.base/java.net=ALL-UNNAMED", "Main"), "Main"},
		{ARGV("java", "--enable-native-access", "com.acme", "Main"), "Main"},
		{ARGV("java", "-javaagent:/opt/agent.jar=secret", "-XX:+UseG1GC", "Main"), "Main"},
		{ARGV("java", "@options", "Main"), "Main"},
		{ARGV("java", "--source", "17", "Main.java", "x"), "Main.java"},
		{ARGV("java", "-version"), NULL},
		{ARGV("java"), NULL},
		{ARGV("java", "-jar"), NULL},
		{ARGV("java", "-cp"), NULL},
		{ARGV("java", "-cp", "a.jar"), NULL},
		{ARGV("java", ""), ""},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *found = sl_self_java_main(rows[i].argv);
		if (rows[i].main ? !found || strcmp(found, rows[i].main) != 0 : found != NULL)
			fail_msg("row %zu: %s", i, found ? found : "(none)");
	}
	assert_null(sl_self_java_main(NULL));
	const char *const nothing[] = {NULL};
	assert_null(sl_self_java_main(nothing));
}

/* ---- this process ---- */

static void this_process(void **state)
{
	(void)state;
	char host[256];
	struct sl_snapshot snapshot = describe(false);
	assert_int_equal(gethostname(host, sizeof(host)), 0);
	assert_int_equal(snapshot.process.pid, getpid());
	assert_string_equal(snapshot.process.exe, own_path());
	assert_string_equal(snapshot.process.name, "test_self");
	assert_string_equal(snapshot.process.hostname, host);
	assert_false(snapshot.process.is_jvm);
	/* Short: the program alone. */
	assert_non_null(strstr(snapshot.process.argv[0], "test_self"));
	assert_null(snapshot.process.argv[1]);
}

static void the_name_of_the_program(void **state)
{
	(void)state;
	char name[64];
	sl_self_program(name, sizeof(name));
	assert_string_equal(name, "test_self");
	memset(name, 'x', sizeof(name));
	sl_self_program(name, 5);
	assert_string_equal(name, "test");
	assert_int_equal(name[5], 'x');
	sl_self_program(name, 1);
	assert_string_equal(name, "");
}

static uint64_t forked_at_ms;

/* The name of a process may look like the fields behind it in /proc/PID/stat. */
static void uptime_child(void)
{
	sl_clerk_forked();
	sl_clerk_start();
	prctl(PR_SET_NAME, ") R 1 (2) 3");
	while (sl_clock_ms() < forked_at_ms + 150)
		usleep(1000);
	struct sl_snapshot snapshot = describe(false);
	uint64_t most_ms = sl_clock_ms() - forked_at_ms;
	/* The kernel keeps the start in hundredths of a second. */
	CHECK(snapshot.process.uptime_ms >= 100 && snapshot.process.uptime_ms <= most_ms + 20);
	uint64_t now_ms = sl_clock_wall_ms();
	uint64_t started_ms = snapshot.process.started_wall_ms;
	CHECK(started_ms + snapshot.process.uptime_ms <= now_ms);
	CHECK(started_ms + snapshot.process.uptime_ms + 1000 >= now_ms);
}

static void uptime(void **state)
{
	(void)state;
	forked_at_ms = sl_clock_ms();
	in_child(uptime_child);
}

static void nothing_can_be_read_child(void)
{
	sl_clerk_forked(); /* and none is started */
	struct sl_snapshot snapshot = describe(false);
	CHECK(snapshot.process.pid == getpid());
	CHECK(strcmp(snapshot.process.name, "test_self") == 0);
	CHECK(snapshot.process.argv && !snapshot.process.argv[0]);
	CHECK(snapshot.process.uptime_ms == 0);
}

static void nothing_can_be_read(void **state)
{
	(void)state;
	in_child(nothing_can_be_read_child);
}

/* ---- other command lines: this program again, under another name ---- */

/* Prints what the snapshot says of it: the name, then each argument. */
static int be_described(const char *mode)
{
	sl_clerk_start();
	sl_options.argv = strstr(mode, "full") ? SL_ARGV_FULL : SL_ARGV_SHORT;
	struct sl_snapshot snapshot = describe(strstr(mode, "jvm") != NULL);
	printf("%s\n", snapshot.process.name);
	for (int i = 0; snapshot.process.argv && snapshot.process.argv[i]; i++)
		printf("%.40s\n", snapshot.process.argv[i]);
	return 0;
}

static void copy_program(const char *to)
{
	struct stat file;
	int in = open(own_path(), O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	assert_true(in >= 0 && out >= 0);
	assert_int_equal(fstat(in, &file), 0);
	for (off_t left = file.st_size; left > 0;) {
		ssize_t n = sendfile(out, in, NULL, (size_t)left);
		assert_true(n > 0);
		left -= n;
	}
	close(in);
	close(out);
}

/* What it prints when it runs as `program` with these arguments. */
static const char *described(const char *program, const char *mode, const char *const *argv)
{
	static char text[4096];
	int fds[2], status;
	size_t n = 0;
	ssize_t got;
	copy_program(in_directory(program));
	assert_int_equal(pipe(fds), 0);
	pid_t child = fork();
	if (child == 0) {
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		setenv(MODE, mode, 1);
		execv(in_directory(program), (char *const *)(uintptr_t)argv);
		_exit(97);
	}
	close(fds[1]);
	while ((got = read(fds[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return text;
}

static int make_directory(void **state)
{
	(void)state;
	directory_make();
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	directory_remove();
	return 0;
}

static void a_java_program(void **state)
{
	(void)state;
	assert_string_equal(described("java", "jvm",
	                              ARGV("java", "-Dkey=secret", "/opt/acme/app.jar", "secret")),
	                    "java app.jar\njava\n/opt/acme/app.jar\n");
	assert_string_equal(
		described("java", "jvm full", ARGV("java", "-m", "acme/com.acme.Main", "", "last")),
		"java com.acme.Main\njava\n-m\nacme/com.acme.Main\n\nlast\n");
}

/* It has the class path before it, and that may be as long as one argument can be. */
static void a_long_class_path(void **state)
{
	(void)state;
	char *path = malloc(LONG_BYTES + 1);
	memset(path, 'j', LONG_BYTES);
	path[LONG_BYTES] = '\0';
	assert_string_equal(
		described("java", "jvm", ARGV("java", "-cp", path, "com.acme.Main", "secret")),
		"java com.acme.Main\njava\ncom.acme.Main\n");
	free(path);
}

/* Its arguments are its own: none is taken for a main class. */
static void a_program_with_a_vm_inside(void **state)
{
	(void)state;
	assert_string_equal(described("soffice", "jvm", ARGV("soffice", "secret.odt")),
	                    "soffice\nsoffice\n");
}

static void a_native_program(void **state)
{
	(void)state;
	assert_string_equal(described("server", "", ARGV("./server", "--password", "secret")),
	                    "server\n./server\n");
	assert_string_equal(described("server", "full", ARGV("./server", "--port", "80")),
	                    "server\n./server\n--port\n80\n");
}

static int start(void **state)
{
	(void)state;
	sl_clerk_start();
	return 0;
}

#define WITH_DIRECTORY(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(main_class_or_jar),
		cmocka_unit_test(this_process),
		cmocka_unit_test(the_name_of_the_program),
		cmocka_unit_test(uptime),
		cmocka_unit_test(nothing_can_be_read),
		WITH_DIRECTORY(a_java_program),
		WITH_DIRECTORY(a_long_class_path),
		WITH_DIRECTORY(a_program_with_a_vm_inside),
		WITH_DIRECTORY(a_native_program),
	};
	const char *mode = getenv(MODE);
	sl_options_defaults(&sl_options);
	return mode ? be_described(mode) : cmocka_run_group_tests(tests, start, NULL);
}
