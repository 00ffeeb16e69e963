#include "base/clerk.h"

#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/sys.h"
#include "base/thread.h"

#include "base/poison.h"

#define SL_CLOSE_RANGE_UNSHARE 2u /* linux/close_range.h */
#define SL_END_PAUSE_NS 1000000u
#define SL_READ_WAIT_MS 200
#define SL_READ_BYTES \
	(256u << 10) /* a command line with a long class path; touched as far as it is used */
#define SL_PATH_BYTES 256

/* Futex word. The worker takes it from idle to full, the clerk from there through to idle. */
enum { SL_CLERK_NONE, SL_CLERK_STARTING, SL_CLERK_IDLE, SL_CLERK_FULL, SL_CLERK_ENDING };

static _Atomic uint32_t state;
static sl_clerk_fn *task_fn; /* the worker's while idle, the clerk's while full */
static void *task_context;
static int clerk_tid; /* written by the clerk before it is idle first */

static void become(uint32_t next)
{
	atomic_store(&state, next);
	sl_sys_futex_wake(&state);
}

static void work(void)
{
	if (SL_SYS3(SYS_close_range, 0, ~0u, SL_CLOSE_RANGE_UNSHARE) < 0) {
		become(SL_CLERK_NONE);
		return;
	}
	clerk_tid = sl_sys_gettid();
	for (become(SL_CLERK_IDLE);;) {
		while (atomic_load(&state) == SL_CLERK_IDLE)
			sl_sys_futex_wait(&state, SL_CLERK_IDLE, 0);
		if (atomic_load(&state) == SL_CLERK_ENDING)
			return;
		task_fn(task_context);
		become(SL_CLERK_IDLE);
	}
}

/* Wait for a change away from `from`, until the time; true: it came. */
static bool wait_until_not(uint32_t from, uint64_t until_ms)
{
	for (uint64_t now = sl_clock_ms(); atomic_load(&state) == from; now = sl_clock_ms()) {
		if (now >= until_ms)
			return false;
		sl_sys_futex_wait(&state, from, (until_ms - now) * 1000000u);
	}
	return true;
}

void sl_clerk_start(void)
{
	uint32_t none = SL_CLERK_NONE;
	if (!atomic_compare_exchange_strong(&state, &none, SL_CLERK_STARTING))
		return;
	if (!sl_thread_start("sockleak-files", work))
		atomic_store(&state, SL_CLERK_NONE);
}

bool sl_clerk_do(sl_clerk_fn *task, void *context, uint64_t wait_ms, bool *is_begun)
{
	uint64_t until_ms = sl_clock_ms() + wait_ms;
	*is_begun = false;
	if (!wait_until_not(SL_CLERK_STARTING, until_ms) ||
	    !wait_until_not(SL_CLERK_FULL, until_ms) || atomic_load(&state) != SL_CLERK_IDLE)
		return false;
	task_fn = task;
	task_context = context;
	*is_begun = true;
	become(SL_CLERK_FULL);
	return wait_until_not(SL_CLERK_FULL, until_ms);
}

bool sl_clerk_is_busy(void)
{
	return atomic_load(&state) == SL_CLERK_FULL;
}

bool sl_clerk_is_there(void)
{
	return atomic_load(&state) != SL_CLERK_NONE;
}

/* One file to read. Not on the worker's stack: a read that comes too late must hit nothing else. */
static struct {
	char path[SL_PATH_BYTES];
	char bytes[SL_READ_BYTES];
	size_t length;
} reading;

static void read_task(void *unused)
{
	(void)unused;
	reading.length = 0;
	int fd = sl_sys_open(reading.path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	long got;
	while (reading.length < sizeof(reading.bytes) &&
	       (got = sl_sys_read(fd, reading.bytes + reading.length,
	                          sizeof(reading.bytes) - reading.length)) > 0)
		reading.length += (size_t)got;
	(void)sl_sys_close(fd);
}

size_t sl_clerk_read(const char *path, char *text, size_t n)
{
	bool is_begun;
	size_t length = strlen(path);
	text[0] = 0;
	if (length >= sizeof(reading.path) || sl_clerk_is_busy())
		return 0;
	memcpy(reading.path, path, length + 1);
	if (!sl_clerk_do(read_task, NULL, SL_READ_WAIT_MS, &is_begun))
		return 0;
	length = reading.length < n - 1 ? reading.length : n - 1;
	memcpy(text, reading.bytes, length);
	text[length] = 0;
	return length;
}

bool sl_clerk_end(void)
{
	uint32_t idle = SL_CLERK_IDLE;
	if (!atomic_compare_exchange_strong(&state, &idle, SL_CLERK_ENDING))
		return idle == SL_CLERK_NONE;
	sl_sys_futex_wake(&state);
	/* Whichever thread ends last runs the exit handlers of the program, and here it has none of its fds: see the clerk gone. */
	while (SL_SYS3(SYS_tgkill, sl_sys_getpid(), clerk_tid, 0) == 0)
		sl_sys_futex_wait(&state, SL_CLERK_ENDING, SL_END_PAUSE_NS);
	return true;
}

void sl_clerk_forked(void)
{
	atomic_store(&state, SL_CLERK_NONE);
}
