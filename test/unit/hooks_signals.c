/* hooks_signals.c - sigaction and its older relatives: the program meets its own dispositions only.
 *
 * What each function does to the signal that reports is held against what libc itself does to another.
 */
#include "doors.h"

#include <dlfcn.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/options.h"
#include "base/sys.h"
#include "control/signal.h"
#include "hooks/real.h"

/* The old names are what is tested. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define KERNELS_RESTORER 0x04000000 /* SA_RESTORER: libc's own business */

int __sigaction(int number, const struct sigaction *action, struct sigaction *old);
sl_signal_fn *bsd_signal(int number, sl_signal_fn *handler);
sl_signal_fn *__sysv_signal(int number, sl_signal_fn *handler);

static _Atomic unsigned handled, handled_elsewhere;

static void handle(int number)
{
	(void)number;
	handled++;
}

static void handle_elsewhere(int number)
{
	(void)number;
	handled_elsewhere++;
}

/* RTMIN+1 reports, named: so the program may have it as well. RTMIN+2 is nobody's. */
static int held_number(void)
{
	return SIGRTMIN + 1;
}

static int other_number(void)
{
	return SIGRTMIN + 2;
}

static int hold(void **state)
{
	(void)state;
	const struct sigaction initial = {.sa_handler = SIG_DFL};
	const int numbers[] = {held_number(), other_number(), SIGUSR1};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sl_real.sigaction(numbers[i], &initial, NULL) != 0)
			return -1;
	sl_options.signal = held_number();
	sl_signal_start(sl_real.sigaction);
	return sl_signal_is_held(held_number()) ? 0 : -1;
}

static void deliver(int number)
{
	assert_int_equal(SL_SYS3(SYS_tgkill, sl_sys_getpid(), sl_sys_gettid(), number), 0);
}

/* libc's own function of this name. */
static void *libcs(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);
	assert_non_null(found);
	return found;
}

typedef int action_fn(int number, const struct sigaction *action, struct sigaction *old);
typedef sl_signal_fn *signal_fn(int number, sl_signal_fn *handler);

/* The program's view of both signals is the same. */
static void assert_same(const struct sigaction *a, const struct sigaction *b)
{
	assert_ptr_equal(a->sa_handler, b->sa_handler);
	assert_int_equal(a->sa_flags & ~KERNELS_RESTORER, b->sa_flags & ~KERNELS_RESTORER);
	assert_int_equal(sigismember(&a->sa_mask, held_number()),
	                 sigismember(&b->sa_mask, other_number()));
	assert_int_equal(sigismember(&a->sa_mask, SIGINT), sigismember(&b->sa_mask, SIGINT));
}

static void assert_same_view(void)
{
	action_fn *ask = (action_fn *)libcs("sigaction");
	struct sigaction a, b;
	assert_int_equal(UNTOUCHED(sigaction(held_number(), NULL, &a)), 0);
	assert_int_equal(ask(other_number(), NULL, &b), 0);
	assert_same(&a, &b);
}

static bool is_ours_installed(int number)
{
	struct sigaction real;
	assert_int_equal(sl_real.sigaction(number, NULL, &real), 0);
	return (real.sa_flags & SA_SIGINFO) && real.sa_handler != handle &&
	       real.sa_handler != handle_elsewhere;
}

/* One function of the second shape, through a list of handlers: held and not, what it returns, its errno, and what
 * is in force then. */
static void check_signal(const char *name, signal_fn *set)
{
	signal_fn *libcs_set = (signal_fn *)libcs(name);
	assert_ptr_not_equal(libcs_set, set);
	sl_signal_fn *const handlers[] = {handle,  handle_elsewhere, SIG_IGN, handle,
	                                  SIG_ERR, SIG_DFL,          handle,  SIG_DFL};
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		errno = 0;
		sl_signal_fn *a = set(held_number(), handlers[i]);
		int error = errno;
		errno = 0;
		sl_signal_fn *b = libcs_set(other_number(), handlers[i]);
		assert_ptr_equal(a, b);
		assert_int_equal(error, errno);
		assert_same_view();
		assert_true(is_ours_installed(held_number()));
	}
	errno = 0;
	assert_ptr_equal(set(-1, handle), SIG_ERR);
	assert_int_equal(errno, EINVAL);
	/* One that is not held passes through. */
	assert_ptr_equal(UNTOUCHED(set(SIGUSR2, handle)), SIG_DFL);
	unsigned before = handled;
	deliver(SIGUSR2);
	assert_int_equal(handled, before + 1);
	assert_true(set(SIGUSR2, SIG_DFL) != SIG_ERR);
}

