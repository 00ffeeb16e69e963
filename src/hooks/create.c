/* create.c - a socket comes into being: socket, socketpair, accept, accept4. */
#include <errno.h>

#include "base/clock.h"
#include "base/process.h"
#include "hooks/entry.h"
#include "hooks/real.h"
#include "ledger/sites.h"
#include "watch/kernel.h"

#include "base/poison.h"

int sl_hook_socket(int domain, int type, int protocol)
{
	struct sl_origin origin;
	enum sl_kind kind = sl_kernel_kind_of(domain, type, protocol);
	bool is_ours = sl_entry_opening(SL_CALLER(), kind == SL_KIND_TCP, &origin);
	int fd = sl_real.socket(domain, type, protocol);
	if (fd >= 0 && is_ours)
		sl_entry_opened(fd, kind, 0, &origin);
	else if (fd < 0 && is_ours)
		sl_entry_failed(errno, -1);
	return fd;
}

int sl_hook_socketpair(int domain, int type, int protocol, int fds[2])
{
	struct sl_origin origin;
	enum sl_kind kind = sl_kernel_kind_of(domain, type, protocol);
	bool is_ours = sl_entry_opening(SL_CALLER(), false, &origin);
	int result = sl_real.socketpair(domain, type, protocol, fds);
	if (result == 0 && is_ours) {
		sl_entry_opened(fds[0], kind, 0, &origin);
		sl_entry_opened(fds[1], kind, 0, &origin);
	} else if (result < 0 && is_ours) {
		sl_entry_failed(errno, -1);
	}
	return result;
}

/* The kind of a listener that nobody saw open: ask the kernel once, and remember. */
static enum sl_kind adopt_listener(int fd)
{
	struct sl_fd_opening opening = {
	    .kind = sl_kernel_kind(fd),
	    .flags = SL_FD_ADOPTED | SL_FD_LISTENING,
	    .site = SL_SITE_ADOPTED,
	    .opened_at_ms = sl_clock_ms(),
	};
	if (opening.kind == SL_KIND_NONE)
		return SL_KIND_OTHER; /* not a socket: accept() is about to say so */
	sl_fdtable_prepare();
	if (sl_fdtable_adopt(fd, &opening) && opening.kind == SL_KIND_TCP)
		sl_site_count_opened(SL_SITE_ADOPTED, 0);
	return opening.kind;
}

/* What accept() on this fd will give; before the real call. */
static enum sl_kind kind_of_listener(int fd)
{
	struct sl_fd_record listener;
	if (sl_process_is_sandboxed())
		return sl_fdtable_get(fd, &listener) ? listener.kind : SL_KIND_TCP;
	return sl_fdtable_get(fd, &listener) ? listener.kind : adopt_listener(fd);
}

/* After the real call of an accept. */
static void accepted(int fd, enum sl_kind kind, bool is_ours, const struct sl_origin *origin)
{
	if (fd >= 0 && is_ours)
		sl_entry_opened(fd, kind, SL_FD_IN | SL_FD_CONNECTED, origin);
	else if (fd < 0 && is_ours)
		sl_entry_failed(errno, -1);
}

int sl_hook_accept(int fd, struct sockaddr *address, socklen_t *length)
{
	struct sl_origin origin;
	bool is_ours = sl_entry_is_ours();
	enum sl_kind kind = is_ours ? kind_of_listener(fd) : SL_KIND_NONE;
	if (is_ours)
		(void)sl_entry_opening(SL_CALLER(), kind == SL_KIND_TCP, &origin);
	int result = sl_real.accept(fd, address, length);
	accepted(result, kind, is_ours, &origin);
	return result;
}

int sl_hook_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	struct sl_origin origin;
	bool is_ours = sl_entry_is_ours();
	enum sl_kind kind = is_ours ? kind_of_listener(fd) : SL_KIND_NONE;
	if (is_ours)
		(void)sl_entry_opening(SL_CALLER(), kind == SL_KIND_TCP, &origin);
	int result = sl_real.accept4(fd, address, length, flags);
	accepted(result, kind, is_ours, &origin);
	return result;
}
