/* format_folded.c - see format_folded.h. */
#include "cli/format_folded.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cli/heap.h"

/* ';' parts frames, the last space of a line its count. */
static void put_frame(FILE *to, const char *name)
{
	char *shown = sl_heap_shown(name);
	for (char *c = shown; *c; c++)
		putc(*c == ';' ? ':' : *c, to);
	free(shown);
}

static void put_root(FILE *to, const struct sl_snapshot *s)
{
	put_frame(to, s->process.name && *s->process.name ? s->process.name : "?");
}

void sl_format_folded(FILE *to, const struct sl_snapshot *s, enum sl_measure measure)
{
	measure = sl_measure_of(measure, s);
	for (uint32_t i = 0; i < s->site_count; i++) {
		const struct sl_snapshot_site *site = &s->sites[i];
		uint64_t count = sl_measure_site(measure, site);
		if (!count)
			continue;
		put_root(to, s);
		if (!site->frame_count)
			fprintf(to, ";%s", sl_measure_no_stack);
		if (site->frames_cut)
			fprintf(to, ";%s", sl_measure_cut);
		for (uint32_t frame = site->frame_count; frame > 0; frame--) {
			putc(';', to);
			put_frame(to, sl_measure_frame(site->frames[frame - 1]));
		}
		fprintf(to, " %" PRIu64 "\n", count);
	}
	uint64_t siteless = sl_measure_siteless(measure, s);
	if (siteless) {
		put_root(to, s);
		fprintf(to, ";%s %" PRIu64 "\n", sl_measure_no_site(s), siteless);
	}
}
