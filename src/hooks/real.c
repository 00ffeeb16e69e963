#include "hooks/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

#include "base/poison.h"

/* Where libc has no such function. */
#define SL_HOOK(type, missing, name, parameters, arguments) \
	static type missing_##name parameters               \
	{                                                   \
		errno = ENOSYS;                             \
		return missing;                             \
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include "hooks/hooks.def"
#pragma GCC diagnostic pop
#undef SL_HOOK

/* Looks one function up. */
#define SL_HOOK(type, missing, name, parameters, arguments)                            \
	static void resolve_##name(void)                                               \
	{                                                                              \
		type(*found) parameters = (type(*) parameters)dlsym(RTLD_NEXT, #name); \
		sl_real.name = found ? found : missing_##name;                         \
	}
#include "hooks/hooks.def"
#undef SL_HOOK

/* The first call of a function, should it come before sl_real_start(). */
#define SL_HOOK(type, missing, name, parameters, arguments) \
	static type early_##name parameters                 \
	{                                                   \
		resolve_##name();                           \
		return sl_real.name arguments;              \
	}
#include "hooks/hooks.def"
#undef SL_HOOK

struct sl_real sl_real = {
#define SL_HOOK(type, missing, name, parameters, arguments) .name = early_##name,
#include "hooks/hooks.def"
#undef SL_HOOK
};

void sl_real_start(void)
{
	int saved_errno = errno;
#define SL_HOOK(type, missing, name, parameters, arguments) resolve_##name();
#include "hooks/hooks.def"
#undef SL_HOOK
	errno = saved_errno;
}
