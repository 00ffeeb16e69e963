#include "stack/native.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/clerk.h"
#include "base/log.h"
#include "base/sys.h"
#include "ledger/sites.h"
#include "stack/loader.h"

#include "base/poison.h"

/* The program may hold the loader's lock for as long as a constructor takes. */
#define SL_OPEN_WAIT_MS 60000

typedef int walk_fn(void **frames, int size);

static _Atomic(walk_fn *) walk; /* NULL until opened */
static __thread bool is_walking;
static __thread bool has_walked;

/* libunwind's code: constant once `walk` is set. */
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

/* Among the clerk's fds: the loader opens files. */
static void open_library(void *result)
{
	void *libunwind = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
	walk_fn *found = libunwind ? (walk_fn *)dlsym(libunwind, "unw_backtrace") : NULL;
	if (found)
		(void)dl_iterate_phdr(look_for_code, (void *)found);
	*(walk_fn **)result = found;
}

static void open_walker(void)
{
	static walk_fn *found; /* for a clerk that is late */
	bool is_begun;
	if (!sl_clerk_do(open_library, &found, SL_OPEN_WAIT_MS, &is_begun)) {
		if (is_begun)
			return;
		open_library(&found); /* there is none */
	}
	if (!found) {
		sl_log("libunwind.so.8 cannot be opened: going on without native stacks", NULL);
		return;
	}
	void *frames[SL_NATIVE_OWN_FRAMES];
	(void)walk_with(found, frames, SL_NATIVE_OWN_FRAMES);
	atomic_store(&walk, found);
}

void sl_native_start(void)
{
	sl_loader_try();
	if (atomic_load(&walk) || !sl_loader_enter())
		return;
	open_walker();
	sl_loader_leave();
}

uint32_t sl_native_capture(const struct sl_guard *g, const void *caller, uint64_t *words,
                           uint32_t limit, bool *is_cut)
{
	(void)g;
	walk_fn *walker = atomic_load_explicit(&walk, memory_order_acquire);
	if (!walker || !sl_loader_enter())
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
