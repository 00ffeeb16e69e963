/* reap_outside.c - see reap_outside.h. */
#include "cli/reap_outside.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/external.h"
#include "cli/reap_sharing.h"

#define SL_BATCH_MAX 8192 /* copies that are held at a time */
#define SL_OTHER_FDS 64   /* of our own limit, for everything else */
#define SL_PROBE_MS 1000  /* for the answer, from when the probe was sent */
#define SL_SENT_MS 2000   /* for it to be sent */
#define SL_TICK_MS 10     /* ages that the kernel tells are as coarse as that */

/* One that is to be ended, and its copy. */
struct target {
	struct sl_outside_socket seen;
	int copy;
	bool is_probed;
	uint64_t probed_at_ms; /* asked for */
	uint64_t sent_at_ms;   /* seen to be out and unanswered; 0: not yet */
	int keepalive, idle_s; /* as the program has set them */
};

const char *sl_reap_word(enum sl_reap_skip skip)
{
	static const char *const words[SL_REAP_COUNT] = {
		[SL_REAP_YOUNG] = "younger",      [SL_REAP_RULE] = "other-peer",
		[SL_REAP_INBOUND] = "inbound",    [SL_REAP_END_UNREAD] = "end-unread",
		[SL_REAP_UNREAD] = "unread-data", [SL_REAP_UNSENT] = "unsent-data",
		[SL_REAP_SHARED] = "shared",      [SL_REAP_PEER_WAITS] = "peer-waits",
		[SL_REAP_GONE] = "gone",          [SL_REAP_FAILED] = "failed",
	};
	return words[skip];
}

enum sl_reap_skip sl_reap_may(const struct sl_outside_socket *socket,
                              const struct sl_reap_wish *wish)
{
	if (socket->tcp.state != TCP_CLOSE_WAIT)
		return SL_REAP_GONE;
	if (wish->peer && !sl_rule_covers(wish->peer, socket->peer.address, socket->peer.port,
	                                  socket->local.port))
		return SL_REAP_RULE;
	if (sl_external_quiet_ms(socket) < wish->older_than_ms)
		return SL_REAP_YOUNG;
	if (socket->unsent || socket->tcp.has_unsent)
		return SL_REAP_UNSENT;
	if (socket->direction != SL_DIRECTION_OUT && !wish->is_inbound)
		return SL_REAP_INBOUND;
	if (socket->direction != SL_DIRECTION_OUT && !socket->has_read_eof)
		return SL_REAP_END_UNREAD;
	return socket->unread && !socket->is_close_notify ? SL_REAP_UNREAD : SL_REAP_NOT;
}

bool sl_reap_needs_probe(const struct sl_outside_socket *socket)
{
	return socket->direction != SL_DIRECTION_OUT ||
	       socket->tcp.last_data_recv_ms <= socket->tcp.last_data_sent_ms;
}

bool sl_reap_would_kill(int pid)
{
	const unsigned long long bit = 1ull << (SIGPIPE - 1);
	unsigned long long ignored = 0, caught = 0;
	size_t n;
	char *status = sl_proc_file(pid, "status", &n);
	const char *at = status ? strstr(status, "\nSigIgn:") : NULL;
	if (at)
		(void)sscanf(at, "\nSigIgn: %llx SigCgt: %llx", &ignored, &caught);
	free(status);
	return at && !((ignored | caught) & bit);
}

/* A fresh copy of the same socket, as it is now; the reason where it is not to be ended any more. */
static enum sl_reap_skip hold(int pidfd, const struct sl_reap_wish *wish, struct target *target)
{
	struct sl_outside_socket now = target->seen;
	target->copy = sl_outside_copy(pidfd, target->seen.fd);
	if (target->copy < 0)
		return target->copy == -EBADF ? SL_REAP_GONE : SL_REAP_FAILED;
	enum sl_reap_skip skip = SL_REAP_GONE;
	if (sl_outside_ask(target->copy, &now) && now.cookie == target->seen.cookie &&
	    now.tcp.bytes_sent == target->seen.tcp.bytes_sent)
		skip = sl_reap_may(&now, wish);
	if (skip) {
		(void)close(target->copy);
		target->copy = -1;
	}
	return skip;
}

