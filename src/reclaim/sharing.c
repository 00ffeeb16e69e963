#include "reclaim/sharing.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "base/clerk.h"
#include "base/out.h"
#include "base/sys.h"

#include "base/poison.h"

#define SL_SHARING_MOST_FDS 1000000u /* of all processes together: beyond, sharing is not known */

/* What the kernel keeps of a registration that EPOLLONESHOT has switched off (EP_PRIVATE_BITS, fs/eventpoll.c). */
#define SL_EPOLL_PRIVATE (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

struct directory_entry { /* struct linux_dirent64, getdents64(2) */
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

static struct sl_shared *slot_of(struct sl_sharing *sharing, uint64_t inode)
{
	uint64_t at = inode * 0x9e3779b97f4a7c15ULL >> 20;
	while (sharing->slots[at & sharing->mask].inode &&
	       sharing->slots[at & sharing->mask].inode != inode)
		at++;
	return &sharing->slots[at & sharing->mask];
}

/* NULL: nobody asked about it. */
static struct sl_shared *asked_about(struct sl_sharing *sharing, uint64_t inode)
{
	struct sl_shared *found = inode ? slot_of(sharing, inode) : NULL;
	return found && found->inode ? found : NULL;
}

bool sl_sharing_begin(struct sl_sharing *sharing, struct sl_arena *arena, uint32_t count)
{
	uint32_t places = 64;
	memset(sharing, 0, sizeof(*sharing));
	while (places < count * 2)
		places *= 2;
	sharing->slots = sl_arena_alloc(arena, places * sizeof(*sharing->slots));
	sharing->mask = places - 1;
	return sharing->slots != NULL;
}

void sl_sharing_ask(struct sl_sharing *sharing, uint64_t inode)
{
	if (inode)
		slot_of(sharing, inode)->inode = inode;
}

static bool is_number(const char *name)
{
	return *name >= '0' && *name <= '9';
}

static uint64_t number_at(const char *text)
{
	uint64_t number = 0;
	for (; *text >= '0' && *text <= '9'; text++)
		number = number * 10 + (uint64_t)(*text - '0');
	return number;
}

/* Calls `each` for every entry of the directory whose name is a number; stops where it says false. */
typedef bool each_entry_fn(void *context, int directory, const char *name);
static void for_each_number(int directory, each_entry_fn *each, void *context)
{
	char bytes[4096] __attribute__((aligned(8)));
	long got;
	while ((got = SL_SYS3(SYS_getdents64, directory, bytes, sizeof(bytes))) > 0)
		for (long at = 0; at < got;) {
			const struct directory_entry *entry = (const void *)(bytes + at);
			at += entry->length;
			if (is_number(entry->name) && !each(context, directory, entry->name))
				return;
		}
}

/* Where it leads. -errno: then it is "". */
static long read_link(int directory, const char *name, char *link, size_t room)
{
	long n = SL_SYS4(SYS_readlinkat, directory, name, link, room - 1);
	link[n > 0 ? n : 0] = 0;
	return n;
}

/* The inode behind "socket:[1234]"; 0: something else. */
static uint64_t socket_inode(const char *link)
{
	return strncmp(link, "socket:[", 8) == 0 ? number_at(link + 8) : 0;
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
	uint64_t own_start;
	unsigned own_uid;
	char own_name[32];
	int epoll_set; /* the one that is being read */
};

static bool read_fd(void *context, int directory, const char *name)
{
	struct reading *reading = context;
	char link[64];
	/* To follow them takes more than to list them: a process may have more rights than we (ptrace(2), access mode). */
	reading->is_denied |= read_link(directory, name, link, sizeof(link)) == -EACCES;
	struct sl_shared *shared = asked_about(reading->sharing, socket_inode(link));
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
	return file.st_uid == reading->own_uid || (int)number_at(pid) == reading->parent_pid;
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
	return (int)SL_SYS4(SYS_openat, directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

/* The fds of a process below /proc, or of a thread below its task/. How many there are; -errno. */
static long read_fds(struct reading *reading, int directory, const char *id)
{
	uint32_t before = reading->fds;
	int fd = open_of(directory, id, "/fd");
	reading->is_denied = false;
	if (fd < 0)
		return fd;
	for_each_number(fd, read_fd, reading);
	(void)sl_sys_close(fd);
	return reading->fds - before;
}

/* Threads of one process have the same fds, or, where they have ended, none. */
static bool read_thread(void *context, int tasks, const char *tid)
{
	struct reading *reading = context;
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
		for_each_number(fd, read_thread, reading);
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
	if (effective && number_at(effective + 1) == reading->own_uid)
		return true;
	return (int)number_at(pid) == reading->parent_pid && has_our_name(reading, proc, pid);
}

/* When it was started, in ticks since boot: the 22nd field, the 20th behind the name (proc(5)). 0: not known. */
static uint64_t start_of(int proc, const char *pid)
{
	char stat[1024];
	(void)read_of_process(proc, pid, "stat", stat, sizeof(stat));
	const char *at = strrchr(stat, ')');
	for (int field = 0; at && field < 20; field++)
		at = strchr(at + 1, ' ');
	return at ? number_at(at + 1) : 0;
}

/* One that is older than this process was not forked from it: it can only have what came from there. */
static void note_unknown(struct reading *reading, int proc, const char *pid)
{
	uint64_t start = start_of(proc, pid);
	if (start > 0 && start < reading->own_start)
		reading->sharing->is_older_unknown = true;
	else
		reading->sharing->is_unknown = true;
}

static bool read_process(void *context, int proc, const char *pid)
{
	struct reading *reading = context;
	reading->has_met_parent |= (int)number_at(pid) == reading->parent_pid;
	if ((int)number_at(pid) == reading->own_pid) {
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

bool sl_sharing_parse_epoll(const char *line, uint64_t *inode, uint32_t *events)
{
	const char *mask = strstr(line, "events:");
	const char *target = strstr(line, "ino:");
	if (strncmp(line, "tfd:", 4) != 0 || !mask || !target)
		return false;
	uint64_t values[2] = {0, 0};
	const char *at[2] = {mask + 7, target + 4};
	for (int i = 0; i < 2; i++) {
		at[i] += strspn(at[i], " ");
		for (const char *c = at[i];; c++) {
			int digit = *c >= '0' && *c <= '9'   ? *c - '0'
			            : *c >= 'a' && *c <= 'f' ? *c - 'a' + 10
			                                     : -1;
			if (digit < 0)
				break;
			values[i] = values[i] << 4 | (unsigned)digit;
		}
	}
	*events = (uint32_t)values[0];
	*inode = values[1];
	return true;
}

static void read_epoll_line(struct reading *reading, const char *line)
{
	uint64_t inode;
	uint32_t events;
	struct sl_shared *shared;
	if (!sl_sharing_parse_epoll(line, &inode, &events) ||
	    !(shared = asked_about(reading->sharing, inode)))
		return;
	shared->is_in_epoll = true;
	shared->is_level_triggered |= !(events & EPOLLET) && (events & ~(uint32_t)SL_EPOLL_PRIVATE);
	if (shared->registrations < SL_REGISTRATIONS)
		shared->in[shared->registrations++] = (struct sl_registration){
			.set = reading->epoll_set,
			.fd = (int)number_at(line + 4 + strspn(line + 4, " ")),
		};
}

/* One epoll set: its fdinfo, line by line. */
static void read_epoll_set(struct reading *reading, const char *name)
{
	char path[80], bytes[4096], line[256];
	struct sl_out out;
	size_t length = 0;
	long got;
	sl_out_init(&out, path, sizeof(path) - 1, NULL, NULL);
	sl_out_text(&out, reading->sharing->task);
	sl_out_text(&out, "/fdinfo/");
	sl_out_text(&out, name);
	path[out.length] = 0;
	int fd = sl_sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0) {
		reading->sharing->is_epoll_unknown |= fd != -ENOENT;
		return;
	}
	while ((got = sl_sys_read(fd, bytes, sizeof(bytes))) > 0)
		for (long i = 0; i < got; i++) {
			if (bytes[i] != '\n') {
				if (length < sizeof(line) - 1)
					line[length++] = bytes[i];
				continue;
			}
			line[length] = 0;
			length = 0;
			read_epoll_line(reading, line);
		}
	(void)sl_sys_close(fd);
}

static bool read_own_fd(void *context, int directory, const char *name)
{
	char link[64];
	struct reading *reading = context;
	(void)read_link(directory, name, link, sizeof(link));
	reading->epoll_set = (int)number_at(name);
	if (strcmp(link, "anon_inode:[eventpoll]") == 0)
		read_epoll_set(reading, name);
	return true;
}

static int open_directory(const char *path)
{
	return sl_sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

static void read_own_sets(struct reading *reading)
{
	char path[80];
	struct sl_out out;
	sl_out_init(&out, path, sizeof(path) - 1, NULL, NULL);
	sl_out_text(&out, reading->sharing->task);
	sl_out_text(&out, "/fd");
	path[out.length] = 0;
	int own = open_directory(path);
	reading->sharing->is_epoll_unknown |= own < 0;
	if (own < 0)
		return;
	for_each_number(own, read_own_fd, reading);
	(void)sl_sys_close(own);
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
	int proc = open_directory("/proc");
	sharing->is_unknown |= proc < 0;
	if (proc >= 0) {
		long n = SL_SYS4(SYS_readlinkat, proc, "self", self, sizeof(self) - 1);
		self[n > 0 ? n : 0] = 0;
		reading.own_pid = (int)number_at(self);
		(void)read_of_process(proc, "self", "comm", reading.own_name,
		                      sizeof(reading.own_name));
		reading.own_start = start_of(proc, "self");
		for_each_number(proc, read_process, &reading);
		(void)sl_sys_close(proc);
	}
	/* Where not even this process shows, /proc is not what it should be (a chroot). */
	sharing->is_unknown |= !reading.has_met_itself;
	/* Hidden, or in another pid namespace (getppid(2)). */
	sharing->is_older_unknown |= !reading.has_met_parent;
	read_own_sets(&reading);
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

uint64_t sl_sharing_inode(int fd)
{
	struct stat file;
	return SL_SYS2(SYS_fstat, fd, &file) < 0 || !S_ISSOCK(file.st_mode) ? 0 : file.st_ino;
}

/* What is not known is taken for the worse. */
enum sl_sharing_answer sl_sharing_of(struct sl_sharing *sharing, uint64_t inode)
{
	const struct sl_shared *shared = asked_about(sharing, inode);
	if (shared && shared->is_elsewhere)
		return SL_SHARING_SHARED;
	return !shared || sharing->is_unknown ? SL_SHARING_UNKNOWN : SL_SHARING_NONE;
}

const struct sl_shared *sl_sharing_get(struct sl_sharing *of, uint64_t inode)
{
	return asked_about(of, inode);
}

bool sl_sharing_is_in_epoll(struct sl_sharing *sharing, uint64_t inode)
{
	const struct sl_shared *shared = asked_about(sharing, inode);
	return !shared || sharing->is_epoll_unknown || shared->is_in_epoll;
}

bool sl_sharing_is_level_triggered(struct sl_sharing *sharing, uint64_t inode)
{
	const struct sl_shared *shared = asked_about(sharing, inode);
	return !shared || sharing->is_epoll_unknown || shared->is_level_triggered;
}
