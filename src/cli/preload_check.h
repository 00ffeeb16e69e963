/* preload_check.h - can a command be preloaded? What the kernel and the loader will do with it is found out beforehand.
 *
 * Layer: cli. Context: one thread. Source: execve(2), ld.so(8), capabilities(7).
 */
#ifndef SL_CLI_PRELOAD_CHECK_H
#define SL_CLI_PRELOAD_CHECK_H

#include <stdbool.h>

#include "cli/exit.h"

#define SL_PRELOAD_PATH_BYTES 4096

struct sl_preload_check {
	enum sl_exit
		code; /* SL_EXIT_FINE, _NOT_FOUND, _CANNOT_RUN, _NO_LIBRARY: it cannot be preloaded */
	char program
		[SL_PRELOAD_PATH_BYTES]; /* the file that the kernel will run: of a script its interpreter */
	char file[SL_PRELOAD_PATH_BYTES];      /* the command's own file, as it was found */
	char why[SL_PRELOAD_PATH_BYTES + 512]; /* one sentence, and what to do instead */
	char note[512];                        /* "": nothing to remark */
};

/* `command` is a path, or a name that is looked for in PATH, as execvp(3) does; `library` is the object to be preloaded. */
void sl_preload_check(const char *command, const char *library, struct sl_preload_check *check);

/* The library beside this program, or in ../lib/sockleak. False: it is in neither. */
bool sl_preload_find_library(char path[SL_PRELOAD_PATH_BYTES]);

#endif
