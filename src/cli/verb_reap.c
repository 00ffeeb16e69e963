/* verb_reap.c - `sockleak reap`: end connections in CLOSE_WAIT now, through the library, else from outside. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rule.h"
#include "cli/args.h"
#include "cli/args_parse.h"
#include "cli/client.h"
#include "cli/print.h"
#include "cli/reap_outside.h"
#include "cli/say.h"
#include "cli/selection.h"
#include "cli/verbs.h"
#include "report/json_write.h"

#define SL_OLDER_THAN_MS 60000
#define SL_ASK_BYTES 512
#define SL_REAP_PATIENCE_MS 25000 /* the library takes 15 s at most */
#define SL_REAP_ROUNDS_MAX 20

enum { SL_KEY_OLDER = 256, SL_KEY_PEER, SL_KEY_INBOUND, SL_KEY_ALL, SL_KEY_FORCE };

struct wanted {
	struct sl_selection selection;
	struct sl_reap_wish wish;
	struct sl_rule rule;
	const char *rule_text;
	bool is_json, is_forced;
	struct sl_json json;
	uint64_t ended;     /* of all processes; dry: would be */
	unsigned has_ended; /* processes */
};

static void take_rule(struct argp_state *state, struct wanted *wanted, const char *text)
{
	const char *refusal = sl_rule_read(text, strlen(text), &wanted->rule);
	if (refusal)
		sl_args_fail(state, "--peer=%s: %s", text, refusal);
	wanted->wish.peer = &wanted->rule;
	wanted->rule_text = text;
}

