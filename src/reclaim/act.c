#include "reclaim/act.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include "base/desk.h"
#include "base/locks.h"
#include "base/process.h"
#include "base/sys.h"
#include "reclaim/dead.h"
#include "watch/kernel.h"

#include "base/poison.h"

int sl_act_set_int(int fd, int level, int name, int value)
{
	return (int)SL_SYS5(SYS_setsockopt, fd, level, name, &value, sizeof(value));
}

int sl_act_get_int(int fd, int level, int name, int *value)
{
	unsigned n = sizeof(*value);
	return sl_sys_getsockopt(fd, level, name, value, &n);
}

int sl_act_start(void)
{
	int filler = sl_dead_socket(AF_INET, false);
	return filler < 0 ? filler : sl_desk_open(filler);
}

static void release(const struct sl_target *target, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		sl_fdtable_release(target->numbers[i].fd, target->numbers[i].generation);
}

/* All of its numbers, or none. The lock is held: no fork is under way, and one since the processes were looked at may have given the
 * socket to a child. */
static int hold(const struct sl_target *target)
{
	if (target->forks != SL_FORKS_ANY && target->forks != sl_process_forks())
		return -EBUSY;
	for (uint32_t i = 0; i < target->count; i++) {
		const struct sl_number *number = &target->numbers[i];
		int error = sl_fdtable_hold(number->fd, number->generation, number->last_io);
		if (error < 0) {
			release(target, i);
			return error;
		}
	}
	return 0;
}

static int mark(const struct sl_target *target, uint32_t marks)
{
	for (uint32_t i = 0; i < target->count; i++)
		if (!sl_fdtable_mark_held(target->numbers[i].fd, target->numbers[i].generation,
		                          marks))
			return -ESTALE;
	return 0;
}

/* The numbers are held. */
static int act_held(const struct sl_target *target, sl_act_fn *act, void *context, uint32_t marks)
{
	int copy = sl_desk_lend(target->numbers[0].fd);
	if (copy < 0)
		return copy == -EBADF ? -ESTALE : copy;
	int error = sl_kernel_cookie(copy) == target->cookie ? mark(target, marks) : -ESTALE;
	if (error == 0)
		error = act(copy, context);
	sl_desk_return();
	return error;
}

int sl_act_on_copy(const struct sl_target *target, sl_act_fn *act, void *context, uint32_t marks)
{
	int error = sl_act_start();
	if (error < 0)
		return error;
	sl_lock_take(SL_LOCK_ACTION);
	error = hold(target);
	if (error == 0) {
		error = act_held(target, act, context, marks);
		release(target, target->count);
	}
	sl_lock_release(SL_LOCK_ACTION);
	return error;
}

struct probing {
	const struct sl_target *target;
	struct sl_probe_saved *saved;
	bool is_answered;
};

/* Has the program set keepalive itself? Its own call says so first, and then waits while the record is held. */
static bool has_own(const struct sl_target *target)
{
	struct sl_fd_record record;
	for (uint32_t i = 0; i < target->count; i++)
		if (sl_fdtable_get(target->numbers[i].fd, &record) &&
		    record.generation == target->numbers[i].generation &&
		    (record.flags & SL_FD_OWN_KEEPALIVE))
			return true;
	return false;
}

static void mark_own(const struct sl_target *target, bool is_own)
{
	const uint32_t flag = SL_FD_OWN_KEEPALIVE;
	for (uint32_t i = 0; i < target->count; i++)
		sl_fdtable_mark(target->numbers[i].fd, target->numbers[i].generation,
		                is_own ? flag : 0, is_own ? 0 : flag);
}

static int probe_copy(int copy, void *context)
{
	struct probing *probing = context;
	struct sl_probe_saved *saved = probing->saved;
	int error = sl_act_get_int(copy, SOL_SOCKET, SO_KEEPALIVE, &saved->is_on);
	if (error == 0)
		error = sl_act_get_int(copy, IPPROTO_TCP, TCP_KEEPIDLE, &saved->idle_s);
	/* From here on the flag says what the program sets while the probe is under way. */
	saved->was_own = has_own(probing->target);
	mark_own(probing->target, false);
	if (error == 0)
		error = sl_act_set_int(copy, SOL_SOCKET, SO_KEEPALIVE, 1);
	/* Sets the timer to what is left of that second: nothing. */
	return error ? error : sl_act_set_int(copy, IPPROTO_TCP, TCP_KEEPIDLE, 1);
}

