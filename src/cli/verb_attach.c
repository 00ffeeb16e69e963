/* verb_attach.c - `sockleak attach`: the library into a running process. */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/attach.h"
#include "base/clock.h"
#include "base/version.h"
#include "cli/again.h"
#include "cli/args.h"
#include "cli/args_parse.h"
#include "cli/attach_jvm.h"
#include "cli/attach_native.h"
#include "cli/attach_plan.h"
#include "cli/attach_there.h"
#include "cli/held_signals.h"
#include "cli/option_text.h"
#include "cli/preload_check.h"
#include "cli/print.h"
#include "cli/proc_title.h"
#include "cli/root_copy.h"
#include "cli/say.h"
#include "cli/sudo.h"
#include "cli/verbs.h"
#include "report/json_write.h"

#define SL_OPTIONS_BYTES 8192
#define SL_BUSY_MS 3000
#define SL_BUSY_LOOK_MS 20
#define SL_ANSWER_MS 5000 /* for the control socket, once the library is in */

struct wanted {
	int pid;
	char options[SL_OPTIONS_BYTES];
	bool is_json, is_forced;
};

/* One attempt, and what became of it. */
struct attempt {
	const struct wanted *wanted;
	struct sl_proc proc;
	char title[SL_PROC_TITLE_BYTES];
	char library[SL_PRELOAD_PATH_BYTES];
	struct sl_attach_there there;
	struct sl_attach_plan plan;
	struct sl_root_copy copy;
	struct sl_attach_outcome outcome;
	uint64_t took_ms;
	bool is_answering;
};

