/* verb_diff.c - `sockleak diff`: two snapshots in files, and what grew from the one to the other. */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/args_parse.h"
#include "cli/diff.h"
#include "cli/diff_print.h"
#include "cli/say.h"
#include "cli/snapshot_file.h"
#include "cli/symbols.h"
#include "cli/verbs.h"

#define SL_DIFF_CHUNK_BYTES (1u << 20)

struct wanted {
	const char *files[2];
	unsigned count;
	bool is_json;
};

static error_t take(int key, char *argument, struct argp_state *state)
{
	struct wanted *wanted = state->input;
	switch (key) {
	case 'j':
		wanted->is_json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (wanted->count == 2)
			sl_args_fail(state, "two files only");
		wanted->files[wanted->count++] = argument;
		return 0;
	case ARGP_KEY_END:
		if (wanted->count < 2)
			sl_args_fail(state,
			             "two files are needed: the earlier snapshot, the later one");
		if (strcmp(wanted->files[0], "-") == 0 && strcmp(wanted->files[1], "-") == 0)
			sl_args_fail(state, "only one of them can be stdin");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int sl_verb_diff(int argc, char **argv)
{
	static const struct argp_option arguments[] = {
		{"json", 'j', NULL, 0, "as JSON, every site and peer", 0},
		{0},
	};
	static const struct argp argp = {
		.options = arguments,
		.parser = take,
		.args_doc = "BEFORE AFTER",
		.doc = "Show which sites and peers grew from one snapshot to another, the most "
		       "growth "
		       "first. The files are snapshots in JSON (option json=, or report --json), "
		       "of one "
		       "process or of two, say before and after a deployment; - is stdin.",
	};
	struct wanted wanted = {0};
	struct sl_arena arena = SL_ARENA(SL_DIFF_CHUNK_BYTES, 0);
	struct sl_snapshot snapshots[2];
	struct sl_diff diff;
	sl_args_parse(&argp, argc, argv, 0, &wanted);
	for (int i = 0; i < 2; i++) {
		int code = sl_snapshot_file(&arena, wanted.files[i], &snapshots[i]);
		if (code)
			return code;
		(void)sl_symbols_apply(&arena, &snapshots[i], 0);
	}
	sl_diff_make(&diff, &snapshots[0], &snapshots[1]);
	(wanted.is_json ? sl_diff_print_json : sl_diff_print_text)(stdout, &diff);
	sl_diff_free(&diff);
	sl_arena_free(&arena);
	return fflush(stdout) || ferror(stdout) ? sl_say(SL_EXIT_USAGE, "cannot write to stdout")
	                                        : 0;
}
