/* verb_set.c - `sockleak set` and `sockleak off`: change options of running processes. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/args_parse.h"
#include "cli/client.h"
#include "cli/option_text.h"
#include "cli/print.h"
#include "cli/say.h"
#include "cli/selection.h"
#include "cli/set_reply.h"
#include "cli/verbs.h"
#include "report/json_write.h"

#define SL_FOR_STANDARD "4h" /* of an action: nobody comes back to switch it off */
#define SL_VERB_BYTES (SL_CLIENT_REQUEST_BYTES + 64)

struct wanted {
	struct sl_selection selection;
	bool is_off; /* the verb off */
	bool is_json, is_dry;
	char pairs[SL_CLIENT_REQUEST_BYTES - 256]; /* key=value key=value */
	const char *duration;                      /* of for=; NULL: not given */
};

static void add_pair(struct argp_state *state, struct wanted *wanted, const char *pair)
{
	size_t n = strlen(wanted->pairs);
	if (n + strlen(pair) + 64 > sizeof(wanted->pairs))
		sl_args_fail(state, "too many options");
	if (strpbrk(pair, " \t\r\n"))
		sl_args_fail(state, "%s: an option holds no space", pair);
	(void)snprintf(wanted->pairs + n, sizeof(wanted->pairs) - n, "%s%s", n ? " " : "", pair);
}

static void take_word(struct argp_state *state, struct wanted *wanted, const char *word)
{
	uint64_t ms;
	if (!strchr(word, '=')) {
		if (wanted->selection.pid || !sl_args_read_pid(word, &wanted->selection.pid))
			sl_args_fail(state, "%s: neither a process id nor key=value", word);
	} else if (strncmp(word, "for=", 4) == 0) { /* not a pair of the table */
		wanted->duration = word + 4;
		if (strcmp(word + 4, "forever") != 0 &&
		    (!sl_args_read_duration(word + 4, &ms) || ms == 0))
			sl_args_fail(
				state,
				"%s: a duration with its unit, such as 2h, up to 576h, or forever",
				word);
	} else if (wanted->is_off) {
		sl_args_fail(state, "%s: off takes no option but for=", word);
	} else {
		add_pair(state, wanted, word);
	}
}

