/* sharing_read.c - see sharing.h: all of /proc, read by the clerk: who else has the sockets that were asked about. */
#include "reclaim/sharing.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clerk.h"
#include "base/directory.h"
#include "base/out.h"
#include "base/sys.h"
#include "reclaim/sharing_epoll.h"

#include "base/poison.h"

#define SL_SHARING_MOST_FDS 1000000u /* of all processes together: beyond, sharing is not known */

/* The inode behind "socket:[1234]"; 0: something else. */
static uint64_t socket_inode(const char *link)
{
	return strncmp(link, "socket:[", 8) == 0 ? (uint64_t)sl_directory_number(link + 8) : 0;
}

struct reading {
	struct sl_sharing *sharing;
	uint32_t fds;
	bool is_denied; /* where the fds of this process lead could not be read */
	bool is_hidden; /* the fds of a thread of it */
	int own_pid;    /* as this /proc counts: its pid namespace may be another */
	int parent_pid;
	bool has_met_itself;
	bool has_met_parent;
	int64_t own_start;
	unsigned own_uid;
	char own_name[32];
};

static bool read_fd(void *context, int directory, const char *name)
{
	struct reading *reading = context;
	char link[64];
	if (sl_directory_number(name) < 0)
		return true;
	/* To follow them takes more than to list them: a process may have more rights than we (ptrace(2), access mode). */
	reading->is_denied |= sl_directory_link(directory, name, link, sizeof(link)) == -EACCES;
	struct sl_shared *shared = sl_sharing_get(reading->sharing, socket_inode(link));
	if (shared)
		shared->is_elsewhere = true;
	if (++reading->fds <= SL_SHARING_MOST_FDS)
		return true;
	reading->sharing->is_unknown = true;
	return false;
}

/* PID/NAME, below /proc. */
static long read_of_process(int proc, const char *pid, const char *name, char *text, size_t n)
{
	char path[64];
	struct sl_out out;
	sl_out_init(&out, path, sizeof(path) - 1, NULL, NULL);
	sl_out_text(&out, pid);
	sl_out_char(&out, '/');
	sl_out_text(&out, name);
	path[out.length] = 0;
	int fd = (int)SL_SYS4(SYS_openat, proc, path, O_RDONLY | O_CLOEXEC, 0);
	long got = fd < 0 ? fd : sl_sys_read(fd, text, n - 1);
	if (fd >= 0)
		(void)sl_sys_close(fd);
	text[got > 0 ? got : 0] = 0;
	return got;
}

/* Forked, not exec'ed, or so it seems. */
static bool has_our_name(const struct reading *reading, int proc, const char *pid)
{
	char name[32];
	return read_of_process(proc, pid, "comm", name, sizeof(name)) > 0 &&
	       strcmp(name, reading->own_name) == 0;
}

/* Its directory belongs to its user, or to root where it hides from its user. */
static bool is_owner(const struct reading *reading, int proc, const char *pid)
{
	struct stat file;
	if (SL_SYS4(SYS_newfstatat, proc, pid, &file, 0) < 0)
		return false;
	return file.st_uid == reading->own_uid || sl_directory_number(pid) == reading->parent_pid;
}

/* A folder of a process or thread. -errno. */
static int open_of(int directory, const char *id, const char *name)
{
	char path[32];
	struct sl_out out;
	sl_out_init(&out, path, sizeof(path) - 1, NULL, NULL);
	sl_out_text(&out, id);
	sl_out_text(&out, name);
	path[out.length] = 0;
	return sl_directory_open(directory, path);
}

/* The fds of a process below /proc, or of a thread below its task/. How many there are; -errno. */
static long read_fds(struct reading *reading, int directory, const char *id)
{
	uint32_t before = reading->fds;
	int fd = open_of(directory, id, "/fd");
	reading->is_denied = false;
	if (fd < 0)
		return fd;
	(void)sl_directory_each(fd, read_fd, reading);
	(void)sl_sys_close(fd);
	return reading->fds - before;
}

/* Threads of one process have the same fds, or, where they have ended, none. */
static bool read_thread(void *context, int tasks, const char *tid)
{
	struct reading *reading = context;
	if (sl_directory_number(tid) < 0)
		return true;
	long listed = read_fds(reading, tasks, tid);
	reading->is_hidden |= listed < 0 && listed != -ENOENT && listed != -ESRCH;
	return listed <= 0;
}

/* A process whose first thread has ended: the others have the fds still, or are about to end as well. */
static bool read_other_threads(struct reading *reading, int proc, const char *pid)
{
	int fd = open_of(proc, pid, "/task");
	reading->is_hidden = fd < 0 && fd != -ENOENT && fd != -ESRCH;
	if (fd >= 0) {
		(void)sl_directory_each(fd, read_thread, reading);
		(void)sl_sys_close(fd);
	}
	return !reading->is_hidden;
}

