#include "report/warnings.h"

#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "base/out.h"
#include "ledger/fdtable.h"
#include "ledger/peers.h"
#include "watch/evidence.h"
#include "watch/limits.h"
#include "watch/suspects.h"

#include "base/poison.h"

#define SL_STUCK_FIRST 1000
#define SL_STEP_SLACK 10 /* percent that use must fall below the first step before it counts anew */
#define SL_LOOK_GAP_MS 5000    /* counting the ports in use walks the whole table */
#define SL_LIMITS_GAP_MS 10000 /* they rarely change */

static struct sl_warning_step ports_steps[SL_PEER_OVERFLOW]; /* by peer id */
static struct sl_warning_step fds_step;
static struct sl_limits limits;
static uint64_t limits_read_at_ms;
static uint64_t next_stuck;
static uint64_t looked_at_ms;
static uint32_t ports_in_use[SL_PEER_OVERFLOW + 1]; /* by peer id; used within one look */

bool sl_warnings_step(struct sl_warning_step *step, uint64_t used, uint64_t limit,
                      unsigned *percent)
{
	static const unsigned steps[] = {90, 75, 50};
	for (unsigned i = 0; limit > 0 && i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (used * 100 < limit * steps[i])
			continue;
		bool is_new = steps[i] > step->said;
		*percent = steps[i];
		step->said = is_new ? steps[i] : step->said;
		return is_new;
	}
	/* Use that swings around the first step must not say it again and again. */
	if (used * 100 < limit * (steps[2] - SL_STEP_SLACK))
		step->said = 0;
	return false;
}

bool sl_warnings_doubling(uint64_t *next, uint64_t first, uint64_t stuck)
{
	if (*next == 0 || stuck < first / 2)
		*next = first;
	if (stuck < *next)
		return false;
	while (*next <= stuck)
		*next *= 2;
	return true;
}

/* One line: "<subject>75 % of <limit> <what> are in use (<used>); <n> connections of this process are in CLOSE_WAIT". */
static void warn_step(const char *subject, unsigned percent, uint64_t used, uint64_t limit,
                      const char *what)
{
	char text[256];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
	sl_out_text(&out, subject);
	sl_out_unsigned(&out, percent);
	sl_out_text(&out, " % of ");
	sl_out_unsigned(&out, limit);
	sl_out_text(&out, what);
	sl_out_text(&out, " are in use (");
	sl_out_unsigned(&out, used);
	sl_out_text(&out, "); ");
	sl_out_unsigned(&out, sl_suspects_close_wait());
	sl_out_text(&out, " connections of this process are in CLOSE_WAIT");
	text[out.length] = 0;
	sl_log(text, NULL);
}

static void warn_stuck(uint64_t stuck, bool has_leak)
{
	char number[24];
	struct sl_out out;
	sl_out_init(&out, number, sizeof(number) - 1, NULL, NULL);
	sl_out_unsigned(&out, stuck);
	number[out.length] = 0;
	sl_log(number, " connections are stuck: the peer has closed, this process has not",
	       has_leak ? "; they pile up: a leak" : "", NULL);
}

/* Outbound, a connection holds a port of its own. One with two descriptors counts twice: rather early than late. */
static void count_ports(void)
{
	struct sl_fd_record record;
	memset(ports_in_use, 0, sizeof(ports_in_use));
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1) {
		uint32_t peer = record.peer ? record.peer : record.dest;
		bool has_port = record.kind == SL_KIND_TCP &&
		                !(record.marks & (SL_MARK_ENDED | SL_MARK_DEAD)) &&
		                (record.flags & (SL_FD_CONNECTED | SL_FD_CONNECTING));
		ports_in_use[peer] += has_port;
	}
}

static void look_at_peer(uint32_t id, uint64_t range)
{
	char subject[128];
	struct sl_out out;
	unsigned percent;
	const struct sl_peer *peer = sl_peer_get(id);
	if (!peer || peer->direction != SL_DIRECTION_OUT ||
	    !sl_warnings_step(&ports_steps[id], ports_in_use[id], range, &percent))
		return;
	sl_out_init(&out, subject, sizeof(subject) - 1, NULL, NULL);
	sl_out_text(&out, "to ");
	sl_endpoint_print(&out, &peer->at);
	sl_out_text(&out, ": ");
	subject[out.length] = 0;
	warn_step(subject, percent, ports_in_use[id], range, " ports");
}

static void look_at_ports(void)
{
	int64_t range = (int64_t)limits.port_high - limits.port_low + 1 - limits.ports_reserved;
	if (limits.port_low < 0 || range <= 0)
		return;
	count_ports();
	for (uint32_t id = 1; id < SL_PEER_OVERFLOW && id <= sl_peer_last(); id++)
		look_at_peer(id, (uint64_t)range);
}

static void look_at_limits(uint64_t now_ms, int64_t fds)
{
	unsigned percent;
	if (limits_read_at_ms == 0 || now_ms - limits_read_at_ms >= SL_LIMITS_GAP_MS) {
		limits_read_at_ms = now_ms;
		sl_limits_read(&limits);
	}
	look_at_ports();
	if (fds >= 0 && limits.nofile_soft > 0 &&
	    sl_warnings_step(&fds_step, (uint64_t)fds, (uint64_t)limits.nofile_soft, &percent))
		warn_step("", percent, (uint64_t)fds, (uint64_t)limits.nofile_soft,
		          " file descriptors");
}

void sl_warnings_look(uint64_t now_ms, int64_t fds)
{
	if (sl_options.warn_at == SL_OFF)
		return;
	uint64_t first =
		sl_options.warn_at == SL_AUTO ? SL_STUCK_FIRST : (uint64_t)sl_options.warn_at;
	bool has_leak;
	/* The idle connections of a pool are nothing to wake anybody for. */
	uint64_t stuck = sl_evidence_stuck_in_doubt(&has_leak);
	if (sl_warnings_doubling(&next_stuck, first, stuck))
		warn_stuck(stuck, has_leak);
	if (sl_options.warn_at != SL_AUTO ||
	    (looked_at_ms != 0 && now_ms - looked_at_ms < SL_LOOK_GAP_MS))
		return;
	looked_at_ms = now_ms;
	look_at_limits(now_ms, fds);
}

void sl_warnings_forked(void)
{
	memset(ports_steps, 0, sizeof(ports_steps));
	fds_step.said = 0;
	next_stuck = looked_at_ms = limits_read_at_ms = 0;
}
