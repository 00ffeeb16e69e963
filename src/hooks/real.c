#include "hooks/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>

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

static void *libc; /* constant after sl_real_start_late(); NULL: we were here before the program */

static int look_at_program(struct dl_phdr_info *info, size_t size, void *address)
{
	uintptr_t *left = address, at = *left;
	(void)size;
	*left = 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
		if (segment->p_type == PT_LOAD && at >= begin && at - begin < segment->p_memsz)
			*left = at;
	}
	return 1; /* the first object is the program */
}

bool sl_real_is_program(const void *address)
{
	uintptr_t at = (uintptr_t)address;
	(void)dl_iterate_phdr(look_at_program, &at);
	return at != 0;
}

void *sl_real_find(const char *name, const void *door)
{
	if (!libc)
		return dlsym(RTLD_NEXT, name);
	void *found = dlsym(RTLD_DEFAULT, name);
	/* A function that the program itself names by a fixed address has that of the program's PLT, for everybody (System V ABI,
	 * "Function Addresses"): called there it would come back to us. */
	if (found && found != door && !sl_real_is_program(found))
		return found;
	found = dlsym(libc, name);
	return found == door ? NULL : found;
}

typedef int look_up_fn(const void *address, Dl_info *info, void **extra, int flags);

bool sl_real_is_programs(const char *name)
{
	Dl_info info;
	void *extra = NULL;
	void *found = dlsym(RTLD_DEFAULT, name);
	/* By its name: musl has none. */
	look_up_fn *look_up = (look_up_fn *)dlsym(RTLD_DEFAULT, "dladdr1");
	if (!found || !look_up || !sl_real_is_program(found) ||
	    look_up(found, &info, &extra, RTLD_DL_SYMENT) == 0)
		return false;
	/* Its place in the PLT is named by a symbol too, one that is not defined there. */
	const ElfW(Sym) *symbol = extra;
	return symbol && symbol->st_shndx != SHN_UNDEF;
}

/* Looks one function up. */
#define SL_HOOK(type, missing, name, parameters, arguments)                 \
	static void resolve_##name(void)                                    \
	{                                                                   \
		type(*found) parameters = (type(*) parameters)sl_real_find( \
			#name, (const void *)(uintptr_t)sl_hook_##name);    \
		sl_real.name = found ? found : missing_##name;              \
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

bool sl_real_start_late(void)
{
	libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	if (libc)
		sl_real_start();
	return libc;
}