int sl_act_probe(const struct sl_target *target, struct sl_probe_saved *saved)
{
	struct probing probing = {target, saved, false};
	return sl_act_on_copy(target, probe_copy, &probing, SL_MARK_PROBED);
}

static int end_probe_copy(int copy, void *context)
{
	const struct probing *probing = context;
	const struct sl_probe_saved *saved = probing->saved;
	int idle_s = 0;
	/* What the program has set since is its own. */
	if (!saved->is_on && !has_own(probing->target))
		(void)sl_act_set_int(copy, SOL_SOCKET, SO_KEEPALIVE, 0);
	if (sl_act_get_int(copy, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s) == 0 && idle_s == 1)
		(void)sl_act_set_int(copy, IPPROTO_TCP, TCP_KEEPIDLE, saved->idle_s);
	if (saved->was_own)
		mark_own(probing->target, true);
	for (uint32_t i = 0; probing->is_answered && i < probing->target->count; i++)
		sl_fdtable_clear_held(probing->target->numbers[i].fd,
		                      probing->target->numbers[i].generation, SL_MARK_PROBED);
	return 0;
}

int sl_act_probe_end(const struct sl_target *target, const struct sl_probe_saved *saved,
                     bool is_answered)
{
	struct sl_probe_saved before = *saved;
	struct probing probing = {target, &before, is_answered};
	return sl_act_on_copy(target, end_probe_copy, &probing, 0);
}

/* Has it stayed as it was looked at? */
static int shutdown_copy(int copy, void *context)
{
	const struct sl_target *target = context;
	struct sl_kernel_tcp tcp;
	if (sl_kernel_tcp(copy, &tcp) < 0 || tcp.state != TCP_CLOSE_WAIT || tcp.has_unsent ||
	    tcp.bytes_sent != target->bytes_sent)
		return -EBUSY;
	/* Before the call: whoever writes from here on meets what we did. */
	int error = mark(target, SL_MARK_GUARDED | SL_MARK_ENDED);
	if (error == 0)
		error = (int)SL_SYS2(SYS_shutdown, copy, SHUT_RDWR);
	/* The peer reset it this very moment: it has ended all the same. */
	return error == -ENOTCONN ? 0 : error;
}

int sl_act_shutdown(const struct sl_target *target)
{
	return sl_act_on_copy(target, shutdown_copy, (void *)target, 0);
}

static bool is_settled(int fd, bool is_error_ours)
{
	struct pollfd look = {.fd = fd};
	uint32_t unread = sl_kernel_unread_bytes(fd);
	if (unread > 0 && !sl_kernel_is_close_notify(fd, unread))
		return false;
	return is_error_ours || sl_sys_poll(&look, 1, 0) < 1 || !(look.revents & POLLERR);
}

/* Still what may be let go of? The program may have given the peer up (connect() to AF_UNSPEC) and have another by now, under the
 * same cookie. In CLOSE_WAIT only where somebody else has it too: else a shutdown comes first. */
static bool is_over(const struct sl_number *number, bool is_lone)
{
	struct sl_fd_record record;
	struct sl_kernel_tcp tcp;
	if (!sl_fdtable_get(number->fd, &record) || record.generation != number->generation ||
	    !(record.flags & SL_FD_CONNECTED) || sl_kernel_tcp(number->fd, &tcp) < 0)
		return false;
	return tcp.state == TCP_CLOSE || tcp.state == TCP_LAST_ACK ||
	       (tcp.state == TCP_CLOSE_WAIT && !is_lone);
}

/* What is to stand at its numbers: they have one description, and so one family and one O_NONBLOCK. */
static int dead_socket_for(int fd)
{
	int family = AF_INET, status = sl_sys_fcntl(fd, F_GETFL, 0);
	if (status < 0 || sl_act_get_int(fd, SOL_SOCKET, SO_DOMAIN, &family) < 0)
		return -ESTALE;
	return sl_dead_socket(family, (status & O_NONBLOCK) != 0);
}

