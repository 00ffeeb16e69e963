/* doors.h - for the programs in which the hooks interpose in the test itself (hooks_*.c).
 *
 * There socket(), read() and the rest are the doors; the kernel is asked past them with base/sys.h, libc with
 * dlsym(RTLD_NEXT).
 */
#ifndef TEST_DOORS_H
#define TEST_DOORS_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/fdtable.h"

#define ERRNO_BEFORE 4321 /* no error has this number */

/* The value of a call that must not touch errno. */
#define UNTOUCHED(call)                                \
	({                                             \
		errno = ERRNO_BEFORE;                  \
		__typeof__(call) untouched_ = (call);  \
		assert_int_equal(errno, ERRNO_BEFORE); \
		untouched_;                            \
	})

/* The call says -1, and errno what the kernel said past us: `raw` is 0 or -errno. */
#define FAILS_AS(raw, call)                         \
	do {                                        \
		long kernels_ = (raw);              \
		assert_true(kernels_ < 0);          \
		errno = 0;                          \
		assert_int_equal((call), -1);       \
		assert_int_equal(errno, -kernels_); \
	} while (0)

/* Group setup: the worker runs, has had its first turn, and will have no other: what the ledger says from here on
 * comes from the doors alone. Reports go nowhere. */
int doors_open(void **state);

/* What is recorded at fd; fails the test where nothing is. */
struct sl_fd_record record_of(int fd);
/* Recorded by a door, not found by the worker. */
bool is_seen(int fd);
/* Nothing is recorded at fd, nor is anything about to be. */
bool is_free(int fd);
/* Does the kernel know this number? */
bool is_open(int fd);
/* How many TCP connections this site has opened. */
uint64_t opened_by(uint32_t site);

/* Is a sanitizer's runtime in the process? Then there are no native stacks. */
bool is_sanitized(void);

/* A number of the library's own, as the worker makes them. */
int own_fd_make(void);

/* A listener on the loopback that nobody saw open, its backlog full: a connect() to it hangs. Closes with past_close(). */
struct full_listener {
	int fd;
	int queued;
	uint16_t port;
};
void full_listener_open(struct full_listener *listener);
void full_listener_close(struct full_listener *listener);

/* Runs in a forked child, which has 20 s. Returns what `run` returned; 1000 + the signal it died of. */
typedef int forked_fn(void *context);
int in_fork(forked_fn *run, void *context);
/* The same in a child of vfork, which shares all memory and must only call what may be called there. */
int in_vfork(forked_fn *run, void *context);

/* In a child, where cmocka's assertions have no test to leave. */
#define NEED(condition)                                           \
	do {                                                      \
		if (!(condition))                                 \
			return need_failed(#condition, __LINE__); \
	} while (0)
int need_failed(const char *condition, int line); /* returns 1 */

/* A thread that calls `block` and hangs in it: until it does. Then it is cancelled, deferred or at once, and must end by
 * that, its cleanup handlers run; errno and guard of the caller are as before. */
typedef void block_fn(int fd);
void cancel_in(block_fn *block, int fd, bool is_asynchronous);

/* clang's ASan stumbles over frames that a cancelled thread has left: the test is skipped there. */
void skip_where_cancelling_fails(void);

/* The letter of proc(5) for a thread of this process; 0: there is none. */
char thread_state(int tid);
/* Wait until this thread of ours sleeps in the kernel. */
void await_asleep(int tid);

#endif
