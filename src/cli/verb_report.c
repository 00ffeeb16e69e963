/* verb_report.c - `sockleak report`: a snapshot of a process, or from a file, in the format asked for. */
#include <argp.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/again.h"
#include "cli/args.h"
#include "cli/args_parse.h"
#include "cli/attach_plan.h"
#include "cli/client.h"
#include "cli/formats.h"
#include "cli/outside.h"
#include "cli/proc.h"
#include "cli/say.h"
#include "cli/snapshot_file.h"
#include "cli/symbols.h"
#include "cli/take.h"
#include "cli/verbs.h"
#include "report/words.h"

#define SL_GENERATIONS 8 /* of children that are looked through */
#define SL_REPORT_CHUNK_BYTES (1u << 20)

enum { SL_KEY_CHECK = 256, SL_KEY_MAX_STUCK, SL_KEY_TOP, SL_KEY_SHORT, SL_KEY_JSON, SL_KEY_VALUE };

struct wanted {
	const char *of; /* PID or FILE */
	const char *output;
	const struct sl_format *format;
	enum sl_measure measure;
	bool is_check;
	int64_t max_stuck; /* -1: not asked */
	int64_t top;       /* -1: all */
};

static error_t take(int key, char *argument, struct argp_state *state)
{
	struct wanted *wanted = state->input;
	char names[256];
	switch (key) {
	case 'f':
		wanted->format = sl_format_find(argument);
		sl_format_names(names, sizeof(names));
		if (!wanted->format)
			sl_args_fail(state, "no format '%s': %s", argument, names);
		return 0;
	case SL_KEY_SHORT:
		wanted->format = sl_format_find("short");
		return 0;
	case SL_KEY_JSON:
		wanted->format = sl_format_find("json");
		return 0;
	case 'o':
		wanted->output = argument;
		return 0;
	case SL_KEY_CHECK:
		wanted->is_check = true;
		return 0;
	case SL_KEY_MAX_STUCK:
		wanted->max_stuck = sl_args_number(state, argument, "--max-stuck");
		return 0;
	case SL_KEY_VALUE:
		if (!sl_measure_parse(argument, &wanted->measure))
			sl_args_fail(state, "no value '%s': stuck|close_wait|open|auto", argument);
		return 0;
	case SL_KEY_TOP:
		wanted->top = sl_args_number(state, argument, "--top");
		return 0;
	case ARGP_KEY_ARG:
		if (wanted->of)
			sl_args_fail(state, "one PID or FILE only");
		wanted->of = argument;
		return 0;
	case ARGP_KEY_NO_ARGS:
		sl_args_fail(state, "which PID or FILE?");
		return 0;
	case ARGP_KEY_SUCCESS:
		if (wanted->measure != SL_MEASURE_AUTO && !wanted->format->has_measure)
			sl_args_fail(state,
			             "--value is for html, folded and pprof; %s shows every count",
			             wanted->format->name);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

struct child {
	int parent;
	int pid; /* 0: none so far */
	uint64_t close_wait;
	char name[SL_PROC_NAME_BYTES];
};

/* Has it come of that process, through others perhaps: wrappers of wrappers? */
static bool is_below(const struct sl_proc *proc, int ancestor)
{
	struct sl_proc above = *proc;
	for (unsigned i = 0; i < SL_GENERATIONS && above.parent > 1; i++)
		if (above.parent == ancestor)
			return true;
		else if (sl_proc_read(above.parent, &above) != 0)
			return false;
	return above.parent == ancestor;
}

static bool look_at_child(void *context, int pid)
{
	struct child *worst = context;
	struct sl_outside outside;
	struct sl_proc proc;
	uint64_t close_wait = 0;
	if (sl_proc_read(pid, &proc) || !is_below(&proc, worst->parent) ||
	    sl_outside_look(pid, &outside))
		return true;
	for (uint32_t i = 0; i < outside.count; i++)
		close_wait += outside.sockets[i].tcp.state == TCP_CLOSE_WAIT;
	if (close_wait > worst->close_wait) {
		worst->pid = pid;
		worst->close_wait = close_wait;
		memcpy(worst->name, proc.name, sizeof(worst->name));
	}
	sl_outside_free(&outside);
	return true;
}

/* A wrapper was asked about, and it is its child that leaks. */
static void hint_at_child(const struct sl_proc *proc)
{
	struct child worst = {.parent = proc->pid};
	sl_proc_each(look_at_child, &worst);
	if (worst.pid)
		sl_say_note("process %d has no TCP sockets; its child %d (%s) has %llu in "
		            "CLOSE_WAIT: sockleak report %d",
		            proc->pid, worst.pid, worst.name, (unsigned long long)worst.close_wait,
		            worst.pid);
}

/* The report says how the line of code would be known; where that way is closed, why. */
static void hint_at_attach(const struct sl_proc *proc)
{
	static struct sl_attach_plan plan;
	sl_attach_plan(proc, NULL, false, &plan);
	if (plan.refusal.code)
		sl_say_note("cannot be attached to: %s", plan.refusal.why);
}

static int take_process(struct sl_arena *arena, int pid, struct sl_snapshot *snapshot)
{
	struct sl_proc proc;
	struct sl_taken taken;
	int error = sl_proc_read(pid, &proc);
	if (!error)
		error = sl_take(arena, &proc, SL_CLIENT_PATIENCE_MS, snapshot, &taken);
	if (error)
		return sl_proc_refuse(pid, error, sl_again_words());
	if (taken.note[0])
		sl_say_note("%s", taken.note);
	if (snapshot->totals.open == 0)
		hint_at_child(&proc);
	else if (!taken.has_library && snapshot->totals.close_wait > 0)
		hint_at_attach(&proc);
	return 0;
}

/* The worst only; what is left out is said. */
static void cut_to_top(struct sl_snapshot *snapshot, int64_t top)
{
	uint32_t sites = snapshot->site_count, peers = snapshot->peer_count;
	if (top < 0)
		return;
	if (sites > top)
		snapshot->site_count = (uint32_t)top;
	if (peers > top)
		snapshot->peer_count = (uint32_t)top;
	if (sites > top || peers > top)
		sl_say_note("--top=%lld: %u of %u sites and %u of %u peers are shown",
		            (long long)top, snapshot->site_count, sites, snapshot->peer_count,
		            peers);
}

static int write_output(const struct wanted *wanted, const struct sl_snapshot *snapshot)
{
	if (!wanted->output || strcmp(wanted->output, "-") == 0) {
		if (wanted->format->is_binary && isatty(STDOUT_FILENO))
			return sl_say(SL_EXIT_USAGE, "%s is not for a terminal: use -o FILE",
			              wanted->format->name);
		wanted->format->render(stdout, snapshot, wanted->measure);
		return fflush(stdout) || ferror(stdout)
		               ? sl_say(SL_EXIT_USAGE, "cannot write to stdout")
		               : 0;
	}
	int error = sl_format_to_file(wanted->format, wanted->output, snapshot, wanted->measure);
	if (error == -EACCES && geteuid() != 0)
		return sl_say(SL_EXIT_DENIED, "%s: not permitted; this would be: sudo sockleak %s",
		              wanted->output, sl_again_words());
	if (error)
		return sl_say(error == -EACCES ? SL_EXIT_DENIED : SL_EXIT_USAGE, "%s: %s",
		              wanted->output, strerror(-error));
	return 0;
}

static int judge(const struct wanted *wanted, const struct sl_snapshot *snapshot)
{
	if (wanted->max_stuck >= 0)
		return snapshot->totals.stuck > (uint64_t)wanted->max_stuck ? SL_EXIT_FOUND
		                                                            : SL_EXIT_FINE;
	return wanted->is_check && snapshot->verdict == SL_VERDICT_LEAK ? SL_EXIT_FOUND
	                                                                : SL_EXIT_FINE;
}

/* A number that no process can have is still not meant as a file. */
static bool is_digits(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

int sl_verb_report(int argc, char **argv)
{
	static const struct argp_option arguments[] = {
		{"format", 'f', "FORMAT", 0,
	         "text (the default), short, json, html, folded, pprof, openmetrics", 0},
		{"json", SL_KEY_JSON, NULL, 0, "the same as --format=json", 0},
		{"short", SL_KEY_SHORT, NULL, 0, "the first lines and the three worst sites", 0},
		{"output", 'o', "FILE", 0, "write there, not to stdout", 0},
		{"check", SL_KEY_CHECK, NULL, 0, "exit with 1 if the verdict is LEAK", 0},
		{"max-stuck", SL_KEY_MAX_STUCK, "N", 0,
	         "exit with 1 if more than N connections are stuck; the verdict does not count "
	         "then",
	         0},
		{"value", SL_KEY_VALUE, "COUNT", 0,
	         "which connections html, folded and pprof show: stuck, close_wait, open; auto "
	         "(the "
	         "default): stuck ones, where there are any, else open ones",
	         0},
		{"top", SL_KEY_TOP, "N", 0, "show the N worst sites and peers only", 0},
		{0},
	};
	static const struct argp argp = {
		.options = arguments,
		.parser = take,
		.args_doc = "PID|FILE",
		.doc = "Show what a process holds: its verdict, connections by state, peers, and "
		       "the places in the code "
		       "that opened them. FILE is a snapshot in JSON (option json=, or "
		       "--format=json); - is stdin.",
	};
	struct wanted wanted = {.format = sl_format_find("text"),
	                        .measure = SL_MEASURE_AUTO,
	                        .max_stuck = -1,
	                        .top = -1};
	struct sl_arena arena = SL_ARENA(SL_REPORT_CHUNK_BYTES, 0);
	struct sl_snapshot snapshot;
	sl_args_parse(&argp, argc, argv, 0, &wanted);
	int pid = 0;
	const bool is_alive = sl_args_read_pid(wanted.of, &pid);
	if (!is_alive && is_digits(wanted.of) && access(wanted.of, F_OK) != 0)
		return sl_say(SL_EXIT_NO_PROCESS, "no process %s", wanted.of);
	int code = is_alive ? take_process(&arena, pid, &snapshot)
	                    : sl_snapshot_file(&arena, wanted.of, &snapshot);
	if (code)
		return code;
	cut_to_top(&snapshot, wanted.top);
	const char *note = sl_symbols_apply(&arena, &snapshot, is_alive ? pid : 0);
	if (note)
		sl_say_note("%s", note);
	code = write_output(&wanted, &snapshot);
	code = code ? code : judge(&wanted, &snapshot);
	sl_arena_free(&arena);
	return code;
}
