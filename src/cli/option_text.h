/* option_text.h - key=value pairs from the command line, checked against the table before anybody else sees them.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_OPTION_TEXT_H
#define SL_CLI_OPTION_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/options.h"

/* One more -o behind what `all` has already. False: it does not fit, and nothing was added. */
bool sl_option_text_add(char *all, size_t room, const char *text);

/* False: the first mistake stands in `why`. What was understood is in `options`, from the defaults on. */
bool sl_option_text_check(const char *text, struct sl_options *options, char *why, size_t n);

/* The same for `set`: options that can be changed in a running process, lists replaced. */
bool sl_option_text_check_live(const char *text, struct sl_options *options, char *why, size_t n);

#endif
