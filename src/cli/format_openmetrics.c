/* format_openmetrics.c - see format_openmetrics.h.
 *
 * A family of metrics stands together, whatever the number of processes: the outer loop is over the table of
 * families, the inner one over the processes.
 */
#include "cli/format_openmetrics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "cli/heap.h"
#include "cli/metric_groups.h"
#include "report/words.h"

struct process {
	const struct sl_openmetrics_source *source;
	const struct sl_snapshot *s;
	char *labels; /* program="...",pid="..." */
	struct sl_metric_groups peers, inbound, sites;
};

struct family {
	const char *name;
	const char *type;
	const char *unit; /* NULL: none; else the name ends in it */
	const char *help;
	void (*put)(FILE *to, const struct family *family, const struct process *process);
	size_t offset; /* of the value in the snapshot, or in the group */
};

/* `labels` stands behind those of the process; NULL: none. */
static void put_name(FILE *to, const struct family *family, const struct process *process,
                     const char *labels)
{
	const char *suffix = strcmp(family->type, "counter") == 0 ? "_total"
	                     : strcmp(family->type, "info") == 0  ? "_info"
	                                                          : "";
	fprintf(to, "%s%s{%s%s%s} ", family->name, suffix, process->labels, labels ? "," : "",
	        labels ? labels : "");
}

static void put_value(FILE *to, const struct family *family, const struct process *process,
                      const char *labels, uint64_t value)
{
	put_name(to, family, process, labels);
	fprintf(to, "%" PRIu64 "\n", value);
}

static void put_known(FILE *to, const struct family *family, const struct process *process,
                      const char *labels, int64_t value)
{
	if (value == SL_UNKNOWN)
		return;
	put_name(to, family, process, labels);
	fprintf(to, "%" PRId64 "\n", value);
}

static void put_known_ms(FILE *to, const struct family *family, const struct process *process,
                         const char *labels, int64_t ms)
{
	if (ms == SL_UNKNOWN)
		return;
	put_name(to, family, process, labels);
	fprintf(to, "%s%" PRId64 ".%03d\n", ms < 0 ? "-" : "", ms < 0 ? -(ms / 1000) : ms / 1000,
	        abs((int)(ms % 1000)));
}

static const void *at(const void *from, const struct family *family)
{
	return (const char *)from + family->offset;
}

static void put_count(FILE *to, const struct family *family, const struct process *process)
{
	put_value(to, family, process, NULL, *(const uint64_t *)at(process->s, family));
}

static void put_number(FILE *to, const struct family *family, const struct process *process)
{
	put_known(to, family, process, NULL, *(const int64_t *)at(process->s, family));
}

static void put_duration(FILE *to, const struct family *family, const struct process *process)
{
	put_known_ms(to, family, process, NULL, *(const int64_t *)at(process->s, family));
}

static void put_info(FILE *to, const struct family *family, const struct process *process)
{
	char *version =
		sl_metric_label("version", process->s->version ? process->s->version : SL_VERSION);
	char *host = sl_metric_label("host", process->s->process.hostname);
	char *runtime = sl_metric_label("runtime", process->s->process.is_jvm ? "jvm" : "native");
	char *mode = sl_metric_label("mode", sl_words_mode(process->s->mode));
	char *labels = sl_metric_labels(4, (char *[]){version, host, runtime, mode});
	put_value(to, family, process, labels, 1);
	free(labels);
}

static void put_verdict(FILE *to, const struct family *family, const struct process *process)
{
	for (int verdict = 0; verdict < SL_VERDICT_COUNT; verdict++) {
		char *label =
			sl_metric_label(family->name, sl_words_verdict((enum sl_verdict)verdict));
		put_value(to, family, process, label,
		          process->s->verdict == (enum sl_verdict)verdict);
		free(label);
	}
}

/* All kinds, with their zeroes: an alert needs the sample before there is anything. */
static void put_elsewhere(FILE *to, const struct family *family, const struct process *process)
{
	uint64_t counts[SL_ELSEWHERE_COUNT] = {0};
	for (uint32_t i = 0; i < process->s->elsewhere_count; i++)
		counts[process->s->elsewhere[i].kind] += process->s->elsewhere[i].count;
	for (int kind = 0; kind < SL_ELSEWHERE_COUNT; kind++) {
		char *label =
			sl_metric_label("kind", sl_words_elsewhere((enum sl_elsewhere_kind)kind));
		put_value(to, family, process, label, counts[kind]);
		free(label);
	}
}

static void put_states(FILE *to, const struct family *family, const struct process *process)
{
	for (unsigned state = 1; state < SL_WORDS_STATES; state++) {
		if (!sl_words_state(state))
			continue;
		char *label = sl_metric_label("state", sl_words_state(state));
		put_value(to, family, process, label, process->s->totals.by_state[state]);
		free(label);
	}
}

static void put_kinds(FILE *to, const struct family *family, const struct process *process)
{
	for (int kind = SL_KIND_TCP; kind < SL_KIND_COUNT; kind++) {
		char *label = sl_metric_label("kind", sl_words_kind((enum sl_kind)kind));
		put_value(to, family, process, label, process->s->totals.by_kind[kind]);
		free(label);
	}
}

