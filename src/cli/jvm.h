/* jvm.h - the Java VM in a process, as far as it can be known without speaking to it.
 *
 * Layer: cli. Context: one thread. Nothing is sent, made or changed.
 */
#ifndef SL_CLI_JVM_H
#define SL_CLI_JVM_H

#include <stdbool.h>

#include "cli/jvm_flags.h"
#include "cli/proc.h"

enum sl_jvm_kind {
	SL_JVM_NONE,
	SL_JVM_HOTSPOT, /* OpenJDK and its builds, Oracle's, GraalVM on HotSpot */
	SL_JVM_OPENJ9,
	SL_JVM_OTHER,
};

struct sl_jvm {
	enum sl_jvm_kind kind;
	char path[SL_PROC_PATH_BYTES]; /* of libjvm.so, as the process sees it */
	char version[64];              /* "17.0.15", "1.8.0_402"; "": not known */
	int major;                     /* 8, 17; 0: not known */
	bool is_musl;
	bool catches_quit; /* SIGQUIT has a handler */
	struct sl_jvm_flags flags;
};

/* False: the process has no VM (kind SL_JVM_NONE), or is not ours to see. */
bool sl_jvm_look(const struct sl_proc *proc, struct sl_jvm *jvm);

/* SIGQUIT is asked about anew: it changes while a VM starts. */
bool sl_jvm_catches_quit(int pid);

/* A thread of the VM waits for signals, or that cannot be known (JDK 8 names no threads). One that is just being
 * started is waited for, at most that long. */
bool sl_jvm_has_dispatcher(int pid, unsigned patience_ms);

/* "17.0.15" is 17, "1.8.0_402" is 8, anything else 0. Pure. */
int sl_jvm_major(const char *version);

#endif
