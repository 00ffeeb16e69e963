/* set_reply.h - what a process answers to `set` and `off`: {"changed":[{"key","old","new"}],"for_ms":N|null}.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_SET_REPLY_H
#define SL_CLI_SET_REPLY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/proc.h"
#include "report/json_write.h"

struct sl_set_reply {
	json_t *root;
	json_t *changed; /* an array of objects with three strings each */
	int64_t for_ms;  /* -1: until the process ends */
};

/* False: it is no such answer. */
bool sl_set_reply_read(const char *bytes, size_t n, struct sl_set_reply *reply);
void sl_set_reply_free(struct sl_set_reply *reply);

/* One line for each change, then how long it holds and how to make it last. */
void sl_set_reply_print(FILE *to, const struct sl_proc *proc, bool is_dry,
                        const struct sl_set_reply *reply);
void sl_set_reply_json(struct sl_json *json, int pid, bool is_dry,
                       const struct sl_set_reply *reply);

/* The variable with the new values in it, "deadline=30s action=shutdown": `before` is its present value, may be NULL. To be
 * freed; NULL: no memory. */
char *sl_set_reply_lasting(const char *before, const struct sl_set_reply *reply);

#endif
