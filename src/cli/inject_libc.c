/* inject_libc.c - the functions of the target's own libc; see inject_target.h. */
#include "cli/inject_target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/heap.h"
#include "cli/inject_loader.h"
#include "cli/inject_object.h"

#define SL_CODE_MAX ((uint64_t)64 << 20)

/* Is the mapping of this library: NAME.so.N, or NAME-VERSION.so as before glibc 2.34? */
static bool is_library(const struct sl_map *map, const char *soname, const char *stem)
{
	size_t n;
	const char *name = sl_map_name(map, &n);
	if (n == strlen(soname) && memcmp(name, soname, n) == 0)
		return true;
	return n > strlen(stem) + 3 && memcmp(name, stem, strlen(stem)) == 0 &&
	       memcmp(name + n - 3, ".so", 3) == 0;
}

/* Is it there to be run? A program may have mapped the file to read it, as those do that print stacks of their own. */
static bool is_to_be_run(const struct sl_target *target, const struct sl_map *first,
                         const struct sl_object *object)
{
	uint64_t start, end;
	if (!sl_object_code(object, &start, &end))
		return false;
	const struct sl_map *code = sl_maps_at(&target->maps, start);
	return code && code->is_executable && code->inode == first->inode &&
	       strcmp(code->device, first->device) == 0;
}

/* Where there are several, that of the program's own namespace. */
static bool find(const struct sl_target *target, const char *soname, const char *stem,
                 struct sl_object *object)
{
	bool is_found = false;
	for (size_t i = 0; i < target->maps.n; i++) {
		const struct sl_map *map = &target->maps.rows[i];
		struct sl_object other;
		if (map->offset != 0 || !is_library(map, soname, stem) ||
		    !sl_object_read(target->memory, map->start, &other) ||
		    !is_to_be_run(target, map, &other))
			continue;
		if (!is_found || !sl_loader_has(target->view, target->memory, object->bias))
			*object = other;
		is_found = true;
	}
	return is_found;
}

/* Since glibc 2.34 libc has dlopen() itself. Before, a program without libdl has libc's own, which tells no reasons. */
static bool find_functions(struct sl_target *target, const struct sl_object *libc)
{
	static const struct {
		bool is_in_libdl;
		const char *dlopen, *dlsym, *dlerror;
	} ways[] = {
		{false, "dlopen", "dlsym", "dlerror"},
		{true, "dlopen", "dlsym", "dlerror"},
		{false, "__libc_dlopen_mode", "__libc_dlsym", NULL},
	};
	struct sl_object libdl;
	const int memory = target->memory;
	const bool has_libdl = find(target, "libdl.so.2", "libdl-2.", &libdl);
	target->calls.errno_location = sl_object_function(memory, libc, "__errno_location");
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		const struct sl_object *in = ways[i].is_in_libdl ? &libdl : libc;
		if (ways[i].is_in_libdl && !has_libdl)
			continue;
		target->calls.dlopen = sl_object_function(memory, in, ways[i].dlopen);
		target->calls.dlsym = sl_object_function(memory, in, ways[i].dlsym);
		target->calls.dlerror =
			ways[i].dlerror ? sl_object_function(memory, in, ways[i].dlerror) : 0;
		if (target->calls.dlopen && target->calls.dlsym)
			return target->calls.errno_location != 0;
	}
	return false;
}

/* sigprocmask() is made of it. */
static void find_mask(struct sl_target *target, const struct sl_object *libc)
{
	uint64_t bytes;
	target->mask_start =
		sl_object_function_bytes(target->memory, libc, "pthread_sigmask", &bytes);
	target->mask_end = target->mask_start ? target->mask_start + bytes : 0;
}

static void find_restorer(struct sl_target *target)
{
	size_t wanted_bytes;
	const unsigned char *wanted = sl_machine_restorer(&wanted_bytes);
	const uint64_t bytes = target->libc_end - target->libc_start;
	if (bytes > SL_CODE_MAX)
		return;
	unsigned char *code = sl_heap_grow(NULL, bytes);
	if (sl_memory_read(target->memory, target->libc_start, code, bytes)) {
		const unsigned char *found = memmem(code, bytes, wanted, wanted_bytes);
		if (found)
			target->restorer = target->libc_start + (uint64_t)(found - code);
	}
	free(code);
}

static int read_maps(struct sl_target *target, struct sl_injected *injected)
{
	const int error = sl_maps_read(target->view, &target->maps);
	if (error == -EACCES)
		return sl_target_denied(target->pid, injected);
	if (error || target->maps.n == 0)
		return sl_target_gone(target->pid, injected);
	target->memory = sl_memory_open(target->view);
	if (target->memory == -EACCES)
		return sl_target_denied(target->pid, injected);
	return target->memory < 0 ? sl_target_gone(target->pid, injected) : 0;
}

int sl_target_read_libc(struct sl_target *target, struct sl_injected *injected)
{
	struct sl_object libc;
	const int pid = target->pid;
	int error = read_maps(target, injected);
	if (error)
		return error;
	if (!find(target, "libc.so.6", "libc-2.", &libc))
		return sl_target_fail(injected, -ENOTSUP, SL_EXIT_NO_LIBRARY,
		                      "process %d is linked statically, or not with glibc: nothing "
		                      "can be brought into it; 'sockleak report %d' and 'sockleak "
		                      "reap %d' work on it from outside",
		                      pid, pid, pid);
	if (!find_functions(target, &libc) ||
	    !sl_object_code(&libc, &target->libc_start, &target->libc_end))
		return sl_target_fail(injected, -ENOTSUP, SL_EXIT_NO_LIBRARY,
		                      "process %d: its libc has no dlopen() that was found", pid);
	find_mask(target, &libc);
	find_restorer(target);
	if (!target->restorer)
		return sl_target_fail(
			injected, -ENOTSUP, SL_EXIT_NO_LIBRARY,
			"process %d: in its libc the return from a signal handler was "
			"not found, so that no point could be told to be safe",
			pid);
	return 0;
}