static const struct sigaction wanted[] = {
	{.sa_handler = handle},
	{.sa_handler = handle_elsewhere, .sa_flags = SA_RESTART | SA_NODEFER},
	{.sa_handler = SIG_IGN},
	{.sa_handler = handle, .sa_flags = (int)SA_RESETHAND},
	{.sa_handler = SIG_DFL, .sa_flags = SA_RESTART},
};

static void check_sigaction(const char *name, action_fn *act)
{
	action_fn *libcs_act = (action_fn *)libcs(name);
	assert_ptr_not_equal(libcs_act, act);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct sigaction action = wanted[i], before, libcs_before;
		(void)sigemptyset(&action.sa_mask);
		(void)sigaddset(&action.sa_mask, SIGINT);
		assert_int_equal(UNTOUCHED(act(held_number(), &action, &before)), 0);
		assert_int_equal(libcs_act(other_number(), &action, &libcs_before), 0);
		assert_same(&before, &libcs_before);
		assert_same_view();
		assert_true(is_ours_installed(held_number()));
	}
	struct sigaction both = {.sa_handler = handle}; /* new and old in the same place */
	assert_int_equal(act(held_number(), &both, &both), 0);
	assert_ptr_equal(both.sa_handler, SIG_DFL);
	assert_int_equal(act(held_number(), NULL, NULL), 0);
	const struct sigaction plain = {.sa_handler = handle}, initial = {.sa_handler = SIG_DFL};
	errno = 0;
	assert_int_equal(act(-1, &plain, NULL), -1);
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_int_equal(act(SIGKILL, &plain, NULL), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(UNTOUCHED(act(SIGUSR2, &plain, NULL)), 0);
	unsigned before = handled;
	deliver(SIGUSR2);
	assert_int_equal(handled, before + 1);
	assert_int_equal(act(SIGUSR2, &initial, NULL), 0);
}

static void test_hook_sigaction(void **state)
{
	(void)state;
	check_sigaction("sigaction", sigaction);
}

static void test_hook___sigaction(void **state)
{
	(void)state;
	check_sigaction("__sigaction", __sigaction);
}

static void test_hook_signal(void **state)
{
	(void)state;
	check_signal("signal", signal);
}

static void test_hook_bsd_signal(void **state)
{
	(void)state;
	check_signal("bsd_signal", bsd_signal);
}

static void test_hook_ssignal(void **state)
{
	(void)state;
	check_signal("ssignal", ssignal);
}

static void test_hook_sysv_signal(void **state)
{
	(void)state;
	check_signal("sysv_signal", sysv_signal);
}

static void test_hook___sysv_signal(void **state)
{
	(void)state;
	check_signal("__sysv_signal", __sysv_signal);
}

static bool is_blocked(int number)
{
	sigset_t mask;
	assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
	return sigismember(&mask, number);
}

static void test_hook_sigset(void **state)
{
	(void)state;
	check_signal("sigset", sigset);
	signal_fn *libcs_set = (signal_fn *)libcs("sigset");
	sl_signal_fn *const handlers[] = {handle,           SIG_HOLD, SIG_HOLD,
	                                  handle_elsewhere, SIG_HOLD, SIG_IGN};
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		assert_ptr_equal(UNTOUCHED(sigset(held_number(), handlers[i])),
		                 libcs_set(other_number(), handlers[i]));
		assert_int_equal(is_blocked(held_number()), is_blocked(other_number()));
		assert_same_view();
	}
	/* One that waits is for the new handler. */
	assert_true(sigset(held_number(), handle) != SIG_ERR);
	assert_true(sigset(held_number(), SIG_HOLD) != SIG_ERR);
	deliver(held_number());
	unsigned before = handled, before_elsewhere = handled_elsewhere;
	assert_ptr_equal(sigset(held_number(), handle_elsewhere), SIG_HOLD);
	assert_int_equal(handled, before);
	assert_int_equal(handled_elsewhere, before_elsewhere + 1);
}

