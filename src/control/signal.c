#include "control/signal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/locks.h"
#include "base/log.h"
#include "base/options.h"
#include "base/process.h"
#include "base/sys.h"
#include "ledger/fdtable.h"
#include "watch/worker.h"

#include "base/poison.h"

/* The program's disposition is read in the handler while other threads may change it: each change goes to the next of these,
 * so that a reader's copy is overwritten only after that many more changes. */
#define SL_DISPOSITIONS 64

/* As the kernel takes it (rt_sigaction(2)); of x86-64 and aarch64. */
struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static sl_sigaction_fn *real;      /* constant after start */
static bool is_auto;               /* written at start, and when attached again */
static _Atomic int held;           /* signal number; 0: none */
static _Atomic bool is_unsaid;     /* we stepped aside, and the worker has not said so */
static _Atomic bool is_given_back; /* set in a forked child, under auto */
static struct sigaction dispositions[SL_DISPOSITIONS];
/* The index of the program's disposition << 1 | it was reset as its handler was called (SA_RESETHAND): a handler takes no lock,
 * so it changes this word and nothing else. */
static _Atomic uint64_t current;
#define SL_RESET 1u

/* What the kernel adds to each disposition that libc sets: constant after start. */
static int added_flags;
static void (*added_restorer)(void);

/* A copy, whole: made again where so many changes came meanwhile that its place was written anew. */
static struct sigaction disposition_at(uint64_t *at)
{
	struct sigaction copy;
	do {
		*at = atomic_load(&current);
		copy = dispositions[(*at >> 1) % SL_DISPOSITIONS];
		/* The addition is a barrier: the copy is finished before `current` is looked at again. */
	} while ((atomic_fetch_add(&current, 0) >> 1) - (*at >> 1) >= SL_DISPOSITIONS - 1);
	if (*at & SL_RESET)
		copy.sa_handler = SIG_DFL; /* flags and mask stay (kernel/signal.c, get_signal()) */
	return copy;
}

static struct sigaction programs_disposition(void)
{
	uint64_t at;
	return disposition_at(&at);
}

/* The lock is held, or no other thread runs yet. */
static void remember_locked(const struct sigaction *action)
{
	uint64_t next = (atomic_load(&current) >> 1) + 1;
	dispositions[next % SL_DISPOSITIONS] = *action;
	atomic_store(&current, next << 1);
}

/* What a later call would be told of this one: flags that the kernel knows, a mask without what cannot be blocked
 * (do_sigaction(), kernel/signal.c). */
static struct sigaction as_kept(const struct sigaction *action)
{
	const int known = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART |
	                  SA_NODEFER | (int)SA_RESETHAND | 0x800 /* SA_EXPOSE_TAGBITS */;
	struct sigaction kept = *action;
	kept.sa_flags = (action->sa_flags & known) | added_flags;
	kept.sa_restorer = added_restorer;
	(void)sigdelset(&kept.sa_mask, SIGKILL);
	(void)sigdelset(&kept.sa_mask, SIGSTOP);
	return kept;
}

