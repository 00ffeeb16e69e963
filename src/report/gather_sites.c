/* gather_sites.c - the connections of a survey, summed by the stack that opened them. */
#include <stdatomic.h>

#include "base/sort.h"
#include "ledger/fdnames.h"
#include "base/process.h"
#include "ledger/sites.h"
#include "report/blame_text.h"
#include "report/gather.h"
#include "stack/blame.h"
#include "watch/evidence.h"

#include "base/poison.h"

#define SL_SITE_THREADS 8

static void add(const struct sl_gathering *from, struct sl_snapshot_site *site,
                const struct sl_survey_row *row, uint32_t *directions)
{
	const struct sl_judgement *judgement = &row->suspicion.judgement;
	const char *name = sl_fdname_get(row->record.fd, row->record.generation);
	site->name = site->open == 0 || site->name == name ? name : NULL;
	site->open++;
	directions[row->direction]++;
	int64_t last_use_ms = sl_gather_last_use_ms(from, row);
	if (last_use_ms != SL_UNKNOWN &&
	    (site->last_use_ms == SL_UNKNOWN || last_use_ms < site->last_use_ms))
		site->last_use_ms = last_use_ms;
	if (!row->is_suspect)
		return;
	site->deaths[judgement->death]++;
	if (judgement->cause == SL_CAUSE_UNREAD_DATA)
		site->unread_bytes += row->suspicion.unread_bytes;
	site->close_wait += judgement->is_close_wait;
	site->stuck += judgement->is_stuck;
	site->causes[judgement->cause]++;
	site->intended += (row->record.flags & SL_FD_INTENDED) &&
	                  (judgement->is_close_wait || judgement->is_dead);
	if (judgement->is_close_wait &&
	    (int64_t)judgement->close_wait_ms > site->oldest_close_wait_ms)
		site->oldest_close_wait_ms = (int64_t)judgement->close_wait_ms;
}

static int worse(const void *a, const void *b)
{
	const struct sl_snapshot_site *x = a, *y = b;
	int order = sl_gather_worse((const uint64_t[]){x->stuck, x->close_wait, x->open},
	                            (const uint64_t[]){y->stuck, y->close_wait, y->open});
	return order ? order : x->id < y->id ? -1 : 1; /* the same in each report */
}

static void name_threads(struct sl_arena *arena, const struct sl_site *known,
                         struct sl_snapshot_site *site)
{
	const char **names = sl_arena_alloc(arena, SL_SITE_THREADS * sizeof(*names));
	for (uint32_t id = 1; id < SL_THREADS_MAX; id++) {
		if (!(atomic_load(&known->threads[id / 64]) >> (id % 64) & 1))
			continue;
		const char *name = sl_thread_name(id);
		if (names && name && site->thread_names < SL_SITE_THREADS)
			names[site->thread_names++] = name;
		site->thread_count++;
	}
	site->threads = names;
}

static const char *printed(struct sl_arena *arena, const struct sl_out *out)
{
	return out->length ? sl_arena_text(arena, out->bytes, out->length) : NULL;
}

static void name_blame(struct sl_arena *arena, const struct sl_site_frames *named,
                       struct sl_snapshot_site *site)
{
	char text[1024];
	struct sl_out out;
	const struct sl_frame *frame = sl_blame_text_frame(named);
	if (!frame)
		return;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	sl_blame_text_print(&out, frame);
	site->blame = printed(arena, &out);
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	if (sl_blame_text_print_where(&out, frame))
		site->blame_where = printed(arena, &out);
}

static int64_t known_or_not(int64_t value)
{
	return value == SL_TREND_UNKNOWN ? SL_UNKNOWN : value;
}