static error_t take(int key, char *argument, struct argp_state *state)
{
	struct wanted *wanted = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &wanted->selection;
		return 0;
	case SL_KEY_OLDER:
		wanted->wish.older_than_ms = sl_args_duration(state, argument, "--older-than");
		return 0;
	case SL_KEY_PEER:
		take_rule(state, wanted, argument);
		return 0;
	case SL_KEY_INBOUND:
		wanted->wish.is_inbound = true;
		return 0;
	case SL_KEY_ALL:
		wanted->selection.is_all = true;
		return 0;
	case SL_KEY_FORCE:
		wanted->is_forced = true;
		return 0;
	case 'n':
		wanted->wish.is_dry = true;
		return 0;
	case 'j':
		wanted->is_json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (wanted->selection.pid || !sl_args_read_pid(argument, &wanted->selection.pid))
			sl_args_fail(state, "%s: no process id, or one too many", argument);
		return 0;
	case ARGP_KEY_END:
		sl_selection_check(state, &wanted->selection, "which process? a PID, or --all");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The words behind `sudo sockleak` that would do the same. */
static void command_text(const struct wanted *wanted, int pid, char *text, size_t n)
{
	(void)snprintf(
		text, n, "reap %d --older-than=%llums%s%s%s%s%s", pid,
		(unsigned long long)wanted->wish.older_than_ms, wanted->rule_text ? " --peer=" : "",
		wanted->rule_text ? wanted->rule_text : "",
		wanted->wish.is_inbound ? " --inbound" : "", wanted->is_forced ? " --force" : "",
		wanted->wish.is_dry ? " --dry-run" : "");
}

/* ---- through the library ---- */

static uint64_t count_of(json_t *root, const char *name)
{
	json_t *value = json_object_get(root, name);
	return json_is_integer(value) && json_integer_value(value) > 0
	               ? (uint64_t)json_integer_value(value)
	               : 0;
}

/* What the library has done, in one answer or several. */
struct by_library {
	uint64_t reaped, probed, ended_by_probe;
	uint64_t skipped;
	json_t *because; /* {"peer-waits":3}, or NULL; a reference */
	bool is_dry;     /* asked for, or because dry_run=1 is in force there */
};

static void print_library(const struct wanted *wanted, const struct sl_proc *proc,
                          const struct by_library *done)
{
	const char *before = " (", *reason;
	json_t *count;
	(void)printf("process %d (", proc->pid);
	sl_print_name(stdout, proc->name);
	(void)printf("): through its library: %s %llu", done->is_dry ? "would end" : "ended",
	             (unsigned long long)done->reaped);
	if (done->probed)
		(void)printf(", probed %llu, of which %llu ended by that",
		             (unsigned long long)done->probed,
		             (unsigned long long)done->ended_by_probe);
	(void)printf(", skipped %llu", (unsigned long long)done->skipped);
	json_object_foreach(done->because, reason, count)
	{
		(void)fputs(before, stdout);
		sl_print_name(stdout, reason);
		(void)printf(" %llu", (unsigned long long)count_of(done->because, reason));
		before = ", ";
	}
	(void)fputs(before[0] == ',' ? ")" : "", stdout);
	(void)puts(done->is_dry && !wanted->wish.is_dry ? "; dry_run=1 is in force there" : "");
}

static void json_library(struct wanted *wanted, const struct sl_proc *proc,
                         const struct by_library *done)
{
	struct sl_json *json = &wanted->json;
	const char *reason;
	json_t *count;
	sl_json_break(json);
	sl_json_open(json, NULL, '{');
	sl_json_unsigned(json, "pid", (uint64_t)proc->pid);
	sl_json_text(json, "way", "library");
	sl_json_bool(json, "dry_run", done->is_dry);
	sl_json_unsigned(json, "reaped", done->reaped);
	sl_json_unsigned(json, "skipped", done->skipped);
	sl_json_unsigned(json, "probed", done->probed);
	sl_json_unsigned(json, "ended_by_probe", done->ended_by_probe);
	sl_json_open(json, "skipped_because", '{');
	json_object_foreach(done->because, reason, count)
	{
		sl_json_unsigned(json, reason, count_of(done->because, reason));
	}
	sl_json_close(json, '}');
	sl_json_close(json, '}');
}

/* Take the answer in. True: more can be had at once: it came to the end of its time, not of what may be ended. */
static bool add_answer(struct by_library *done, json_t *root)
{
	uint64_t reaped = count_of(root, "reaped");
	json_decref(done->because);
	done->because = json_incref(json_object_get(root, "skipped_because"));
	done->reaped += reaped;
	done->is_dry |= json_is_true(json_object_get(root, "dry_run"));
	done->probed += count_of(root, "probed");
	done->ended_by_probe += count_of(root, "ended_by_probe");
	done->skipped = count_of(root, "skipped");
	return !done->is_dry && reaped > 0 && count_of(done->because, "not-reached") > 0;
}

static void add_up(struct wanted *wanted, uint64_t ended)
{
	wanted->ended += ended;
	wanted->has_ended += ended > 0;
}

/* The exit code; -1: it is to be tried from outside, and why was said. */
static int reap_by_library(struct wanted *wanted, const struct sl_proc *proc)
{
	char request[SL_ASK_BYTES], verb[SL_ASK_BYTES];
	struct sl_client_reply reply;
	struct by_library done = {.is_dry = wanted->wish.is_dry};
	bool is_told = false, goes_on = true;
	int error = 0;
	(void)snprintf(request, sizeof(request), "reap older_than=%llums%s%s%s%s",
	               (unsigned long long)wanted->wish.older_than_ms,
	               wanted->rule_text ? " peer=" : "",
	               wanted->rule_text ? wanted->rule_text : "",
	               wanted->wish.is_inbound ? " inbound=1" : "",
	               wanted->wish.is_dry ? " dry_run=1" : "");
	for (unsigned i = 0; goes_on && i < SL_REAP_ROUNDS_MAX; i++) {
		error = sl_client_ask(proc, request, SL_REAP_PATIENCE_MS, &reply);
		json_t *root = error ? NULL : json_loadb(reply.bytes, reply.n, 0, NULL);
		goes_on = json_is_object(root) && add_answer(&done, root);
		is_told |= json_is_object(root);
		json_decref(root);
		sl_client_free(&reply);
	}
	if (is_told) {
		add_up(wanted, done.reaped);
		if (wanted->is_json)
			json_library(wanted, proc, &done);
		else
			print_library(wanted, proc, &done);
		json_decref(done.because);
		return SL_EXIT_FINE;
	}
	if (error == -EREMOTEIO && strcmp(reply.code, "denied") == 0) {
		command_text(wanted, proc->pid, verb, sizeof(verb));
		return sl_proc_refuse(proc->pid, -EACCES, verb);
	}
	/* An older library, or one that is switched off, stands in nobody's way. Other reasons are not to be got round. */
	if (error == -EREMOTEIO && strcmp(reply.code, "usage") != 0 &&
	    strcmp(reply.code, "busy") != 0)
		return sl_say(SL_EXIT_USAGE, "process %d: %s", proc->pid, reply.message);
	if (wanted->selection.pid)
		sl_say_note("process %d: %s: from outside then", proc->pid,
		            error ? sl_client_why(error, &reply) : "its answer is not understood");
	return -1;
}

/* ---- from outside ---- */

static uint64_t sum_skipped(const struct sl_reap_done *done)
{
	uint64_t sum = 0;
	for (int skip = SL_REAP_NOT + 1; skip < SL_REAP_COUNT; skip++)
		sum += done->skipped[skip];
	return sum;
}

static void print_outside(const struct wanted *wanted, const struct sl_proc *proc,
                          const struct sl_reap_done *done)
{
	(void)printf("process %d (", proc->pid);
	sl_print_name(stdout, proc->name);
	(void)printf("): from outside: %s %llu",
	             wanted->wish.is_dry ? "would shut down" : "shut down",
	             (unsigned long long)done->shut_down);
	if (done->probed)
		(void)printf(", probed %llu, of which %llu ended by that",
		             (unsigned long long)done->probed,
		             (unsigned long long)done->ended_by_probe);
	(void)printf(", skipped %llu", (unsigned long long)sum_skipped(done));
	const char *before = " (";
	for (int skip = SL_REAP_NOT + 1; skip < SL_REAP_COUNT; skip++)
		if (done->skipped[skip]) {
			(void)printf("%s%s %llu", before, sl_reap_word((enum sl_reap_skip)skip),
			             (unsigned long long)done->skipped[skip]);
			before = ", ";
		}
	(void)puts(sum_skipped(done) ? ")" : "");
}

static void json_outside(struct wanted *wanted, const struct sl_proc *proc,
                         const struct sl_reap_done *done)
{
	struct sl_json *json = &wanted->json;
	sl_json_break(json);
	sl_json_open(json, NULL, '{');
	sl_json_unsigned(json, "pid", (uint64_t)proc->pid);
	sl_json_text(json, "way", "outside");
	sl_json_bool(json, "dry_run", wanted->wish.is_dry);
	sl_json_unsigned(json, "reaped", done->shut_down + done->ended_by_probe);
	sl_json_unsigned(json, "skipped", sum_skipped(done));
	sl_json_unsigned(json, "shut_down", done->shut_down);
	sl_json_unsigned(json, "probed", done->probed);
	sl_json_unsigned(json, "ended_by_probe", done->ended_by_probe);
	sl_json_open(json, "skipped_because", '{');
	for (int skip = SL_REAP_NOT + 1; skip < SL_REAP_COUNT; skip++)
		sl_json_unsigned(json, sl_reap_word((enum sl_reap_skip)skip), done->skipped[skip]);
	sl_json_close(json, '}');
	sl_json_close(json, '}');
}

static bool has_any(const struct sl_proc *proc, const struct sl_reap_wish *wish)
{
	struct sl_reap_wish dry = *wish;
	struct sl_reap_done done;
	dry.is_dry = true;
	return sl_reap_outside(proc, &dry, &done) == 0 && done.shut_down > 0;
}

static int reap_from_outside(struct wanted *wanted, const struct sl_proc *proc)
{
	struct sl_reap_done done;
	char verb[SL_ASK_BYTES];
	command_text(wanted, proc->pid, verb, sizeof(verb));
	if (!wanted->is_forced && !wanted->wish.is_dry && sl_reap_would_kill(proc->pid) &&
	    has_any(proc, &wanted->wish))
		return sl_say(SL_EXIT_DENIED,
		              "process %d (%s) leaves SIGPIPE at its default: a late write to a "
		              "connection that was "
		              "shut down would end it; even so: sockleak %s --force",
		              proc->pid, proc->name, verb);
	int error = sl_reap_outside(proc, &wanted->wish, &done);
	if (error)
		return sl_proc_refuse(proc->pid, error, verb);
	add_up(wanted, done.shut_down + done.ended_by_probe);
	if (wanted->is_json)
		json_outside(wanted, proc, &done);
	else if (wanted->selection.pid || done.shut_down || done.ended_by_probe ||
	         sum_skipped(&done))
		print_outside(wanted, proc, &done);
	return SL_EXIT_FINE;
}

static int reap(struct wanted *wanted, const struct sl_proc *proc)
{
	int has_library = sl_proc_has_object(proc->pid, "libsockleak.so", NULL);
	int code = has_library == 1 ? reap_by_library(wanted, proc) : -1;
	return code >= 0 ? code : reap_from_outside(wanted, proc);
}

static int reap_all(struct wanted *wanted)
{
	struct sl_print print;
	int code = SL_EXIT_FINE;
	sl_print_start(&print, stdout);
	wanted->json = (struct sl_json){.out = &print.out};
	if (wanted->is_json)
		sl_json_open(&wanted->json, NULL, '[');
	for (unsigned i = 0; i < wanted->selection.count; i++) {
		int one = reap(wanted, &wanted->selection.procs[i]);
		code = one > code ? one : code;
	}
	if (wanted->is_json) {
		sl_json_close(&wanted->json, ']');
		sl_out_char(&print.out, '\n');
	}
	(void)sl_print_end(&print);
	wanted->json.out = NULL;
	return code;
}

int sl_verb_reap(int argc, char **argv)
{
	static const struct argp_option arguments[] = {
		{"all", SL_KEY_ALL, NULL, 0,
	         "every process of yours; as root, everybody's. Needs --yes or --dry-run", 0},
		{"older-than", SL_KEY_OLDER, "DURATION", 0,
	         "quiet for at least so long; 60s where not given", 0},
		{"peer", SL_KEY_PEER, "RULE", 0,
	         "only these: 10.0.0.0/8, 10.1.2.3:8080, [2001:db8::1]:443, :443, local:8080", 0},
		{"inbound", SL_KEY_INBOUND, NULL, 0,
	         "also connections that the process has accepted, where it has read their end "
	         "and the peer does not answer a probe",
	         0},
		{"force", SL_KEY_FORCE, NULL, 0,
	         "from outside: also in a process that SIGPIPE would end if it writes to one of "
	         "them",
	         0},
		{"dry-run", 'n', NULL, 0, "count, and end nothing", 0},
		{"json", 'j', NULL, 0, "as a JSON array", 0},
		{0},
	};
	static const struct argp_child children[] = {{&sl_selection_argp, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.options = arguments,
		.parser = take,
		.args_doc = "PID|--all",
		.doc = "End connections that the peer has closed and the program has not "
		       "(CLOSE_WAIT), quiet ones only: "
		       "through the library where it is in the process, else from outside, which "
		       "serves any program. Their "
		       "ports are free then; the program still has to close its fds.",
		.children = children,
	};
	static struct wanted wanted;
	char verb[SL_ASK_BYTES];
	wanted = (struct wanted){.wish = {.older_than_ms = SL_OLDER_THAN_MS}};
	sl_args_parse(&argp, argc, argv, 0, &wanted);
	command_text(&wanted, wanted.selection.pid, verb, sizeof(verb));
	int code = sl_selection_find(&wanted.selection, verb);
	bool is_unsure = !wanted.selection.pid && !wanted.selection.is_sure && !wanted.wish.is_dry;
	wanted.wish.is_dry |= is_unsure;
	bool is_found = code == SL_EXIT_FINE;
	if (is_found)
		code = reap_all(&wanted);
	if (is_found && is_unsure && wanted.ended == 0)
		sl_say_note("nothing would be ended in any of %u process%s", wanted.selection.count,
		            wanted.selection.count == 1 ? "" : "es");
	else if (is_found && is_unsure)
		sl_say_note("%llu connection%s would be ended in %u of %u process%s; nothing was "
		            "done: add --yes to do it",
		            (unsigned long long)wanted.ended, wanted.ended == 1 ? "" : "s",
		            wanted.has_ended, wanted.selection.count,
		            wanted.selection.count == 1 ? "" : "es");
	sl_selection_free(&wanted.selection);
	return code;
}
