/* attach_there.c - see attach_there.h. */
#include "cli/attach_there.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/version.h"
#include "cli/client.h"
#include "cli/inject_loader.h"
#include "cli/inject_maps.h"

#define SL_LIBRARY "libsockleak.so"
#define SL_ASK_MS 2000
#define SL_LOOK_MS 5

static bool ask_version(const struct sl_proc *proc, char *version, size_t n)
{
	struct sl_client_reply reply;
	if (sl_client_ask(proc, "version", SL_ASK_MS, &reply))
		return false;
	json_t *root = json_loadb(reply.bytes, reply.n, 0, NULL);
	const char *said = json_string_value(json_object_get(root, "version"));
	(void)snprintf(version, n, "%s", said ? said : "?");
	json_decref(root);
	sl_client_free(&reply);
	return true;
}

static bool came_late(int pid)
{
	const int memory = sl_memory_open(pid);
	const bool is_late = memory >= 0 && sl_loader_is_late(pid, memory, SL_LIBRARY);
	if (memory >= 0)
		(void)close(memory);
	return is_late;
}

bool sl_attach_there_is_preloaded(int pid)
{
	char *preload = sl_proc_variable(pid, "LD_PRELOAD");
	const bool is_it = preload && strstr(preload, SL_LIBRARY);
	free(preload);
	return is_it && !came_late(pid);
}

/* Where no build id is to be had, the version has to do. */
static bool is_other_build(const struct sl_attach_there *there, const char *library)
{
	char ours[SL_BUILD_ID_BYTES];
	if (there->build_id[0] && sl_build_id_of_file(library, ours))
		return strcmp(there->build_id, ours) != 0;
	return there->version[0] && strcmp(there->version, SL_VERSION) != 0;
}

int sl_attach_there_look(const struct sl_proc *proc, const char *library,
                         struct sl_attach_there *there)
{
	*there = (struct sl_attach_there){0};
	const int has_library = sl_proc_has_object(proc->pid, SL_LIBRARY, there->path);
	if (has_library <= 0)
		return has_library;
	there->is_mapped = true;
	sl_proc_inner_path(proc->pid, there->path);
	there->is_preloaded = sl_attach_there_is_preloaded(proc->pid);
	there->is_active = ask_version(proc, there->version, sizeof(there->version));
	if (!sl_build_id_of_mapped(proc->pid, SL_LIBRARY, there->build_id))
		there->build_id[0] = 0;
	there->is_other = is_other_build(there, library);
	return 0;
}

bool sl_attach_there_await(const struct sl_proc *proc, unsigned patience_ms)
{
	static const struct timespec look = {.tv_nsec = SL_LOOK_MS * 1000000};
	char version[32];
	for (const uint64_t until_ms = sl_clock_ms() + patience_ms; sl_clock_ms() < until_ms;) {
		if (ask_version(proc, version, sizeof(version)))
			return true;
		if (!sl_proc_is_same(proc))
			return false;
		(void)nanosleep(&look, NULL);
	}
	return false;
}
