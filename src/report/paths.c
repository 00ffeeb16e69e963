#include "report/paths.h"

#include <stdint.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/out.h"
#include "base/sys.h"
#include "report/self.h"

#include "base/poison.h"

static bool is_forked; /* written in a forked child, before its worker starts */

void sl_paths_forked(void)
{
	is_forked = true;
}

void sl_paths_add_pid(char *path, size_t n)
{
	struct sl_out out;
	size_t length = strlen(path);
	sl_out_init(&out, path + length, n - length - 1, NULL, NULL);
	sl_out_char(&out, '.');
	sl_out_unsigned(&out, (uint64_t)sl_sys_getpid());
	path[out.is_cut ? 0 : length + out.length] = 0;
}

/* A host's name may hold anything: it must not lead out of the directory. */
static void print_host(struct sl_out *out)
{
	struct utsname names;
	if (SL_SYS1(SYS_uname, &names) < 0)
		return;
	for (const char *c = names.nodename; *c; c++)
		sl_out_char(out, *c == '/' ? '_' : *c);
}

static void expand_one(struct sl_out *out, char what)
{
	char program[256];
	if (what == 'p') {
		sl_out_unsigned(out, (uint64_t)sl_sys_getpid());
	} else if (what == 'e') {
		sl_self_program(program, sizeof(program));
		sl_out_text(out, program);
	} else if (what == 'h') {
		print_host(out);
	} else {
		sl_out_char(out, what);
	}
}

bool sl_paths_expand(const char *path, char *expanded, size_t n)
{
	struct sl_out out;
	bool has_pid = false;
	sl_out_init(&out, expanded, n - 1, NULL, NULL);
	for (const char *c = path; *c; c++) {
		if (*c != '%' || !c[1]) {
			sl_out_char(&out, *c);
			continue;
		}
		has_pid |= *++c == 'p';
		expand_one(&out, *c);
	}
	expanded[out.is_cut ? 0 : out.length] = 0; /* half a path is another one */
	if (is_forked && !has_pid && *expanded)
		sl_paths_add_pid(expanded, n);
	return is_forked || has_pid;
}
