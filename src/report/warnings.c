#include "report/warnings.h"

#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "base/out.h"
#include "ledger/fdtable.h"
#include "ledger/peers.h"
#include "watch/limits.h"
#include "watch/suspects.h"

#include "base/poison.h"

#define SL_STUCK_FIRST 1000
#define SL_LOOK_GAP_MS 5000 /* counting the ports in use walks the whole table */

static struct sl_warning_step ports_step, fds_step;
static uint64_t next_stuck;
static uint64_t looked_at_ms;
static uint32_t ports_in_use[SL_PEER_OVERFLOW + 1]; /* by peer id; used within one look */

bool sl_warnings_step(struct sl_warning_step *step, uint64_t used, uint64_t limit, unsigned *percent)
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
	step->said = 0;
	return false;
}

bool sl_warnings_doubling(uint64_t *next, uint64_t first, uint64_t stuck)
{
	if (*next == 0 || stuck < first)
		*next = first;
	if (stuck < *next)
		return false;
	while (*next <= stuck)
		*next *= 2;
	return true;
}

/* One line: "<subject>: 75 % of <limit> <what> are in use (<used>)". */
static void warn_step(const char *subject, unsigned percent, uint64_t used, uint64_t limit, const char *what)
{
	char text[256];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
	sl_out_text(&out, subject);
	sl_out_unsigned(&out, percent);
	sl_out_text(&out, " % of ");
	sl_out_unsigned(&out, limit);
	sl_out_text(&out, what);
	sl_out_unsigned(&out, used);
	sl_out_text(&out, " in use, ");
	sl_out_unsigned(&out, sl_suspects_close_wait());
	sl_out_text(&out, " connections of this process are in CLOSE_WAIT");
	text[out.length] = 0;
	sl_log(text, NULL);
}

static void warn_stuck(uint64_t stuck)
{
	char number[24];
	struct sl_out out;
	sl_out_init(&out, number, sizeof(number) - 1, NULL, NULL);
	sl_out_unsigned(&out, stuck);
	number[out.length] = 0;
	sl_log(number, " connections are stuck: the peer has closed, this process has not", NULL);
}

/* The peer that uses most ports; outbound, every connection holds one. */
static uint32_t busiest_peer(uint32_t *ports)
{
	struct sl_fd_record record;
	uint32_t busiest = 0;
	memset(ports_in_use, 0, sizeof(ports_in_use));
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1) {
		uint32_t peer = record.peer ? record.peer : record.dest;
		if (record.kind == SL_KIND_TCP && (record.flags & SL_FD_OUT) && peer < SL_PEER_OVERFLOW &&
		    ++ports_in_use[peer] > ports_in_use[busiest])
			busiest = peer;
	}
	*ports = ports_in_use[busiest];
	return busiest;
}

static void look_at_ports(const struct sl_limits *limits)
{
	char subject[128];
	struct sl_out out;
	unsigned percent;
	uint32_t ports;
	const struct sl_peer *peer = sl_peer_get(busiest_peer(&ports));
	if (limits->port_low < 0 || !peer)
		return;
	uint64_t range = (uint64_t)(limits->port_high - limits->port_low + 1 - limits->ports_reserved);
	if (!sl_warnings_step(&ports_step, ports, range, &percent))
		return;
	sl_out_init(&out, subject, sizeof(subject) - 1, NULL, NULL);
	sl_out_text(&out, "to ");
	sl_endpoint_print(&out, &peer->at);
	sl_out_text(&out, ": ");
	subject[out.length] = 0;
	warn_step(subject, percent, ports, range, " ports used: ");
}

static void look_at_limits(int64_t fds)
{
	struct sl_limits limits;
	unsigned percent;
	sl_limits_read(&limits);
	look_at_ports(&limits);
	if (fds >= 0 && limits.nofile_soft > 0 &&
	    sl_warnings_step(&fds_step, (uint64_t)fds, (uint64_t)limits.nofile_soft, &percent))
		warn_step("", percent, (uint64_t)fds, (uint64_t)limits.nofile_soft,
		          " file descriptors used: ");
}

void sl_warnings_look(uint64_t now_ms, int64_t fds)
{
	if (sl_options.warn_at == SL_OFF)
		return;
	uint64_t first = sl_options.warn_at == SL_AUTO ? SL_STUCK_FIRST : (uint64_t)sl_options.warn_at;
	uint64_t stuck = sl_suspects_stuck();
	if (sl_warnings_doubling(&next_stuck, first, stuck))
		warn_stuck(stuck);
	if (sl_options.warn_at != SL_AUTO || now_ms - looked_at_ms < SL_LOOK_GAP_MS)
		return;
	looked_at_ms = now_ms;
	look_at_limits(fds);
}

void sl_warnings_forked(void)
{
	ports_step.said = fds_step.said = 0;
	next_stuck = looked_at_ms = 0;
}
