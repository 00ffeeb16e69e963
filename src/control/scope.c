#include "control/scope.h"

#include <dlfcn.h>
#include <fnmatch.h>
#include <stdint.h>
#include <string.h>

#include "base/options.h"
#include "base/out.h"
#include "base/sys.h"
#include "report/self.h"
#include "stack/blame.h"

#include "base/poison.h"

#define SL_PROC_PATH_BYTES 64
#define SL_MAPS_BYTES 8192

bool sl_scope_fits(const char *globs, const char *program)
{
	char glob[SL_OPTION_TEXT_MAX];
	if (!*globs)
		return true;
	while (*globs) {
		size_t n = strcspn(globs, ",");
		memcpy(glob, globs, n);
		glob[n] = 0;
		if (n > 0 && fnmatch(glob, program, 0) == 0)
			return true;
		globs += n + (globs[n] == ',');
	}
	return false;
}

static bool is_in_scope(int pid)
{
	char program[256];
	sl_self_program_of(pid, program, sizeof(program));
	return sl_scope_fits(sl_options.programs, program);
}

/* Does a mapped file of this process have this name? Its maps are read in pieces; what a line that a piece cuts in two would show
 * is kept for the next. False too where they cannot be read. */
static bool maps_file(int pid, const char *name)
{
	static char text[SL_MAPS_BYTES + 1];
	char path[SL_PROC_PATH_BYTES];
	struct sl_out out;
	size_t kept = 0, length = strlen(name);
	bool is_found = false;
	long got;
	sl_out_init(&out, path, sizeof(path) - 1, NULL, NULL);
	sl_out_text(&out, "/proc/");
	sl_out_unsigned(&out, (uint64_t)pid);
	sl_out_text(&out, "/maps");
	path[out.length] = 0;
	int fd = sl_sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	while (fd >= 0 && !is_found &&
	       (got = sl_sys_read(fd, text + kept, SL_MAPS_BYTES - kept)) > 0) {
		size_t n = kept + (size_t)got;
		text[n] = 0;
		for (const char *at = text; !is_found && (at = strstr(at, name)); at++)
			is_found = at > text && at[-1] == '/' &&
			           (at[length] == '\n' || at[length] == ' ');
		kept = n < length + 2 ? n : length + 2;
		memmove(text, text + n - kept, kept);
	}
	if (fd >= 0)
		(void)sl_sys_close(fd);
	return is_found;
}

/* Started by a process that is one to work in: its parent has this object too. A parent that has ended meanwhile, or whose
 * maps may not be read, is none. */
static bool is_child_of_ours(void)
{
	Dl_info info;
	int parent = (int)SL_SYS0(SYS_getppid);
	if (parent <= 0 || !dladdr((const void *)(uintptr_t)is_child_of_ours, &info) ||
	    !info.dli_fname)
		return false;
	return maps_file(parent, sl_file_name_of(info.dli_fname)) && is_in_scope(parent);
}

bool sl_scope_is_ours(void)
{
	if (!is_in_scope(0))
		return false;
	return sl_options.children == SL_CHILDREN_ON || !is_child_of_ours();
}
