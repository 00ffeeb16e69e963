#include "reclaim/keepalive.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>

#include "base/options.h"
#include "base/process.h"
#include "base/sys.h"
#include "reclaim/act.h"
#include "reclaim/dead.h"
#include "watch/kernel.h"

#include "base/poison.h"

#define SL_KEEPALIVE_COUNT 5

enum { SL_KEEP_IDLE, SL_KEEP_INTERVAL, SL_KEEP_COUNT, SL_KEEP_TIMES };
static const int names[SL_KEEP_TIMES] = {TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT};

/* The system's own, as a socket of ours had them at first; 0: not known yet. Written by the worker before any socket is flagged. */
static _Atomic int standard[SL_KEEP_TIMES];

static bool is_standard_known(void)
{
	int fd = atomic_load(&standard[0]) ? -1 : sl_dead_socket(AF_INET, false);
	for (int i = 0; fd >= 0 && i < SL_KEEP_TIMES; i++) {
		int value = 0;
		(void)sl_act_get_int(fd, IPPROTO_TCP, names[i], &value);
		atomic_store(&standard[i], value);
	}
	return atomic_load(&standard[0]) != 0;
}

static int wanted(int which)
{
	int idle_s = (int)sl_options.keepalive_s;
	if (which == SL_KEEP_COUNT)
		return SL_KEEPALIVE_COUNT;
	return which == SL_KEEP_IDLE                  ? idle_s
	       : idle_s >= SL_KEEPALIVE_COUNT * 2 - 1 ? idle_s / SL_KEEPALIVE_COUNT
	                                              : 1;
}

/* An accepted socket has the times of its listener: the program may have set them there. */
static bool is_inherited(int copy, const struct sl_fd_record *record)
{
	for (int i = 0; (record->flags & SL_FD_IN) && i < SL_KEEP_TIMES; i++) {
		int now = 0;
		if (sl_act_get_int(copy, IPPROTO_TCP, names[i], &now) == 0 &&
		    now != atomic_load(&standard[i]))
			return true;
	}
	return false;
}

/* On a private copy, while the record is held: the program's own call marks it first and then waits. */
static int set_ours(int copy, void *context)
{
	const struct sl_fd_record *record = context;
	struct sl_fd_record now;
	int is_on = 0;
	if (!sl_fdtable_get(record->fd, &now) || (now.flags & SL_FD_OWN_KEEPALIVE))
		return -EBUSY;
	int error = sl_act_get_int(copy, SOL_SOCKET, SO_KEEPALIVE, &is_on);
	if (error < 0)
		return error;
	if (is_on || is_inherited(copy, record)) { /* nobody saw the program set it, but it did */
		sl_fdtable_mark(record->fd, record->generation, SL_FD_OWN_KEEPALIVE, 0);
		return 0;
	}
	for (int i = 0; i < SL_KEEP_TIMES; i++)
		(void)sl_act_set_int(copy, IPPROTO_TCP, names[i], wanted(i));
	sl_fdtable_mark(record->fd, record->generation, SL_FD_KEEPALIVE, 0);
	return sl_act_set_int(copy, SOL_SOCKET, SO_KEEPALIVE, 1);
}

static void look_at(struct sl_fd_record *record)
{
	struct sl_target target = {.cookie = sl_kernel_cookie(record->fd), .count = 1};
	target.numbers[0] = (struct sl_number){record->fd, record->generation, SL_IO_ANY};
	if (target.cookie)
		(void)sl_act_on_copy(&target, set_ours, record, 0);
}

void sl_keepalive_turn(void)
{
	const uint32_t not_again = SL_FD_KEEPALIVE | SL_FD_OWN_KEEPALIVE | SL_FD_LISTENING;
	struct sl_fd_record record;
	/* In a sandbox that the program set up setsockopt() may end it (seccomp(2)). */
	if (sl_options.keepalive_s == SL_OFF || sl_process_is_sandboxed() || !is_standard_known())
		return;
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1)
		if (record.kind == SL_KIND_TCP && !(record.flags & not_again) &&
		    !(record.marks & (SL_MARK_PROBED | SL_MARK_ENDED | SL_MARK_DEAD)))
			look_at(&record);
}

void sl_keepalive_yield(const struct sl_fd_record *record)
{
	struct sl_fd_record now;
	sl_fdtable_mark(record->fd, record->generation, SL_FD_OWN_KEEPALIVE, 0);
	sl_fdtable_await_release(sl_fdtable_slot(record->fd));
	if (!sl_fdtable_get(record->fd, &now) || now.generation != record->generation ||
	    !(now.flags & SL_FD_KEEPALIVE))
		return;
	sl_fdtable_mark(record->fd, record->generation, 0, SL_FD_KEEPALIVE);
	for (int i = 0; i < SL_KEEP_TIMES; i++)
		(void)sl_act_set_int(record->fd, IPPROTO_TCP, names[i], atomic_load(&standard[i]));
	(void)sl_act_set_int(record->fd, SOL_SOCKET, SO_KEEPALIVE, 0);
}
