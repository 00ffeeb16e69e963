#include "report/sinks.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/log.h"
#include "base/options.h"
#include "base/ownfd.h"
#include "base/sys.h"
#include "report/json.h"
#include "report/self.h"
#include "report/text.h"

#include "base/poison.h"

#define SL_PATH_BYTES 4096
#define SL_BUFFER_BYTES (64u << 10)
#define SL_STDERR_WAIT_MS 200
#define SL_FILE_WAIT_MS 1000

/* One file, while a report is written to it. */
struct sink {
	int fd;
	int error;       /* the first one; what follows is not written */
	bool is_refused; /* the budget is used up */
};

static bool is_forked;               /* written in a forked child, before its worker starts */
static char buffer[SL_BUFFER_BYTES]; /* the worker's */

/* What has been complained of already, by sink: it is said once. */
enum { SL_SINK_TEXT, SL_SINK_JSON, SL_SINKS };
static bool complained[SL_SINKS];
static uint64_t held_back_said_bytes;

void sl_sinks_forked(void)
{
	is_forked = true;
}

static void expand_one(struct sl_out *out, char what)
{
	struct utsname names;
	char program[256];
	if (what == 'p') {
		sl_out_unsigned(out, (uint64_t)sl_sys_getpid());
	} else if (what == 'e') {
		sl_self_program(program, sizeof(program));
		sl_out_text(out, program);
	} else if (what == 'h' && SL_SYS1(SYS_uname, &names) == 0) {
		sl_out_text(out, names.nodename);
	} else {
		sl_out_char(out, what);
	}
}

void sl_sinks_expand(const char *path, char *expanded, size_t n)
{
	struct sl_out out;
	bool has_pid = false;
	sl_out_init(&out, expanded, n - 1, NULL, NULL);
	for (const char *c = path; *c; c++) {
		if (*c != '%' || !c[1]) {
			sl_out_char(&out, *c);
			continue;
		}
		has_pid |= *++c == 'p';
		expand_one(&out, *c);
	}
	if (is_forked && !has_pid) {
		sl_out_char(&out, '.');
		sl_out_unsigned(&out, (uint64_t)sl_sys_getpid());
	}
	expanded[out.length] = 0;
}

static const char *error_text(int error)
{
	switch (-error) {
	case ENOENT:
		return "no such directory";
	case EACCES:
	case EPERM:
		return "not permitted";
	case ENOSPC:
	case EDQUOT:
		return "no space left";
	case EROFS:
		return "read-only file system";
	case ELOOP:
		return "it is a symbolic link";
	case EISDIR:
		return "it is a directory";
	case ENOTDIR:
		return "a part of the path is no directory";
	case EMFILE:
	case ENFILE:
		return "no file descriptor left";
	case EAGAIN:
		return "its reader does not take it";
	case EINVAL:
		return "not a regular file";
	default:
		return "it cannot be written";
	}
}

static void complain(int sink, const char *key, const char *path, int error)
{
	char shown[512];
	struct sl_out out;
	if (complained[sink])
		return;
	complained[sink] = true;
	sl_out_init(&out, shown, sizeof(shown) - 1, NULL, NULL);
	sl_out_terminal(&out, path);
	shown[out.length] = 0;
	sl_log(key, "=", shown, ": ", error_text(error), "; the program runs on without it", NULL);
}

static void flush_to_file(struct sl_out *out)
{
	struct sink *sink = out->context;
	if (sink->error || sink->is_refused)
		return;
	if (!sl_log_budget_take(out->length)) {
		sink->is_refused = true;
		return;
	}
	sink->error = sl_log_write(sink->fd, out->bytes, out->length, SL_FILE_WAIT_MS);
}

/* Open for appending; created with mode= if need be, whatever the umask. O_NONBLOCK: a FIFO without a reader must not
 * hold the worker up. */
static int open_to_append(const char *path)
{
	const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = sl_ownfd_open(path, flags, 0);
	if (fd != -ENOENT)
		return fd;
	fd = sl_ownfd_open(path, flags | O_CREAT | O_EXCL, 0600);
	if (fd >= 0)
		(void)SL_SYS2(SYS_fchmod, fd, sl_options.mode);
	return fd;
}