static error_t take(int key, char *argument, struct argp_state *state)
{
	struct wanted *wanted = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &wanted->selection;
		return 0;
	case 'j':
		wanted->is_json = true;
		return 0;
	case 'n':
		wanted->is_dry = true;
		return 0;
	case ARGP_KEY_ARG:
		take_word(state, wanted, argument);
		return 0;
	case ARGP_KEY_END:
		sl_selection_check(state, &wanted->selection, "which process?");
		if (!wanted->is_off && !wanted->pairs[0])
			sl_args_fail(state, "which option? for example action=shutdown");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* What acts ends by itself, unless it was said otherwise. */
static bool switches_action_on(const struct wanted *wanted, const struct sl_options *options)
{
	return !wanted->is_off &&
	       (options->action != SL_ACTION_REPORT || sl_options_want_rescue(options));
}

static void make_request(const struct wanted *wanted, const struct sl_options *options,
                         char request[SL_CLIENT_REQUEST_BYTES])
{
	const char *duration = wanted->duration;
	if (!duration && switches_action_on(wanted, options))
		duration = SL_FOR_STANDARD;
	(void)snprintf(request, SL_CLIENT_REQUEST_BYTES, "%s%s%s%s%.64s%s",
	               wanted->is_off ? "off" : "set", wanted->pairs[0] ? " " : "", wanted->pairs,
	               duration ? " for=" : "", duration ? duration : "",
	               wanted->is_dry ? " dry=1" : "");
}

/* The words behind `sudo sockleak` that would do the same to one of them. */
static void command_text(const struct wanted *wanted, int pid, char *text, size_t n)
{
	(void)snprintf(text, n, "%s %d%s%s%s%.64s%s", wanted->is_off ? "off" : "set", pid,
	               wanted->pairs[0] ? " " : "", wanted->pairs, wanted->duration ? " for=" : "",
	               wanted->duration ? wanted->duration : "",
	               wanted->is_dry ? " --dry-run" : "");
}

static int refuse(const struct wanted *wanted, const struct sl_proc *proc, int error,
                  const struct sl_client_reply *reply)
{
	char verb[SL_VERB_BYTES];
	command_text(wanted, proc->pid, verb, sizeof(verb));
	if (error == -EACCES || (error == -EREMOTEIO && strcmp(reply->code, "denied") == 0))
		return sl_proc_refuse(proc->pid, -EACCES, verb);
	if (!sl_proc_is_same(proc))
		return sl_proc_refuse(proc->pid, -ESRCH, verb);
	enum sl_exit code = error == -EREMOTEIO && strcmp(reply->code, "busy") != 0
	                            ? SL_EXIT_USAGE
	                            : SL_EXIT_NO_LIBRARY;
	return sl_say(code, "process %d: %s", proc->pid, sl_client_why(error, reply));
}

static int change(const struct wanted *wanted, const struct sl_proc *proc, const char *request,
                  struct sl_json *json)
{
	struct sl_client_reply reply;
	struct sl_set_reply told;
	int error = sl_client_ask(proc, request, SL_CLIENT_PATIENCE_MS, &reply);
	if (error)
		return refuse(wanted, proc, error, &reply);
	int code = SL_EXIT_FINE;
	if (!sl_set_reply_read(reply.bytes, reply.n, &told))
		code = sl_say(SL_EXIT_NO_LIBRARY, "process %d: its answer is not understood",
		              proc->pid);
	else if (wanted->is_json)
		sl_set_reply_json(json, proc->pid, wanted->is_dry, &told);
	else
		sl_set_reply_print(stdout, proc, wanted->is_dry, &told);
	if (!code)
		sl_set_reply_free(&told);
	sl_client_free(&reply);
	return code;
}

/* The worst of all exit codes. */
static int change_all(struct wanted *wanted, const char *request)
{
	struct sl_print print;
	struct sl_json json = {.out = &print.out};
	int code = SL_EXIT_FINE;
	sl_print_start(&print, stdout);
	if (wanted->is_json)
		sl_json_open(&json, NULL, '[');
	for (unsigned i = 0; i < wanted->selection.count; i++) {
		int one = change(wanted, &wanted->selection.procs[i], request, &json);
		code = one > code ? one : code;
	}
	if (wanted->is_json) {
		sl_json_close(&json, ']');
		sl_out_char(&print.out, '\n');
	}
	(void)sl_print_end(&print);
	return code;
}

/* The switch: it stands alone, and is no option like the others in the process. */
static bool is_power(const char *pairs)
{
	return strcmp(pairs, "enabled=0") == 0 || strcmp(pairs, "enabled=1") == 0;
}

static int run(const struct argp *argp, int argc, char **argv, bool is_off)
{
	static struct wanted wanted;
	static struct sl_options options;
	char why[1024], request[SL_CLIENT_REQUEST_BYTES], verb[SL_VERB_BYTES];
	wanted = (struct wanted){.is_off = is_off, .selection = {.needs_library = true}};
	sl_args_parse(argp, argc, argv, 0, &wanted);
	if (!is_off && !is_power(wanted.pairs) &&
	    !sl_option_text_check_live(wanted.pairs, &options, why, sizeof(why)))
		return sl_say(SL_EXIT_USAGE, "%s", why);
	make_request(&wanted, &options, request);
	command_text(&wanted, wanted.selection.pid, verb, sizeof(verb));
	int code = sl_selection_find(&wanted.selection, verb);
	if (!code)
		code = sl_selection_ask(&wanted.selection, is_off ? "switched off" : "changed");
	if (code < 0)
		code = change_all(&wanted, request);
	sl_selection_free(&wanted.selection);
	return code;
}

static const struct argp_option off_arguments[] = {
	{"dry-run", 'n', NULL, 0, "tell what would change, and change nothing", 0},
	{"json", 'j', NULL, 0, "the answers as a JSON array", 0},
	{0},
};
static const struct argp_option set_arguments[] = {
	{"dry-run", 'n', NULL, 0, "tell what would change, and change nothing", 0},
	{"json", 'j', NULL, 0, "the answers as a JSON array", 0},
	{0},
};
static const struct argp_child children[] = {{&sl_selection_argp, 0, NULL, 0}, {0}};

int sl_verb_set(int argc, char **argv)
{
	static const struct argp argp = {
		.options = set_arguments,
		.parser = take,
		.args_doc = "PID KEY=VALUE... [for=DURATION]",
		.doc = "Change options of a running process. for=2h puts the old values back after "
		       "that time, for=forever "
		       "keeps the new ones until the process ends; where an action is switched on "
		       "it is for=" SL_FOR_STANDARD
		       " unless said otherwise.\vExample: sockleak set 4242 action=shutdown for=2h",
		.children = children,
	};
	return run(&argp, argc, argv, false);
}

int sl_verb_off(int argc, char **argv)
{
	static const struct argp argp = {
		.options = off_arguments,
		.parser = take,
		.args_doc = "PID [for=DURATION]",
		.doc = "Switch the library off in a running process, as option enabled=0 does: "
		       "nothing is recorded, reported or ended any more. for=10m switches it on "
		       "again after that time, 'sockleak set PID enabled=1' at any time.",
		.children = children,
	};
	return run(&argp, argc, argv, true);
}
