#include "reclaim/keepalive.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>

#include "base/options.h"
#include "base/sys.h"
#include "reclaim/act.h"
#include "watch/kernel.h"

#include "base/poison.h"

#define SL_KEEPALIVE_COUNT 5

enum { SL_KEEP_IDLE, SL_KEEP_INTERVAL, SL_KEEP_COUNT, SL_KEEP_TIMES };
static const int names[SL_KEEP_TIMES] = {TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT};

/* The system's own, as the first socket had them; 0: not known yet. Written by the worker before any socket is flagged. */
static _Atomic int standard[SL_KEEP_TIMES];

static int wanted(int which)
{
	int idle_s = (int)sl_options.keepalive_s;
	if (which == SL_KEEP_COUNT)
		return SL_KEEPALIVE_COUNT;
	return which == SL_KEEP_IDLE                  ? idle_s
	       : idle_s >= SL_KEEPALIVE_COUNT * 2 - 1 ? idle_s / SL_KEEPALIVE_COUNT
	                                              : 1;
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
	if (is_on) { /* nobody saw the program set it, but it did */
		sl_fdtable_mark(record->fd, record->generation, SL_FD_OWN_KEEPALIVE, 0);
		return 0;
	}
	for (int i = 0; i < SL_KEEP_TIMES; i++) {
		int before = 0;
		(void)sl_act_get_int(copy, IPPROTO_TCP, names[i], &before);
		if (!atomic_load(&standard[i]))
			atomic_store(&standard[i], before);
		(void)sl_act_set_int(copy, IPPROTO_TCP, names[i], wanted(i));
	}
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
	if (sl_options.keepalive_s == SL_OFF)
		return;
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1)
		if (record.kind == SL_KIND_TCP && !(record.flags & not_again) &&
		    !(record.marks & (SL_MARK_ENDED | SL_MARK_DEAD)))
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