static void judge(const struct sl_gathering *from, struct sl_snapshot_site *site)
{
	struct sl_evidence evidence;
	struct sl_trend trend;
	sl_evidence_of_site(site->id, &evidence);
	evidence.is_pressing = from->is_pressing;
	sl_evidence_trend(site->id, from->now_ms, site->open, &trend);
	site->verdict = sl_verdict_of_site(&evidence);
	site->piled = evidence.piled;
	site->growth_per_min = known_or_not(trend.waiting_per_min);
	site->open_growth_per_min = known_or_not(trend.open_per_min);
	site->half_life_ms = known_or_not(trend.half_life_ms);
	site->late_ms_p50 = known_or_not(trend.late_ms_p50);
}

static const char *why_unseen(const struct sl_snapshot_site *site)
{
	if (site->frame_count)
		return NULL;
	if (site->id != SL_SITE_ADOPTED)
		return "no stack was kept";
	return sl_process_is_attached() ? "opened before attach"
	                                : "opened before the library came, or past its hooks";
}

static void describe(const struct sl_gathering *from, struct sl_snapshot_site *site,
                     const uint32_t directions[SL_DIRECTION_COUNT])
{
	const struct sl_site *known = sl_site_get(site->id);
	const struct sl_site_frames *named = atomic_load(&known->named);
	site->kind = known->kind;
	site->opened = atomic_load(&known->opened);
	/* Connections that opened while the rows were counted. */
	if (site->opened < site->open)
		site->opened = site->open;
	site->closed = site->opened - site->open;
	site->retracted = known->retracted;
	site->reclaimed = known->reclaimed;
	site->regretted = known->regretted;
	site->direction = directions[SL_DIRECTION_IN] > directions[SL_DIRECTION_OUT]
	                          ? SL_DIRECTION_IN
	                  : directions[SL_DIRECTION_OUT] ? SL_DIRECTION_OUT
	                                                 : SL_DIRECTION_UNKNOWN;
	judge(from, site);
	site->frames = named ? named->frames : NULL;
	site->frame_count = named ? named->count : 0;
	site->blame_frame = named ? named->blame : SL_BLAME_NONE;
	site->frames_cut = known->is_cut;
	site->unseen = why_unseen(site);
	name_threads(from->arena, known, site);
	name_blame(from->arena, named, site);
}

static bool is_listed(const struct sl_snapshot_site *site)
{
	const struct sl_site *known = sl_site_get(site->id);
	return known && (site->open > 0 || atomic_load(&known->opened) > 0);
}

/* A site that reads, and has opened nothing. */
static void describe_reader(const struct sl_gathering *from, uint32_t id,
                            struct sl_snapshot_site *reader)
{
	const struct sl_site *known = sl_site_get(id);
	const struct sl_site_frames *named = atomic_load(&known->named);
	*reader = (struct sl_snapshot_site){
		.id = id,
		.kind = known->kind,
		.oldest_close_wait_ms = SL_UNKNOWN,
		.growth_per_min = SL_UNKNOWN,
		.open_growth_per_min = SL_UNKNOWN,
		.half_life_ms = SL_UNKNOWN,
		.late_ms_p50 = SL_UNKNOWN,
		.last_use_ms = SL_UNKNOWN,
		.frames = named ? named->frames : NULL,
		.frame_count = named ? named->count : 0,
		.blame_frame = named ? named->blame : SL_BLAME_NONE,
		.frames_cut = known->is_cut,
	};
	name_blame(from->arena, named, reader);
}

/* An ignored end of file: who opened the connection, and who read that. */
struct ignored {
	uint32_t site, reader;
};

static int by_site_then_reader(const void *a, const void *b)
{
	const struct ignored *x = a, *y = b;
	if (x->site != y->site)
		return x->site < y->site ? -1 : 1;
	return x->reader < y->reader ? -1 : x->reader > y->reader;
}

