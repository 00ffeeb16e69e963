/* signals.c - the program's own dispositions: sigaction and its older relatives.
 *
 * Where the signal is not the one that reports, each passes through. Where it is, each becomes the sigaction() that it
 * stands for (glibc: signal/signal.c, sysdeps/posix/{signal,sysv_signal,sigset,sigignore,sigintr}.c).
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "control/signal.h"
#include "hooks/real.h"

#include "base/poison.h"

/* siginterrupt() was called for the report signal: signal() then leaves out SA_RESTART. */
static _Atomic int interrupts;

int sl_hook_sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	if (!sl_signal_is_held(number))
		return sl_real.sigaction(number, action, old);
	return sl_signal_act(number, action, old);
}

int sl_hook___sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	if (!sl_signal_is_held(number))
		return sl_real.__sigaction(number, action, old);
	return sl_signal_act(number, action, old);
}

/* Install `handler` for a held signal; what was there before. */
static sl_signal_fn *act(int number, sl_signal_fn *handler, int flags, int masked)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, old;
	(void)sigemptyset(&action.sa_mask);
	if (masked)
		(void)sigaddset(&action.sa_mask, masked);
	return sl_signal_act(number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

static sl_signal_fn *act_bsd(int number, sl_signal_fn *handler)
{
	if (handler == SIG_ERR) {
		errno = EINVAL;
		return SIG_ERR;
	}
	return act(number, handler, atomic_load(&interrupts) ? 0 : SA_RESTART, number);
}

static sl_signal_fn *act_sysv(int number, sl_signal_fn *handler)
{
	if (handler == SIG_ERR) {
		errno = EINVAL;
		return SIG_ERR;
	}
	return act(number, handler, (int)(SA_RESETHAND | SA_NODEFER), 0);
}

sl_signal_fn *sl_hook_signal(int number, sl_signal_fn *handler)
{
	return sl_signal_is_held(number) ? act_bsd(number, handler)
	                                 : sl_real.signal(number, handler);
}

sl_signal_fn *sl_hook_bsd_signal(int number, sl_signal_fn *handler)
{
	return sl_signal_is_held(number) ? act_bsd(number, handler)
	                                 : sl_real.bsd_signal(number, handler);
}

sl_signal_fn *sl_hook_ssignal(int number, sl_signal_fn *handler)
{
	return sl_signal_is_held(number) ? act_bsd(number, handler)
	                                 : sl_real.ssignal(number, handler);
}

sl_signal_fn *sl_hook_sysv_signal(int number, sl_signal_fn *handler)
{
	return sl_signal_is_held(number) ? act_sysv(number, handler)
	                                 : sl_real.sysv_signal(number, handler);
}

sl_signal_fn *sl_hook___sysv_signal(int number, sl_signal_fn *handler)
{
	return sl_signal_is_held(number) ? act_sysv(number, handler)
	                                 : sl_real.__sysv_signal(number, handler);
}

/* sigset(), for a held signal. Unblocked last: one that waits belongs to the new disposition. */
static sl_signal_fn *act_sigset(int number, sl_signal_fn *handler)
{
	sigset_t one, before;
	struct sigaction old;
	(void)sigemptyset(&one);
	(void)sigaddset(&one, number);
	if (handler == SIG_HOLD) {
		(void)pthread_sigmask(SIG_BLOCK, &one, &before);
		if (sigismember(&before, number))
			return SIG_HOLD;
		return sl_signal_act(number, NULL, &old) == 0 ? old.sa_handler : SIG_ERR;
	}
	sl_signal_fn *was = act(number, handler, 0, 0);
	if (was == SIG_ERR)
		return SIG_ERR;
	(void)pthread_sigmask(SIG_UNBLOCK, &one, &before);
	return sigismember(&before, number) ? SIG_HOLD : was;
}

sl_signal_fn *sl_hook_sigset(int number, sl_signal_fn *handler)
{
	return sl_signal_is_held(number) ? act_sigset(number, handler)
	                                 : sl_real.sigset(number, handler);
}

int sl_hook_sigignore(int number)
{
	if (!sl_signal_is_held(number))
		return sl_real.sigignore(number);
	return act(number, SIG_IGN, 0, 0) == SIG_ERR ? -1 : 0;
}

int sl_hook_siginterrupt(int number, int flag)
{
	struct sigaction action;
	if (!sl_signal_is_held(number))
		return sl_real.siginterrupt(number, flag);
	atomic_store(&interrupts, flag);
	if (sl_signal_act(number, NULL, &action) != 0)
		return -1;
	action.sa_flags = flag ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
	return sl_signal_act(number, &action, NULL);
}
