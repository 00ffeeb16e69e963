#include "stack/stack.h"

#include <string.h>
#include <sys/prctl.h>

#include "base/options.h"
#include "base/sys.h"
#include "ledger/sites.h"
#include "ledger/threads.h"
#include "stack/java.h"
#include "stack/native.h"

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

static uint32_t capture(const struct sl_guard *g, const void *caller, bool want_java,
                        struct sl_stack *stack, uint64_t *words)
{
	uint32_t limit = (uint32_t)sl_options.depth;
	if (sl_options.stacks == SL_STACKS_NONE)
		return 0;
	stack->words = words;
	stack->kind = SL_STACK_JAVA;
	stack->frame_count = 0;
	if (want_java && sl_options.stacks == SL_STACKS_AUTO)
		stack->frame_count = sl_java_capture(g, caller, words, limit, &stack->is_cut);
	if (stack->frame_count == 0) {
		stack->kind = SL_STACK_NATIVE;
		stack->frame_count = sl_native_capture(g, caller, words, limit, &stack->is_cut);
	}
	return stack->frame_count;
}

struct sl_origin sl_stack_origin(const struct sl_guard *g, const void *caller, bool want_java)
{
	struct sl_origin no_stack = {.site = SL_SITE_NO_STACK};
	/* There may be room for little more than the handler. */
	if (sl_sys_is_on_alternate_stack())
		return no_stack;
	uint64_t words[2 *
	               sl_options.depth]; /* no more than that: the caller's stack may be small */
	struct sl_stack stack = {0};
	struct sl_origin origin = {.site = SL_SITE_NO_STACK};
	bool is_new = false;
	if (capture(g, caller, want_java, &stack, words))
		origin.site = sl_site_intern(&stack, &is_new);
	if (is_new && stack.kind == SL_STACK_JAVA)
		sl_java_name_site(g, sl_site_get(origin.site));
	origin.thread = thread_at(g, origin.site);
	return origin;
}
