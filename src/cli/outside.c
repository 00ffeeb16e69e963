/* outside.c - see outside.h. */
#include "cli/outside.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/diag.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* A socket among the fds of the process. */
struct found {
	uint64_t inode;
	int fd;
};

static int by_inode(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return x->fd < y->fd ? -1 : x->fd > y->fd;
}

static bool read_socket_link(int directory, const char *name, uint64_t *inode)
{
	char link[64];
	ssize_t n = readlinkat(directory, name, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = 0;
	return sscanf(link, "socket:[%lu]", inode) == 1;
}

/* All sockets by inode, then fd. */
static int list_sockets(int pid, struct found **list, uint32_t *count, uint64_t *fds)
{
	char path[64];
	uint32_t room = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *directory = opendir(path);
	struct dirent *entry;
	*list = NULL;
	*count = 0;
	*fds = 0;
	if (!directory)
		return errno == ENOENT ? -ESRCH : errno == EPERM ? -EACCES : -errno;
	while ((entry = readdir(directory))) {
		struct found found;
		if (entry->d_name[0] == '.')
			continue;
		++*fds;
		found.fd = atoi(entry->d_name);
		if (!read_socket_link(dirfd(directory), entry->d_name, &found.inode))
			continue;
		if (*count == room) {
			room = room ? room * 2 : 256;
			struct found *more = realloc(*list, room * sizeof(*more));
			if (!more) {
				(void)closedir(directory);
				return -ENOMEM;
			}
			*list = more;
		}
		(*list)[(*count)++] = found;
	}
	(void)closedir(directory);
	if (*count)
		qsort(*list, *count, sizeof(**list), by_inode);
	return 0;
}

int sl_outside_copy(int pidfd, int fd)
{
	long copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	return copy < 0 ? -errno : (int)copy;
}

bool sl_outside_ask(int copy, struct sl_outside_socket *socket)
{
	if (sl_kernel_tcp(copy, &socket->tcp) < 0)
		return false;
	socket->cookie = sl_kernel_cookie(copy);
	(void)sl_kernel_local(copy, &socket->local);
	socket->has_peer = sl_kernel_peer(copy, &socket->peer);
	socket->is_listener = socket->tcp.state == TCP_LISTEN;
	if (socket->is_listener)
		return true;
	socket->unread = sl_kernel_unread_bytes(copy);
	socket->unsent = sl_kernel_unsent_bytes(copy);
	socket->is_close_notify = sl_kernel_is_close_notify(copy, socket->unread);
	int on = 0;
	socklen_t n = sizeof(on);
	socket->has_keepalive = getsockopt(copy, SOL_SOCKET, SO_KEEPALIVE, &on, &n) == 0 && on;
	return true;
}

static void add(struct sl_outside *outside, const struct sl_outside_socket *socket)
{
	outside->sockets[outside->count++] = *socket;
	outside->by_kind[SL_KIND_TCP]++;
}

/* 0, or -EPERM where the first copy is refused: then nothing was taken. */
static int look_by_copies(int pid, const struct found *list, uint32_t count,
                          struct sl_outside *outside)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return errno == ESRCH ? -ESRCH : -EPERM; /* an old kernel, or a filter */
	for (uint32_t i = 0; i < count; i++) {
		struct sl_outside_socket socket = {.inode = list[i].inode, .fd = list[i].fd};
		if (i > 0 && list[i].inode == list[i - 1].inode)
			continue;
		socket.is_shared = i + 1 < count && list[i + 1].inode == list[i].inode;
		int copy = sl_outside_copy(pidfd, list[i].fd);
		if (copy == -EPERM || copy == -ENOSYS) {
			(void)close(pidfd);
			return -EPERM;
		}
		if (copy < 0)
			continue; /* closed meanwhile */
		enum sl_kind kind = sl_kernel_kind(copy);
		if (kind == SL_KIND_TCP && sl_outside_ask(copy, &socket))
			add(outside, &socket);
		else if (kind != SL_KIND_NONE)
			outside->by_kind[kind]++;
		(void)close(copy);
	}
	(void)close(pidfd);
	return 0;
}

struct join {
	const struct found *list;
	uint32_t count;
	struct sl_outside *outside;
};

