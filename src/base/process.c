#include "base/process.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/sys.h"

#include "base/poison.h"

#define SL_PAGE 4096

/* What the page says. The kernel makes it SL_WIPED in a child that owns its memory. */
enum { SL_WIPED, SL_CHILD_STARTING, SL_OURS };

static _Atomic int own_pid; /* written at start and in a forked child */
static _Atomic uint32_t forks = 1;
static _Atomic uint64_t forked_at_ms;
static _Atomic bool is_sandboxed; /* only ever set */
static _Atomic bool
	has_threads; /* the program has made one, here or before a fork; only ever set */
static _Atomic bool is_hampered;         /* written in a forked child */
static _Atomic bool has_separate_thread; /* only ever set; not in a forked child */
static __thread bool is_separate_thread;
static _Atomic uint32_t *wiped_at_fork; /* constant after start; NULL: the kernel cannot */
static bool is_attached;                /* constant after start */
static sl_process_child_fn *child_fn;   /* constant after start */
/* What the kernel would say, for a sandbox. Not known in the child of a _Fork() until it has had a socket. */
static __thread bool is_first_thread __attribute__((tls_model("initial-exec")));

void sl_process_start(sl_process_child_fn *in_child)
{
	child_fn = in_child;
	own_pid = sl_sys_getpid();
	is_first_thread = sl_sys_gettid() == own_pid;
	void *page = sl_sys_map(SL_PAGE);
	if (!page)
		return;
	if (SL_SYS3(SYS_madvise, page, SL_PAGE, MADV_WIPEONFORK) < 0) {
		sl_sys_unmap(page, SL_PAGE);
		return;
	}
	_Atomic uint32_t *mark = page;
	*mark = SL_OURS;
	wiped_at_fork = mark;
}

static void find_forked(void)
{
	int pid = sl_sys_getpid();
	uint32_t wiped = SL_WIPED;
	/* The page, where there is one: in a new pid namespace the pid may be the parent's. */
	if (wiped_at_fork
	            ? !atomic_compare_exchange_strong(wiped_at_fork, &wiped, SL_CHILD_STARTING)
	            : own_pid == pid)
		return;
	is_first_thread = true;
	atomic_store(&forked_at_ms, sl_clock_ms());
	/* Its one thread's table is the child's. */
	is_separate_thread = false;
	atomic_store(&has_separate_thread, false);
	if (child_fn)
		child_fn();
	own_pid = pid;
	if (wiped_at_fork)
		*wiped_at_fork = SL_OURS;
}

void sl_process_forked(void)
{
	find_forked();
	atomic_store(&is_hampered, false); /* libc has put its locks right */
}

bool sl_process_is_ours(void)
{
	uint32_t mark = wiped_at_fork ? *wiped_at_fork : SL_OURS;
	if (is_sandboxed)
		return mark == SL_OURS;
	if (mark == SL_WIPED) {
		atomic_store(&is_hampered, atomic_load(&has_threads));
		find_forked();
		mark = *wiped_at_fork;
	}
	/* Starting: another thread is in the child function, or the code that this handler interrupted.
	 * Another pid: the memory is the parent's, lent by vfork. */
	return mark == SL_OURS && (own_pid == 0 || own_pid == sl_sys_getpid());
}

void sl_process_note_threads(void)
{
	if (!atomic_load_explicit(&has_threads, memory_order_relaxed))
		atomic_store(&has_threads, true);
}

bool sl_process_has_threads(void)
{
	return atomic_load(&has_threads);
}

bool sl_process_may_make_threads(void)
{
	return !atomic_load(&is_hampered);
}

void sl_process_count_fork(void)
{
	atomic_fetch_add(&forks, 1);
}

uint32_t sl_process_forks(void)
{
	return atomic_load(&forks);
}

uint64_t sl_process_forked_at_ms(void)
{
	return atomic_load(&forked_at_ms);
}

void sl_process_thread_separated(void)
{
	is_separate_thread = true;
	has_separate_thread = true;
}

bool sl_process_is_separate_thread(void)
{
	return is_separate_thread;
}

bool sl_process_may_act(void)
{
	return !is_sandboxed && !has_separate_thread;
}

bool sl_process_is_first_thread(void)
{
	return is_sandboxed ? is_first_thread : sl_sys_gettid() == sl_sys_getpid();
}

void sl_process_attached(void)
{
	is_attached = true;
}

bool sl_process_is_attached(void)
{
	return is_attached;
}

void sl_process_sandboxed(void)
{
	is_sandboxed = true;
}

bool sl_process_is_sandboxed(void)
{
	return is_sandboxed;
}
