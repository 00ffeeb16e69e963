/* held_signals.h - signals that would end us wait while something lies about in another process's folders.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_HELD_SIGNALS_H
#define SL_CLI_HELD_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* SIGINT, SIGTERM, SIGHUP, SIGQUIT wait from here on; SIGPIPE too. */
void sl_held_signals_begin(sigset_t *before);
/* Has one come that should end us? */
bool sl_held_signals_came(void);
/* Those that have come do what they do. */
void sl_held_signals_end(const sigset_t *before);

#endif
