/* take.c - see take.h. */
#include "cli/take.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/external.h"
#include "cli/snapshot_read.h"

/* 0, or 1: try from outside, or -EACCES. */
static int ask_library(struct sl_arena *arena, const struct sl_proc *proc, unsigned patience_ms,
                       struct sl_snapshot *snapshot, struct sl_taken *taken)
{
	struct sl_client_reply reply;
	struct sl_snapshot_said said = {0};
	int error = sl_client_ask(proc, "snapshot json", patience_ms, &reply);
	const char *why = error ? sl_client_why(error, &reply) : NULL;
	if (error == -EREMOTEIO && strcmp(reply.code, "denied") == 0)
		return -EACCES;
	if (!error && sl_snapshot_read_memory(arena, reply.bytes, reply.n, snapshot, &said) == 0) {
		snapshot->process.pid = proc->pid; /* as it is known here */
		(void)snprintf(taken->note, sizeof(taken->note), "%s", said.note);
		taken->is_from_library = true;
	} else {
		(void)snprintf(taken->note, sizeof(taken->note),
		               "process %d: %.300s: seen from outside only", proc->pid,
		               why ? why : said.error);
	}
	sl_client_free(&reply);
	return taken->is_from_library ? 0 : 1;
}

int sl_take(struct sl_arena *arena, const struct sl_proc *proc, unsigned patience_ms,
            struct sl_snapshot *snapshot, struct sl_taken *taken)
{
	*taken = (struct sl_taken){0};
	int has_library = sl_proc_has_object(proc->pid, "libsockleak.so", NULL);
	if (has_library < 0)
		return has_library;
	taken->has_library = has_library;
	int error = has_library ? ask_library(arena, proc, patience_ms, snapshot, taken) : 1;
	if (error <= 0)
		return error;
	return sl_external_take(arena, proc,
	                        has_library ? "its library did not answer"
	                                    : "the library is not in this process",
	                        snapshot);
}
