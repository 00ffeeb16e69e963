#include "reclaim/regret.h"

#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "ledger/fdtable.h"
#include "ledger/sites.h"

#include "base/poison.h"

#define SL_REGRETS_MAX 3
#define SL_REGRETS_WITHIN_MS (10u * 60 * 1000)
#define SL_REGRET_RING 64

/* What is known when it happens: the program may close the connection at once. */
struct regret {
	_Atomic uint32_t state; /* enum below */
	int fd;
	uint32_t site;
	uint32_t peer;
	uint32_t marks;
	uint64_t cookie;
};
enum { SL_REGRET_EMPTY, SL_REGRET_FILLING, SL_REGRET_FULL };

static struct regret ring[SL_REGRET_RING];
static _Atomic uint64_t unplaced; /* found the ring full: counted, without a site */

/* The worker's. */
static uint64_t count;
static uint64_t at_ms[SL_REGRETS_MAX]; /* the last ones, oldest first */
static bool is_stopped;

static void place(int fd, const struct sl_fd_record *record)
{
	for (unsigned i = 0; i < SL_REGRET_RING; i++) {
		uint32_t empty = SL_REGRET_EMPTY;
		struct regret *regret = &ring[i];
		if (!atomic_compare_exchange_strong(&regret->state, &empty, SL_REGRET_FILLING))
			continue;
		regret->fd = fd;
		regret->site = record->site;
		regret->peer = record->peer;
		regret->marks = record->marks;
		regret->cookie = record->cookie;
		atomic_store(&regret->state, SL_REGRET_FULL);
		return;
	}
	atomic_fetch_add(&unplaced, 1);
}

void sl_regret_note(int fd, uint64_t head)
{
	struct sl_fd_record record;
	if (sl_fdtable_get(fd, &record) && sl_fdtable_regret(fd, head))
		place(fd, &record);
}

void sl_regret_note_closed(int fd, uint64_t head)
{
	struct sl_fd_record record;
	if (sl_fdtable_get_closed(fd, head, &record) && sl_fdtable_regret_closed(fd, head))
		place(fd, &record);
}

static enum sl_rung rung_of(uint32_t marks)
{
	if (marks & SL_MARK_LATE)
		return SL_RUNG_CLOSE;
	return marks & SL_MARK_DEAD ? SL_RUNG_NEUTRALIZE : SL_RUNG_SHUTDOWN;
}

static void count_one(uint64_t now_ms, sl_event_fn *tell, struct sl_event *event)
{
	count++;
	tell(event);
	memmove(at_ms, at_ms + 1, sizeof(at_ms) - sizeof(at_ms[0]));
	at_ms[SL_REGRETS_MAX - 1] = now_ms;
	if (is_stopped || !at_ms[0] || now_ms - at_ms[0] > SL_REGRETS_WITHIN_MS)
		return;
	is_stopped = true;
	tell(&(struct sl_event){.kind = SL_EVENT_STOPPED, .fd = -1, .quiet_ms = -1});
	sl_log("three regrets within ten minutes: the program used connections that had been "
	       "ended; no more actions, "
	       "action=report from now on",
	       NULL);
}

static void take(struct regret *regret, uint64_t now_ms, sl_event_fn *tell)
{
	struct sl_site *site = sl_site_get(regret->site);
	struct sl_event event = {
		.kind = SL_EVENT_REGRETTED,
		.fd = regret->fd,
		.site = regret->site,
		.peer = regret->peer,
		.cookie = regret->cookie,
		.quiet_ms = -1,
		.rung = rung_of(regret->marks),
	};
	atomic_store(&regret->state, SL_REGRET_EMPTY);
	if (site)
		site->regretted++;
	count_one(now_ms, tell, &event);
}

void sl_regret_drain(uint64_t now_ms, sl_event_fn *tell)
{
	for (unsigned i = 0; i < SL_REGRET_RING; i++)
		if (atomic_load(&ring[i].state) == SL_REGRET_FULL)
			take(&ring[i], now_ms, tell);
	for (uint64_t n = atomic_exchange(&unplaced, 0); n > 0; n--)
		count_one(now_ms, tell,
		          &(struct sl_event){.kind = SL_EVENT_REGRETTED, .fd = -1, .quiet_ms = -1});
}

uint64_t sl_regret_count(void)
{
	return count;
}

bool sl_regret_has_stopped_us(void)
{
	return is_stopped;
}

void sl_regret_forked(void)
{
	for (unsigned i = 0; i < SL_REGRET_RING; i++)
		atomic_store(&ring[i].state, SL_REGRET_EMPTY);
	atomic_store(&unplaced, 0);
	memset(at_ms, 0, sizeof(at_ms));
	count = 0;
	is_stopped = false;
}