static void put_actions(FILE *to, const struct family *family, const struct process *process)
{
	const uint64_t counts[SL_RUNG_COUNT] = {
		[SL_RUNG_PROBE] = process->s->totals.probed,
		[SL_RUNG_SHUTDOWN] = process->s->totals.shutdown,
		[SL_RUNG_NEUTRALIZE] = process->s->totals.neutralized,
		[SL_RUNG_CLOSE] = process->s->totals.closed_by_us,
	};
	for (int rung = SL_RUNG_NONE + 1; rung < SL_RUNG_COUNT; rung++) {
		char *label = sl_metric_label("action", sl_words_rung((enum sl_rung)rung));
		put_value(to, family, process, label, counts[rung]);
		free(label);
	}
}

static void put_port_range(FILE *to, const struct family *family, const struct process *process)
{
	const int64_t low = process->s->limits.port_low, high = process->s->limits.port_high;
	if (low != SL_UNKNOWN && high != SL_UNKNOWN && high >= low)
		put_known(to, family, process, NULL, high - low + 1);
}

static void put_taken(FILE *to, const struct family *family, const struct process *process)
{
	put_known_ms(to, family, process, NULL, (int64_t)process->s->taken_wall_ms);
}

/* ---- a sample for each group ---- */

static const struct sl_metric_groups *groups_of(const struct family *family,
                                                const struct process *process)
{
	return strncmp(family->name, "sockleak_peer", 13) == 0   ? &process->peers
	       : strncmp(family->name, "sockleak_site", 13) == 0 ? &process->sites
	                                                         : &process->inbound;
}

static void put_groups(FILE *to, const struct family *family, const struct process *process)
{
	const struct sl_metric_groups *groups = groups_of(family, process);
	for (unsigned i = 0; i < groups->count; i++)
		put_known(to, family, process, groups->rows[i].labels,
		          *(const int64_t *)at(&groups->rows[i], family));
}

static void put_groups_ms(FILE *to, const struct family *family, const struct process *process)
{
	const struct sl_metric_groups *groups = groups_of(family, process);
	for (unsigned i = 0; i < groups->count; i++)
		put_known_ms(to, family, process, groups->rows[i].labels,
		             *(const int64_t *)at(&groups->rows[i], family));
}

#define TOTAL(member) offsetof(struct sl_snapshot, totals.member)
#define LIMIT(member) offsetof(struct sl_snapshot, limits.member)
#define GROUP(member) offsetof(struct sl_metric_group, member)

