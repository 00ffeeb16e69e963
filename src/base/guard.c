#include "base/guard.h"

#include "base/poison.h"

__thread bool sl_guard_is_held;
