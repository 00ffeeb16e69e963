/* signal.h - the report signal, and how it stays out of the program's sight.
 *
 * signal=auto takes SIGUSR1 while its disposition is the default, and steps aside for good as soon as the program
 * installs a handler or ignores it. A named signal is shared instead: our handler reports, then calls the program's. In
 * both cases the program is told of its own disposition only.
 *
 * Layer: control. Locks: SL_LOCK_DISPOSITION, while the program changes it. Fork: sl_signal_forked().
 */
#ifndef SL_CONTROL_SIGNAL_H
#define SL_CONTROL_SIGNAL_H

#include <signal.h>
#include <stdbool.h>

typedef int sl_sigaction_fn(int number, const struct sigaction *action, struct sigaction *old);

/* Install the handler that the options ask for. Called once at start. */
void sl_signal_start(sl_sigaction_fn *real);

/* Give the signal back: the kernel has the program's own disposition again. sl_signal_resume() takes it anew, as far as the program
 * still leaves it to us. Async-signal-safe but for waiting for the lock. */
void sl_signal_release(void);
void sl_signal_resume(void);

/* Is this signal's real disposition ours at present? */
bool sl_signal_is_held(int number);

/* What sigaction(2) would do, for a signal that is held. Returns what it returns, errno set. */
int sl_signal_act(int number, const struct sigaction *action, struct sigaction *old);

/* Say that we stepped aside, once: a program without TCP sockets has no report to miss, and need not hear of it.
 * Context: the worker. */
void sl_signal_say(void);

/* In a forked child: under auto the default comes back. Async-signal-safe. */
void sl_signal_forked(void);

#endif
