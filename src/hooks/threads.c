/* threads.c - that the program makes threads: pthread_create, thrd_create. What a child of _Fork() may do depends on it. */
#include "base/guard.h"
#include "base/process.h"
#include "hooks/entry.h"
#include "hooks/real.h"

#include "base/poison.h"

/* Ours are made under the guard. */
static void making(void)
{
	if (!sl_guard_is_held && sl_entry_is_ours())
		sl_process_note_threads();
}

int sl_hook_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                           sl_thread_start_fn *start, void *argument)
{
	making();
	return sl_real.pthread_create(thread, attributes, start, argument);
}

int sl_hook_thrd_create(thrd_t *thread, thrd_start_t start, void *argument)
{
	making();
	return sl_real.thrd_create(thread, start, argument);
}
