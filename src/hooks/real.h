/* real.h - the functions behind the doors.
 *
 * sl_real.name is libc's name (or that of the next library in line). Until sl_real_start() each pointer leads to a small
 * function that looks its own name up and calls on, so a call that comes before our constructor works too.
 *
 * Layer: hooks. Locks: none. Fork: the child keeps all. errno: as the real function leaves it.
 */
#ifndef SL_HOOKS_REAL_H
#define SL_HOOKS_REAL_H

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <threads.h>
#include <time.h>

typedef void sl_signal_fn(int number);
typedef void *sl_thread_start_fn(void *argument);

struct sl_real {
#define SL_HOOK(type, missing, name, parameters, arguments) type(*name) parameters;
#include "hooks/hooks.def"
#undef SL_HOOK
};

/* Written at start, or by the first call of each function before it; then constant. */
extern struct sl_real sl_real __attribute__((visibility("hidden")));

/* The doors themselves: sl_hook_close() is what the program calls as close(). */
#define SL_HOOK(type, missing, name, parameters, arguments) \
	__attribute__((visibility("default"))) type sl_hook_##name parameters __asm__(#name);
#define SL_HOOK_LIST SL_HOOK_LIST_DOOR
#define SL_HOOK_LIST_DOOR(type, missing, name, parameters) \
	__attribute__((visibility("default"))) type sl_hook_##name parameters __asm__(#name);
#include "hooks/hooks.def"
#undef SL_HOOK

/* close_range() and closefrom() where libc has none (glibc before 2.34, musl). */
int sl_close_some(unsigned first, unsigned last, int flags);
void sl_close_from(int first);

/* Look all of them up. Context: the constructor: takes the loader's lock. */
void sl_real_start(void);

/* The same in a process that ran before we came: nothing stands behind us in line, so each name is what the program's own calls would
 * find, unless that is the program. False: its libc is not glibc. Context: a thread that holds none of the loader's locks but its
 * own. */
bool sl_real_start_late(void);

/* Does the address lie in the program itself, not in an object that it loads? Takes the loader's lock. */
bool sl_real_is_program(const void *address);

/* Has the program a function of this name, which its libraries find before libc's? Takes the loader's lock. */
bool sl_real_is_programs(const char *name);

/* One name; NULL: libc has none. `door`: what is not meant. */
void *sl_real_find(const char *name, const void *door);

#endif
