/* between.h - a function of the test's runs in the middle of the code under test: right before one of its getsockopt() calls.
 *
 * A race has an order in which it is lost. Here that order is made, not hoped for: a filter turns each getsockopt() of the caller
 * into SIGSYS, whose handler counts it, runs the function where its turn has come, and makes the call.
 *
 * For a forked child: the filter stays for good.
 */
#ifndef SL_TEST_BETWEEN_H
#define SL_TEST_BETWEEN_H

#include <stdbool.h>

typedef void between_fn(void *context);

/* False: this machine allows no filters. */
bool between_start(void);

/* From now on `run` comes before the n-th getsockopt() of this thread, n from 0, once. */
void between_set(unsigned n, between_fn *run, void *context);

/* Has it run? */
bool between_has_run(void);

#endif
