#include "base/guard.h"

#include "base/sys.h"

#include "base/poison.h"

__thread uintptr_t sl_guard_holder;

bool sl_guard_is_left_behind(void)
{
	return !sl_sys_is_on_alternate_stack();
}
