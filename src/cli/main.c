/* main.c - the command `sockleak`: finds the verb and hands over. */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "cli/again.h"
#include "cli/nearest.h"
#include "cli/say.h"
#include "cli/verbs.h"

struct verb {
	const char *name;
	const char *help; /* one line */
	sl_verb_fn *run;
};

static const struct verb verbs[] = {
	{"run", "start a program with the library, after a check whether it can be preloaded",
         sl_verb_run},
	{"list", "processes with the library, and those without it that leak", sl_verb_list},
	{"report", "what a process holds, and who is to blame: now, or from a snapshot",
         sl_verb_report},
	{"top", "the same live on the terminal, of one process or of all", sl_verb_top},
	{"set", "change options of a running process, for a while", sl_verb_set},
	{"off", "switch the library off in a running process", sl_verb_off},
	{"reap", "end stuck connections of a process now, of any process", sl_verb_reap},
	{"attach", "bring the library into a running process, without a restart", sl_verb_attach},
	{"detach", "take it out of the way of such a process again", sl_verb_detach},
	{"doctor", "can it work here, does it, and what to do", sl_verb_doctor},
	{"diff", "which sites and peers grew from one snapshot to another", sl_verb_diff},
	{"options", "every option of SOCKLEAK_OPTIONS", sl_verb_options},
};

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void print_usage(FILE *to)
{
	(void)fputs("Usage: sockleak VERB [ARGUMENT...]\n"
	            "Find connections that the peer has closed and the program has not, and the "
	            "line of code "
	            "that opened them.\n\n",
	            to);
	for (size_t i = 0; i < VERBS; i++)
		(void)fprintf(to, "  %-8s %s\n", verbs[i].name, verbs[i].help);
	(void)fputs("\n'sockleak help VERB' says more. Exit codes: 0 fine, 1 found what was asked "
	            "about, 2 usage,\n"
	            "3 no such process, 4 not permitted, 5 the process lacks the library.\n",
	            to);
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < VERBS; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int complain_of_verb(const char *name)
{
	const char *names[VERBS];
	for (size_t i = 0; i < VERBS; i++)
		names[i] = verbs[i].name;
	const char *nearest = sl_nearest(name, names, VERBS);
	if (nearest)
		return sl_say(SL_EXIT_USAGE, "no verb '%s'; did you mean '%s'?", name, nearest);
	return sl_say(SL_EXIT_USAGE, "no verb '%s'; 'sockleak help' lists them", name);
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
	char name[64];
	(void)snprintf(name, sizeof(name), "sockleak %s", verb->name);
	argv[0] = name;
	return verb->run(argc, argv);
}

static int help(int argc, char **argv)
{
	static char ask[] = "--help";
	if (argc < 2) {
		print_usage(stdout);
		return SL_EXIT_FINE;
	}
	const struct verb *verb = find_verb(argv[1]);
	return verb ? run_verb(verb, 2, (char *[]){NULL, ask, NULL}) : complain_of_verb(argv[1]);
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

int main(int argc, char **argv)
{
	argp_err_exit_status = SL_EXIT_USAGE;
	argp_program_version = "sockleak " SL_VERSION;
	if (argc < 2) {
		print_usage(stderr);
		return SL_EXIT_USAGE;
	}
	if (is_one_of(argv[1], "--version", "-V")) {
		(void)puts(argp_program_version);
		return SL_EXIT_FINE;
	}
	if (is_one_of(argv[1], "--help", "-h") || strcmp(argv[1], "help") == 0)
		return help(argc - 1, argv + 1);
	sl_again_remember(argc, argv);
	const struct verb *verb = find_verb(argv[1]);
	return verb ? run_verb(verb, argc - 1, argv + 1) : complain_of_verb(argv[1]);
}
