/* doctor.h - what stands in the way of the library, of a program, of the host: findings, one line each.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_DOCTOR_H
#define SL_CLI_DOCTOR_H

#include <stdbool.h>

#include "cli/exit.h"
#include "cli/proc.h"

enum sl_doctor_status {
	SL_DOCTOR_OK,
	SL_DOCTOR_NOTE, /* worth to know */
	SL_DOCTOR_BAD,  /* something to do */
};

struct sl_doctor_finding {
	enum sl_doctor_status status;
	const char *name; /* constant */
	char detail[512];
	char advice[512]; /* "": nothing to do */
};

#define SL_DOCTOR_FINDINGS_MAX 64

struct sl_doctor {
	struct sl_doctor_finding findings[SL_DOCTOR_FINDINGS_MAX];
	unsigned count;
};

/* A new finding, its detail printed; NULL advice: nothing to do. */
void sl_doctor_find(struct sl_doctor *doctor, enum sl_doctor_status status, const char *name,
                    const char *advice, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* The host: kernel, library, libunwind, JVM, ptrace. */
void sl_doctor_host(struct sl_doctor *doctor);
/* The network namespace of this process: ports and their users, timeouts. */
void sl_doctor_network(struct sl_doctor *doctor, int pid);
/* The process: is the library in it, and if not, why; how near its limits are. */
void sl_doctor_process(struct sl_doctor *doctor, const struct sl_proc *proc);
/* Can the command be preloaded? */
enum sl_exit sl_doctor_command(struct sl_doctor *doctor, const char *command);

#endif
