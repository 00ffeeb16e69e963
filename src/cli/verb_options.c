/* verb_options.c - `sockleak options`: the table of options, as text or JSON. */
#include <argp.h>
#include <stdbool.h>

#include "base/option.h"
#include "cli/args.h"
#include "cli/args_parse.h"
#include "cli/print.h"
#include "cli/say.h"
#include "cli/verbs.h"
#include "report/json_write.h"

#define SL_CELL_BYTES 1024

static error_t take(int key, char *argument, struct argp_state *state)
{
	bool *is_json = state->input;
	(void)argument;
	if (key == 'j')
		*is_json = true;
	else if (key == ARGP_KEY_ARG)
		sl_args_fail(state, "no argument is taken");
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

static const char *const type_words[] = {
	[SL_OPTION_BOOL] = "bool",   [SL_OPTION_DURATION] = "duration",
	[SL_OPTION_COUNT] = "count", [SL_OPTION_BYTES] = "bytes",
	[SL_OPTION_OCTAL] = "octal", [SL_OPTION_SIGNAL] = "signal",
	[SL_OPTION_ENUM] = "word",   [SL_OPTION_LIST] = "list",
	[SL_OPTION_RULES] = "rules", [SL_OPTION_PATH] = "path",
};

static void put_option(struct sl_json *json, const struct sl_option *option)
{
	char standard[SL_CELL_BYTES], allowed[SL_CELL_BYTES];
	struct sl_out out;
	sl_out_init(&out, standard, sizeof(standard) - 1, NULL, NULL);
	sl_option_write(&out, option, &sl_option_defaults);
	standard[out.length] = 0;
	sl_out_init(&out, allowed, sizeof(allowed) - 1, NULL, NULL);
	sl_option_write_allowed(&out, option);
	allowed[out.length] = 0;
	sl_json_break(json);
	sl_json_open(json, NULL, '{');
	sl_json_text(json, "key", option->key);
	sl_json_text(json, "type", type_words[option->type]);
	sl_json_text(json, "default", standard);
	sl_json_text(json, "allowed", allowed);
	sl_json_bool(json, "repeatable", sl_option_is_list(option));
	sl_json_text(json, "help", option->help);
	sl_json_close(json, '}');
}

int sl_verb_options(int argc, char **argv)
{
	static const struct argp_option arguments[] = {
		{"json", 'j', NULL, 0, "as a JSON array", 0},
		{0},
	};
	static const struct argp argp = {
		.options = arguments,
		.parser = take,
		.doc = "Print every option of SOCKLEAK_OPTIONS: its default, what is allowed, what "
		       "it means.",
	};
	bool is_json = false;
	struct sl_print print;
	sl_args_parse(&argp, argc, argv, 0, &is_json);
	sl_print_start(&print, stdout);
	if (is_json) {
		struct sl_json json = {.out = &print.out};
		sl_json_open(&json, NULL, '[');
		for (size_t i = 0; i < sl_option_row_count; i++)
			put_option(&json, &sl_option_rows[i]);
		sl_json_close(&json, ']');
		sl_out_char(&print.out, '\n');
	} else {
		sl_options_print_help(&print.out);
	}
	return sl_print_end(&print) ? SL_EXIT_FINE
	                            : sl_say(SL_EXIT_USAGE, "cannot write to stdout");
}
