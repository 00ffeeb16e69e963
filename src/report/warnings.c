#include "report/warnings.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "base/out.h"
#include "ledger/peers.h"
#include "watch/evidence.h"
#include "watch/accepting.h"
#include "watch/kernel.h"
#include "watch/limits.h"
#include "watch/listeners.h"
#include "watch/ports.h"
#include "watch/sockdiag.h"
#include "watch/suspects.h"

#include "base/poison.h"

#define SL_STUCK_FIRST 1000
#define SL_STEP_SLACK 10 /* percent that use must fall below the first step before it counts anew */
#define SL_LOOK_GAP_MS 5000    /* counting the ports in use walks the whole table */
#define SL_LIMITS_GAP_MS 10000 /* they rarely change */
#define SL_ASK_GAP_MS 30000    /* counting those of the whole namespace costs most */
#define SL_ASK_REST 200        /* times of what it took last, that it is left alone at least */
#define SL_HELD_MANY 8
#define SL_WAITED_MIN_MS 100 /* nothing is made of less, whatever the deadline */

static struct sl_warning_step ports_steps[SL_PEER_OVERFLOW]; /* by peer id */
static struct sl_warning_step fds_step;
static struct sl_limits limits;
static uint64_t limits_read_at_ms;
static uint64_t next_stuck;
static uint64_t looked_at_ms;
static uint64_t asked_at_ms;
static bool stalled_said;

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

/* One line: "<subject>75 % of <limit> <what> are in use (<used>, <others> of them not by this process); <n> connections of this process
 * are in CLOSE_WAIT". */
static void warn_step(const char *subject, unsigned percent, uint64_t used, uint64_t others,
                      uint64_t limit, const char *what)
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
	if (others) {
		sl_out_text(&out, ", ");
		sl_out_unsigned(&out, others);
		sl_out_text(&out, " of them not by this process");
	}
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

/* Ask about the peers that this process has ports to; first those that it has many to. */
static void ask_ports(const uint32_t *held, uint64_t now_ms)
{
	static uint32_t ids[SL_SOCKDIAG_DESTS];
	uint32_t n = 0;
	uint64_t gap_ms = sl_ports_spent_us() * SL_ASK_REST / 1000;
	if (asked_at_ms != 0 &&
	    now_ms - asked_at_ms < (gap_ms > SL_ASK_GAP_MS ? gap_ms : SL_ASK_GAP_MS))
		return;
	for (unsigned least = SL_HELD_MANY; least > 0; least = least > 1 ? 1 : 0)
		for (uint32_t id = 1; id < SL_PEER_OVERFLOW && id <= sl_peer_last(); id++)
			if (n < SL_SOCKDIAG_DESTS && held[id] >= least &&
			    (least > 1 || held[id] < SL_HELD_MANY))
				ids[n++] = id;
	if (n == 0)
		return;
	asked_at_ms = now_ms;
	(void)sl_ports_ask(&limits, ids, n, SL_SOCKDIAG_GLANCE_MS, now_ms);
}

static void look_at_peer(uint32_t id, uint64_t held, uint64_t range)
{
	char subject[128];
	struct sl_out out;
	unsigned percent;
	const struct sl_peer *peer = sl_peer_get(id);
	if (!peer || peer->direction != SL_DIRECTION_OUT)
		return;
	/* As they were counted last; of this process, as they are now. */
	uint64_t busy = sl_ports_busy(id), used = busy > held ? busy : held;
	if (!sl_warnings_step(&ports_steps[id], used, range, &percent))
		return;
	sl_out_init(&out, subject, sizeof(subject) - 1, NULL, NULL);
	sl_out_text(&out, "to ");
	sl_endpoint_print(&out, &peer->at);
	sl_out_text(&out, ": ");
	subject[out.length] = 0;
	warn_step(subject, percent, used, used - held, range, " ports");
}

static void look_at_ports(uint64_t now_ms)
{
	int64_t range = (int64_t)limits.port_high - limits.port_low + 1 - limits.ports_reserved;
	if (limits.port_low < 0 || range <= 0)
		return;
	const uint32_t *held = sl_ports_count_held();
	ask_ports(held, now_ms);
	for (uint32_t id = 1; id < SL_PEER_OVERFLOW && id <= sl_peer_last(); id++)
		look_at_peer(id, held[id], (uint64_t)range);
}

static void look_at_limits(uint64_t now_ms, int64_t fds)
{
	unsigned percent;
	if (limits_read_at_ms == 0 || now_ms - limits_read_at_ms >= SL_LIMITS_GAP_MS) {
		limits_read_at_ms = now_ms;
		sl_limits_read(&limits);
	}
	look_at_ports(now_ms);
	if (fds >= 0 && limits.nofile_soft > 0 &&
	    sl_warnings_step(&fds_step, (uint64_t)fds, (uint64_t)limits.nofile_soft, &percent))
		warn_step("", percent, (uint64_t)fds, 0, (uint64_t)limits.nofile_soft,
		          " file descriptors");
}

/* What the sweeps saw is confirmed by the kernel's list, where that can be read: others may accept from the same listener. */
static bool is_stalled(int fd, uint64_t waited_ms, struct sl_kernel_tcp *tcp,
                       struct sl_endpoint *local)
{
	uint64_t deadline_ms = (uint64_t)sl_options.deadline_ms, listed_ms;
	if (sl_kernel_tcp(fd, tcp) < 0 || tcp->state != TCP_LISTEN ||
	    !sl_accepting_is_stalled(tcp->backlog, tcp->backlog_limit, waited_ms, deadline_ms) ||
	    !sl_kernel_local(fd, local))
		return false;
	int error = sl_sockdiag_backlog(local->port, &listed_ms);
	return error == -ENOENT ? false
	       : error          ? true
	               : sl_accepting_is_stalled(tcp->backlog, tcp->backlog_limit, listed_ms,
	                                         deadline_ms);
}

/* One line: "not accepting: 129 connections wait at 0.0.0.0:80 (limit 128), for 35s: the program is not calling accept()". Said once, until
 * it has accepted again. */
static void look_at_listeners(uint64_t now_ms)
{
	char text[256];
	struct sl_out out;
	struct sl_kernel_tcp tcp;
	struct sl_endpoint local;
	uint64_t waited_ms;
	int fd;
	bool is_worth_a_look =
		sl_listeners_longest(now_ms, &fd, &waited_ms) && waited_ms >= SL_WAITED_MIN_MS;
	if (!is_worth_a_look || stalled_said) {
		stalled_said = stalled_said && is_worth_a_look;
		return;
	}
	stalled_said = is_stalled(fd, waited_ms, &tcp, &local);
	if (!stalled_said)
		return;
	sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
	sl_out_text(&out, "not accepting: ");
	sl_out_unsigned(&out, tcp.backlog);
	sl_out_text(&out, " connections wait at ");
	sl_endpoint_print(&out, &local);
	sl_out_text(&out, " (limit ");
	sl_out_unsigned(&out, tcp.backlog_limit);
	sl_out_text(&out, "), for ");
	sl_out_duration(&out, waited_ms);
	sl_out_text(&out, ": the program is not calling accept()");
	text[out.length] = 0;
	sl_log(text, NULL);
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
	look_at_listeners(now_ms);
}

void sl_warnings_forked(void)
{
	memset(ports_steps, 0, sizeof(ports_steps));
	fds_step.said = 0;
	stalled_said = false;
	next_stuck = looked_at_ms = limits_read_at_ms = asked_at_ms = 0;
}
