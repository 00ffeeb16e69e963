#include "reclaim/sharing_epoll.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/directory.h"
#include "base/out.h"
#include "base/sys.h"

#include "base/poison.h"

/* What the kernel keeps of a registration that EPOLLONESHOT has switched off (EP_PRIVATE_BITS, fs/eventpoll.c). */
#define SL_EPOLL_PRIVATE (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

struct reading {
	struct sl_sharing *sharing;
	int set; /* the one that is being read */
};

/* A file or folder of the thread that has the program's fds. */
static void path_of(const struct sl_sharing *sharing, const char *folder, const char *name,
                    char *path, size_t n)
{
	struct sl_out out;
	sl_out_init(&out, path, n - 1, NULL, NULL);
	sl_out_text(&out, sharing->task);
	sl_out_text(&out, folder);
	sl_out_text(&out, name);
	path[out.length] = 0;
}

/* The hexadecimal number behind `at`, and spaces. */
static uint64_t hex_at(const char *at)
{
	uint64_t value = 0;
	for (at += strspn(at, " ");; at++) {
		int digit = *at >= '0' && *at <= '9'   ? *at - '0'
		            : *at >= 'a' && *at <= 'f' ? *at - 'a' + 10
		                                       : -1;
		if (digit < 0)
			return value;
		value = value << 4 | (unsigned)digit;
	}
}

bool sl_sharing_parse_epoll(const char *line, uint64_t *inode, uint32_t *events)
{
	const char *mask = strstr(line, "events:");
	const char *target = strstr(line, "ino:");
	if (strncmp(line, "tfd:", 4) != 0 || !mask || !target)
		return false;
	*events = (uint32_t)hex_at(mask + 7);
	*inode = hex_at(target + 4);
	return true;
}

static void read_line(const struct reading *reading, const char *line)
{
	uint64_t inode;
	uint32_t events;
	struct sl_shared *shared;
	if (!sl_sharing_parse_epoll(line, &inode, &events) ||
	    !(shared = sl_sharing_get(reading->sharing, inode)))
		return;
	shared->is_in_epoll = true;
	shared->is_level_triggered |= !(events & EPOLLET) && (events & ~(uint32_t)SL_EPOLL_PRIVATE);
	if (shared->registrations < SL_REGISTRATIONS)
		shared->in[shared->registrations++] = (struct sl_registration){
			.set = reading->set,
			.fd = (int)sl_directory_number(line + 4 + strspn(line + 4, " ")),
		};
}

/* One epoll set: its fdinfo, line by line. */
static void read_set(struct reading *reading, const char *name)
{
	char path[80], bytes[4096], line[256];
	size_t length = 0;
	long got;
	path_of(reading->sharing, "/fdinfo/", name, path, sizeof(path));
	int fd = sl_sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0) {
		reading->sharing->is_epoll_unknown |= fd != -ENOENT;
		return;
	}
	reading->set = (int)sl_directory_number(name);
	while ((got = sl_sys_read(fd, bytes, sizeof(bytes))) > 0)
		for (long i = 0; i < got; i++) {
			if (bytes[i] != '\n') {
				if (length < sizeof(line) - 1)
					line[length++] = bytes[i];
				continue;
			}
			line[length] = 0;
			length = 0;
			read_line(reading, line);
		}
	(void)sl_sys_close(fd);
}

static bool read_fd(void *context, int directory, const char *name)
{
	struct reading *reading = context;
	char link[64];
	if (sl_directory_number(name) < 0)
		return true;
	(void)sl_directory_link(directory, name, link, sizeof(link));
	if (strcmp(link, "anon_inode:[eventpoll]") == 0)
		read_set(reading, name);
	return true;
}

void sl_sharing_read_epoll(struct sl_sharing *sharing)
{
	struct reading reading = {.sharing = sharing};
	char path[80];
	path_of(sharing, "/fd", "", path, sizeof(path));
	int fds = sl_directory_open(AT_FDCWD, path);
	sharing->is_epoll_unknown |= fds < 0;
	if (fds < 0)
		return;
	(void)sl_directory_each(fds, read_fd, &reading);
	(void)sl_sys_close(fds);
}
