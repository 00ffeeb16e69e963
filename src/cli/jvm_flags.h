/* jvm_flags.h - what a JVM was told on being attached to, in the texts that it takes its options from.
 *
 * Layer: cli. Context: one thread. Source: Arguments::parse() of HotSpot, the launcher's manual, java(1). The last word counts. A file
 * named there is read in the root of the process.
 */
#ifndef SL_CLI_JVM_FLAGS_H
#define SL_CLI_JVM_FLAGS_H

#include <stdbool.h>

#include "cli/proc.h"

enum sl_jvm_flag {
	SL_JVM_NO_ATTACH,     /* DisableAttachMechanism */
	SL_JVM_MAY_LOAD,      /* EnableDynamicAgentLoading */
	SL_JVM_FEWER_SIGNALS, /* ReduceSignalUsage, -Xrs: no SIGQUIT */
	SL_JVM_FLAGS
};

enum sl_jvm_setting { SL_JVM_UNSET, SL_JVM_OFF, SL_JVM_ON };

struct sl_jvm_flags {
	struct {
		enum sl_jvm_setting setting;
		char source[64]; /* "JAVA_TOOL_OPTIONS" */
	} of[SL_JVM_FLAGS];
};

/* One option of the VM: "-XX:+DisableAttachMechanism", "-Xrs"; any other is passed over. Pure. */
void sl_jvm_flags_option(struct sl_jvm_flags *flags, const char *option, const char *source);

/* All that is to be read of them, each over the one before. */
void sl_jvm_flags_read(const struct sl_proc *proc, struct sl_jvm_flags *flags);

/* As it is written: "-XX:+DisableAttachMechanism". */
const char *sl_jvm_flag_text(enum sl_jvm_flag flag, enum sl_jvm_setting setting);

#endif