/* A process of which no fd was listed: may it share ours? One of the same user may, and a parent of the same name, who forked
 * us before we gave up its rights. Another user's is taken not to: it could not have been forked from here and be hidden. Nor
 * does one that has ended and waits for its parent. */
static bool may_share(struct reading *reading, int proc, const char *pid, bool is_empty)
{
	char status[2048];
	long got = read_of_process(proc, pid, "status", status, sizeof(status));
	if (got <= 0) /* hidden from us (hidepid=), if it is there at all */
		return got != -ENOENT && got != -ESRCH && got != 0 && is_owner(reading, proc, pid);
	bool is_headless = !strstr(status, "\nVmSize:");
	if (is_headless ? strstr(status, "\nThreads:\t1\n") != NULL : is_empty)
		return false;
	if (is_headless && read_other_threads(reading, proc, pid))
		return false;
	const char *line = strstr(status, "\nUid:\t");
	const char *effective = line ? strchr(line + 6, '\t') : NULL;
	if (effective && sl_directory_number(effective + 1) == reading->own_uid)
		return true;
	return sl_directory_number(pid) == reading->parent_pid && has_our_name(reading, proc, pid);
}

/* When it was started, in ticks since boot: the 22nd field, the 20th behind the name (proc(5)). -1: not known. */
static int64_t start_of(int proc, const char *pid)
{
	char stat[1024];
	(void)read_of_process(proc, pid, "stat", stat, sizeof(stat));
	const char *at = strrchr(stat, ')');
	for (int field = 0; at && field < 20; field++)
		at = strchr(at + 1, ' ');
	return at ? sl_directory_number(at + 1) : -1;
}

/* One that is older than this process was not forked from it: it can only have what came from there. */
static void note_unknown(struct reading *reading, int proc, const char *pid)
{
	int64_t start = start_of(proc, pid);
	if (start > 0 && start < reading->own_start)
		reading->sharing->is_older_unknown = true;
	else
		reading->sharing->is_unknown = true;
}

static bool read_process(void *context, int proc, const char *pid)
{
	struct reading *reading = context;
	const int64_t number = sl_directory_number(pid);
	if (number < 0)
		return true;
	reading->has_met_parent |= number == reading->parent_pid;
	if (number == reading->own_pid) {
		reading->has_met_itself = true;
		return true;
	}
	long listed = read_fds(reading, proc, pid);
	bool is_hidden = listed == 0 || (listed < 0 && listed != -ENOENT);
	if ((is_hidden && may_share(reading, proc, pid, listed == 0)) ||
	    (reading->is_denied && has_our_name(reading, proc, pid)))
		note_unknown(reading, proc, pid);
	return reading->fds <= SL_SHARING_MOST_FDS;
}

static uint64_t processor_time_us(void)
{
	struct timespec used = {0};
	(void)SL_SYS2(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000u + (uint64_t)used.tv_nsec / 1000u;
}

/* On the clerk. */
static void read_all(void *context)
{
	struct sl_sharing *sharing = context;
	struct reading reading = {
		.sharing = sharing,
		.parent_pid = (int)SL_SYS0(SYS_getppid),
		.own_uid = (unsigned)SL_SYS0(SYS_geteuid),
	};
	char self[32];
	uint64_t begin_us = processor_time_us();
	int proc = sl_directory_open(AT_FDCWD, "/proc");
	sharing->is_unknown |= proc < 0;
	if (proc >= 0) {
		(void)sl_directory_link(proc, "self", self, sizeof(self));
		reading.own_pid = (int)sl_directory_number(self);
		(void)read_of_process(proc, "self", "comm", reading.own_name,
		                      sizeof(reading.own_name));
		reading.own_start = start_of(proc, "self");
		(void)sl_directory_each(proc, read_process, &reading);
		(void)sl_sys_close(proc);
	}
	/* Where not even this process shows, /proc is not what it should be (a chroot). */
	sharing->is_unknown |= !reading.has_met_itself;
	/* Hidden, or in another pid namespace (getppid(2)). */
	sharing->is_older_unknown |= !reading.has_met_parent;
	sl_sharing_read_epoll(sharing);
	sharing->cost_us = processor_time_us() - begin_us;
}

bool sl_sharing_read(struct sl_sharing *sharing, uint64_t wait_ms)
{
	struct sl_out out;
	bool is_begun = false;
	if (sl_clerk_is_asked())
		return false;
	/* This thread's table is the program's; the clerk's own is another. */
	sl_out_init(&out, sharing->task, sizeof(sharing->task) - 1, NULL, NULL);
	sl_out_text(&out, "/proc/self/task/");
	sl_out_unsigned(&out, (uint64_t)sl_sys_gettid());
	sharing->task[out.length] = 0;
	bool is_done = sl_clerk_ask(read_all, sharing, wait_ms, &is_begun);
	sharing->is_abandoned = is_begun && !is_done;
	return is_done;
}
