/* create.c - a socket comes into being: socket, socketpair, accept, accept4. */
#include <errno.h>

#include "base/clock.h"
#include "base/process.h"
#include "hooks/entry.h"
#include "hooks/real.h"
#include "ledger/openings.h"
#include "ledger/sites.h"
#include "reclaim/rescue.h"
#include "watch/kernel.h"

#include "base/poison.h"

/* A call that may open a socket, before the real one. */
struct opening {
	bool is_ours;
	enum sl_kind kind;
	struct sl_origin origin;
	struct sl_openings_call call;
};

static struct opening opening_begin(const void *caller, int domain, int type, int protocol)
{
	struct opening opening = {.is_ours = sl_entry_is_watching()};
	if (!opening.is_ours)
		return opening;
	opening.kind = sl_kernel_kind_of(domain, type, protocol);
	sl_entry_opening(caller, opening.kind == SL_KIND_TCP, &opening.origin);
	opening.call = sl_openings_begin(opening.kind, -1);
	return opening;
}

/* After the real call. */
static void opening_record(const struct opening *opening, int fd, uint32_t flags)
{
	if (!opening->is_ours)
		return;
	if (fd >= 0)
		sl_entry_opened(fd, opening->kind, flags, &opening->origin);
	else
		sl_entry_failed(errno, -1);
}

/* The last word of a door: what there was to record is recorded. */
static void opening_end(const struct opening *opening, int fd, uint32_t flags)
{
	opening_record(opening, fd, flags);
	sl_openings_end(&opening->call);
}

/* After a real call that failed: out of fds, and are there some now? Then it is worth a second try. */
static bool is_rescued(const struct opening *opening, int result)
{
	if (result >= 0 || !opening->is_ours || (errno != EMFILE && errno != ENFILE))
		return false;
	sl_entry_failed(errno, -1);
	return sl_rescue_fds(errno);
}

int sl_hook_socket(int domain, int type, int protocol)
{
	struct opening opening = opening_begin(SL_CALLER(), domain, type, protocol);
	int fd = sl_real.socket(domain, type, protocol);
	if (is_rescued(&opening, fd))
		fd = sl_real.socket(domain, type, protocol);
	opening_end(&opening, fd, 0);
	return fd;
}

int sl_hook_socketpair(int domain, int type, int protocol, int fds[2])
{
	struct opening opening = opening_begin(SL_CALLER(), domain, type, protocol);
	int result = sl_real.socketpair(domain, type, protocol, fds);
	if (is_rescued(&opening, result))
		result = sl_real.socketpair(domain, type, protocol, fds);
	if (result == 0)
		opening_record(&opening, fds[1], 0);
	opening_end(&opening, result == 0 ? fds[0] : -1, 0);
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
	if (opening.kind == SL_KIND_NONE || !sl_kernel_is_listener(fd))
		return SL_KIND_OTHER; /* accept() is about to say so */
	sl_fdtable_prepare();
	if (sl_fdtable_adopt(fd, &opening) && opening.kind == SL_KIND_TCP)
		sl_site_count_opened(SL_SITE_ADOPTED, 0);
	return opening.kind;
}

/* What accept() on this fd will give. */
static enum sl_kind kind_of_listener(int fd)
{
	struct sl_fd_record listener;
	if (sl_fdtable_get(fd, &listener))
		return listener.kind;
	return sl_process_is_sandboxed() ? SL_KIND_TCP : adopt_listener(fd);
}

/* Before the real call of an accept. */
static struct opening accepting(const void *caller, int fd)
{
	struct opening opening = {.is_ours = sl_entry_is_watching()};
	if (!opening.is_ours)
		return opening;
	opening.kind = kind_of_listener(fd);
	sl_entry_opening(caller, opening.kind == SL_KIND_TCP, &opening.origin);
	opening.call = sl_openings_begin(opening.kind, fd);
	return opening;
}

/* The listener's own record tells when the program accepted last. */
static void accepted(const struct opening *opening, int listener, int result)
{
	struct sl_fd_slot *slot = opening->is_ours ? sl_fdtable_slot(listener) : NULL;
	if (slot && result >= 0)
		sl_fd_touch(slot, SL_IO_READ);
	opening_end(opening, result, SL_FD_IN | SL_FD_CONNECTED);
}

int sl_hook_accept(int fd, struct sockaddr *address, socklen_t *length)
{
	struct opening opening = accepting(SL_CALLER(), fd);
	int result = sl_real.accept(fd, address, length);
	if (is_rescued(&opening, result))
		result = sl_real.accept(fd, address, length);
	accepted(&opening, fd, result);
	return result;
}

int sl_hook_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	struct opening opening = accepting(SL_CALLER(), fd);
	int result = sl_real.accept4(fd, address, length, flags);
	if (is_rescued(&opening, result))
		result = sl_real.accept4(fd, address, length, flags);
	accepted(&opening, fd, result);
	return result;
}
