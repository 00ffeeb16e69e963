/* verb_doctor.c - `sockleak doctor`: can it work here, does it, and what to do. */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/again.h"
#include "cli/args.h"
#include "cli/args_parse.h"
#include "cli/doctor.h"
#include "cli/print.h"
#include "cli/say.h"
#include "cli/verbs.h"
#include "report/json_write.h"

static const char *const status_words[] = {
	[SL_DOCTOR_OK] = "ok",
	[SL_DOCTOR_NOTE] = "note",
	[SL_DOCTOR_BAD] = "BAD",
};

struct wanted {
	const char *of; /* PID or command; NULL: the host alone */
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
		if (wanted->of)
			sl_args_fail(state, "one PID or COMMAND only, without its arguments");
		wanted->of = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print_text(const struct sl_doctor *doctor)
{
	struct sl_print print;
	struct sl_out *out = &print.out;
	sl_print_start(&print, stdout);
	for (unsigned i = 0; i < doctor->count; i++) {
		const struct sl_doctor_finding *finding = &doctor->findings[i];
		sl_out_padded(out, status_words[finding->status], 6);
		sl_out_padded(out, finding->name, 14);
		sl_out_terminal(out, finding->detail);
		sl_out_char(out, '\n');
		if (finding->advice[0]) {
			sl_out_padded(out, "", 20);
			sl_out_text(out, "-> ");
			sl_out_terminal(out, finding->advice);
			sl_out_char(out, '\n');
		}
	}
	(void)sl_print_end(&print);
}

static void print_json(const struct sl_doctor *doctor)
{
	struct sl_print print;
	struct sl_json json = {.out = &print.out};
	sl_print_start(&print, stdout);
	sl_json_open(&json, NULL, '[');
	for (unsigned i = 0; i < doctor->count; i++) {
		const struct sl_doctor_finding *finding = &doctor->findings[i];
		sl_json_break(&json);
		sl_json_open(&json, NULL, '{');
		sl_json_text(&json, "check", finding->name);
		sl_json_text(&json, "status",
		             finding->status == SL_DOCTOR_BAD ? "bad"
		                                              : status_words[finding->status]);
		sl_json_text(&json, "detail", finding->detail);
		sl_json_text(&json, "advice", finding->advice[0] ? finding->advice : NULL);
		sl_json_close(&json, '}');
	}
	sl_json_close(&json, ']');
	sl_out_char(&print.out, '\n');
	(void)sl_print_end(&print);
}

int sl_verb_doctor(int argc, char **argv)
{
	static const struct argp_option arguments[] = {
		{"json", 'j', NULL, 0, "as a JSON array", 0},
		{0},
	};
	static const struct argp argp = {
		.options = arguments,
		.parser = take,
		.args_doc = "[PID|COMMAND]",
		.doc = "Look at what the library and the command need: the kernel, libunwind, a "
		       "JVM, ports, fds, settings; is the "
		       "library in the process, can the command be preloaded, and what to do. "
		       "Exits with 5, 126 or 127 where "
		       "COMMAND cannot be preloaded.",
	};
	static struct sl_doctor doctor;
	struct wanted wanted = {0};
	struct sl_proc proc;
	int pid = getpid(), code = SL_EXIT_FINE;
	sl_args_parse(&argp, argc, argv, 0, &wanted);
	bool is_process = wanted.of && sl_args_read_pid(wanted.of, &pid);
	int error = is_process ? sl_proc_read(pid, &proc) : 0;
	int has_library =
		is_process && !error ? sl_proc_has_object(pid, "libsockleak.so", NULL) : 0;
	if (!error && has_library < 0)
		error = has_library;
	if (error)
		return sl_proc_refuse(pid, error, sl_again_words());
	sl_doctor_host(&doctor);
	sl_doctor_network(&doctor, pid);
	if (is_process)
		sl_doctor_process(&doctor, &proc);
	else if (wanted.of)
		code = sl_doctor_command(&doctor, wanted.of);
	if (wanted.is_json)
		print_json(&doctor);
	else
		print_text(&doctor);
	return code;
}
