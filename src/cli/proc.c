/* proc.c - see proc.h. */
#include "cli/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/say.h"
#include "stack/blame.h"

#define SL_PF_EXITING 0x4 /* of the flags in `stat`: do_exit() has begun */

char *sl_proc_file(int pid, const char *name, size_t *n)
{
	char path[128];
	size_t room = 4096, length = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *bytes = fd >= 0 ? malloc(room) : NULL;
	while (bytes) {
		ssize_t got = read(fd, bytes + length, room - length - 1);
		if (got <= 0) {
			bytes[length] = 0;
			if (got < 0 && length == 0) {
				free(bytes);
				bytes = NULL;
			}
			break;
		}
		length += (size_t)got;
		if (length + 1 == room) {
			char *more = realloc(bytes, room * 2);
			if (!more)
				free(bytes);
			bytes = more;
			room *= 2;
		}
	}
	int error = errno;
	if (fd >= 0)
		(void)close(fd);
	errno = error;
	*n = length;
	return bytes;
}

const char *sl_proc_status_value(const char *status, const char *name)
{
	char key[32];
	(void)snprintf(key, sizeof(key), "\n%s:", name);
	const char *at = strstr(status, key);
	return at ? at + strlen(key) + strspn(at + strlen(key), " \t") : NULL;
}

long sl_proc_status_number(const char *status, const char *name)
{
	const char *value = sl_proc_status_value(status, name);
	return value ? strtol(value, NULL, 10) : -1;
}

/* Before Linux 4.1 there is no NSpid. */
static int inner_pid(const char *status, int pid)
{
	const char *at = sl_proc_status_value(status, "NSpid");
	long last = pid;
	char *end;
	while (at && *at && *at != '\n') {
		last = strtol(at, &end, 10);
		at = end + strspn(end, " \t");
	}
	return (int)last;
}

static int read_status(struct sl_proc *proc)
{
	size_t n;
	char *status = sl_proc_file(proc->pid, "status", &n);
	if (!status)
		return errno == EACCES || errno == EPERM ? -EACCES : -ESRCH;
	const char *uid = sl_proc_status_value(status, "Uid");
	const char *state = sl_proc_status_value(status, "State");
	bool is_process = sl_proc_status_number(status, "Tgid") == proc->pid && state &&
	                  !strchr("ZX", *state);
	proc->parent = (int)sl_proc_status_number(status, "PPid");
	proc->inner_pid = inner_pid(status, proc->pid);
	char *end = NULL;
	proc->uid = uid ? (uid_t)strtoul(uid, &end, 10) : (uid_t)-1;
	proc->euid = end ? (uid_t)strtoul(end, &end, 10) : (uid_t)-1;
	const char *gid = sl_proc_status_value(status, "Gid");
	if (gid)
		(void)strtoul(gid, &end, 10);
	proc->egid = gid ? (gid_t)strtoul(end, NULL, 10) : (gid_t)-1;
	proc->state = state ? *state : 0;
	proc->tracer = (int)sl_proc_status_number(status, "TracerPid");
	(void)sscanf(status, "Name:\t%127[^\n]", proc->name);
	free(status);
	return is_process ? 0 : -ESRCH;
}

/* The text from a field of `stat` on; NULL: there is none. Field 2 is the name in parentheses, and may hold both of them and spaces. */
static const char *stat_field(const char *stat, int wanted)
{
	const char *at = strrchr(stat, ')');
	for (int field = 2; at && field < wanted; field++)
		at = strchr(at + 1, ' ');
	return at;
}

static int read_stat(struct sl_proc *proc)
{
	size_t n;
	struct timespec now;
	char *stat = sl_proc_file(proc->pid, "stat", &n);
	const char *flags = stat ? stat_field(stat, 9) : NULL;
	const char *start = flags ? stat_field(stat, 22) : NULL;
	const bool is_there = start && !(strtoul(flags, NULL, 10) & SL_PF_EXITING);
	proc->start_ticks = start ? strtoull(start, NULL, 10) : 0;
	free(stat);
	if (!is_there)
		return -ESRCH;
	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	uint64_t start_ms = proc->start_ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
	proc->uptime_ms = now_ms > start_ms ? now_ms - start_ms : 0;
	return 0;
}

void sl_proc_exe(int pid, char path[SL_PROC_PATH_BYTES])
{
	char link[64];
	(void)snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	ssize_t n = readlink(link, path, SL_PROC_PATH_BYTES - 1);
	path[n > 0 ? n : 0] = 0;
}

int sl_proc_read(int pid, struct sl_proc *proc)
{
	char path[SL_PROC_PATH_BYTES];
	*proc = (struct sl_proc){.pid = pid};
	int error = read_status(proc);
	if (!error)
		error = read_stat(proc);
	if (error)
		return error;
	sl_proc_exe(pid, path);
	if (path[0])
		(void)snprintf(proc->name, sizeof(proc->name), "%.127s", sl_file_name_of(path));
	return 0;
}

static bool is_there(int pid)
{
	struct sl_proc now = {.pid = pid};
	return read_stat(&now) == 0;
}

bool sl_proc_is_same(const struct sl_proc *proc)
{
	struct sl_proc now = {.pid = proc->pid};
	return read_stat(&now) == 0 && now.start_ticks == proc->start_ticks;
}