static int replace(int fd, int dead, uint64_t cookie, bool is_lone)
{
	const struct linger off = {0, 0};
	if (sl_kernel_cookie(fd) != cookie)
		return -ESTALE;
	int flags = sl_sys_fcntl(fd, F_GETFD, 0);
	if (flags < 0)
		return -ESTALE;
	if (is_lone)
		(void)SL_SYS5(SYS_setsockopt, fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	if (sl_kernel_cookie(fd) != cookie) /* as late as it can be */
		return -ESTALE;
	int result = (int)SL_SYS3(SYS_dup3, dead, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
	return result < 0 ? result : 0;
}

/* Closed with bytes unread before the peer has acknowledged our FIN, it would end by a reset (tcp_close() in net/ipv4/tcp.c). */
static void read_close_notify(int fd)
{
	uint8_t record[SL_CLOSE_NOTIFY_MAX];
	uint32_t unread = sl_kernel_unread_bytes(fd);
	if (unread > 0 && sl_kernel_is_close_notify(fd, unread))
		(void)sl_syscall6(SYS_recvfrom, fd, (long)record, (long)unread, MSG_DONTWAIT, 0, 0);
}

/* They go with the socket, but not while a child that is about to exec has it too. */
static void drop_registrations(const struct sl_target *target)
{
	for (unsigned i = 0; i < target->registrations; i++)
		/* A registration can outlive its number, which is another socket's by now, in the same set perhaps. */
		if (sl_kernel_cookie(target->in[i].fd) == target->cookie)
			(void)SL_SYS4(SYS_epoll_ctl, target->in[i].set, EPOLL_CTL_DEL,
			              target->in[i].fd, NULL);
}

static int neutralize_held(const struct sl_target *target, bool is_lone, bool is_error_ours)
{
	const uint32_t marks = SL_MARK_GUARDED | SL_MARK_ENDED | SL_MARK_DEAD;
	const struct sl_number *first = &target->numbers[0];
	int error = 0, done = 0;
	if (sl_kernel_cookie(first->fd) != target->cookie)
		return -ESTALE;
	if (!is_over(first, is_lone) || !is_settled(first->fd, is_error_ours))
		return -EBUSY;
	/* Before anything is taken from the program: there may be none. */
	int dead = dead_socket_for(first->fd);
	if (dead < 0)
		return dead;
	drop_registrations(target);
	if (is_lone)
		read_close_notify(first->fd);
	/* A number that was closed past the hooks is no reason to leave the others half done. */
	for (uint32_t i = 0; i < target->count; i++) {
		const struct sl_number *number = &target->numbers[i];
		int result = replace(number->fd, dead, target->cookie, is_lone);
		if (result < 0) {
			error = result;
			continue;
		}
		(void)sl_fdtable_mark_held(number->fd, number->generation, marks);
		done++;
	}
	return done > 0 ? 0 : error;
}

int sl_act_neutralize(const struct sl_target *target, bool is_lone, bool is_error_ours)
{
	sl_lock_take(SL_LOCK_ACTION);
	int error = hold(target);
	if (error == 0) {
		error = neutralize_held(target, is_lone, is_error_ours);
		release(target, target->count);
	}
	sl_lock_release(SL_LOCK_ACTION);
	return error;
}

int sl_act_end(const struct sl_target *target, bool *is_dead)
{
	*is_dead = false;
	int error = sl_act_start();
	/* Shut down and not replaced it would be left spinning. */
	int dead = error < 0 ? error : dead_socket_for(target->numbers[0].fd);
	if (dead < 0)
		return dead;
	sl_lock_take(SL_LOCK_ACTION);
	error = hold(target);
	if (error == 0) {
		error = act_held(target, shutdown_copy, (void *)target, 0);
		*is_dead = error == 0 && neutralize_held(target, true, true) == 0;
		release(target, target->count);
	}
	sl_lock_release(SL_LOCK_ACTION);
	return error;
}

int sl_act_close(const struct sl_number *number)
{
	sl_lock_take(SL_LOCK_ACTION);
	/* A call that is under way may be about to give the number a dead socket of its own. */
	int error = sl_fdtable_hold(number->fd, number->generation, SL_IO_IDLE);
	if (error == 0 && !sl_dead_is_dead(number->fd)) {
		error = -ESTALE;
		sl_fdtable_release(number->fd, number->generation);
	} else if (error == 0) {
		error = sl_sys_close(number->fd);
		sl_fdtable_release_closed(number->fd, number->generation);
	}
	sl_lock_release(SL_LOCK_ACTION);
	return error;
}
