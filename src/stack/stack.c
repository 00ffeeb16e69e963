#include "stack/stack.h"

#include <string.h>
#include <sys/prctl.h>

#include "base/options.h"
#include "base/sys.h"
#include "ledger/sites.h"
#include "ledger/threads.h"
#include "stack/java.h"
#include "stack/native.h"
#include "stack/room.h"

#include "base/poison.h"

#define SL_THREAD_NAME_MAX 128

static __thread uint32_t own_name; /* id of this thread's name when it was last asked */

static uint32_t ask_name(const struct sl_guard *g)
{
	char name[SL_THREAD_NAME_MAX];
	size_t n = sl_java_thread_name(g, name, sizeof(name));
	if (n == 0) {
		memset(name, 0, sizeof(name));
		(void)SL_SYS2(SYS_prctl, PR_GET_NAME, name);
		n = strnlen(name, 16); /* TASK_COMM_LEN, prctl(2) */
	}
	return n ? sl_thread_intern(name, n) : 0;
}

/* Threads are renamed: the name is asked for whenever this thread is new to the site. */
static uint32_t thread_at(const struct sl_guard *g, uint32_t site)
{
	if (own_name == 0 || !sl_site_knows_thread(site, own_name))
		own_name = ask_name(g);
	return own_name;
}

/* Each way has room of its own, and no more than it needs: the caller's stack may be small. */
__attribute__((noinline)) static uint32_t java_site(const struct sl_guard *g, const void *caller)
{
	uint64_t words[2 * sl_options.depth];
	struct sl_stack stack = {.kind = SL_STACK_JAVA, .words = words};
	bool is_new;
	stack.frame_count =
		sl_java_capture(g, caller, words, (uint32_t)sl_options.depth, &stack.is_cut);
	if (stack.frame_count == 0)
		return SL_SITE_NO_STACK;
	uint32_t site = sl_site_intern(&stack, &is_new);
	if (is_new)
		sl_java_name_site(g, sl_site_get(site));
	return site;
}

typedef uint32_t capture_fn(const struct sl_guard *g, const void *caller, uint64_t *words,
                            uint32_t limit, bool *is_cut);

__attribute__((noinline)) static uint32_t native_site(const struct sl_guard *g, const void *caller,
                                                      capture_fn *capture)
{
	uint64_t words[SL_NATIVE_WORDS(sl_options.depth)];
	struct sl_stack stack = {.kind = SL_STACK_NATIVE, .words = words};
	bool is_new;
	stack.frame_count = capture(g, caller, words, (uint32_t)sl_options.depth, &stack.is_cut);
	return stack.frame_count ? sl_site_intern(&stack, &is_new) : SL_SITE_NO_STACK;
}

struct sl_origin sl_stack_origin(const struct sl_guard *g, const void *caller, bool want_java)
{
	struct sl_origin origin = {.site = SL_SITE_NO_STACK};
	bool is_native = sl_options.stacks != SL_STACKS_NONE;
	bool is_java = want_java && sl_options.stacks == SL_STACKS_AUTO && sl_java_is_present();
	/* Room is known only of a stack that was no handler's own when it was looked at. */
	if (is_native && !is_java && sl_room_is_known())
		origin.site = native_site(g, caller, sl_native_capture_known);
	if (origin.site == SL_SITE_NO_STACK) {
		/* A handler's own stack may have room for little more than the handler, and be followed by anything. */
		if (sl_sys_is_on_alternate_stack() || !sl_room_is_enough())
			return origin;
		if (is_java)
			origin.site = java_site(g, caller);
		if (origin.site == SL_SITE_NO_STACK && is_native)
			origin.site = native_site(g, caller, sl_native_capture);
	}
	origin.thread = thread_at(g, origin.site);
	return origin;
}
