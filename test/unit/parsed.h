/* parsed.h - SOCKLEAK_OPTIONS taken from its defaults, what was said about it, and values as a user writes them. */
#ifndef SL_TEST_PARSED_H
#define SL_TEST_PARSED_H

#include "base/options.h"

/* Of the latest parse(): the set, and the lines said. */
extern struct sl_options options;
extern char said[64][1024];
extern unsigned said_count;

/* For sl_options_parse(): puts the line into said[]. */
void hear(const char *line);

/* The number of bad pairs. */
unsigned parse(const char *text);

/* The value of `key` in `options`; valid until the next call. */
const char *value_of(const char *key);

#endif