static void write_text_file(const struct sl_snapshot *snapshot)
{
	char path[SL_PATH_BYTES];
	sl_sinks_expand(sl_options.report, path, sizeof(path));
	struct sink sink = {.fd = open_to_append(path)};
	struct sl_out out;
	if (sink.fd < 0) {
		complain(SL_SINK_TEXT, "report", path, sink.fd);
		return;
	}
	sl_out_init(&out, buffer, sizeof(buffer), flush_to_file, &sink);
	sl_text_render(&out, snapshot, SL_TEXT_FULL, false);
	sl_out_flush(&out);
	(void)sl_sys_close(sink.fd);
	if (sink.error)
		complain(SL_SINK_TEXT, "report", path, sink.error);
}

static bool is_terminal(int fd)
{
	char settings[256]; /* struct termios of the kernel is smaller */
	return sl_sys_ioctl(fd, 0x5401 /* TCGETS, ioctl_tty(2) */, settings) == 0;
}

static void write_text_to_stderr(const struct sl_snapshot *snapshot)
{
	struct sl_out out;
	if (!sl_log_stderr_is_ours())
		return;
	/* Forty lines at most: they fit, and go out in one piece. */
	sl_out_init(&out, buffer, sizeof(buffer), NULL, NULL);
	sl_text_render(&out, snapshot, SL_TEXT_SHORT, is_terminal(2));
	if (sl_log_budget_take(out.length))
		(void)sl_log_write(2, out.bytes, out.length, SL_STDERR_WAIT_MS);
}

/* Rename may replace a regular file or nothing: never a device, a directory or a link. */
static int check_target(const char *path)
{
	struct stat file;
	int result = (int)SL_SYS4(SYS_newfstatat, AT_FDCWD, path, &file, AT_SYMLINK_NOFOLLOW);
	if (result == -ENOENT)
		return 0;
	if (result < 0)
		return result;
	if (S_ISLNK(file.st_mode))
		return -ELOOP;
	if (S_ISDIR(file.st_mode))
		return -EISDIR;
	return S_ISREG(file.st_mode) ? 0 : -EINVAL;
}

/* Write the JSON to `temporary`. 0, -errno, or 1: the budget is used up. */
static int write_json(const struct sl_snapshot *snapshot, const char *temporary)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	struct sl_out out;
	(void)SL_SYS3(SYS_unlinkat, AT_FDCWD, temporary, 0); /* of an earlier process of this pid */
	struct sink sink = {.fd = sl_ownfd_open(temporary, flags, 0600)};
	if (sink.fd < 0)
		return sink.fd;
	(void)SL_SYS2(SYS_fchmod, sink.fd, sl_options.mode);
	sl_out_init(&out, buffer, sizeof(buffer), flush_to_file, &sink);
	sl_json_render(&out, snapshot);
	sl_out_flush(&out);
	(void)sl_sys_close(sink.fd);
	return sink.error ? sink.error : sink.is_refused;
}

static void write_json_file(const struct sl_snapshot *snapshot)
{
	char path[SL_PATH_BYTES], temporary[SL_PATH_BYTES + 32];
	struct sl_out out;
	sl_sinks_expand(sl_options.json, path, sizeof(path));
	sl_out_init(&out, temporary, sizeof(temporary) - 1, NULL, NULL);
	sl_out_text(&out, path);
	sl_out_text(&out, ".tmp.");
	sl_out_unsigned(&out, (uint64_t)sl_sys_getpid());
	temporary[out.length] = 0;
	int result = check_target(path);
	if (result == 0) {
		result = write_json(snapshot, temporary);
		if (result == 0)
			result = (int)SL_SYS5(SYS_renameat2, AT_FDCWD, temporary, AT_FDCWD, path, 0);
		if (result != 0)
			(void)SL_SYS3(SYS_unlinkat, AT_FDCWD, temporary, 0);
	}
	if (result < 0)
		complain(SL_SINK_JSON, "json", path, result);
}

/* Once, when output begins to be held back. */
static void say_held_back(void)
{
	uint64_t held_back = sl_log_held_back_bytes();
	if (held_back > 0 && held_back_said_bytes == 0)
		sl_log("max_output is used up for this hour: reports are held back, and counted", NULL);
	held_back_said_bytes = held_back;
}

void sl_sinks_write(const struct sl_snapshot *snapshot)
{
	if (strcmp(sl_options.report, "stderr") == 0)
		write_text_to_stderr(snapshot);
	else
		write_text_file(snapshot);
	if (sl_options.json[0])
		write_json_file(snapshot);
	say_held_back();
}
