/* attach_there.h - the library that a process has already: how it came in, and whether it is ours.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_ATTACH_THERE_H
#define SL_CLI_ATTACH_THERE_H

#include <stdbool.h>

#include "cli/build_id.h"
#include "cli/proc.h"

struct sl_attach_there {
	bool is_mapped;
	char path
		[SL_PROC_PATH_BYTES]; /* as it was loaded: the same words load the same object, its file gone or not */
	bool is_preloaded;                /* it was there from the start */
	bool is_active;                   /* its control socket answers */
	char version[32];                 /* what that says; "": nothing */
	char build_id[SL_BUILD_ID_BYTES]; /* "": not to be had */
	bool is_other;                    /* of another build than the file */
};

/* 0, -ESRCH, -EACCES. `library` is our file. Blocks: for an answer of the control socket. */
int sl_attach_there_look(const struct sl_proc *proc, const char *library,
                         struct sl_attach_there *there);

/* Was it there from the start? What LD_PRELOAD names may have been dropped, and come later (ld.so(8)). */
bool sl_attach_there_is_preloaded(int pid);

/* Wait until the control socket answers. False: not within the time. */
bool sl_attach_there_await(const struct sl_proc *proc, unsigned patience_ms);

#endif