static bool is_handler(const struct sigaction *action)
{
	/* With SA_SIGINFO too: the kernel looks at the address alone (sigaction(2)). */
	return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

/* The program's own handler, as the kernel would have called it. What is remembered in borrowed memory is the parent's. */
static void chain(int number, siginfo_t *info, void *context, bool is_ours)
{
	struct sigaction action;
	uint64_t at;
	do {
		action = disposition_at(&at);
		if (!is_handler(&action))
			return;
		/* Another thread may set it anew at this moment, or be in here too: once is once. */
	} while ((action.sa_flags & (int)SA_RESETHAND) && is_ours &&
	         !atomic_compare_exchange_strong(&current, &at, at | SL_RESET));
	if ((action.sa_flags & (int)SA_RESETHAND) && !is_ours) {
		struct sigaction reset = action;
		reset.sa_handler = SIG_DFL;
		(void)real(number, &reset, NULL);
	}
	if (action.sa_flags & SA_SIGINFO)
		action.sa_sigaction(number, info, context);
	else
		action.sa_handler(number);
}

/* A child of vfork, clone or _Fork has our handler and none of the rest: the signal does what it would have done. */
static void act_as_default(int number)
{
	struct sigaction initial = {.sa_handler = SIG_DFL};
	(void)real(number, &initial, NULL);
	(void)SL_SYS3(SYS_tgkill, sl_sys_getpid(), sl_sys_gettid(), number);
}

static void ask_for_report(void)
{
	if (sl_worker_is_running())
		sl_worker_want(SL_WANTED_BY_SIGNAL);
	else if (sl_process_is_sandboxed())
		return; /* a line would be a system call */
	else if (sl_worker_is_put_off())
		sl_log("all sockets of this process were opened in signal handlers, where no "
		       "thread of ours can be started: no report",
		       NULL);
	else if (sl_fdtable_opened(SL_KIND_TCP) > 0)
		sl_log("no thread of ours can be had in this process now: no report", NULL);
	else
		sl_log("no TCP socket was opened in this process yet: nothing to report", NULL);
}

static void handle_from_kernel(int number, siginfo_t *info, void *context)
{
	int saved_errno = errno;
	bool is_ours = sl_process_is_ours();
	/* The question may have told us that this is a forked child, and given the signal back. */
	if (is_auto && (!is_ours || atomic_load(&is_given_back)))
		act_as_default(number);
	else if (is_ours)
		ask_for_report();
	errno = saved_errno;
	if (!is_auto)
		chain(number, info, context, is_ours);
}

/* Our handler, with what the program asked for as far as it concerns both. */
static int install(int number, const struct sigaction *action, struct sigaction *before)
{
	const int shared = SA_RESTART | SA_ONSTACK | SA_NODEFER;
	struct sigaction ours = {.sa_sigaction = handle_from_kernel,
	                         .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
	if (action && is_handler(action)) {
		ours.sa_flags = SA_SIGINFO | (action->sa_flags & shared);
		ours.sa_mask = action->sa_mask;
	}
	return real(number, &ours, before);
}

/* Whatever is there at the moment of the exchange is the program's. */
static void take_locked(int number)
{
	struct sigaction before;
	if (real(number, NULL, &before) != 0)
		return;
	if (is_auto && before.sa_handler != SIG_DFL)
		return;
	remember_locked(&before);
	if (install(number, &before, &before) != 0)
		return;
	if (is_auto && before.sa_handler != SIG_DFL) {
		(void)real(number, &before, NULL);
		return;
	}
	remember_locked(&before);
	atomic_store(&held, number);
	struct sigaction ours;
	if (real(number, NULL, &ours) == 0) {
		added_flags = ours.sa_flags & 0x04000000 /* SA_RESTORER, sigaction(2) */;
		added_restorer = ours.sa_restorer;
	}
}

void sl_signal_start(sl_sigaction_fn *real_sigaction)
{
	real = real_sigaction;
	is_auto = sl_options.signal == SL_AUTO;
	atomic_store(&is_given_back,
	             false); /* of a forked child, which is attached to by itself now */
	atomic_store(&is_unsaid, false);
	if (sl_options.signal != SL_OFF)
		take_locked(is_auto ? SIGUSR1 : (int)sl_options.signal);
}

/* Not by libc: what the program never set would look as if it had. */
static void give_back(int number)
{
	struct sigaction programs = programs_disposition();
	struct kernel_action action = {programs.sa_handler, (unsigned long)programs.sa_flags,
	                               programs.sa_restorer, 0};
	memcpy(&action.mask, &programs.sa_mask, sizeof(action.mask));
	(void)SL_SYS4(SYS_rt_sigaction, number, &action, NULL, sizeof(action.mask));
}

void sl_signal_release(void)
{
	uint64_t signals = sl_sys_block_signals();
	sl_lock_take(SL_LOCK_DISPOSITION);
	int number = atomic_exchange(&held, 0);
	if (number != 0)
		give_back(number);
	sl_lock_release(SL_LOCK_DISPOSITION);
	sl_sys_unblock_signals(signals);
}

void sl_signal_resume(void)
{
	uint64_t signals = sl_sys_block_signals();
	sl_lock_take(SL_LOCK_DISPOSITION);
	if (atomic_load(&held) == 0 && sl_options.signal != SL_OFF)
		take_locked(is_auto ? SIGUSR1 : (int)sl_options.signal);
	sl_lock_release(SL_LOCK_DISPOSITION);
	sl_sys_unblock_signals(signals);
}

bool sl_signal_is_held(int number)
{
	return number != 0 && atomic_load_explicit(&held, memory_order_relaxed) == number;
}

static int step_aside_locked(int number, const struct sigaction *action)
{
	int result = real(number, action, NULL);
	if (result != 0)
		return result;
	atomic_store(&held, 0);
	atomic_store(&is_unsaid, true);
	if (sl_worker_is_running() && !sl_process_is_sandboxed())
		sl_worker_want(0);
	return result;
}

static int change_locked(int number, const struct sigaction *action)
{
	if (is_auto && (is_handler(action) || action->sa_handler == SIG_IGN))
		return step_aside_locked(number, action);
	struct sigaction kept = as_kept(action);
	remember_locked(&kept);
	return is_auto ? 0 : install(number, action, NULL);
}

/* In a child of vfork: its dispositions are its own, what is remembered of them is its parent's. */
static int act_in_borrowed_memory(int number, const struct sigaction *action, struct sigaction *old)
{
	struct sigaction before;
	int result = real(number, action, &before);
	if (result != 0 || !old)
		return result;
	*old = before.sa_sigaction == handle_from_kernel ? programs_disposition() : before;
	return 0;
}

/* sigaction() may be called from a handler: none of them may interrupt the holder of the lock. In a sandbox no system call can see
 * to that: who does not get the lock there goes on without. */
struct hold {
	bool is_bare, is_locked;
	uint64_t signals;
};

static void hold_begin(struct hold *hold)
{
	*hold = (struct hold){.is_bare = sl_process_is_sandboxed(), .is_locked = true};
	if (hold->is_bare) {
		hold->is_locked = sl_lock_spin(SL_LOCK_DISPOSITION);
		return;
	}
	hold->signals = sl_sys_block_signals();
	sl_lock_take(SL_LOCK_DISPOSITION);
}

static void hold_end(const struct hold *hold)
{
	if (hold->is_locked)
		sl_lock_release(SL_LOCK_DISPOSITION);
	if (!hold->is_bare)
		sl_sys_unblock_signals(hold->signals);
}

int sl_signal_act(int number, const struct sigaction *action, struct sigaction *old)
{
	if (!sl_process_is_ours())
		return act_in_borrowed_memory(number, action, old);
	struct sigaction wanted, before;
	int result = 0;
	if (action)
		wanted = *action; /* may be the same memory as *old */
	struct hold hold;
	hold_begin(&hold);
	before = programs_disposition();
	if (atomic_load(&held) != number) /* another thread made us step aside meanwhile */
		result = real(number, action ? &wanted : NULL, &before);
	else if (action)
		result = change_locked(number, &wanted);
	hold_end(&hold);
	if (result == 0 && old)
		*old = before;
	return result;
}

void sl_signal_say(void)
{
	if (atomic_exchange(&is_unsaid, false))
		sl_log("the program uses SIGUSR1 itself: no reports by signal; signal=RTMIN+5 "
		       "names another",
		       NULL);
}

void sl_signal_forked(void)
{
	int number = atomic_load(&held);
	if (number == 0 || !is_auto)
		return;
	atomic_store(&is_given_back, true);
	give_back(number);
	atomic_store(&held, 0);
}
