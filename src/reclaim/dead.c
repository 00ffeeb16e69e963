#include "reclaim/dead.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "base/ownfd.h"
#include "base/sys.h"
#include "ledger/fdtable.h"
#include "watch/kernel.h"

#include "base/poison.h"

#define SL_DEAD_SOCKETS 4

static int dead[SL_DEAD_SOCKETS] = {-1, -1, -1, -1}; /* the worker's */

bool sl_dead_is_dead(int fd)
{
	struct pollfd look = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
	struct sl_kernel_tcp tcp;
	struct sl_endpoint peer, local;
	if (sl_kernel_tcp(fd, &tcp) < 0 || tcp.state != TCP_CLOSE || sl_kernel_peer(fd, &peer))
		return false;
	if (!sl_kernel_local(fd, &local) || local.port != 0) /* the program has bound it */
		return false;
	return sl_sys_poll(&look, 1, 0) == 1 && (look.revents & POLLRDHUP) &&
	       (look.revents & POLLHUP) && !(look.revents & POLLERR);
}

/* A low number. */
static int make(int family, bool is_nonblocking)
{
	int fd = (int)SL_SYS3(SYS_socket, family,
	                      SOCK_STREAM | SOCK_CLOEXEC | (is_nonblocking ? SOCK_NONBLOCK : 0), 0);
	if (fd >= 0)
		(void)SL_SYS2(SYS_shutdown, fd, SHUT_RDWR);
	return fd;
}

static bool is_nonblocking_fd(int fd)
{
	int flags = sl_sys_fcntl(fd, F_GETFL, 0);
	return flags >= 0 && (flags & O_NONBLOCK);
}

static int family_of(int fd)
{
	int family = AF_INET;
	unsigned n = sizeof(family);
	(void)sl_sys_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n);
	return family;
}

void sl_dead_close(void)
{
	for (int i = 0; i < SL_DEAD_SOCKETS; i++) {
		if (dead[i] >= 0)
			sl_ownfd_close(dead[i]);
		dead[i] = -1;
	}
}

int sl_dead_socket(int family, bool is_nonblocking)
{
	int *place = &dead[(family == AF_INET6) * 2 + is_nonblocking];
	bool is_ours = *place >= 0 && sl_ownfd_is_true(*place);
	/* Had the program closed it past the hooks, another one of ours may be there by now. */
	if (is_ours && sl_dead_is_dead(*place) && is_nonblocking_fd(*place) == is_nonblocking &&
	    family_of(*place) == family)
		return *place;
	/* Numbers that were neutralized before keep the old one; ours is let go. */
	if (is_ours)
		sl_ownfd_close(*place);
	int fd = make(family, is_nonblocking);
	*place = fd < 0 ? fd : sl_ownfd_take(fd);
	/* The hard limit leaves no number as high as ours must be (fcntl(2), F_DUPFD). */
	if (*place == -EINVAL)
		*place = -EMFILE;
	return *place;
}

int sl_dead_become_own(int fd)
{
	struct sl_fd_record record;
	int flags = sl_sys_fcntl(fd, F_GETFD, 0);
	if (flags < 0 || !sl_fdtable_get(fd, &record) || !(record.marks & SL_MARK_DEAD))
		return -ESTALE;
	int own = make(family_of(fd), is_nonblocking_fd(fd));
	if (own < 0)
		return own;
	/* As late as it can be: another thread may have closed the number, and be given it again. */
	if (!sl_dead_is_dead(fd)) {
		(void)sl_sys_close(own);
		return -ESTALE;
	}
	int result = (int)SL_SYS3(SYS_dup3, own, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
	(void)sl_sys_close(own);
	if (result < 0)
		return result;
	sl_fdtable_become_own(fd, record.generation);
	return 0;
}
