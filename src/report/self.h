/* self.h - who this process is: pid, program, arguments, start, host.
 *
 * Layer: report. Locks: none: the worker only. Owner: strings live in the arena given. Fork: no state. errno: untouched.
 */
#ifndef SL_REPORT_SELF_H
#define SL_REPORT_SELF_H

#include <stddef.h>

#include "base/arena.h"
#include "report/snapshot.h"

/* Fill snapshot->process. What cannot be read is "" or the time of the call. */
void sl_self_describe(struct sl_arena *arena, bool is_jvm, struct sl_snapshot *snapshot);

/* The main class or jar of a java command line, or NULL. Pure. */
const char *sl_self_java_main(const char *const *argv);

/* Milliseconds since a start that /proc/PID/stat tells (proc(5), field 22). Context: any thread. */
uint64_t sl_self_age_ms(uint64_t ticks);

/* The executable's file name, for programs= and %e; "" if it cannot be read. At most n bytes with the NUL. */
void sl_self_program(char *name, size_t n);
/* The same of any process; 0: this one. */
void sl_self_program_of(int pid, char *name, size_t n);

#endif