static void start_probe(struct target *target, struct sl_reap_done *done)
{
	const int on = 1, at_once_s = 1;
	socklen_t n = sizeof(int);
	if (getsockopt(target->copy, SOL_SOCKET, SO_KEEPALIVE, &target->keepalive, &n) < 0 ||
	    getsockopt(target->copy, IPPROTO_TCP, TCP_KEEPIDLE, &target->idle_s, &n) < 0)
		return;
	/* The second sets the timer to what is left of that second: nothing (tcp_keepalive_timer()). */
	target->is_probed = setsockopt(target->copy, SOL_SOCKET, SO_KEEPALIVE, &on, n) == 0 &&
	                    setsockopt(target->copy, IPPROTO_TCP, TCP_KEEPIDLE, &at_once_s, n) == 0;
	target->probed_at_ms = sl_clock_ms();
	done->probed += target->is_probed;
}

static void end_probe(const struct target *target)
{
	if (!target->is_probed)
		return;
	(void)setsockopt(target->copy, IPPROTO_TCP, TCP_KEEPIDLE, &target->idle_s, sizeof(int));
	(void)setsockopt(target->copy, SOL_SOCKET, SO_KEEPALIVE, &target->keepalive, sizeof(int));
}

/* Its latest acknowledgement came after the probe. In doubt it did: then an inbound one is spared. */
static bool has_acknowledged(const struct target *target, const struct sl_kernel_tcp *tcp)
{
	return target->is_probed &&
	       tcp->last_ack_recv_ms <= sl_clock_ms() - target->probed_at_ms + SL_TICK_MS;
}

/* The answer is there: the connection is ended, or acknowledged; or there will be none. The kernel sends no probe before a second without a
 * packet, and by its timers somewhat later: what has not been asked yet is not silent. */
static bool is_settled(struct target *target)
{
	struct sl_kernel_tcp tcp;
	const uint64_t now_ms = sl_clock_ms();
	if (target->copy < 0 || !target->is_probed || sl_kernel_tcp(target->copy, &tcp) < 0 ||
	    tcp.state != TCP_CLOSE_WAIT || has_acknowledged(target, &tcp))
		return true;
	if (tcp.probes == 0)
		return now_ms - target->probed_at_ms >= SL_SENT_MS;
	if (!target->sent_at_ms)
		target->sent_at_ms = now_ms;
	return now_ms - target->sent_at_ms >= SL_PROBE_MS;
}

static void wait_for_answers(struct target *targets, unsigned n)
{
	for (unsigned waiting = n; waiting;) {
		waiting = 0;
		for (unsigned i = 0; i < n; i++)
			waiting += !is_settled(&targets[i]);
		if (waiting)
			(void)poll(NULL, 0, SL_TICK_MS);
	}
}

static void end_one(const struct target *target, struct sl_reap_done *done)
{
	struct sl_kernel_tcp tcp;
	bool is_known = sl_kernel_tcp(target->copy, &tcp) == 0;
	bool is_waiting = is_known && has_acknowledged(target, &tcp);
	end_probe(target);
	if (is_known && tcp.state == TCP_CLOSE && target->is_probed)
		done->ended_by_probe++;
	else if (!is_known || tcp.state != TCP_CLOSE_WAIT ||
	         tcp.bytes_sent != target->seen.tcp.bytes_sent)
		done->skipped[SL_REAP_GONE]++;
	else if (target->seen.direction != SL_DIRECTION_OUT && (is_waiting || tcp.probes == 0))
		done->skipped[SL_REAP_PEER_WAITS]++; /* or may wait: it could not be asked */
	else if (shutdown(target->copy, SHUT_RDWR) == 0)
		done->shut_down++;
	else
		done->skipped[errno == ENOTCONN ? SL_REAP_GONE : SL_REAP_FAILED]++;
}

