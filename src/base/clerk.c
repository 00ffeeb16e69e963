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

struct clerk {
	_Atomic uint32_t state;
	sl_clerk_fn *task; /* the worker's while idle, the clerk's while full */
	void *context;
	int tid; /* written by the clerk before it is idle first */
};

static struct clerk files, proc;

static void become(struct clerk *clerk, uint32_t next)
{
	atomic_store(&clerk->state, next);
	sl_sys_futex_wake(&clerk->state);
}

static void work(struct clerk *clerk)
{
	if (SL_SYS3(SYS_close_range, 0, ~0u, SL_CLOSE_RANGE_UNSHARE) < 0) {
		become(clerk, SL_CLERK_NONE);
		return;
	}
	clerk->tid = sl_sys_gettid();
	for (become(clerk, SL_CLERK_IDLE);;) {
		while (atomic_load(&clerk->state) == SL_CLERK_IDLE)
			sl_sys_futex_wait(&clerk->state, SL_CLERK_IDLE, 0);
		if (atomic_load(&clerk->state) == SL_CLERK_ENDING)
			return;
		clerk->task(clerk->context);
		become(clerk, SL_CLERK_IDLE);
	}
}

static void work_on_files(void)
{
	work(&files);
}

static void work_on_proc(void)
{
	work(&proc);
}

/* Wait for a change away from `from`, until the time; true: it came. */
static bool wait_until_not(const struct clerk *clerk, uint32_t from, uint64_t until_ms)
{
	for (uint64_t now = sl_clock_ms(); atomic_load(&clerk->state) == from;
	     now = sl_clock_ms()) {
		if (now >= until_ms)
			return false;
		sl_sys_futex_wait(&clerk->state, from, (until_ms - now) * 1000000u);
	}
	return true;
}

static void start(struct clerk *clerk, const char *name, sl_thread_fn *begin)
{
	uint32_t none = SL_CLERK_NONE;
	if (atomic_compare_exchange_strong(&clerk->state, &none, SL_CLERK_STARTING) &&
	    !sl_thread_start(name, begin))
		atomic_store(&clerk->state, SL_CLERK_NONE);
}

void sl_clerk_start(void)
{
	start(&files, "sockleak-files", work_on_files);
	start(&proc, "sockleak-proc", work_on_proc);
}

static bool hand(struct clerk *clerk, sl_clerk_fn *task, void *context, uint64_t wait_ms,
                 bool *is_begun)
{
	uint64_t until_ms = sl_clock_ms() + wait_ms;
	*is_begun = false;
	if (!wait_until_not(clerk, SL_CLERK_STARTING, until_ms) ||
	    !wait_until_not(clerk, SL_CLERK_FULL, until_ms) ||
	    atomic_load(&clerk->state) != SL_CLERK_IDLE)
		return false;
	clerk->task = task;
	clerk->context = context;
	*is_begun = true;
	become(clerk, SL_CLERK_FULL);
	return wait_until_not(clerk, SL_CLERK_FULL, until_ms);
}

bool sl_clerk_do(sl_clerk_fn *task, void *context, uint64_t wait_ms, bool *is_begun)
{
	return hand(&files, task, context, wait_ms, is_begun);
}

bool sl_clerk_ask(sl_clerk_fn *task, void *context, uint64_t wait_ms, bool *is_begun)
{
	return hand(&proc, task, context, wait_ms, is_begun);
}

bool sl_clerk_is_busy(void)
{
	return atomic_load(&files.state) == SL_CLERK_FULL;
}

bool sl_clerk_is_asked(void)
{
	return atomic_load(&proc.state) == SL_CLERK_FULL;
}

bool sl_clerk_is_there(void)
{
	return atomic_load(&files.state) != SL_CLERK_NONE;
}

unsigned sl_clerk_threads(void)
{
	return (atomic_load(&files.state) != SL_CLERK_NONE) +
	       (atomic_load(&proc.state) != SL_CLERK_NONE);
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
	if (length >= sizeof(reading.path) || sl_clerk_is_asked())
		return 0;
	memcpy(reading.path, path, length + 1);
	if (!sl_clerk_ask(read_task, NULL, SL_READ_WAIT_MS, &is_begun))
		return 0;
	length = reading.length < n - 1 ? reading.length : n - 1;
	memcpy(text, reading.bytes, length);
	text[length] = 0;
	return length;
}

static bool end(struct clerk *clerk)
{
	uint32_t idle = SL_CLERK_IDLE;
	if (!atomic_compare_exchange_strong(&clerk->state, &idle, SL_CLERK_ENDING))
		return idle == SL_CLERK_NONE;
	sl_sys_futex_wake(&clerk->state);
	/* Whichever thread ends last runs the exit handlers of the program, and here it has none of its fds: see the clerk gone. */
	while (SL_SYS3(SYS_tgkill, sl_sys_getpid(), clerk->tid, 0) == 0)
		sl_sys_futex_wait(&clerk->state, SL_CLERK_ENDING, SL_END_PAUSE_NS);
	atomic_store(&clerk->state, SL_CLERK_NONE);
	return true;
}

bool sl_clerk_end(void)
{
	return end(&files) && end(&proc);
}

void sl_clerk_forked(void)
{
	atomic_store(&files.state, SL_CLERK_NONE);
	atomic_store(&proc.state, SL_CLERK_NONE);
}
