/* api.c - the functions of include/sockleak.h. */
#include "sockleak.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "control/power.h"
#include "ledger/fdnames.h"
#include "ledger/fdtable.h"
#include "report/totals.h"
#include "watch/worker.h"

#include "base/poison.h"

static bool is_on(void)
{
	return sl_power_may_ask() && atomic_load(&sl_power_is_on);
}

#pragma GCC visibility push(default)

int sockleak_enable(int on)
{
	return sl_power_switch(on != 0);
}

int sockleak_report(int wait_ms)
{
	int saved_errno = errno;
	if (!is_on() || !sl_worker_is_running())
		return -1;
	bool is_done = sl_worker_ask(wait_ms > 0 ? (uint64_t)wait_ms : 0);
	errno = saved_errno;
	return is_done;
}

int sockleak_totals(struct sockleak_totals *totals)
{
	struct sl_totals seen;
	uint64_t now_ms = sl_clock_ms();
	size_t room = totals->size;
	if (room < sizeof(totals->size) || !is_on() || !sl_totals_read(&seen))
		return -1;
	struct sockleak_totals known = {
		.size = room < sizeof(known) ? room : sizeof(known),
		.sweep_age_ms = now_ms > seen.swept_at_ms ? now_ms - seen.swept_at_ms : 0,
		.opened = seen.opened,
		.closed = seen.closed,
		.open = seen.open,
		.close_wait = seen.close_wait,
		.stuck = seen.stuck,
		.retracted = seen.retracted,
		.regretted = seen.regretted,
	};
	memcpy(totals, &known, known.size);
	return 0;
}

int sockleak_name_fd(int fd, const char *name)
{
	if (!is_on() || !sl_fdname_set(fd, name, name ? strnlen(name, SL_FDNAME_BYTES) : 0))
		return -1;
	return 0;
}

int sockleak_intend_fd(int fd)
{
	struct sl_fd_record record;
	if (!is_on() || !sl_fdtable_get(fd, &record) || record.kind != SL_KIND_TCP)
		return -1;
	/* As before a dup(): what is under way is awaited, and nothing begins before a sweep has met it as it is then. */
	sl_fdtable_copying(fd);
	sl_fdtable_mark_all_of(fd, SL_FD_INTENDED, 0);
	return 0;
}

#pragma GCC visibility pop