/* What ends us comes when the program's own settings are back: a probe that nobody ends is sent each second for ever. */
static void hold_signals(sigset_t *before)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
	sigset_t held;
	(void)sigemptyset(&held);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		(void)sigaddset(&held, ends[i]);
	(void)sigprocmask(SIG_BLOCK, &held, before);
}

static void end_batch(int pidfd, const struct sl_reap_wish *wish, struct target *targets,
                      unsigned n, struct sl_reap_done *done)
{
	sigset_t before;
	hold_signals(&before);
	for (unsigned i = 0; i < n; i++) {
		enum sl_reap_skip skip = hold(pidfd, wish, &targets[i]);
		if (skip)
			done->skipped[skip]++;
		else if (sl_reap_needs_probe(&targets[i].seen))
			start_probe(&targets[i], done);
	}
	wait_for_answers(targets, n);
	for (unsigned i = 0; i < n; i++)
		if (targets[i].copy >= 0) {
			end_one(&targets[i], done);
			(void)close(targets[i].copy);
		}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Those that may be ended, in the order of `outside`; the others are counted. */
static unsigned choose(const struct sl_outside *outside, const struct sl_reap_wish *wish,
                       struct target *targets, struct sl_reap_done *done)
{
	unsigned n = 0;
	for (uint32_t i = 0; i < outside->count; i++) {
		const struct sl_outside_socket *socket = &outside->sockets[i];
		if (socket->tcp.state != TCP_CLOSE_WAIT)
			continue;
		enum sl_reap_skip skip = sl_reap_may(socket, wish);
		if (skip)
			done->skipped[skip]++;
		else
			targets[n++] = (struct target){.seen = *socket, .copy = -1};
	}
	return n;
}

static unsigned leave_out_shared(const struct sl_proc *proc, struct target *targets, unsigned n,
                                 struct sl_reap_done *done)
{
	unsigned kept = 0;
	struct sl_reap_sharing *sharing = sl_reap_sharing_start(proc->pid);
	for (unsigned i = 0; sharing && i < n; i++)
		sl_reap_sharing_add(sharing, targets[i].seen.inode);
	sl_reap_sharing_look(sharing);
	for (unsigned i = 0; i < n; i++) {
		if (!sharing || sl_reap_sharing_has(sharing, targets[i].seen.inode))
			done->skipped[SL_REAP_SHARED]++;
		else
			targets[kept++] = targets[i];
	}
	sl_reap_sharing_free(sharing);
	return kept;
}

/* How many copies can be held: our own limit of fds, raised as far as it goes. */
static unsigned batch_size(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return SL_OTHER_FDS;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur > SL_BATCH_MAX)
		return SL_BATCH_MAX;
	return limit.rlim_cur > 2 * SL_OTHER_FDS ? (unsigned)limit.rlim_cur - SL_OTHER_FDS
	                                         : SL_OTHER_FDS;
}

int sl_reap_outside(const struct sl_proc *proc, const struct sl_reap_wish *wish,
                    struct sl_reap_done *done)
{
	struct sl_outside outside;
	*done = (struct sl_reap_done){0};
	int pidfd = (int)syscall(SYS_pidfd_open, proc->pid, 0);
	/* Held from here on: the number cannot become another process's. */
	int error =
		pidfd < 0 || !sl_proc_is_same(proc) ? -ESRCH : sl_outside_look(proc->pid, &outside);
	if (error) {
		if (pidfd >= 0)
			(void)close(pidfd);
		return error;
	}
	struct target *targets = calloc(outside.count + 1, sizeof(*targets));
	if (outside.is_by_diag || !targets)
		error = targets ? -EPERM : -ENOMEM;
	unsigned n = error ? 0 : choose(&outside, wish, targets, done);
	n = leave_out_shared(proc, targets, n, done);
	if (wish->is_dry)
		done->shut_down = n;
	unsigned batch = batch_size();
	for (unsigned at = 0; !wish->is_dry && at < n; at += batch)
		end_batch(pidfd, wish, targets + at, n - at < batch ? n - at : batch, done);
	free(targets);
	sl_outside_free(&outside);
	(void)close(pidfd);
	return error;
}