static error_t take(int key, char *argument, struct argp_state *state)
{
	struct wanted *wanted = state->input;
	switch (key) {
	case 'o':
		if (!sl_option_text_add(wanted->options, sizeof(wanted->options), argument))
			sl_args_fail(state, "the options are too long");
		return 0;
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

/* Who it is, and that it may be looked at. 0, or the exit code, said. */
static int find_process(struct attempt *attempt)
{
	const int pid = attempt->wanted->pid;
	const int error = sl_proc_read(pid, &attempt->proc);
	if (error)
		return sl_proc_refuse(pid, error, sl_again_words());
	if (pid == getpid())
		return sl_say(SL_EXIT_USAGE, "process %d is this command itself", pid);
	sl_proc_title(&attempt->proc, attempt->title);
	return 0;
}

static int refuse_other_version(const struct attempt *attempt)
{
	char ours[SL_BUILD_ID_BYTES];
	const struct sl_attach_there *there = &attempt->there;
	const bool is_known = sl_build_id_of_file(attempt->library, ours);
	return sl_say(SL_EXIT_NO_LIBRARY,
	              "process %d has another libsockleak.so: version %s, build %.12s; here it is "
	              "version " SL_VERSION ", build %.12s: two at once would undo each other, and "
	              "it stays until the process ends",
	              attempt->proc.pid, there->version[0] ? there->version : "unknown",
	              there->build_id[0] ? there->build_id : "unknown",
	              is_known ? ours : "unknown");
}

/* Another user's: a Java VM wants that user itself, or root in its place; nothing of it can be seen but its name. */
static int refuse_look(const struct attempt *attempt, int error)
{
	char sudo[SL_SUDO_BYTES];
	const struct sl_proc *proc = &attempt->proc;
	if (error != -EACCES || geteuid() == 0 || proc->euid == geteuid() ||
	    strcmp(proc->name, "java") != 0)
		return sl_proc_refuse(proc->pid, error, sl_again_words());
	sl_sudo_as(proc, sudo);
	return sl_say(SL_EXIT_DENIED,
	              "process %d: not permitted: a Java VM lets its own user attach; this would "
	              "be: %s sockleak %s",
	              proc->pid, sudo, sl_again_words());
}

static void print_json(const struct attempt *attempt, enum sl_attach_result result)
{
	struct sl_print print;
	struct sl_json json = {.out = &print.out};
	sl_print_start(&print, stdout);
	sl_json_open(&json, NULL, '{');
	sl_json_unsigned(&json, "pid", (uint64_t)attempt->proc.pid);
	sl_json_text(&json, "name", attempt->title);
	sl_json_text(&json, "result", sl_attach_words((int)result));
	sl_json_text(&json, "way", attempt->plan.is_jvm ? "jvm" : "ptrace");
	sl_json_text(&json, "library", attempt->copy.path);
	sl_json_bool(&json, "copied", attempt->copy.is_copy);
	sl_json_unsigned(&json, "took_ms", attempt->took_ms);
	if (attempt->outcome.is_held)
		sl_json_unsigned(&json, "held_us", attempt->outcome.held_us);
	else
		sl_json_null(&json, "held_us");
	sl_json_bool(&json, "answers", attempt->is_answering);
	sl_json_close(&json, '}');
	sl_out_char(&print.out, '\n');
	(void)sl_print_end(&print);
}

/* It is in there already: that is what was wanted, unless it was to have other options. */
static int tell_already(const struct attempt *attempt, enum sl_attach_result result)
{
	const int pid = attempt->proc.pid;
	if (attempt->wanted->options[0])
		return sl_say(SL_EXIT_USAGE, "process %d: %s: this would be: sockleak set %d %s",
		              pid, sl_attach_words((int)result), pid, attempt->wanted->options);
	if (attempt->wanted->is_json)
		print_json(attempt, result);
	sl_say_note("process %d: %s; nothing was done: sockleak report %d", pid,
	            sl_attach_words((int)result), pid);
	return SL_EXIT_FINE;
}

static void print_done(const struct attempt *attempt)
{
	const int pid = attempt->proc.pid;
	(void)fputs("attached to ", stdout);
	sl_print_name(stdout, attempt->title);
	(void)printf(", pid %d, in %llu ms", pid, (unsigned long long)attempt->took_ms);
	if (attempt->outcome.is_held)
		(void)printf("; its thread %d was held for %llu.%03llu ms", attempt->outcome.tid,
		             (unsigned long long)attempt->outcome.held_us / 1000,
		             (unsigned long long)attempt->outcome.held_us % 1000);
	(void)printf("\n  sockleak report %d\n  sockleak set %d action=shutdown for=2h\n"
	             "  sockleak detach %d\n",
	             pid, pid, pid);
}

/* 0, or the exit code, said. */
static int copy_library(struct attempt *attempt)
{
	if (attempt->there.is_mapped) { /* the loader knows it by the path that it had */
		memcpy(attempt->copy.path, attempt->there.path, sizeof(attempt->copy.path));
		return 0;
	}
	const int error = sl_root_copy_make(&attempt->proc, attempt->library, &attempt->copy);
	if (error == -EROFS)
		return sl_say(
			SL_EXIT_DENIED,
			"process %d does not see %s, and none of its /tmp, /var/tmp, /dev/shm "
			"and /run takes a copy that could be loaded",
			attempt->proc.pid, attempt->library);
	if (error)
		return sl_proc_refuse(attempt->proc.pid, error == -ESRCH ? -ESRCH : -EACCES,
		                      sl_again_words());
	return 0;
}

static void load(struct attempt *attempt)
{
	if (attempt->plan.is_jvm)
		sl_attach_jvm(&attempt->proc, attempt->copy.path, attempt->wanted->options,
		              &attempt->outcome);
	else
		sl_attach_native(&attempt->proc, attempt->copy.path, attempt->wanted->options,
		                 attempt->wanted->is_forced, &attempt->outcome);
}

/* It is busy for as long as its threads of before the last detach end. */
static void load_when_free(struct attempt *attempt)
{
	static const struct timespec look = {.tv_nsec = SL_BUSY_LOOK_MS * 1000000};
	const uint64_t until_ms = sl_clock_ms() + SL_BUSY_MS;
	for (;;) {
		load(attempt);
		if (attempt->outcome.refusal.code || attempt->outcome.result != SL_ATTACH_BUSY ||
		    sl_clock_ms() >= until_ms || sl_held_signals_came())
			return;
		(void)nanosleep(&look, NULL);
	}
}

static int bring_in(struct attempt *attempt)
{
	sigset_t before;
	const uint64_t began_ms = sl_clock_ms();
	sl_held_signals_begin(&before);
	const int code = copy_library(attempt);
	if (!code)
		load_when_free(attempt);
	const bool is_copy = attempt->copy.is_copy;
	sl_root_copy_remove(&attempt->proc, &attempt->copy);
	attempt->copy.is_copy = is_copy; /* said in the end */
	sl_held_signals_end(&before);
	attempt->took_ms = sl_clock_ms() - began_ms;
	return code;
}

static int tell(struct attempt *attempt, const struct sl_options *options)
{
	const struct sl_attach_outcome *outcome = &attempt->outcome;
	const char *words = sl_attach_words(outcome->result);
	const int pid = attempt->proc.pid;
	if (outcome->refusal.code)
		return sl_say(outcome->refusal.code, "%s", outcome->refusal.why);
	if (outcome->result == SL_ATTACH_ALREADY || outcome->result == SL_ATTACH_PRELOADED)
		return tell_already(attempt, (enum sl_attach_result)outcome->result);
	if (outcome->result != SL_ATTACH_DONE)
		return sl_say(SL_EXIT_NO_LIBRARY, "process %d: %s", pid,
		              words ? words : "the library in it has not started");
	if (options->control == SL_CONTROL_ON)
		attempt->is_answering = sl_attach_there_await(&attempt->proc, SL_ANSWER_MS);
	if (attempt->wanted->is_json)
		print_json(attempt, SL_ATTACH_DONE);
	else
		print_done(attempt);
	if (!attempt->is_answering && options->control == SL_CONTROL_ON)
		sl_say_note("process %d: its control socket does not answer yet: 'report' sees it "
		            "from outside until then",
		            pid);
	return SL_EXIT_FINE;
}

static int attach(struct attempt *attempt, const struct sl_options *options)
{
	int code = find_process(attempt);
	if (code)
		return code;
	const int error = sl_attach_there_look(&attempt->proc, attempt->library, &attempt->there);
	if (error)
		return refuse_look(attempt, error);
	if (attempt->there.is_mapped && attempt->there.is_other)
		return refuse_other_version(attempt);
	if (attempt->there.is_mapped && attempt->there.is_preloaded)
		return tell_already(attempt, SL_ATTACH_PRELOADED);
	sl_attach_plan(&attempt->proc, sl_again_words(), attempt->wanted->is_forced,
	               &attempt->plan);
	if (attempt->plan.refusal.code)
		return sl_say(attempt->plan.refusal.code, "%s", attempt->plan.refusal.why);
	if (attempt->plan.is_jvm && attempt->plan.jvm.major >= SL_JVM_WARNS_FROM &&
	    !attempt->there.is_mapped)
		sl_say_note("Java %s: its VM will print a warning that an agent was loaded "
		            "dynamically",
		            attempt->plan.jvm.version);
	code = bring_in(attempt);
	return code ? code : tell(attempt, options);
}

int sl_verb_attach(int argc, char **argv)
{
	static const struct argp_option arguments[] = {
		{"options", 'o', "OPTIONS", 0,
	         "key=value pairs, as SOCKLEAK_OPTIONS has them; may be repeated", 0},
		{"force", 'f', NULL, 0,
	         "also into a process with a seccomp filter of its own, which may end it", 0},
		{"json", 'j', NULL, 0, "what was done, as JSON", 0},
		{0},
	};
	static const struct argp argp = {
		.options = arguments,
		.parser = take,
		.args_doc = "PID",
		.doc = "Bring the library into a running process, without a restart: into a Java "
		       "VM as an agent, by the VM's own means; into any other by ptrace. What it "
		       "opens from then on is known by the line of code; what was open before is "
		       "counted, and can be ended as well."
		       "\vExample: sockleak attach -o deadline=30s 4242",
	};
	static struct wanted wanted;
	static struct sl_options options;
	static struct attempt attempt;
	char why[1024];
	sl_args_parse(&argp, argc, argv, 0, &wanted);
	if (!sl_option_text_check(wanted.options, &options, why, sizeof(why)))
		return sl_say(SL_EXIT_USAGE, "%s", why);
	attempt.wanted = &wanted;
	if (!sl_preload_find_library(attempt.library))
		return sl_say(SL_EXIT_NO_LIBRARY,
		              "libsockleak.so is neither beside this command nor in "
		              "../lib/sockleak: install both with 'make install'");
	return attach(&attempt, &options);
}
