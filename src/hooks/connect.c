/* connect.c - a socket gets its peer, or becomes a listener: connect, bind, listen. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/process.h"
#include "base/sys.h"
#include "hooks/entry.h"
#include "hooks/guarded.h"
#include "hooks/real.h"
#include "ledger/peers.h"
#include "reclaim/rescue.h"

#include "base/poison.h"

/* A connect() of a TCP socket, before the real one. */
struct attempt {
	uint32_t generation; /* 0: not tracked */
	bool is_end;         /* AF_UNSPEC: it gives its peer up (connect(2)) */
	bool is_unread;      /* its address is looked at when the kernel has taken it */
};

/* The bytes of an address that we look at. */
struct address {
	socklen_t length; /* 0: it cannot be read */
	struct sockaddr_in6 bytes;
};

static struct address address_at(const struct sockaddr *from, socklen_t length)
{
	struct address address;
	address.length = length < sizeof(address.bytes) ? length : sizeof(address.bytes);
	memcpy(&address.bytes, from, address.length); /* the program's need not be aligned */
	return address;
}

/* Before the real call it may be any pointer: that it leads nowhere is the kernel's to say. But for one into the page that this
 * very frame lies in, where most programs have it. */
static struct address address_if_readable(const struct sockaddr *from, socklen_t length)
{
	size_t n = length < sizeof(struct sockaddr_in6) ? length : sizeof(struct sockaddr_in6);
	if (!sl_sys_is_in_page_of(__builtin_frame_address(0), from, n) &&
	    !sl_sys_is_readable(from, n))
		return (struct address){.length = 0};
	return address_at(from, length);
}

static bool is_unspecified(const struct address *address)
{
	return address->length >= sizeof(address->bytes.sin6_family) &&
	       address->bytes.sin6_family == AF_UNSPEC;
}

static struct attempt note(const struct sl_fd_record *record, const struct address *address)
{
	struct attempt none = {0};
	struct sl_endpoint destination;
	struct attempt attempt = {record->generation, is_unspecified(address), false};
	if (attempt.is_end)
		return attempt;
	if (!sl_endpoint_of((const struct sockaddr *)&address->bytes, address->length,
	                    &destination))
		return none;
	if (record->peer && !(record->flags & SL_FD_CONNECTED)) /* an earlier attempt's */
		sl_fdtable_identify(record->fd, record->generation, 0, 0);
	sl_fdtable_set_dest(record->fd, sl_peer_intern(SL_DIRECTION_OUT, &destination));
	sl_fdtable_mark(record->fd, record->generation, SL_FD_OUT | SL_FD_CONNECTING, 0);
	return attempt;
}

/* The destination is noted before the real call: so it is known while that blocks, and if it fails. */
static struct attempt connecting(int fd, const struct sockaddr *from, socklen_t length)
{
	struct sl_fd_record record;
	if (!sl_fdtable_get(fd, &record) || record.kind != SL_KIND_TCP ||
	    (record.flags & SL_FD_LISTENING))
		return (struct attempt){0};
	/* What is connected already is hardly connected again, unless a child of vfork() has something of its own at that number:
	 * the pid is not asked for otherwise. */
	if ((record.flags & (SL_FD_CONNECTED | SL_FD_IN)) && !sl_entry_is_ours())
		return (struct attempt){0};
	/* One that is connected stays what it is, unless this one call succeeds (EISCONN). In a sandbox nothing can be asked. */
	if ((record.flags & SL_FD_CONNECTED) || sl_process_is_sandboxed())
		return (struct attempt){record.generation, false, true};
	struct address address = address_if_readable(from, length);
	return note(&record, &address);
}

/* After the real call: what could not be noted before. */
static void note_late(struct attempt *attempt, int fd, int result, const struct sockaddr *from,
                      socklen_t length)
{
	struct sl_fd_record record;
	if (!attempt->is_unread)
		return;
	if ((result == 0 || errno == EINPROGRESS) && sl_fdtable_get(fd, &record) &&
	    record.generation == attempt->generation) {
		struct address address = address_at(from, length);
		*attempt = note(&record, &address);
	} else {
		*attempt = (struct attempt){0};
	}
}

/* A connection that we ended says what it said while it was in CLOSE_WAIT; a dead socket, which many numbers share, must
 * never come to life. To give up the peer (AF_UNSPEC) is the program's right as long as the socket is its own. */
static bool refuse_connect(int fd, const struct sockaddr *from, socklen_t length)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	if (!sl_guarded_is_ended(fd))
		return false;
	if (!(atomic_load(&slot->head) & SL_MARK_DEAD) && !sl_process_is_sandboxed()) {
		struct address address = address_if_readable(from, length);
		if (address.length == 0 || is_unspecified(&address))
			return false;
	}
	errno = EISCONN;
	return true;
}

