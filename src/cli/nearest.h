/* nearest.h - what was probably meant by a misspelt word. Pure.
 *
 * Layer: cli.
 */
#ifndef SL_CLI_NEAREST_H
#define SL_CLI_NEAREST_H

#include <stddef.h>

/* The one of n words that takes the fewest edits, or that `word` begins; NULL: none is near. */
const char *sl_nearest(const char *word, const char *const *words, size_t n);

#endif
