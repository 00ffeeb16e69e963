/* say.h - what the command says to a person: one line each on stderr.
 *
 * Names that came from outside are escaped for the terminal.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_SAY_H
#define SL_CLI_SAY_H

#include "cli/exit.h"

/* "sockleak: ..." and a newline; returns `code`, for `return sl_say(...)`. */
int sl_say(enum sl_exit code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same, a remark that ends nothing. */
void sl_say_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
