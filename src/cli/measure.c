/* measure.c - see measure.h. */
#include "cli/measure.h"

#include <netinet/tcp.h>
#include <string.h>

const char sl_measure_no_stack[] = "[no stack: adopted, or none could be walked]";
const char sl_measure_cut[] = "[outer frames cut]";

static const char *const words[] = {
	[SL_MEASURE_STUCK] = "stuck",
	[SL_MEASURE_CLOSE_WAIT] = "close_wait",
	[SL_MEASURE_OPEN] = "open",
	[SL_MEASURE_AUTO] = "auto",
};

const char *sl_measure_word(enum sl_measure measure)
{
	return words[measure];
}

bool sl_measure_parse(const char *word, enum sl_measure *measure)
{
	for (int i = 0; i <= SL_MEASURE_AUTO; i++) {
		if (strcmp(words[i], word) == 0) {
			*measure = (enum sl_measure)i;
			return true;
		}
	}
	return false;
}

enum sl_measure sl_measure_of(enum sl_measure measure, const struct sl_snapshot *s)
{
	if (measure != SL_MEASURE_AUTO)
		return measure;
	return s->totals.stuck ? SL_MEASURE_STUCK : SL_MEASURE_OPEN;
}

const char *sl_measure_no_site(const struct sl_snapshot *s)
{
	return s->no_sites ? "[not known: seen from outside]" : "[other sites]";
}

uint64_t sl_measure_site(enum sl_measure measure, const struct sl_snapshot_site *site)
{
	return measure == SL_MEASURE_STUCK        ? site->stuck
	       : measure == SL_MEASURE_CLOSE_WAIT ? site->close_wait
	                                          : site->open;
}

uint64_t sl_measure_total(enum sl_measure measure, const struct sl_snapshot *s)
{
	return measure == SL_MEASURE_STUCK        ? s->totals.stuck
	       : measure == SL_MEASURE_CLOSE_WAIT ? s->totals.close_wait
	                                          : s->totals.open;
}

uint64_t sl_measure_siteless(enum sl_measure measure, const struct sl_snapshot *s)
{
	uint64_t total = sl_measure_total(measure, s), known = 0;
	for (uint32_t i = 0; i < s->site_count; i++)
		known += sl_measure_site(measure, &s->sites[i]);
	return total > known ? total - known : 0;
}

const char *sl_measure_frame(const struct sl_frame *frame)
{
	const char *names[] = {frame->text, frame->function, frame->method, frame->module};
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i] && *names[i])
			return names[i];
	return "?";
}

bool sl_measure_is_stuck(const struct sl_snapshot *s, const struct sl_snapshot_socket *socket)
{
	bool is_suspect =
		socket->state == TCP_CLOSE_WAIT || socket->cause == SL_CAUSE_DEAD_BUT_OPEN;
	bool is_ended = socket->rung > SL_RUNG_PROBE;
	return is_suspect && !is_ended && socket->quiet_ms != SL_UNKNOWN &&
	       socket->quiet_ms >= (int64_t)s->deadline_ms;
}
