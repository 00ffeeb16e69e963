/* epoll.c - a socket enters an epoll set, changes what it asks for, leaves it: epoll_ctl.
 *
 * An unmarked number costs one look at its slot. Of a marked one the call is counted while it is under way, as a guarded write is:
 * the worker begins nothing meanwhile, and one that it has begun comes first. Else what it has neutralized would be gone from the set
 * under the hands of the real call, or be registered anew as the dead socket that many numbers share.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "base/process.h"
#include "hooks/entry.h"
#include "hooks/real.h"
#include "reclaim/dead.h"

#include "base/poison.h"

/* One call of the program. */
struct change {
	int set;
	int operation;
	int fd;
	struct epoll_event *event;
};

static int make(const struct change *change, int operation)
{
	int result = sl_real.epoll_ctl(change->set, operation, change->fd, change->event);
	if (result == 0 && operation == EPOLL_CTL_ADD)
		(void)sl_fdtable_mark_now(change->fd, SL_FD_EPOLL, 0);
	return result;
}

/* With nothing asked for, a dead socket would report its hang-up for ever all the same (epoll_ctl(2)). */
static bool asks_for_events(const struct epoll_event *event)
{
	const uint32_t manner = EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE;
	return event && (event->events & ~manner);
}

/* Register it, where the program believes that it is registered: what keeps a new registration from being made is not an error of its call. */
static int make_anew(const struct change *change)
{
	int before = errno;
	int result = make(change, EPOLL_CTL_ADD);
	if (result == 0 || change->operation == EPOLL_CTL_ADD ||
	    (errno != ENOSPC && errno != ENOMEM))
		return result;
	errno = before;
	return 0;
}

/* Of a neutralized number. The registration went with the socket (epoll(7)): ENOENT would be an error that no program expects. Who adds
 * it anew, or asks for events again, is to get them: of a dead socket of the number's own, for a registration of the one that many
 * numbers share would stay when this number is closed. */
static int change_dead(const struct change *change)
{
	bool is_added = change->operation == EPOLL_CTL_ADD;
	if (change->operation == EPOLL_CTL_DEL ||
	    (change->operation == EPOLL_CTL_MOD && !asks_for_events(change->event)))
		return 0;
	if (!is_added && change->operation != EPOLL_CTL_MOD)
		return make(change, change->operation);
	/* In a sandbox only the program's own calls are allowed (seccomp(2)). */
	if (!sl_process_is_sandboxed() && sl_dead_become_own(change->fd) == 0)
		return make_anew(change);
	/* No number is left for one. Who only changes what he has asked for hears no more of it, and is not told an error that
	 * epoll_ctl() never has for that. */
	if (!is_added)
		return 0;
	errno = ENOMEM;
	return -1;
}

/* It has a dead socket of its own by now, which is in the sets that asked for it: from the others it went with the connection. */
static int change_own_dead(const struct change *change)
{
	int before = errno;
	int result = make(change, change->operation);
	if (result == 0 || errno != ENOENT)
		return result;
	errno = before;
	return change->operation == EPOLL_CTL_MOD && asks_for_events(change->event)
	               ? make_anew(change)
	               : 0;
}

static bool has_own_dead(int fd, uint64_t head)
{
	struct sl_fd_record record;
	return (head & SL_MARK_ENDED) && sl_fdtable_get(fd, &record) &&
	       (record.flags & SL_FD_OWN_DEAD);
}

static int change_marked(struct sl_fd_slot *slot, const struct change *change)
{
	uint64_t head = sl_fdtable_write_begin(slot);
	bool is_open = sl_fd_state_of(head) == SL_FD_OPEN;
	bool is_dead = is_open && (head & SL_MARK_DEAD);
	if (is_open)
		sl_fdtable_touch_again(slot);
	/* What we ended is to be neutralized also if the program changes its interest for ever: it may do so because of us. */
	if (is_open && !(head & SL_MARK_ENDED))
		sl_fdtable_busy(change->fd, head);
	int result = is_dead                          ? change_dead(change)
	             : has_own_dead(change->fd, head) ? change_own_dead(change)
	                                              : make(change, change->operation);
	sl_fdtable_write_end(slot, head);
	return result;
}

int sl_hook_epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event)
{
	const struct change change = {epfd, operation, fd, event};
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = slot ? atomic_load(&slot->head) : 0;
	if (sl_fd_state_of(head) != SL_FD_OPEN || !sl_fd_marks_of(head) || !sl_entry_is_ours())
		return make(&change, operation);
	return change_marked(slot, &change);
}
