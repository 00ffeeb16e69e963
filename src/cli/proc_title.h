/* proc_title.h - a process as a person calls it: "java LeakyClient", "nginx".
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_PROC_TITLE_H
#define SL_CLI_PROC_TITLE_H

#include "cli/proc.h"

#define SL_PROC_TITLE_BYTES 400

/* The same words as a report has for it. */
void sl_proc_title(const struct sl_proc *proc, char title[SL_PROC_TITLE_BYTES]);

#endif
