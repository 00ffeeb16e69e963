/* verb_run.c - `sockleak run`: start a program with the library, after a look whether that can work. */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/args_parse.h"
#include "cli/execute.h"
#include "cli/option_text.h"
#include "cli/preload_check.h"
#include "cli/say.h"
#include "cli/verbs.h"

#define SL_VARIABLE_BYTES 65536

struct wanted {
	char options[SL_VARIABLE_BYTES];
	char **command;
	bool is_anyway;
};

static error_t take(int key, char *argument, struct argp_state *state)
{
	struct wanted *wanted = state->input;
	switch (key) {
	case 'o':
		if (!sl_option_text_add(wanted->options, sizeof(wanted->options), argument))
			sl_args_fail(state, "the options are too long");
		return 0;
	case 'a':
		wanted->is_anyway = true;
		return 0;
	case ARGP_KEY_ARG:
		wanted->command = &state->argv[state->next - 1];
		state->next = state->argc; /* the rest is the program's */
		return 0;
	case ARGP_KEY_NO_ARGS:
		sl_args_fail(state, "which command?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static bool is_in_list(const char *list, const char *path)
{
	size_t n = strlen(path);
	for (const char *at = list; (at = strstr(at, path)); at += n)
		if ((at == list || strchr(": ", at[-1])) && (!at[n] || strchr(": ", at[n])))
			return true;
	return false;
}

/* In front of what is preloaded already. */
static void set_preload(const char *library)
{
	static char value[SL_VARIABLE_BYTES];
	const char *before = getenv("LD_PRELOAD");
	if (before && is_in_list(before, library))
		return;
	(void)snprintf(value, sizeof(value), "%s%s%s", library, before && *before ? ":" : "",
	               before ? before : "");
	(void)setenv("LD_PRELOAD", value, 1);
}

/* Behind what the environment says: of a key given twice the last value counts. */
static void set_options(const char *options)
{
	static char value[2 * SL_VARIABLE_BYTES];
	const char *before = getenv("SOCKLEAK_OPTIONS");
	if (!*options)
		return;
	(void)snprintf(value, sizeof(value), "%s%s%s", before ? before : "",
	               before && *before ? " " : "", options);
	(void)setenv("SOCKLEAK_OPTIONS", value, 1);
}

/* The exit code where it cannot be, else 0. */
static int look_ahead(const struct wanted *wanted, char library[SL_PRELOAD_PATH_BYTES],
                      struct sl_preload_check *check)
{
	static struct sl_options options;
	char why[1024];
	if (!sl_option_text_check(wanted->options, &options, why, sizeof(why)))
		return sl_say(SL_EXIT_USAGE, "%s", why);
	if (!sl_preload_find_library(library))
		return sl_say(SL_EXIT_NO_LIBRARY,
		              "libsockleak.so is neither beside this command nor in "
		              "../lib/sockleak: install both with 'make install'");
	if (strpbrk(library, ": "))
		return sl_say(SL_EXIT_NO_LIBRARY,
		              "%s: LD_PRELOAD takes no path with a colon or a space: install it "
		              "elsewhere",
		              library);
	sl_preload_check(wanted->command[0], library, check);
	if (check->note[0])
		sl_say_note("%s: %s", check->program, check->note);
	if (!check->code)
		return 0;
	if (wanted->is_anyway && check->code == SL_EXIT_NO_LIBRARY) {
		sl_say_note("%s", check->why);
		return 0;
	}
	return sl_say(check->code, "%s", check->why);
}

int sl_verb_run(int argc, char **argv)
{
	static const struct argp_option arguments[] = {
		{"options", 'o', "OPTIONS", 0,
	         "key=value pairs for SOCKLEAK_OPTIONS, behind those of the environment; may be "
	         "repeated",
	         0},
		{"anyway", 'a', NULL, 0, "start it even where it cannot be preloaded", 0},
		{0},
	};
	static const struct argp argp = {
		.options = arguments,
		.parser = take,
		.args_doc = "[--] COMMAND [ARGUMENT...]",
		.doc = "Start a program with libsockleak.so preloaded, after checks whether that "
		       "can work. The exit "
		       "status is the program's; 126 or 127 where it cannot be started, 2 where an "
		       "option is wrong, 5 "
		       "where it cannot be preloaded."
		       "\vExample: sockleak run -o \"deadline=30s report=/tmp/%e.%p.txt\" -- java "
		       "-jar app.jar",
	};
	static struct wanted wanted;
	static struct sl_preload_check check;
	char library[SL_PRELOAD_PATH_BYTES];
	sl_args_parse(&argp, argc, argv, ARGP_IN_ORDER, &wanted);
	int code = look_ahead(&wanted, library, &check);
	if (code)
		return code;
	set_preload(library);
	set_options(wanted.options);
	int error = sl_execute(check.file, wanted.command);
	return sl_say(error == -ENOENT ? SL_EXIT_NOT_FOUND : SL_EXIT_CANNOT_RUN, "%s: %s",
	              wanted.command[0], strerror(-error));
}