static void disconnected(int fd, struct attempt attempt)
{
	const uint32_t ended = SL_FD_OUT | SL_FD_CONNECTING | SL_FD_CONNECTED | SL_FD_EOF |
	                       SL_FD_SHUT_READ | SL_FD_SHUT_WRITE | SL_FD_OWN_DEAD;
	sl_fdtable_identify(fd, attempt.generation, 0, 0);
	sl_fdtable_mark(fd, attempt.generation, 0, ended);
	sl_fdtable_unmark(fd, attempt.generation);
}

/* After the real call, which may have blocked until the number was another socket's. */
static void connected(int fd, int result, struct attempt attempt)
{
	int error = result < 0 ? errno : 0;
	if (!attempt.generation)
		return;
	if (attempt.is_end) {
		if (!error)
			disconnected(fd, attempt);
		return;
	}
	if (!error || error == EISCONN)
		sl_fdtable_mark(fd, attempt.generation, SL_FD_CONNECTED, SL_FD_CONNECTING);
	else if (error != EINPROGRESS && error != EALREADY && error != EINTR)
		sl_fdtable_mark(fd, attempt.generation, 0, SL_FD_CONNECTING);
	if (error && error != EADDRINUSE) /* that one is bind()'s word for "no port left" */
		sl_entry_failed(error, fd);
}

/* After a connect() that failed for want of ports: true if some are free now. */
static bool is_rescued(int fd, int result, struct attempt attempt, uint64_t *until_ms)
{
	struct sl_fd_record record;
	if (result == 0 || errno != EADDRNOTAVAIL || !attempt.generation || attempt.is_end ||
	    attempt.is_unread || !sl_fdtable_get(fd, &record) ||
	    record.generation != attempt.generation)
		return false;
	sl_entry_failed(EADDRNOTAVAIL, fd);
	return sl_rescue_ports(record.dest, until_ms);
}

/* Only a call that asked for one. */
static void tell_rescue(int result, uint64_t until_ms)
{
	int error = errno;
	if (until_ms != 0)
		sl_rescue_tell(result == 0 || error == EINPROGRESS || error == EINTR);
	errno = error;
}

int sl_hook_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	if (refuse_connect(fd, address, length))
		return -1;
	struct attempt attempt = connecting(fd, address, length);
	int result = sl_real.connect(fd, address, length);
	uint64_t until_ms = 0;
	while (is_rescued(fd, result, attempt, &until_ms))
		result = sl_real.connect(fd, address, length);
	tell_rescue(result, until_ms);
	note_late(&attempt, fd, result, address, length);
	connected(fd, result, attempt);
	return result;
}

int sl_hook___connect(int fd, const struct sockaddr *address, socklen_t length)
{
	if (refuse_connect(fd, address, length))
		return -1;
	struct attempt attempt = connecting(fd, address, length);
	int result = sl_real.__connect(fd, address, length);
	uint64_t until_ms = 0;
	while (is_rescued(fd, result, attempt, &until_ms))
		result = sl_real.__connect(fd, address, length);
	tell_rescue(result, until_ms);
	note_late(&attempt, fd, result, address, length);
	connected(fd, result, attempt);
	return result;
}

/* Does the kernel choose the port? Asked after the real call, which has read the address. */
static bool is_any_port(const struct sockaddr *address, socklen_t length)
{
	struct sl_endpoint endpoint;
	return sl_endpoint_of(address, length, &endpoint) && endpoint.port == 0;
}

static bool is_tcp(int fd)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = slot ? atomic_load(&slot->head) : 0;
	return sl_fd_state_of(head) == SL_FD_OPEN && sl_fd_kind_of(head) == SL_KIND_TCP;
}

int sl_hook_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	if (sl_guarded_is_ended(fd)) {
		errno = EINVAL;
		return -1;
	}
	int result = sl_real.bind(fd, address, length);
	if (!is_tcp(fd) || (result < 0 && errno != EADDRINUSE))
		return result;
	if (!is_any_port(address, length)) {
		if (result == 0)
			(void)sl_fdtable_mark_now(fd, SL_FD_FIXED_PORT, 0);
		return result;
	}
	uint64_t until_ms = 0;
	if (result < 0)
		sl_entry_failed(EADDRINUSE, fd);
	while (result < 0 && errno == EADDRINUSE && sl_rescue_ports(0, &until_ms))
		result = sl_real.bind(fd, address, length);
	tell_rescue(result, until_ms);
	if (result == 0)
		(void)sl_fdtable_mark_now(fd, SL_FD_BOUND, 0);
	return result;
}

int sl_hook_listen(int fd, int backlog)
{
	if (sl_guarded_is_ended(fd)) {
		errno = EINVAL;
		return -1;
	}
	bool is_ours = sl_entry_is_ours_at(fd);
	int result = sl_real.listen(fd, backlog);
	if (result == 0 && is_ours)
		sl_fdtable_mark_now(fd, SL_FD_LISTENING, 0);
	return result;
}
