/* verb_detach.c - `sockleak detach`: the library out of the way of a process that it was attached to. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/again.h"
#include "cli/args.h"
#include "cli/args_parse.h"
#include "cli/attach_there.h"
#include "cli/client.h"
#include "cli/detach_by_hand.h"
#include "cli/print.h"
#include "cli/proc_title.h"
#include "cli/say.h"
#include "cli/verbs.h"

#define SL_THREADS "sockleak" /* and "sockleak-ctl" and the others */
#define SL_END_MS 3000
#define SL_LOOK_MS 2

struct wanted {
	int pid;
	bool is_json, is_forced;
};

static error_t take(int key, char *argument, struct argp_state *state)
{
	struct wanted *wanted = state->input;
	switch (key) {
	case 'j':
		wanted->is_json = true;
		return 0;
	case 'f':
		wanted->is_forced = true;
		return 0;
	default:
		return sl_args_take_pid(key, argument, state, &wanted->pid);
	}
}

static int refuse(const struct sl_proc *proc, int error, const struct sl_client_reply *reply)
{
	const int pid = proc->pid;
	if (error == -EACCES || (error == -EREMOTEIO && strcmp(reply->code, "denied") == 0))
		return sl_proc_refuse(pid, -EACCES, sl_again_words());
	if (!sl_proc_is_same(proc))
		return sl_proc_refuse(pid, -ESRCH, sl_again_words());
	if (error == -EREMOTEIO && sl_attach_there_is_preloaded(pid))
		return sl_say(SL_EXIT_USAGE,
		              "process %d: it was preloaded, not attached: sockleak off %d "
		              "switches it off",
		              pid, pid);
	return sl_say(error == -EREMOTEIO && strcmp(reply->code, "busy") != 0 ? SL_EXIT_USAGE
	                                                                      : SL_EXIT_NO_LIBRARY,
	              "process %d: %s", pid, sl_client_why(error, reply));
}

static long long number(const json_t *root, const char *name)
{
	return (long long)json_integer_value(json_object_get(root, name));
}

static void print_done(const struct sl_proc *proc, const json_t *root)
{
	char title[SL_PROC_TITLE_BYTES];
	sl_proc_title(proc, title);
	(void)fputs("detached from ", stdout);
	sl_print_name(stdout, title);
	(void)printf(", pid %d: %lld calls of %lld objects lead to libc again", proc->pid,
	             number(root, "entries"), number(root, "objects"));
	if (number(root, "unwritable"))
		(void)printf(", %lld could not be written and pass through the library, which does "
		             "nothing",
		             number(root, "unwritable"));
	if (number(root, "ended"))
		(void)printf("; %lld connections that it had ended are still open in the program",
		             number(root, "ended"));
	(void)printf("\n  sockleak attach %d\n", proc->pid);
}

static void print_json(const struct sl_proc *proc, json_t *root)
{
	(void)json_object_set_new(root, "pid", json_integer(proc->pid));
	(void)json_dumpf(root, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	(void)putchar('\n');
}

static int tell(const struct wanted *wanted, const struct sl_proc *proc,
                const struct sl_client_reply *reply)
{
	json_t *root = json_loadb(reply->bytes, reply->n, 0, NULL);
	int code = SL_EXIT_FINE;
	if (!json_is_object(root))
		code = sl_say(SL_EXIT_NO_LIBRARY, "process %d: its answer is not understood",
		              proc->pid);
	else if (wanted->is_json)
		print_json(proc, root);
	else
		print_done(proc, root);
	json_decref(root);
	return code;
}

/* The answer comes first, and its threads end behind it. */
static void await_end(const struct sl_proc *proc)
{
	static const struct timespec look = {.tv_nsec = SL_LOOK_MS * 1000000};
	for (const uint64_t until_ms = sl_clock_ms() + SL_END_MS;
	     sl_clock_ms() < until_ms && sl_proc_has_thread(proc->pid, SL_THREADS);)
		(void)nanosleep(&look, NULL);
}

int sl_verb_detach(int argc, char **argv)
{
	static const struct argp_option arguments[] = {
		{"force", 'f', NULL, 0,
	         "also while connections that the library has ended are open in the program: a "
	         "write to one will raise SIGPIPE",
	         0},
		{"json", 'j', NULL, 0, "what was done, as JSON", 0},
		{0},
	};
	static const struct argp argp = {
		.options = arguments,
		.parser = take,
		.args_doc = "PID",
		.doc = "Take the library out of the way of a process that it was attached to: its "
		       "calls lead to libc again, our threads and sockets are gone; the object "
		       "itself stays mapped. It can be attached again. A library that was "
		       "preloaded is switched off by 'sockleak off'.",
	};
	struct wanted wanted = {0};
	struct sl_proc proc;
	struct sl_client_reply reply;
	sl_args_parse(&argp, argc, argv, 0, &wanted);
	const int error = sl_proc_read(wanted.pid, &proc);
	const int has_library = error ? 0 : sl_proc_has_object(wanted.pid, "libsockleak.so", NULL);
	if (error || has_library < 0)
		return sl_proc_refuse(wanted.pid, error ? error : has_library, sl_again_words());
	if (!has_library)
		return sl_say(SL_EXIT_NO_LIBRARY, "process %d (%s): not attached", proc.pid,
		              proc.name);
	const int asked = sl_client_ask(&proc, wanted.is_forced ? "detach force=1" : "detach",
	                                SL_CLIENT_PATIENCE_MS, &reply);
	if (asked == -ENOENT && sl_proc_is_same(&proc) && !sl_attach_there_is_preloaded(wanted.pid))
		return sl_detach_by_hand(&proc, wanted.is_forced, wanted.is_json);
	if (asked)
		return refuse(&proc, asked, &reply);
	await_end(&proc);
	const int code = tell(&wanted, &proc, &reply);
	sl_client_free(&reply);
	return code;
}
