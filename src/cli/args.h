/* args.h - arguments that several verbs take. What is wrong ends the command: one line, exit code 2.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_ARGS_H
#define SL_CLI_ARGS_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

/* "sockleak VERB: ..., see 'sockleak help VERB'" in one line, where argp_error(3) takes three. Ends the command. */
void sl_args_fail(const struct argp_state *state, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* The same before argp has begun; `name` is "sockleak VERB". */
void sl_args_refuse(const char *name, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* A number from 0 to 10^9. */
int64_t sl_args_number(struct argp_state *state, const char *text, const char *of);

/* A duration with its unit, "500ms", "60s", "10m", "2h", up to 24 days. Pure. False: it is none. */
bool sl_args_read_duration(const char *text, uint64_t *ms);
uint64_t sl_args_duration(struct argp_state *state, const char *text, const char *of);

/* Digits only, 1 .. INT_MAX. Pure. False: no process id. */
bool sl_args_read_pid(const char *text, int *pid);

/* Of a verb that takes one process: its keys of argp(3) for arguments. *pid is 0 at first. */
error_t sl_args_take_pid(int key, const char *argument, const struct argp_state *state, int *pid);

#endif
