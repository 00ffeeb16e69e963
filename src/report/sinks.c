#include "report/sinks.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clerk.h"
#include "base/log.h"
#include "base/options.h"
#include "base/sys.h"
#include "report/append.h"
#include "report/complaints.h"
#include "report/json.h"
#include "report/paths.h"
#include "report/text.h"

#include "base/poison.h"

#define SL_BUFFER_BYTES (64u << 10)
#define SL_STDERR_BYTES (16u << 10)
#define SL_STDERR_WAIT_MS 200
#define SL_FILE_WAIT_MS 1000

/* One file, while a report is written to it. */
struct sink {
	int fd;
	int error;       /* the first one; what follows is not written */
	bool is_refused; /* the budget is used up */
};

/* Of the thread that writes the files. */
static char buffer[SL_BUFFER_BYTES];
static struct sl_append text_file = SL_APPEND_NONE, events_file = SL_APPEND_NONE;
static char stderr_buffer[SL_STDERR_BYTES]; /* the worker's */
static _Atomic bool is_held_back;
static bool is_held_back_said; /* the worker's */

void sl_sinks_start(void)
{
	/* What was open is not in the new clerk's table. */
	text_file.fd = events_file.fd = -1;
}

void sl_sinks_forked(void)
{
	text_file = events_file = SL_APPEND_NONE;
}

bool sl_sinks_take_budget(size_t n)
{
	bool is_given = sl_log_budget_take(n);
	if (!is_given)
		atomic_store(&is_held_back, true);
	return is_given;
}

static void flush_to_file(struct sl_out *out)
{
	struct sink *sink = out->context;
	if (sink->error || sink->is_refused)
		return;
	if (!sl_sinks_take_budget(out->length)) {
		sink->is_refused = true;
		return;
	}
	sink->error = sl_log_write(sink->fd, out->bytes, out->length, SL_FILE_WAIT_MS);
}

static void write_text_file(const struct sl_snapshot *snapshot)
{
	char path[SL_PATH_BYTES];
	struct sink sink = {.fd = sl_append_open(&text_file, sl_options.report, path)};
	struct sl_out out;
	if (sink.fd < 0) {
		sl_complaints_note(SL_COMPLAINT_TEXT, path, sink.fd);
		return;
	}
	sl_out_init(&out, buffer, sizeof(buffer), flush_to_file, &sink);
	sl_text_render(&out, snapshot, SL_TEXT_FULL, false);
	sl_out_flush(&out);
	sl_append_close(&text_file, sink.fd);
	if (sink.error)
		sl_complaints_note(SL_COMPLAINT_TEXT, path, sink.error);
}

/* One write() for all lines that are left: others who append to the file come before or after. To a pipe line by line: it takes
 * PIPE_BUF bytes whole or not at all. Not by sl_log_write(), which does not say how far it came; the clerk has
 * every signal blocked. */
static int append_lines(int fd, bool is_file, struct sl_sinks_lines *lines)
{
	while (lines->written < lines->length) {
		const char *from = lines->bytes + lines->written;
		size_t n = lines->length - lines->written;
		const char *line_end = memchr(from, '\n', n);
		if (!is_file && line_end)
			n = (size_t)(line_end + 1 - from);
		long result = sl_sys_write(fd, from, n);
		if (result > 0)
			lines->written += (size_t)result;
		else if (result != -EINTR)
			return result < 0 ? (int)result : -EIO;
	}
	return 0;
}

/* The disk was full in the middle of a line: take its first part back, if nobody has written behind it. What cannot be
 * taken back is completed the next time. */
static void take_half_line_back(int fd, struct sl_sinks_lines *lines)
{
	struct stat file;
	size_t half = 0;
	while (half < lines->written && lines->bytes[lines->written - half - 1] != '\n')
		half++;
	long end = SL_SYS3(SYS_lseek, fd, 0, SEEK_CUR); /* of our last write() */
	if (half > 0 && SL_SYS2(SYS_fstat, fd, &file) == 0 && end == (long)file.st_size &&
	    SL_SYS2(SYS_ftruncate, fd, end - (long)half) == 0)
		lines->written -= half;
}

void sl_sinks_append_events(void *context)
{
	struct sl_sinks_lines *lines = context;
	char path[SL_PATH_BYTES];
	struct stat file;
	int fd = sl_append_open(&events_file, sl_options.events, path);
	lines->error = fd < 0 ? fd : (int)SL_SYS2(SYS_fstat, fd, &file);
	if (lines->error >= 0) {
		bool is_file = S_ISREG(file.st_mode);
		lines->error = append_lines(fd, is_file, lines);
		if (is_file && lines->error < 0)
			take_half_line_back(fd, lines);
	}
	if (fd >= 0)
		sl_append_close(&events_file, fd);
	/* A reader that is slow now may take them later. */
	if (lines->error < 0 && lines->error != -EAGAIN)
		sl_complaints_note(SL_COMPLAINT_EVENTS, path, lines->error);
}

static bool is_terminal(int fd)
{
	char settings[256]; /* struct termios of the kernel is smaller */
	return sl_sys_ioctl(fd, 0x5401 /* TCGETS, ioctl_tty(2) */, settings) == 0;
}