static void join(void *context, const struct sl_diag_socket *socket)
{
	const struct join *with = context;
	const struct found wanted = {.inode = socket->inode};
	uint32_t low = 0, high = with->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (by_inode(&with->list[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (!socket->inode || low == with->count || with->list[low].inode != socket->inode)
		return;
	struct sl_outside_socket taken = {
		.inode = socket->inode,
		.cookie = socket->cookie,
		.fd = with->list[low].fd,
		.is_shared = low + 1 < with->count && with->list[low + 1].inode == socket->inode,
		.is_listener = socket->state == TCP_LISTEN,
		.has_peer = socket->peer.port != 0,
		.has_keepalive = socket->has_keepalive,
		.tcp = socket->tcp,
		.local = socket->local,
		.peer = socket->peer,
		.unread = socket->unread,
		.unsent = socket->unsent,
	};
	taken.tcp.state = socket->state;
	taken.is_eof_known = socket->state == TCP_CLOSE_WAIT;
	taken.has_read_eof = socket->has_read_eof;
	if (taken.is_listener) {
		taken.tcp.backlog = socket->unread;
		taken.tcp.backlog_limit = socket->unsent;
		taken.unread = taken.unsent = 0;
	}
	if (with->outside->count < with->count)
		add(with->outside, &taken);
}

static int by_cookie(const void *a, const void *b)
{
	const struct sl_outside_socket *const *x = a, *const *y = b;
	return (*x)->cookie < (*y)->cookie ? -1 : (*x)->cookie > (*y)->cookie;
}

struct ends {
	struct sl_outside_socket **by_cookie;
	size_t count;
};

static void note_end(void *context, const struct sl_diag_socket *socket)
{
	const struct ends *ends = context;
	struct sl_outside_socket wanted = {.cookie = socket->cookie}, *key = &wanted;
	struct sl_outside_socket **found =
		bsearch(&key, ends->by_cookie, ends->count, sizeof(key), by_cookie);
	if (!found)
		return;
	(*found)->is_eof_known = true;
	(*found)->has_read_eof = socket->has_read_eof;
}

/* No copy of an fd tells whether the program has read to the end; the kernel's list does. */
static void look_for_ends(int pid, struct sl_outside *outside)
{
	struct ends ends = {.by_cookie = calloc(outside->count + 1, sizeof(*ends.by_cookie))};
	for (uint32_t i = 0; ends.by_cookie && i < outside->count; i++)
		if (outside->sockets[i].tcp.state == TCP_CLOSE_WAIT)
			ends.by_cookie[ends.count++] = &outside->sockets[i];
	if (ends.count) {
		qsort(ends.by_cookie, ends.count, sizeof(*ends.by_cookie), by_cookie);
		(void)sl_diag_each(pid, 1u << TCP_CLOSE_WAIT, note_end, &ends);
	}
	free(ends.by_cookie);
}

/* The SYN of a connect() counts as one byte acknowledged, that of an accept() does not: where all that was sent is acknowledged,
 * that tells who began. */
static enum sl_direction direction_of(const struct sl_outside *outside,
                                      const struct sl_outside_socket *socket)
{
	if (socket->is_listener || !socket->has_peer)
		return SL_DIRECTION_UNKNOWN;
	for (uint32_t i = 0; i < outside->count; i++)
		if (outside->sockets[i].is_listener &&
		    outside->sockets[i].local.port == socket->local.port)
			return SL_DIRECTION_IN;
	if (socket->tcp.state == TCP_SYN_SENT || socket->tcp.bytes_acked > socket->tcp.bytes_sent)
		return SL_DIRECTION_OUT;
	if (socket->tcp.state == TCP_ESTABLISHED || socket->tcp.state == TCP_CLOSE_WAIT)
		return socket->tcp.has_unsent ? SL_DIRECTION_UNKNOWN : SL_DIRECTION_IN;
	return SL_DIRECTION_UNKNOWN;
}

static int by_listener_first(const void *a, const void *b)
{
	const struct sl_outside_socket *x = a, *y = b;
	if (x->is_listener != y->is_listener)
		return x->is_listener ? -1 : 1;
	return x->fd < y->fd ? -1 : x->fd > y->fd;
}

static void find_directions(struct sl_outside *outside)
{
	/* Listeners to the front: few are looked through for each connection. */
	if (outside->count)
		qsort(outside->sockets, outside->count, sizeof(*outside->sockets),
		      by_listener_first);
	struct sl_outside listeners = *outside;
	listeners.count = 0;
	while (listeners.count < outside->count && outside->sockets[listeners.count].is_listener)
		listeners.count++;
	for (uint32_t i = 0; i < outside->count; i++)
		outside->sockets[i].direction = direction_of(&listeners, &outside->sockets[i]);
}

int sl_outside_look(int pid, struct sl_outside *outside)
{
	struct found *list;
	uint32_t count;
	*outside = (struct sl_outside){0};
	int error = list_sockets(pid, &list, &count, &outside->fds);
	if (!error && !(outside->sockets = calloc(count + 1, sizeof(*outside->sockets))))
		error = -ENOMEM;
	if (!error)
		error = look_by_copies(pid, list, count, outside);
	if (error == -EPERM) {
		struct join with = {list, count, outside};
		outside->count = 0;
		memset(outside->by_kind, 0, sizeof(outside->by_kind));
		outside->is_by_diag = true;
		error = sl_diag_each(pid, SL_DIAG_ALL, join, &with);
		for (uint32_t i = 0; i < count; i++)
			outside->by_kind[SL_KIND_OTHER] +=
				i == 0 || list[i].inode != list[i - 1].inode;
		outside->by_kind[SL_KIND_OTHER] -=
			outside->count; /* what the others are is not known */
	}
	free(list);
	if (!error && !outside->is_by_diag)
		look_for_ends(pid, outside);
	find_directions(outside);
	if (error)
		sl_outside_free(outside);
	return error;
}

void sl_outside_free(struct sl_outside *outside)
{
	free(outside->sockets);
	outside->sockets = NULL;
	outside->count = 0;
}
