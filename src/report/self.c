#include "report/self.h"

#include <string.h>
#include <sys/utsname.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/options.h"
#include "base/out.h"
#include "base/sys.h"
#include "stack/blame.h"

#include "base/poison.h"

#define SL_CMDLINE_BYTES \
	(256u << 10) /* class paths are long, and the main class stands behind them */
#define SL_ARGV_MAX 1024
#define SL_TICKS_PER_SECOND \
	100                  /* USER_HZ: what /proc/PID/stat counts in, on every Linux (proc(5)) */
#define SL_STAT_STARTTIME 22 /* its field */

static const char *exe_path(struct sl_arena *arena)
{
	char path[4096];
	long n = SL_SYS4(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", path, sizeof(path));
	const char *copy = n > 0 ? sl_arena_text(arena, path, (size_t)n) : NULL;
	return copy ? copy : "";
}

void sl_self_program_of(int pid, char *name, size_t n)
{
	char path[4096], link[64];
	struct sl_out out;
	sl_out_init(&out, link, sizeof(link) - 1, NULL, NULL);
	sl_out_text(&out, "/proc/");
	if (pid) /* else without a number: this /proc may be of another pid namespace */
		sl_out_unsigned(&out, (uint64_t)pid);
	else
		sl_out_text(&out, "self");
	sl_out_text(&out, "/exe");
	link[out.length] = 0;
	long got = SL_SYS4(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1);
	path[got > 0 ? got : 0] = 0;
	const char *file = sl_file_name_of(path);
	size_t length = strnlen(file, n - 1);
	memcpy(name, file, length);
	name[length] = 0;
}

void sl_self_program(char *name, size_t n)
{
	sl_self_program_of(0, name, n);
}

/* The arguments, NULL-terminated. */
static const char *const *read_argv(struct sl_arena *arena)
{
	const char **argv = sl_arena_alloc(arena, (SL_ARGV_MAX + 1) * sizeof(*argv));
	char *text = sl_arena_alloc(arena, SL_CMDLINE_BYTES + 1); /* zeroed: it ends with a NUL */
	unsigned count = 0;
	if (!argv)
		return NULL;
	size_t n = text ? sl_clerk_read("/proc/self/cmdline", text, SL_CMDLINE_BYTES) : 0;
	for (size_t at = 0; at < n && count < SL_ARGV_MAX; at += strlen(text + at) + 1)
		argv[count++] = text + at;
	argv[count] = NULL;
	return argv;
}

/* Options of the java launcher whose value is the next argument (java(1)). */
static bool takes_value(const char *option)
{
	static const char *const options[] = {
		"-cp",
		"-classpath",
		"--class-path",
		"-p",
		"--module-path",
		"--upgrade-module-path",
		"--add-modules",
		"--add-exports",
		"--add-opens",
		"--add-reads",
		"--limit-modules",
		"--patch-module",
		"--enable-native-access",
		"--describe-module",
		"-d",
		"--source",
	};
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (strcmp(option, options[i]) == 0)
			return true;
	return false;
}

static bool names_main(const char *option)
{
	return strcmp(option, "-jar") == 0 || strcmp(option, "-m") == 0 ||
	       strcmp(option, "--module") == 0;
}

const char *sl_self_java_main(const char *const *argv)
{
	static const char module[] = "--module=";
	for (unsigned i = 1; argv && argv[0] && argv[i]; i++) {
		if (strncmp(argv[i], module, sizeof(module) - 1) == 0)
			return argv[i] + sizeof(module) - 1;
		if (names_main(argv[i]))
			return argv[i + 1];
		if (argv[i][0] != '-' && argv[i][0] != '@')
			return argv[i];
		if (takes_value(argv[i]) && argv[i + 1])
			i++;
	}
	return NULL;
}

/* argv= short: the program and, of a JVM, the main class or jar. */
static const char *const *shorten(struct sl_arena *arena, const char *const *argv,
                                  const char *java_main)
{
	const char **kept = sl_arena_alloc(arena, 3 * sizeof(*kept));
	if (!kept || !argv)
		return NULL;
	kept[0] = argv[0];
	kept[1] = argv[0] ? java_main : NULL;
	return kept;
}

static const char *join(struct sl_arena *arena, const char *first, const char *second)
{
	char text[512];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	sl_out_text(&out, first);
	if (second)
		sl_out_char(&out, ' ');
	sl_out_text(&out, second);
	const char *copy = sl_arena_text(arena, text, out.length);
	return copy ? copy : "";
}

uint64_t sl_self_age_ms(uint64_t ticks)
{
	uint64_t now_ms = sl_clock_to_ms(sl_clock_read(CLOCK_BOOTTIME));
	uint64_t started_ms = ticks * 1000 / SL_TICKS_PER_SECOND;
	return now_ms > started_ms ? now_ms - started_ms : 0;
}

/* Milliseconds since this process was made; 0 if /proc does not say. */
static uint64_t uptime_ms(void)
{
	char stat[1024];
	(void)sl_clerk_read("/proc/self/stat", stat, sizeof(stat));
	/* Field 2 is the name in parentheses, and may hold both of them and spaces. */
	const char *at = strrchr(stat, ')');
	for (int field = 2; at && field < SL_STAT_STARTTIME; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return 0;
	uint64_t ticks = 0;
	for (at++; *at >= '0' && *at <= '9'; at++)
		ticks = ticks * 10 + (uint64_t)(*at - '0');
	return sl_self_age_ms(ticks);
}

static const char *host_name(struct sl_arena *arena)
{
	struct utsname names;
	if (SL_SYS1(SYS_uname, &names) < 0)
		return "";
	const char *copy = sl_arena_text(arena, names.nodename, strlen(names.nodename));
	return copy ? copy : "";
}

void sl_self_describe(struct sl_arena *arena, bool is_jvm, struct sl_snapshot *snapshot)
{
	const char *const *argv = read_argv(arena);
	const char *exe = exe_path(arena);
	/* A program with a VM inside has arguments of its own, which may be secret. */
	bool is_launcher = is_jvm && strcmp(sl_file_name_of(exe), "java") == 0;
	const char *java_main = is_launcher ? sl_self_java_main(argv) : NULL;
	const char *main_name = java_main ? sl_file_name_of(java_main) : NULL;
	snapshot->process.pid = sl_sys_getpid();
	snapshot->process.exe = exe;
	snapshot->process.name = join(arena, sl_file_name_of(exe), main_name);
	snapshot->process.argv =
		sl_options.argv == SL_ARGV_FULL ? argv : shorten(arena, argv, java_main);
	snapshot->process.uptime_ms = uptime_ms();
	snapshot->process.started_wall_ms = sl_clock_wall_ms() - snapshot->process.uptime_ms;
	snapshot->process.hostname = host_name(arena);
	snapshot->process.is_jvm = is_jvm;
}
