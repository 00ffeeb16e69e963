/* held_signals.c - see held_signals.h. */
#include "cli/held_signals.h"

#include <stddef.h>

void sl_held_signals_begin(sigset_t *before)
{
	sigset_t held;
	(void)sigemptyset(&held);
	(void)sigaddset(&held, SIGINT);
	(void)sigaddset(&held, SIGTERM);
	(void)sigaddset(&held, SIGHUP);
	(void)sigaddset(&held, SIGQUIT);
	(void)sigaddset(&held, SIGPIPE);
	(void)sigprocmask(SIG_BLOCK, &held, before);
}

bool sl_held_signals_came(void)
{
	sigset_t waiting;
	return sigpending(&waiting) == 0 &&
	       (sigismember(&waiting, SIGINT) == 1 || sigismember(&waiting, SIGTERM) == 1 ||
	        sigismember(&waiting, SIGHUP) == 1 || sigismember(&waiting, SIGQUIT) == 1);
}

void sl_held_signals_end(const sigset_t *before)
{
	(void)sigprocmask(SIG_SETMASK, before, NULL);
}
