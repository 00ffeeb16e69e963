/* test_cli_perf_map.c - names of code made at run time: the file for perf, read whatever its bytes are, and only the
 * process's own; what interpreters call their functions. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/perf_map.h"
#include "cli/proc.h"
#include "cli/script.h"
#include "cli/script_frames.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- the file ---- */

static int file_of(const char *bytes, size_t n)
{
	int fd = memfd_create("map", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void read_text(const char *text, struct sl_perf_place *places, size_t n)
{
	int fd = file_of(text, strlen(text));
	assert_int_equal(sl_perf_map_read(fd, places, n), 0);
	close(fd);
}

static void places_are_named(void **state)
{
	(void)state;
	struct sl_perf_place places[] = {{.address = 0xfff},  {.address = 0x1000},
	                                 {.address = 0x10ff}, {.address = 0x1100},
	                                 {.address = 0x2000}, {.address = UINT64_MAX}};
	read_text("1000 100 JS:~fetch /srv/app.js:4:22\n"
	          "2000 10 old name\n"
	          "2000 0 empty\n"
	          "1FF0 20 New Name with spaces\n"
	          "0xffffffffffffffff 0x1 last\n"
	          "2000 10 not finished",
	          places, COUNT_OF(places));
	static const char *const names[] = {
		"", "JS:~fetch /srv/app.js:4:22", "JS:~fetch /srv/app.js:4:22",
		"", "New Name with spaces",       "last"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		assert_string_equal(places[i].name, names[i]);
}

static void no_bytes_do_harm(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"",
		"\n",
		" \n  \n",
		"1000\n",
		"1000 100\n",
		"-1000 100 a\n",
		"+1000 100 a\n",
		" 1000 100 a\n",
		"1000  100 a\n",
		"1000 -1 a\n",
		"10000000000000000000 100 a\n",
		"1000 fffffffffffffffff a\n",
		"1000g 100 a\n",
		"py::x:/y\n",
	};
	struct sl_perf_place place = {.address = 0x1000};
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		read_text(texts[i], &place, 1);
		if (place.name[0])
			fail_msg("'%s' gave %s", texts[i], place.name);
	}
	/* A NUL ends a name; a line of any length is one line. */
	static const char nul[] = "1000 1 before\0behind\n";
	int fd = file_of(nul, sizeof(nul) - 1);
	assert_int_equal(sl_perf_map_read(fd, &place, 1), 0);
	assert_string_equal(place.name, "before");
	close(fd);
	const size_t n = 3 << 16;
	char *text = malloc(n);
	memset(text, 'x', n);
	memcpy(text, "1000 1 ", 7);
	text[n - 1] = '\n';
	fd = file_of(text, n);
	assert_int_equal(sl_perf_map_read(fd, &place, 1), 0);
	assert_true(strlen(place.name) > 300 && strspn(place.name, "x") == strlen(place.name));
	close(fd);
	free(text);
	/* Lines across the pieces in which it is read. */
	fd = memfd_create("map", MFD_CLOEXEC);
	FILE *file = fdopen(fd, "w+");
	for (unsigned i = 0; i < 20000; i++)
		fprintf(file, "%x 10 name %u of many\n", 0x1000 + i * 16, i);
	assert_int_equal(fflush(file), 0);
	rewind(file);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	static struct sl_perf_place many[20000];
	for (unsigned i = 0; i < 20000; i++)
		many[i].address = 0x1000 + i * 16 + 7;
	assert_int_equal(sl_perf_map_read(fd, many, 20000), 0);
	for (unsigned i = 0; i < 20000; i++) {
		char expected[64];
		snprintf(expected, sizeof(expected), "name %u of many", i);
		assert_string_equal(many[i].name, expected);
	}
	fclose(file);
}

static char path[64];

static void write_map(const char *text, mode_t mode)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* This very process's. */
static void only_its_own_is_read(void **state)
{
	(void)state;
	struct sl_proc proc;
	struct sl_perf_place place = {.address = 0x1000};
	char other[80];
	assert_int_equal(sl_proc_read(getpid(), &proc), 0);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	snprintf(other, sizeof(other), "%s.other", path);
	unlink(path);
	assert_int_equal(sl_perf_map_name(&proc, &place, 1), -ENOENT);
	static const mode_t open_to_others[] = {0666, 0620, 0602};
	for (size_t i = 0; i < COUNT_OF(open_to_others); i++) {
		write_map("1000 1 a\n", open_to_others[i]);
		assert_int_equal(sl_perf_map_name(&proc, &place, 1), -EPERM);
		unlink(path);
	}
	write_map("1000 1 a\n", 0600);
	proc.euid++;
	assert_int_equal(sl_perf_map_name(&proc, &place, 1), getuid() == 0 ? 0 : -EPERM);
	proc.euid--;
	if (getuid() == 0) {
		place.name[0] = 0;
		assert_int_equal(chown(path, 12345, 12345), 0);
		assert_int_equal(sl_perf_map_name(&proc, &place, 1), -EPERM);
		assert_string_equal(place.name, "");
		assert_int_equal(chown(path, 0, 0), 0);
	}
	assert_int_equal(sl_perf_map_name(&proc, &place, 1), 0);
	assert_string_equal(place.name, "a");
	/* Links and pipes are not opened, not even those to what would be fine. */
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(sl_perf_map_name(&proc, &place, 1), -EPERM);
	unlink(path);
	unlink(other);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(sl_perf_map_name(&proc, &place, 1), -EINVAL);
	unlink(path);
}

/* ---- names ---- */

static void functions_are_taken_apart(void **state)
{
	(void)state;
	static const struct {
		const char *name, *function, *file;
		int line;
		enum sl_role role;
	} rows[] = {
		/* Node.js 20, 18 and 12. */
		{"JS:~fetch /srv/app.js:4:22", "fetch", "/srv/app.js", 4, SL_ROLE_APPLICATION},
		{"JS:^fetch /srv/app.js:4:22", "fetch", "/srv/app.js", 4, SL_ROLE_APPLICATION},
		{"LazyCompile:*fetch /srv/app.js:4:22", "fetch", "/srv/app.js", 4,
	         SL_ROLE_APPLICATION},
		{"LazyCompile:*fetch /srv/app.js:4", "fetch", "/srv/app.js", 4,
	         SL_ROLE_APPLICATION},
		{"Function:~get size /srv/my app.js:4:22", "get size", "/srv/my app.js", 4,
	         SL_ROLE_APPLICATION},
		{"JS:~ /srv/app.js:4:22", "(anonymous)", "/srv/app.js", 4, SL_ROLE_APPLICATION},
		{"JS:~fetch file:///srv/app.mjs:4:22", "fetch", "/srv/app.mjs", 4,
	         SL_ROLE_APPLICATION},
		{"Eval:~ evalmachine.<anonymous>:1:1", "(anonymous)", "evalmachine.<anonymous>", 1,
	         SL_ROLE_APPLICATION},
		{"JS:~connect node:net:227:17", "connect", "node:net", 227, SL_ROLE_RUNTIME},
		{"JS:~run node:internal/process/task_queues:67:35", "run",
	         "node:internal/process/task_queues", 67, SL_ROLE_RUNTIME},
		{"JS:~get /srv/node_modules/got/index.js:9:1", "get",
	         "/srv/node_modules/got/index.js", 9, SL_ROLE_LIBRARY},
		{"JS:~", "JS:~", NULL, 0, SL_ROLE_RUNTIME},
		{"JS:~fetch", "JS:~fetch", NULL, 0, SL_ROLE_RUNTIME},
		{"Builtin:CallFunction", "Builtin:CallFunction", NULL, 0, SL_ROLE_RUNTIME},
		{"RegExp:a /b:1", "RegExp:a /b:1", NULL, 0, SL_ROLE_RUNTIME},
		{"JS:~f /a:99999999999999999999:1", "f", "/a:99999999999999999999", 1,
	         SL_ROLE_APPLICATION},
		{"JS:~f /a::", "f", "/a::", 0, SL_ROLE_APPLICATION},
		/* Python 3.12. */
		{"py::fetch:/srv/app.py", "fetch", "/srv/app.py", 0, SL_ROLE_APPLICATION},
		{"py::Client.<locals>.get:/srv/app.py", "Client.<locals>.get", "/srv/app.py", 0,
	         SL_ROLE_APPLICATION},
		{"py::<module>:<stdin>", "<module>", "<stdin>", 0, SL_ROLE_APPLICATION},
		{"py::_load:<frozen importlib._bootstrap>", "_load",
	         "<frozen importlib._bootstrap>", 0, SL_ROLE_RUNTIME},
		{"py::create_connection:/usr/lib/python3.12/socket.py", "create_connection",
	         "/usr/lib/python3.12/socket.py", 0, SL_ROLE_RUNTIME},
		{"py::get:/usr/lib/python3/dist-packages/requests/api.py", "get",
	         "/usr/lib/python3/dist-packages/requests/api.py", 0, SL_ROLE_LIBRARY},
		{"py::get:/srv/venv/lib/python3.12/site-packages/requests/api.py", "get",
	         "/srv/venv/lib/python3.12/site-packages/requests/api.py", 0, SL_ROLE_LIBRARY},
		{"py::main:/home/me/lib/pythonic/app.py", "main", "/home/me/lib/pythonic/app.py", 0,
	         SL_ROLE_APPLICATION},
		{"py::", "py::", NULL, 0, SL_ROLE_RUNTIME},
		{"py:::", "py:::", NULL, 0, SL_ROLE_RUNTIME},
		{"", "", NULL, 0, SL_ROLE_RUNTIME},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct sl_script script;
		char name[128];
		strcpy(name, rows[i].name);
		sl_script_read(name, &script);
		if (strcmp(script.function, rows[i].function) != 0 ||
		    (script.file && rows[i].file
		             ? strcmp(script.file, rows[i].file) != 0
		             : (script.file != NULL) != (rows[i].file != NULL)) ||
		    script.line != rows[i].line || script.role != rows[i].role)
			fail_msg("%s: %s, %s, %d, role %d", rows[i].name, script.function,
			         script.file ? script.file : "(none)", script.line, script.role);
	}
}

/* ---- frames ---- */

static void frames_get_names(void **state)
{
	(void)state;
	struct sl_arena arena = SL_ARENA(1 << 16, 0);
	static const struct sl_frame made = {.text = "(no module)+0x1000", .offset = 0x1000};
	static const struct sl_frame unknown = {.text = "(no module)+0x3000", .offset = 0x3000};
	static const struct sl_frame named = {
		.text = "f+0x0 (m)", .function = "f", .module = "/m", .offset = 0x1000};
	static const struct sl_frame *const frames[] = {&made, &unknown, &named, &made};
	static const struct sl_snapshot_site site = {
		.kind = SL_STACK_NATIVE, .frames = frames, .frame_count = 4};
	const struct sl_snapshot s = {.sites = &site, .site_count = 1};
	const char *note;
	assert_null(sl_script_frames_open(&arena, &s, 0, &note));
	assert_null(sl_script_frames_open(&arena, &s, getpid(), &note));
	assert_null(note);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	write_map("fff 8 JS:~fetch /srv/app.js:4:22\n", 0644);
	struct sl_script_frames *scripts = sl_script_frames_open(&arena, &s, getpid(), &note);
	assert_int_equal(chmod(path, 0666), 0);
	assert_null(note);
	assert_null(sl_script_frames_open(&arena, &s, getpid(), &note));
	assert_non_null(strstr(note, path));
	unlink(path);
	assert_non_null(scripts);
	const struct sl_frame *fetch = sl_script_frames_name(scripts, &made);
	assert_string_equal(fetch->text, "fetch (app.js:4)");
	assert_string_equal(fetch->file, "/srv/app.js");
	assert_int_equal(fetch->line, 4);
	assert_int_equal(fetch->role, SL_ROLE_APPLICATION);
	assert_ptr_equal(sl_script_frames_name(scripts, &unknown), &unknown);
	assert_ptr_equal(sl_script_frames_name(scripts, &named), &named);
	assert_ptr_equal(sl_script_frames_name(NULL, &made), &made);
	sl_script_frames_close(scripts);
	sl_script_frames_close(NULL);
	sl_arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_are_named),     cmocka_unit_test(no_bytes_do_harm),
		cmocka_unit_test(only_its_own_is_read), cmocka_unit_test(functions_are_taken_apart),
		cmocka_unit_test(frames_get_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
