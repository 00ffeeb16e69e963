/* connect.c - a socket gets its peer, or becomes a listener: connect, bind, listen. */
#include <errno.h>

#include "hooks/entry.h"
#include "hooks/real.h"
#include "ledger/peers.h"

#include "base/poison.h"

/* Before the real call: the destination, so that it is known even if the connection dies before the worker looks. */
static bool connecting(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sl_fd_record record;
	struct sl_endpoint destination;
	if (!sl_fdtable_get(fd, &record) || record.kind != SL_KIND_TCP || !sl_entry_is_ours() ||
	    !sl_endpoint_of(address, length, &destination))
		return false;
	sl_fdtable_set_dest(fd, sl_peer_intern(SL_DIRECTION_OUT, &destination));
	sl_fdtable_mark(fd, record.generation, SL_FD_OUT | SL_FD_CONNECTING, 0);
	return true;
}

/* After it. */
static void connected(int fd, int result, bool is_ours)
{
	if (!is_ours)
		return;
	if (result == 0 || errno == EISCONN)
		sl_fdtable_mark_now(fd, SL_FD_CONNECTED, SL_FD_CONNECTING);
	else if (errno != EINPROGRESS && errno != EALREADY && errno != EINTR)
		sl_fdtable_mark_now(fd, 0, SL_FD_CONNECTING);
	if (result < 0)
		sl_entry_failed(errno, fd);
}

int sl_hook_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	bool is_ours = connecting(fd, address, length);
	int result = sl_real.connect(fd, address, length);
	connected(fd, result, is_ours);
	return result;
}

int sl_hook___connect(int fd, const struct sockaddr *address, socklen_t length)
{
	bool is_ours = connecting(fd, address, length);
	int result = sl_real.__connect(fd, address, length);
	connected(fd, result, is_ours);
	return result;
}

int sl_hook_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	return sl_real.bind(fd, address, length);
}

int sl_hook_listen(int fd, int backlog)
{
	int result = sl_real.listen(fd, backlog);
	if (result == 0)
		sl_fdtable_mark_now(fd, SL_FD_LISTENING, 0);
	return result;
}