static struct ignored *gather_ignored(const struct sl_gathering *from, uint32_t *n)
{
	struct ignored *ignored =
		sl_arena_alloc(from->arena, (from->survey->count + 1) * sizeof(*ignored));
	*n = 0;
	for (uint32_t i = 0; ignored && i < from->survey->count; i++) {
		const struct sl_survey_row *row = &from->survey->rows[i];
		if (!row->is_duplicate && row->record.eof_site)
			ignored[(*n)++] = (struct ignored){row->record.site, row->record.eof_site};
	}
	if (ignored)
		sl_sort(ignored, *n, sizeof(*ignored), by_site_then_reader);
	return ignored;
}

/* The first of this site among them, sorted; n: none. */
static uint32_t first_of(uint32_t site, const struct ignored *ignored, uint32_t n)
{
	uint32_t low = 0, high = n;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (ignored[middle].site < site)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The reader of most of them at this site. */
static uint32_t reader_of(uint32_t site, const struct ignored *ignored, uint32_t n)
{
	uint32_t most = 0, reader = 0, first = first_of(site, ignored, n);
	for (uint32_t i = first, run = 0; i < n && ignored[i].site == site; i++) {
		run = i > first && ignored[i - 1].reader == ignored[i].reader ? run + 1 : 1;
		if (run > most) {
			most = run;
			reader = ignored[i].reader;
		}
	}
	return reader;
}

static void gather_readers(const struct sl_gathering *from, struct sl_snapshot_site *sites,
                           uint32_t count, struct sl_snapshot *snapshot)
{
	uint32_t n, ids = sl_site_last() + 1;
	const struct ignored *ignored = gather_ignored(from, &n);
	bool *is_there = sl_arena_alloc(from->arena, ids);
	struct sl_snapshot_site *readers = sl_arena_alloc(from->arena, (n + 1) * sizeof(*readers));
	if (n == 0 || !ignored || !is_there || !readers)
		return;
	for (uint32_t i = 0; i < count; i++) {
		sites[i].eof_site = sites[i].causes[SL_CAUSE_EOF_IGNORED]
		                            ? reader_of(sites[i].id, ignored, n)
		                            : 0;
		if (sites[i].id < ids)
			is_there[sites[i].id] = true;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t id = ignored[i].reader;
		if (id >= ids || is_there[id])
			continue;
		is_there[id] = true;
		describe_reader(from, id, &readers[snapshot->reader_count++]);
	}
	snapshot->readers = readers;
}

void sl_gather_sites(const struct sl_gathering *from, struct sl_snapshot *snapshot)
{
	uint32_t ids = sl_site_last() + 1, n = 0;
	struct sl_snapshot_site *sites = sl_arena_alloc(from->arena, ids * sizeof(*sites));
	uint32_t(*directions)[SL_DIRECTION_COUNT] =
		sl_arena_alloc(from->arena, ids * sizeof(*directions));
	snapshot->sites_cut = (uint32_t)sl_sites_dropped();
	if (!sites || !directions)
		return;
	sl_evidence_take();
	for (uint32_t id = 0; id < ids; id++) {
		sites[id].id = id;
		sites[id].oldest_close_wait_ms = SL_UNKNOWN;
		sites[id].last_use_ms = SL_UNKNOWN;
	}
	for (uint32_t i = 0; i < from->survey->count; i++) {
		const struct sl_survey_row *row = &from->survey->rows[i];
		uint32_t id = row->record.site;
		if (!row->is_duplicate && id < ids)
			add(from, &sites[id], row, directions[id]);
	}
	sl_gather_site_peers(from, sites, ids);
	for (uint32_t id = 0; id < ids; id++) {
		if (!is_listed(&sites[id]))
			continue;
		describe(from, &sites[id], directions[id]);
		sites[n++] = sites[id];
	}
	sl_sort(sites, n, sizeof(*sites), worse);
	for (uint32_t i = 0; i < n; i++)
		snapshot->verdict = sl_verdict_of_process(snapshot->verdict, sites[i].verdict);
	snapshot->sites = sites;
	snapshot->site_count = n;
	gather_readers(from, sites, n, snapshot);
}
