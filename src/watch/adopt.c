#include "watch/adopt.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include "base/ownfd.h"
#include "base/sys.h"
#include "ledger/fdtable.h"
#include "ledger/sites.h"
#include "watch/kernel.h"

#include "base/poison.h"

struct directory_entry { /* struct linux_dirent64, getdents64(2) */
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

#define SL_SETTLE_NS 1000000

/* Sockets that nobody recorded, until they are looked at again. */
#define SL_CANDIDATES 256

struct candidate {
	int fd;
	enum sl_kind kind;
	uint64_t cookie;
};

struct scan {
	uint64_t now_ms;
	bool is_alone; /* no other thread can be about to record what is found */
	int tcp_found;
	unsigned count;
	struct candidate candidates[SL_CANDIDATES];
};

/* The worker's: /proc/self/fd, and what tells whether it still is. */
static int directory = -1;
static ino_t directory_inode;
static dev_t directory_device;

static uint32_t flags_of(int fd, enum sl_kind kind)
{
	struct sl_kernel_tcp tcp;
	if (kind != SL_KIND_TCP || sl_kernel_tcp(fd, &tcp) < 0)
		return SL_FD_ADOPTED;
	if (tcp.state == TCP_LISTEN)
		return SL_FD_ADOPTED | SL_FD_LISTENING;
	if (tcp.state == TCP_SYN_SENT)
		return SL_FD_ADOPTED | SL_FD_OUT | SL_FD_CONNECTING;
	return SL_FD_ADOPTED |
	       (tcp.state != TCP_CLOSE || tcp.was_established ? SL_FD_CONNECTED : 0);
}

static bool is_recorded(int fd)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	return slot && sl_fd_state_of(atomic_load(&slot->head)) != SL_FD_FREE;
}

/* An earlier candidate that is the same socket under another number; NULL: none. */
static const struct candidate *twin_of(const struct scan *scan, const struct candidate *of)
{
	for (const struct candidate *c = scan->candidates; of->cookie && c < of; c++)
		if (c->cookie == of->cookie)
			return c;
	return NULL;
}

static void adopt(struct scan *scan, const struct candidate *found)
{
	const struct candidate *twin = twin_of(scan, found);
	if (twin && sl_fdtable_dup(twin->fd, found->fd))
		return;
	struct sl_fd_opening opening = {
		.kind = found->kind,
		.flags = flags_of(found->fd, found->kind),
		.site = SL_SITE_ADOPTED,
		.opened_at_ms = scan->now_ms,
	};
	if (!sl_fdtable_adopt(found->fd, &opening) || found->kind != SL_KIND_TCP)
		return;
	sl_site_count_opened(SL_SITE_ADOPTED, 0);
	scan->tcp_found++;
}

/* Adopt those that are still not recorded: between a hook's real call and its record lie a few instructions. */
static void settle(struct scan *scan)
{
	static const _Atomic uint32_t never;
	if (scan->count > 0 && !scan->is_alone)
		sl_sys_futex_wait(&never, 0, SL_SETTLE_NS);
	for (unsigned i = 0; i < scan->count; i++) {
		const struct candidate *found = &scan->candidates[i];
		if (is_recorded(found->fd) || sl_kernel_cookie(found->fd) != found->cookie)
			continue;
		sl_fdtable_prepare();
		adopt(scan, found);
	}
	scan->count = 0;
}

static void look_at(struct scan *scan, int fd)
{
	if (is_recorded(fd))
		return;
	enum sl_kind kind = sl_kernel_kind(fd);
	if (kind == SL_KIND_NONE)
		return;
	scan->candidates[scan->count++] = (struct candidate){fd, kind, sl_kernel_cookie(fd)};
	if (scan->count == SL_CANDIDATES)
		settle(scan);
}

static int number_of(const char *name)
{
	int number = 0;
	if (*name < '0' || *name > '9')
		return -1;
	for (; *name >= '0' && *name <= '9'; name++)
		number = number * 10 + (*name - '0');
	return number;
}

/* Lists the directory, adopts what is new. Returns how many fds there are. */
static int64_t list(int listed, struct scan *scan)
{
	char bytes[4096] __attribute__((aligned(8)));
	int64_t fds = 0;
	long got;
	(void)SL_SYS3(SYS_lseek, listed, 0, 0);
	while ((got = SL_SYS3(SYS_getdents64, listed, bytes, sizeof(bytes))) > 0) {
		for (long at = 0; at < got;) {
			const struct directory_entry *entry = (const void *)(bytes + at);
			int fd = number_of(entry->name);
			at += entry->length;
			if (fd < 0 || fd == listed || sl_ownfd_is(fd))
				continue;
			fds++;
			look_at(scan, fd);
		}
	}
	settle(scan);
	return got < 0 ? got : fds;
}

static int open_directory(void)
{
	return sl_ownfd_open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

static void remember_directory(void)
{
	struct stat file;
	if (directory < 0 || SL_SYS2(SYS_fstat, directory, &file) < 0)
		return;
	directory_device = file.st_dev;
	directory_inode = file.st_ino;
}

/* The program may have closed it past the hooks, and something of its own may be there now. */
static bool is_directory_ours(void)
{
	struct stat file;
	if (directory < 0 || !sl_ownfd_is(directory))
		return false;
	if (SL_SYS2(SYS_fstat, directory, &file) == 0 && file.st_dev == directory_device &&
	    file.st_ino == directory_inode)
		return true;
	sl_ownfd_yield(directory);
	return false;
}

int64_t sl_adopt_scan(uint64_t now_ms)
{
	struct scan scan = {.now_ms = now_ms};
	if (!is_directory_ours()) {
		int fd = open_directory();
		directory = fd < 0 ? fd : sl_ownfd_take(fd);
		remember_directory();
	}
	return directory < 0 ? directory : list(directory, &scan);
}

int sl_adopt_at_start(uint64_t now_ms)
{
	struct scan scan = {.now_ms = now_ms, .is_alone = true};
	int fd = open_directory();
	if (fd < 0)
		return 0;
	(void)list(fd, &scan);
	(void)sl_sys_close(fd);
	return scan.tcp_found;
}

void sl_adopt_forked(void)
{
	if (directory >= 0)
		sl_ownfd_close(directory);
	directory = -1;
}