static const struct family families[] = {
	{"sockleak_process", "info", NULL, "The process and the library in it", put_info, 0},
	{"sockleak_verdict", "stateset", NULL, "Verdict on the process", put_verdict, 0},
	{"sockleak_report_timestamp_seconds", "gauge", "seconds", "When the report was taken",
         put_taken, 0},
	{"sockleak_uptime_seconds", "gauge", "seconds", "Age of the process", put_duration,
         offsetof(struct sl_snapshot, process.uptime_ms)},

	{"sockleak_tcp_sockets", "gauge", NULL, "Open TCP sockets by state", put_states, 0},
	{"sockleak_sockets", "gauge", NULL, "Open sockets by kind", put_kinds, 0},
	{"sockleak_close_wait", "gauge", NULL,
         "Connections that the peer has closed and the program has not", put_count,
         TOTAL(close_wait)},
	{"sockleak_stuck", "gauge", NULL,
         "Connections in CLOSE_WAIT or dead but open, and quiet for the deadline", put_count,
         TOTAL(stuck)},
	{"sockleak_dead", "gauge", NULL, "Connections that are gone and still have their fd",
         put_count, TOTAL(dead)},
	{"sockleak_backlog", "gauge", NULL, "Connections that the program has not accepted yet",
         put_count, TOTAL(backlog)},
	{"sockleak_elsewhere", "gauge", NULL, "What is not well and is no leak, by kind",
         put_elsewhere, 0},
	{"sockleak_oldest_stuck_seconds", "gauge", "seconds",
         "Since the peer's close or the death of the oldest stuck connection", put_duration,
         TOTAL(oldest_stuck_ms)},
	{"sockleak_close_wait_growth_per_minute", "gauge", NULL,
         "Connections in CLOSE_WAIT gained a minute", put_number, TOTAL(growth_per_min)},

	{"sockleak_fds_used", "gauge", NULL, "File descriptors in use", put_number,
         LIMIT(nofile_used)},
	{"sockleak_fds_limit", "gauge", NULL, "Soft limit of file descriptors", put_number,
         LIMIT(nofile_soft)},
	{"sockleak_fds_exhausted_seconds", "gauge", "seconds",
         "Until the fds are used up, at the present growth", put_duration,
         LIMIT(fds_exhausted_in_ms)},
	{"sockleak_ports", "gauge", NULL, "Ephemeral ports that one peer can have", put_port_range,
         0},

	{"sockleak_tcp_opened", "counter", NULL, "TCP sockets opened since the start", put_count,
         TOTAL(opened)},
	{"sockleak_tcp_closed", "counter", NULL, "Of those opened, those closed", put_count,
         TOTAL(closed)},
	{"sockleak_retracted", "counter", NULL,
         "Connections that were stuck, and then used or closed by the program", put_count,
         TOTAL(retracted)},
	{"sockleak_regretted", "counter", NULL,
         "Connections that were ended by sockleak, and then used by the program", put_count,
         TOTAL(regretted)},
	{"sockleak_rescued", "counter", NULL, "Calls saved from failing for want of ports or fds",
         put_count, TOTAL(rescued)},
	{"sockleak_actions", "counter", NULL, "What sockleak did to connections", put_actions, 0},
	{"sockleak_app_reacted", "counter", NULL,
         "Connections closed by the program itself after a shutdown", put_count,
         TOTAL(app_reacted)},
	{"sockleak_ended_by_probe", "counter", NULL,
         "Probed connections that the peer had forgotten", put_count, TOTAL(ended_by_probe)},
	{"sockleak_ended_by_keepalive", "counter", NULL,
         "Connections ended by keepalive=", put_count, TOTAL(ended_by_keepalive)},
	{"sockleak_adopted", "counter", NULL, "Sockets not seen when opened", put_count,
         TOTAL(adopted)},
	{"sockleak_dropped", "counter", NULL, "Sockets not recorded for want of room", put_count,
         TOTAL(dropped)},
	{"sockleak_held_back_bytes", "counter", "bytes", "Output that max_output kept back",
         put_count, TOTAL(held_back_bytes)},

	{"sockleak_peer_open", "gauge", NULL, "Outbound connections by peer", put_groups,
         GROUP(open)},
	{"sockleak_peer_established", "gauge", NULL, "Outbound connections in ESTABLISHED",
         put_groups, GROUP(established)},
	{"sockleak_peer_close_wait", "gauge", NULL, "Outbound connections in CLOSE_WAIT",
         put_groups, GROUP(close_wait)},
	{"sockleak_peer_stuck", "gauge", NULL, "Outbound connections that are stuck", put_groups,
         GROUP(stuck)},
	{"sockleak_peer_ports_left", "gauge", NULL, "Ephemeral ports left to the peer", put_groups,
         GROUP(ports_left)},
	{"sockleak_peer_ports_exhausted_seconds", "gauge", "seconds",
         "Until the ports to the peer are used up, at the present growth", put_groups_ms,
         GROUP(exhausted_in_ms)},
	{"sockleak_inbound_open", "gauge", NULL, "Accepted connections by our own port", put_groups,
         GROUP(open)},
	{"sockleak_inbound_close_wait", "gauge", NULL, "Accepted connections in CLOSE_WAIT",
         put_groups, GROUP(close_wait)},
	{"sockleak_inbound_stuck", "gauge", NULL, "Accepted connections that are stuck", put_groups,
         GROUP(stuck)},
	{"sockleak_site_open", "gauge", NULL, "Connections by the line of code that opened them",
         put_groups, GROUP(open)},
	{"sockleak_site_close_wait", "gauge", NULL, "Connections of the site in CLOSE_WAIT",
         put_groups, GROUP(close_wait)},
	{"sockleak_site_stuck", "gauge", NULL, "Connections of the site that are stuck", put_groups,
         GROUP(stuck)},
};

static void begin(struct process *process, const struct sl_openmetrics_source *source, unsigned top)
{
	char pid[16];
	process->source = source;
	process->s = source->snapshot;
	(void)snprintf(pid, sizeof(pid), "%d", source->pid ? source->pid : process->s->process.pid);
	char *labels[3] = {
		sl_metric_label("program", process->s->process.name),
		sl_metric_label("pid", pid),
		source->unit ? sl_metric_label("unit", source->unit) : NULL,
	};
	process->labels = sl_metric_labels(source->unit ? 3 : 2, labels);
	sl_metric_groups_peers(&process->peers, process->s, top);
	sl_metric_groups_inbound(&process->inbound, process->s, top);
	sl_metric_groups_sites(&process->sites, process->s, top);
}

static void end(struct process *process)
{
	free(process->labels);
	sl_metric_groups_free(&process->peers);
	sl_metric_groups_free(&process->inbound);
	sl_metric_groups_free(&process->sites);
}

static void put_family(FILE *to, const struct family *family, const struct process *processes,
                       size_t n)
{
	fprintf(to, "# TYPE %s %s\n", family->name, family->type);
	if (family->unit)
		fprintf(to, "# UNIT %s %s\n", family->name, family->unit);
	fprintf(to, "# HELP %s %s.\n", family->name, family->help);
	for (size_t i = 0; i < n; i++)
		family->put(to, family, &processes[i]);
}

void sl_format_openmetrics(FILE *to, const struct sl_openmetrics_source *sources, size_t n,
                           unsigned top)
{
	struct process *processes = sl_heap_grow(NULL, n * sizeof(*processes));
	for (size_t i = 0; i < n; i++)
		begin(&processes[i], &sources[i], top);
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		put_family(to, &families[i], processes, n);
	(void)fputs("# EOF\n", to);
	for (size_t i = 0; i < n; i++)
		end(&processes[i]);
	free(processes);
}
