#include "stack/native.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/log.h"
#include "base/options.h"
#include "base/sys.h"
#include "ledger/sites.h"
#include "stack/cfi.h"
#include "stack/loader.h"

#include "base/poison.h"

typedef int walk_fn(void **frames, int size);

static walk_fn *opened;         /* constant after start; NULL: no libunwind */
static const char *why_not;     /* the same */
static _Atomic bool is_opening; /* by the one thread that attaches */
static _Atomic(walk_fn *) walk; /* NULL until it has walked once */
static __thread bool is_walking;
static __thread bool has_walked;

/* libunwind's code: constant after start. */
static struct {
	uintptr_t begin, end;
} code;

bool sl_native_is_walking(const void *caller)
{
	/* The flag stays where a jump out of a handler has left the walk. */
	uintptr_t at = (uintptr_t)caller;
	return is_walking && at >= code.begin && at < code.end;
}

static int walk_with(walk_fn *walker, void **frames, int size)
{
	is_walking = true;
	int found = walker(frames, size);
	is_walking = false;
	return found;
}

/* libunwind makes memory for each new thread: a jump out of a handler would lose it, and would come again before it is done. */
static int walk_first(walk_fn *walker, void **frames, int size)
{
	uint64_t signals = sl_sys_block_signals();
	int found = walk_with(walker, frames, size);
	has_walked = true;
	sl_sys_unblock_signals(signals);
	return found;
}

static int look_for_code(struct dl_phdr_info *info, size_t size, void *walker)
{
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
		if (segment->p_type != PT_LOAD || (uintptr_t)walker - begin >= segment->p_memsz)
			continue;
		code.begin = begin;
		code.end = begin + segment->p_memsz;
		return 1;
	}
	return 0;
}

/* What libunwind keeps for each thread does not go with them: LeakSanitizer takes its thread-local data for something else and ends
 * the program with a fatal error; a thread's end takes libunwind's lock when ThreadSanitizer has let go of that thread, and crashes. */
bool sl_native_has_sanitizer(void)
{
	static const char *const names[] = {"__asan_init", "__lsan_do_leak_check", "__tsan_init",
	                                    "__msan_init", "__hwasan_init"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (dlsym(RTLD_DEFAULT, names[i]))
			return true;
	return false;
}

void sl_native_open(void)
{
	int saved_errno = errno;
	if (opened)
		return;
	why_not = NULL;
	if (sl_options.stacks != SL_STACKS_NATIVE && sl_native_has_sanitizer()) {
		why_not = "this program has a sanitizer's runtime: going on without native "
			  "stacks; stacks=native takes them all the same";
		return;
	}
	/* A child that was forked meanwhile: its loader takes for loaded what is half so, without its thread-local data. */
	if (atomic_exchange(&is_opening, true)) {
		why_not = "this process was forked while libunwind was being loaded: going on "
			  "without native stacks";
		return;
	}
	void *libunwind = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
	walk_fn *found = libunwind ? (walk_fn *)dlsym(libunwind, "unw_backtrace") : NULL;
	if (found)
		(void)dl_iterate_phdr(look_for_code, (void *)found);
	else
		why_not = "libunwind.so.8 cannot be opened: going on without native stacks";
	opened = found;
	sl_cfi_open();
	atomic_store(&is_opening, false);
	errno = saved_errno;
}

void sl_native_start(void)
{
	void *frames[SL_NATIVE_OWN_FRAMES];
	sl_loader_try();
	if (why_not && sl_options.stacks != SL_STACKS_NONE)
		sl_log(why_not, NULL);
	if (!opened || atomic_load(&walk) || !sl_loader_enter())
		return;
	(void)walk_with(opened, frames, SL_NATIVE_OWN_FRAMES);
	atomic_store(&walk, opened);
	sl_loader_leave();
}

uint32_t sl_native_capture_known(const struct sl_guard *g, const void *caller, uint64_t *words,
                                 uint32_t limit, bool *is_cut)
{
	(void)g;
	bool in_handler;
	return atomic_load_explicit(&walk, memory_order_relaxed)
	               ? sl_walk(caller, words, limit, false, is_cut, &in_handler)
	               : 0;
}

/* By libunwind, whatever the frames are. */
static uint32_t capture_any(walk_fn *walker, const void *caller, uint64_t *words, uint32_t limit,
                            bool *is_cut)
{
	if (!sl_loader_enter())
		return 0;
	/* One more than can be kept tells that there are more. */
	const int wanted = (int)SL_NATIVE_WORDS(limit);
	void **frames = (void **)words; /* of the same size; what is kept goes to the front */
	int saved_errno = errno;
	int found =
		has_walked ? walk_with(walker, frames, wanted) : walk_first(walker, frames, wanted);
	errno = saved_errno;
	sl_loader_leave();
	int first = 0;
	while (first < found && frames[first] != caller)
		first++;
	if (first == found) /* a frame pointer too odd to meet the caller: show what there is */
		first = 0;
	uint32_t n = 0;
	for (; first < found && n < limit; first++)
		if (frames[first])
			words[n++] = (uint64_t)(uintptr_t)frames[first];
	*is_cut = first < found;
	return n;
}

uint32_t sl_native_capture(const struct sl_guard *g, const void *caller, uint64_t *words,
                           uint32_t limit, bool *is_cut)
{
	(void)g;
	walk_fn *walker = atomic_load_explicit(&walk, memory_order_acquire);
	if (!walker)
		return 0;
	bool in_handler;
	uint32_t n = sl_walk(caller, words, limit, true, is_cut, &in_handler);
	if (n)
		return n;
	/* The handler may have come into malloc(), which makes libunwind's thread-local data when a thread first touches it. */
	if (in_handler && !has_walked)
		return 0;
	return capture_any(walker, caller, words, limit, is_cut);
}
