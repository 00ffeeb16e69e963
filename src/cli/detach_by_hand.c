/* detach_by_hand.c - see detach_by_hand.h. */
#include "cli/detach_by_hand.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/attach.h"
#include "base/clock.h"
#include "cli/again.h"
#include "cli/attach_jvm.h"
#include "cli/attach_native.h"
#include "cli/attach_plan.h"
#include "cli/attach_there.h"
#include "cli/held_signals.h"
#include "cli/preload_check.h"
#include "cli/print.h"
#include "cli/proc_title.h"
#include "cli/say.h"
#include "report/json_write.h"

#define SL_BUSY_MS 3000
#define SL_BUSY_LOOK_MS 20

static void call(const struct sl_proc *proc, const struct sl_attach_plan *plan, const char *library,
                 bool is_forced, struct sl_attach_outcome *outcome)
{
	if (plan->is_jvm)
		sl_attach_jvm(proc, library, is_forced ? SL_DETACH_AGENT_FORCED : SL_DETACH_AGENT,
		              outcome);
	else
		sl_detach_native(proc, library, is_forced ? SL_DETACH_FORCED : NULL, outcome);
}

/* It is busy while a disk keeps one of its threads. */
static void call_when_free(const struct sl_proc *proc, const struct sl_attach_plan *plan,
                           const char *library, bool is_forced, struct sl_attach_outcome *outcome)
{
	static const struct timespec look = {.tv_nsec = SL_BUSY_LOOK_MS * 1000000};
	sigset_t before;
	const uint64_t until_ms = sl_clock_ms() + SL_BUSY_MS;
	sl_held_signals_begin(&before);
	call(proc, plan, library, is_forced, outcome);
	while (!outcome->refusal.code && outcome->result == SL_ATTACH_BUSY &&
	       sl_clock_ms() < until_ms && !sl_held_signals_came()) {
		(void)nanosleep(&look, NULL);
		call(proc, plan, library, is_forced, outcome);
	}
	sl_held_signals_end(&before);
}

/* The members of the answer that the control socket gives; the function tells no counts. */
static void print_json(const struct sl_proc *proc, const struct sl_attach_plan *plan,
                       const struct sl_attach_outcome *outcome)
{
	static const char *const unknown[] = {"objects", "entries", "unwritable", "ended"};
	struct sl_print print;
	struct sl_json json = {.out = &print.out};
	sl_print_start(&print, stdout);
	sl_json_open(&json, NULL, '{');
	sl_json_bool(&json, "detached", true);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		sl_json_null(&json, unknown[i]);
	sl_json_unsigned(&json, "pid", (uint64_t)proc->pid);
	sl_json_text(&json, "way", plan->is_jvm ? "jvm" : "ptrace");
	if (outcome->is_held)
		sl_json_unsigned(&json, "held_us", outcome->held_us);
	else
		sl_json_null(&json, "held_us");
	sl_json_close(&json, '}');
	sl_out_char(&print.out, '\n');
	(void)sl_print_end(&print);
}

static void print_done(const struct sl_proc *proc, const struct sl_attach_outcome *outcome)
{
	char title[SL_PROC_TITLE_BYTES];
	sl_proc_title(proc, title);
	(void)fputs("detached from ", stdout);
	sl_print_name(stdout, title);
	(void)printf(", pid %d: its calls lead to libc again", proc->pid);
	if (outcome->is_held)
		(void)printf("; its thread %d was held for %llu.%03llu ms", outcome->tid,
		             (unsigned long long)outcome->held_us / 1000,
		             (unsigned long long)outcome->held_us % 1000);
	(void)printf("\n  sockleak attach %d\n", proc->pid);
}

static int refuse(const struct sl_proc *proc, int result)
{
	const int pid = proc->pid;
	const char *words = sl_attach_words(result);
	if (result == SL_ATTACH_NOT_ATTACHED)
		return sl_say(SL_EXIT_NO_LIBRARY,
		              "process %d: not attached: the library lies in it, detached or left "
		              "out",
		              pid);
	if (result == SL_ATTACH_PRELOADED)
		return sl_say(SL_EXIT_USAGE,
		              "process %d: it was preloaded, not attached: it ends with the "
		              "process",
		              pid);
	if (result == SL_ATTACH_ENDED)
		return sl_say(SL_EXIT_USAGE, "process %d: %s; --force detaches all the same", pid,
		              words);
	return sl_say(SL_EXIT_NO_LIBRARY, "process %d: %s", pid,
	              words ? words : "the library in it has not answered");
}

int sl_detach_by_hand(const struct sl_proc *proc, bool is_forced, bool is_json)
{
	static char library[SL_PRELOAD_PATH_BYTES];
	static struct sl_attach_there there;
	static struct sl_attach_plan plan;
	static struct sl_attach_outcome outcome;
	(void)sl_preload_find_library(library);
	const int error = sl_attach_there_look(proc, library, &there);
	if (error)
		return sl_proc_refuse(proc->pid, error, sl_again_words());
	if (there.is_other)
		return sl_say(SL_EXIT_NO_LIBRARY,
		              "process %d has another build of libsockleak.so, and no control "
		              "socket: the command that belongs to it may detach it",
		              proc->pid);
	sl_attach_plan(proc, sl_again_words(), true, &plan);
	if (plan.refusal.code)
		return sl_say(plan.refusal.code, "%s", plan.refusal.why);
	call_when_free(proc, &plan, there.path, is_forced, &outcome);
	if (outcome.refusal.code)
		return sl_say(outcome.refusal.code, "%s", outcome.refusal.why);
	if (outcome.result != SL_ATTACH_DONE)
		return refuse(proc, outcome.result);
	if (is_json)
		print_json(proc, &plan, &outcome);
	else
		print_done(proc, &outcome);
	return SL_EXIT_FINE;
}
