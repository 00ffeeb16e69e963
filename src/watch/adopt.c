#include "watch/adopt.h"

#include <errno.h>
#include <netinet/tcp.h>

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

static int directory = -1; /* the worker's: /proc/self/fd */

static uint32_t flags_of(int fd, enum sl_kind kind)
{
	struct sl_kernel_tcp tcp;
	if (kind != SL_KIND_TCP || sl_kernel_tcp(fd, &tcp) < 0)
		return SL_FD_ADOPTED;
	if (tcp.state == TCP_LISTEN)
		return SL_FD_ADOPTED | SL_FD_LISTENING;
	bool was_connected = tcp.state != TCP_CLOSE && tcp.state != TCP_SYN_SENT;
	return SL_FD_ADOPTED | (was_connected ? SL_FD_CONNECTED : 0);
}

/* True: it was a TCP socket, and new. */
static bool adopt(int fd, uint64_t now_ms)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	if (slot && sl_fd_state_of(atomic_load(&slot->head)) != SL_FD_FREE)
		return false;
	enum sl_kind kind = sl_kernel_kind(fd);
	if (kind == SL_KIND_NONE)
		return false;
	struct sl_fd_opening opening = {
	    .kind = kind,
	    .flags = flags_of(fd, kind),
	    .site = SL_SITE_ADOPTED,
	    .opened_at_ms = now_ms,
	};
	sl_fdtable_prepare();
	if (!sl_fdtable_adopt(fd, &opening) || kind != SL_KIND_TCP)
		return false;
	sl_site_count_opened(SL_SITE_ADOPTED, 0);
	return true;
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

/* Lists the directory; counts the fds, and of the adopted ones the TCP sockets. */
static int64_t scan(int listed, uint64_t now_ms, int *tcp_found)
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
			*tcp_found += adopt(fd, now_ms);
		}
	}
	return got < 0 ? got : fds;
}

static int open_directory(void)
{
	return sl_ownfd_open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

int64_t sl_adopt_scan(uint64_t now_ms)
{
	int tcp_found = 0;
	if (directory < 0 || !sl_ownfd_is(directory)) {
		int fd = open_directory();
		directory = fd < 0 ? fd : sl_ownfd_take(fd);
	}
	return directory < 0 ? directory : scan(directory, now_ms, &tcp_found);
}

int sl_adopt_at_start(uint64_t now_ms)
{
	int tcp_found = 0;
	int fd = open_directory();
	if (fd < 0)
		return 0;
	(void)scan(fd, now_ms, &tcp_found);
	(void)sl_sys_close(fd);
	return tcp_found;
}

void sl_adopt_forked(void)
{
	if (directory >= 0)
		sl_ownfd_close(directory);
	directory = -1;
}