static void test_hook_sigignore(void **state)
{
	(void)state;
	int (*libcs_ignore)(int) = (int (*)(int))libcs("sigignore");
	assert_int_equal(UNTOUCHED(sigignore(held_number())), 0);
	assert_int_equal(libcs_ignore(other_number()), 0);
	assert_same_view();
	assert_true(is_ours_installed(held_number()));
	errno = 0;
	assert_int_equal(sigignore(-1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(UNTOUCHED(sigignore(SIGUSR2)), 0);
	assert_ptr_equal(signal(SIGUSR2, SIG_DFL), SIG_IGN);
}

static void test_hook_siginterrupt(void **state)
{
	(void)state;
	int (*libcs_interrupt)(int, int) = (int (*)(int, int))libcs("siginterrupt");
	signal_fn *libcs_signal = (signal_fn *)libcs("signal");
	for (int flag = 1; flag >= 0; flag--) {
		assert_ptr_not_equal(signal(held_number(), handle), SIG_ERR);
		assert_ptr_not_equal(libcs_signal(other_number(), handle), SIG_ERR);
		assert_same_view();
		assert_int_equal(UNTOUCHED(siginterrupt(held_number(), flag)), 0);
		assert_int_equal(libcs_interrupt(other_number(), flag), 0);
		assert_same_view();
		/* It holds for every later signal(). */
		assert_ptr_equal(signal(held_number(), handle_elsewhere), handle);
		assert_ptr_equal(libcs_signal(other_number(), handle_elsewhere), handle);
		assert_same_view();
	}
	errno = 0;
	assert_int_equal(siginterrupt(-1, 1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(UNTOUCHED(siginterrupt(SIGUSR2, 0)), 0);
}

/* A named signal reports, and then does what the program asked for. */
static void a_held_signal_is_the_programs_too(void **state)
{
	(void)state;
	assert_true(signal(held_number(), handle) != SIG_ERR);
	unsigned before = handled;
	errno = ERRNO_BEFORE;
	deliver(held_number());
	assert_int_equal(errno, ERRNO_BEFORE);
	assert_int_equal(handled, before + 1);
	assert_true(sysv_signal(held_number(), handle) == handle); /* for one time only */
	deliver(held_number());
	deliver(held_number());
	assert_int_equal(handled, before + 2);
	assert_ptr_equal(signal(held_number(), SIG_DFL), SIG_DFL);
}

/* Under auto the program has it for itself from its first own handler on. */
static void under_auto_the_program_comes_first(void **state)
{
	(void)state;
	sl_options.signal = SL_AUTO;
	sl_signal_start(sl_real.sigaction);
	assert_true(sl_signal_is_held(SIGUSR1) && is_ours_installed(SIGUSR1));
	struct sigaction seen;
	assert_int_equal(sigaction(SIGUSR1, NULL, &seen), 0);
	assert_ptr_equal(seen.sa_handler, SIG_DFL);
	assert_ptr_equal(UNTOUCHED(signal(SIGUSR1, SIG_DFL)), SIG_DFL);
	assert_true(sl_signal_is_held(SIGUSR1));
	assert_ptr_equal(UNTOUCHED(signal(SIGUSR1, handle)), SIG_DFL);
	assert_false(sl_signal_is_held(SIGUSR1) || is_ours_installed(SIGUSR1));
	unsigned before = handled;
	deliver(SIGUSR1);
	assert_int_equal(handled, before + 1);
	assert_ptr_equal(UNTOUCHED(signal(SIGUSR1, SIG_DFL)), handle);
	assert_false(sl_signal_is_held(SIGUSR1));
}

/* A child of vfork has dispositions of its own, and our memory. */
static int ignore_in_child(void *unused)
{
	(void)unused;
	return signal(held_number(), SIG_IGN) == handle && sigignore(held_number()) == 0 ? 0 : 1;
}

static void a_vfork_childs_dispositions_are_not_its_parents(void **state)
{
	(void)state;
	assert_true(signal(held_number(), handle) != SIG_ERR);
	assert_int_equal(in_vfork(ignore_in_child, NULL), 0);
	struct sigaction seen;
	assert_int_equal(sigaction(held_number(), NULL, &seen), 0);
	assert_ptr_equal(seen.sa_handler, handle);
	unsigned before = handled;
	deliver(held_number());
	assert_int_equal(handled, before + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_hook_sigaction, hold),
		cmocka_unit_test_setup(test_hook___sigaction, hold),
		cmocka_unit_test_setup(test_hook_signal, hold),
		cmocka_unit_test_setup(test_hook_bsd_signal, hold),
		cmocka_unit_test_setup(test_hook_ssignal, hold),
		cmocka_unit_test_setup(test_hook_sysv_signal, hold),
		cmocka_unit_test_setup(test_hook___sysv_signal, hold),
		cmocka_unit_test_setup(test_hook_sigset, hold),
		cmocka_unit_test_setup(test_hook_sigignore, hold),
		cmocka_unit_test_setup(test_hook_siginterrupt, hold),
		cmocka_unit_test_setup(a_held_signal_is_the_programs_too, hold),
		cmocka_unit_test_setup(under_auto_the_program_comes_first, hold),
		cmocka_unit_test_setup(a_vfork_childs_dispositions_are_not_its_parents, hold),
	};
	return cmocka_run_group_tests(tests, doors_open, NULL);
}