void sl_sinks_write_stderr(const struct sl_snapshot *snapshot)
{
	struct sl_out out;
	if (strcmp(sl_options.report, "stderr") != 0 || !sl_log_stderr_is_ours())
		return;
	/* Forty lines at most: they fit, and go out in one piece. */
	sl_out_init(&out, stderr_buffer, sizeof(stderr_buffer), NULL, NULL);
	sl_text_render(&out, snapshot, SL_TEXT_SHORT, is_terminal(2));
	if (sl_sinks_take_budget(out.length))
		(void)sl_log_write(2, out.bytes, out.length, SL_STDERR_WAIT_MS);
}

/* Rename may replace a regular file or nothing: never a device, a directory or a link. */
static int check_target(const char *path)
{
	struct stat file;
	if (!*path)
		return -ENAMETOOLONG; /* see sl_paths_expand() */
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
	struct sl_out out;
	(void)SL_SYS3(SYS_unlinkat, AT_FDCWD, temporary, 0); /* of an earlier process of this pid */
	struct sink sink = {.fd = sl_append_create(temporary, O_WRONLY | O_CLOEXEC | O_NOFOLLOW)};
	if (sink.fd < 0)
		return sink.fd;
	sl_out_init(&out, buffer, sizeof(buffer), flush_to_file, &sink);
	sl_json_render(&out, snapshot);
	sl_out_flush(&out);
	(void)sl_sys_close(sink.fd);
	return sink.error ? sink.error : sink.is_refused;
}

/* The pid that the report in this file is of; 0: there is none. */
static long pid_in(const char *path)
{
	char head[1024];
	int fd = sl_sys_open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return 0;
	long n = sl_sys_read(fd, head, sizeof(head) - 1);
	(void)sl_sys_close(fd);
	head[n > 0 ? n : 0] = 0;
	const char *at = strstr(head, "\"pid\":");
	long pid = 0;
	for (at = at ? at + 6 + strspn(at + 6, " ") : "";
	     *at >= '0' && *at <= '9' && pid < 1000000000; at++)
		pid = pid * 10 + (*at - '0');
	return pid;
}

/* A program that an instrumented one has started has the same options, and so the same path. The first that writes keeps it for as
 * long as it lives; the others add their pid. */
static void avoid_others_file(char *path, size_t n)
{
	static bool is_taken; /* of the thread that writes the files */
	long owner = is_taken ? 0 : pid_in(path);
	if (owner && owner != sl_sys_getpid() && SL_SYS2(SYS_kill, owner, 0) != -ESRCH)
		is_taken = true;
	if (is_taken)
		sl_paths_add_pid(path, n);
}

static void write_json_file(const struct sl_snapshot *snapshot)
{
	char path[SL_PATH_BYTES], temporary[SL_PATH_BYTES + 32];
	struct sl_out out;
	if (!sl_paths_expand(sl_options.json, path, sizeof(path) - 16))
		avoid_others_file(path, sizeof(path));
	sl_out_init(&out, temporary, sizeof(temporary) - 1, NULL, NULL);
	sl_out_text(&out, path);
	sl_out_text(&out, ".tmp.");
	sl_out_unsigned(&out, (uint64_t)sl_sys_getpid());
	temporary[out.length] = 0;
	int result = check_target(path);
	if (result == 0) {
		result = write_json(snapshot, temporary);
		if (result == 0)
			result =
				(int)SL_SYS5(SYS_renameat2, AT_FDCWD, temporary, AT_FDCWD, path, 0);
		if (result != 0)
			(void)SL_SYS3(SYS_unlinkat, AT_FDCWD, temporary, 0);
	}
	if (result < 0)
		sl_complaints_note(SL_COMPLAINT_JSON, path, result);
}

bool sl_sinks_want_files(void)
{
	return strcmp(sl_options.report, "stderr") != 0 || sl_options.json[0];
}

void sl_sinks_write_files(const struct sl_snapshot *snapshot)
{
	if (strcmp(sl_options.report, "stderr") != 0)
		write_text_file(snapshot);
	if (sl_options.json[0])
		write_json_file(snapshot);
}

void sl_sinks_no_files(void)
{
	const bool is_text = strcmp(sl_options.report, "stderr") != 0;
	sl_complaints_note(is_text ? SL_COMPLAINT_TEXT : SL_COMPLAINT_JSON,
	                   is_text ? sl_options.report : sl_options.json,
	                   sl_clerk_is_there() ? -EBUSY : -ENOSYS);
}

/* Once, when reports begin to be held back. The line draws on the same budget: perhaps it must wait for the next hour. */
static void say_held_back(void)
{
	uint64_t before = sl_log_held_back_bytes();
	if (!atomic_load(&is_held_back) || is_held_back_said)
		return;
	sl_log("max_output is used up for this hour: reports are held back, and counted", NULL);
	is_held_back_said = sl_log_held_back_bytes() == before;
}

void sl_sinks_say(void)
{
	sl_complaints_say();
	say_held_back();
}