int sl_proc_has_object(int pid, const char *name, char path[SL_PROC_PATH_BYTES])
{
	size_t n, length = strlen(name);
	char *maps = sl_proc_file(pid, "maps", &n);
	if (!maps)
		return errno == EACCES || errno == EPERM ? -EACCES : -ESRCH;
	/* Of a thread of the kernel they are empty too. */
	int found = n == 0 && !is_there(pid) ? -ESRCH : 0;
	for (char *line = maps; line && *line && !found;) {
		char *end = strchr(line, '\n');
		if (end)
			*end = 0;
		char *begin = strchr(line, '/');
		char *file = begin ? strrchr(begin, '/') + 1 : NULL;
		/* " (deleted)" stands behind a file that an upgrade has replaced; of a library's name
		 * the file has often more: libunwind.so.8 is libunwind.so.8.0.1. */
		if (file && strncmp(file, name, length) == 0 &&
		    (!file[length] || file[length] == ' ' ||
		     (file[length] == '.' && isdigit((unsigned char)file[length + 1])))) {
			found = 1;
			if (path)
				(void)snprintf(path, SL_PROC_PATH_BYTES, "%s", begin);
		}
		line = end ? end + 1 : NULL;
	}
	free(maps);
	return found;
}

void sl_proc_inner_path(int pid, char path[SL_PROC_PATH_BYTES])
{
	static const char mark[] = " (deleted)";
	char link[64], root[SL_PROC_PATH_BYTES];
	size_t length = strlen(path);
	if (length > sizeof(mark) - 1 && strcmp(path + length - sizeof(mark) + 1, mark) == 0)
		path[length - sizeof(mark) + 1] = 0;
	(void)snprintf(link, sizeof(link), "/proc/%d/root", pid);
	ssize_t n = readlink(link, root, sizeof(root) - 1);
	if (n <= 1 || strncmp(path, root, (size_t)n) != 0 || path[n] != '/')
		return;
	memmove(path, path + n, strlen(path + n) + 1);
}

void sl_proc_status_word(int pid, const char *name, char *text, size_t n)
{
	size_t length;
	char *status = sl_proc_file(pid, "status", &length);
	const char *value = status ? sl_proc_status_value(status, name) : NULL;
	(void)snprintf(text, n, "%.*s", value ? (int)strcspn(value, "\n") : 0, value ? value : "");
	free(status);
}

long sl_proc_fds_left(int pid)
{
	static const char label[] = "Max open files";
	size_t n;
	char path[64], *end = NULL;
	char *limits = sl_proc_file(pid, "limits", &n);
	const char *at = limits ? strstr(limits, label) : NULL;
	const long limit = at ? strtol(at + sizeof(label) - 1, &end, 10) : -1;
	long left = limit;
	const bool is_limited = at && end != at + sizeof(label) - 1; /* "unlimited" is no number */
	free(limits);
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *fds = opendir(path);
	if (!fds || !is_limited) {
		if (fds)
			(void)closedir(fds);
		return -1;
	}
	for (const struct dirent *entry; (entry = readdir(fds));)
		left -= entry->d_name[0] != '.' && strtol(entry->d_name, NULL, 10) < limit;
	(void)closedir(fds);
	return left > 0 ? left : 0;
}

static bool thread_is(int pid, const char *tid, const char *name)
{
	size_t n;
	char path[64];
	(void)snprintf(path, sizeof(path), "task/%.16s/comm", tid);
	char *comm = sl_proc_file(pid, path, &n);
	const bool is_it = comm && strncmp(comm, name, strlen(name)) == 0;
	free(comm);
	return is_it;
}

bool sl_proc_has_thread(int pid, const char *name)
{
	char path[64];
	bool is_found = false;
	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *tasks = opendir(path);
	for (struct dirent *entry; tasks && !is_found && (entry = readdir(tasks));)
		is_found = thread_is(pid, entry->d_name, name);
	if (tasks)
		(void)closedir(tasks);
	return is_found;
}

char *sl_proc_variable(int pid, const char *name)
{
	size_t n, length = strlen(name);
	char *all = sl_proc_file(pid, "environ", &n);
	char *value = NULL;
	for (size_t at = 0; all && at < n && !value; at += strlen(all + at) + 1)
		if (strncmp(all + at, name, length) == 0 && all[at + length] == '=')
			value = strdup(all + at + length + 1);
	free(all);
	return value;
}

void sl_proc_each(sl_proc_each_fn *each, void *context)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;
	int pid;
	bool goes_on = true;
	while (directory && goes_on && (entry = readdir(directory)))
		if (sl_args_read_pid(entry->d_name, &pid))
			goes_on = each(context, pid);
	if (directory)
		(void)closedir(directory);
}

static int refuse_ended(int pid)
{
	char state[32], count[16];
	sl_proc_status_word(pid, "State", state, sizeof(state));
	sl_proc_status_word(pid, "Threads", count, sizeof(count));
	if (state[0] == 'Z' && strtol(count, NULL, 10) > 1)
		return sl_say(SL_EXIT_NO_LIBRARY,
		              "process %d: its first thread has ended while others run, and /proc "
		              "shows nothing of such a process",
		              pid);
	if (state[0] == 'Z')
		return sl_say(SL_EXIT_NO_PROCESS,
		              "process %d has ended, and is a zombie until its parent waits for it",
		              pid);
	return sl_say(SL_EXIT_NO_PROCESS, "no process %d", pid);
}

int sl_proc_refuse(int pid, int error, const char *verb)
{
	if (error == -ESRCH)
		return refuse_ended(pid);
	if (geteuid() == 0)
		return sl_say(SL_EXIT_DENIED,
		              "process %d: not permitted even to root here: from the host this "
		              "would be: sockleak %s",
		              pid, verb);
	return sl_say(SL_EXIT_DENIED, "process %d: not permitted; this would be: sudo sockleak %s",
	              pid, verb);
}
