/* script_frames.c - see script_frames.h. */
#include "cli/script_frames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/heap.h"
#include "cli/perf_map.h"
#include "cli/script.h"
#include "stack/roles.h"

#define PLACES_MAX 16384u /* as many frames as a process's table has */

struct sl_script_frames {
	struct sl_arena *arena;
	size_t count;
	struct sl_perf_place *places; /* by address */
};

static bool is_made_at_run_time(const struct sl_frame *frame)
{
	return !frame->module && !frame->class_name && !frame->function && frame->offset;
}

static int by_address(const void *a, const void *b)
{
	const struct sl_perf_place *x = a, *y = b;
	return (x->address > y->address) - (x->address < y->address);
}

static void add(struct sl_script_frames *frames, uint64_t address)
{
	const size_t n = frames->count;
	if ((n & (n - 1)) == 0) /* it is full */
		frames->places =
			sl_heap_grow(frames->places, (n ? 2 * n : 1) * sizeof(*frames->places));
	frames->places[n] = (struct sl_perf_place){.address = address};
	frames->count++;
}

/* Many sites have the same frames. */
static void sort(struct sl_script_frames *frames)
{
	size_t n = 0;
	qsort(frames->places, frames->count, sizeof(*frames->places), by_address);
	for (size_t i = 0; i < frames->count; i++)
		if (i == 0 || frames->places[i].address != frames->places[n - 1].address)
			frames->places[n++] = frames->places[i];
	frames->count = n;
}

static void collect(struct sl_script_frames *frames, const struct sl_snapshot_site *sites,
                    uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct sl_snapshot_site *site = &sites[i];
		for (uint32_t at = 0; site->kind == SL_STACK_NATIVE && at < site->frame_count; at++)
			if (is_made_at_run_time(site->frames[at]) && frames->count < PLACES_MAX)
				add(frames, site->frames[at]->offset);
	}
}

static const char *keep(struct sl_arena *arena, const char *text)
{
	return text ? sl_arena_text(arena, text, strlen(text)) : NULL;
}

static const char *refusal(struct sl_arena *arena, const struct sl_proc *proc)
{
	char text[160];
	(void)snprintf(text, sizeof(text),
	               "process %d: /tmp/perf-%d.map is a link, or others could have written it: "
	               "not read",
	               proc->pid, proc->inner_pid);
	return keep(arena, text);
}

struct sl_script_frames *sl_script_frames_open(struct sl_arena *arena, const struct sl_snapshot *s,
                                               int pid, const char **note)
{
	struct sl_proc proc;
	struct sl_script_frames *frames = sl_heap_grow(NULL, sizeof(*frames));
	*frames = (struct sl_script_frames){.arena = arena};
	*note = NULL;
	if (pid) {
		collect(frames, s->sites, s->site_count);
		collect(frames, s->readers, s->reader_count);
	}
	if (frames->count)
		sort(frames);
	int error = frames->count ? sl_proc_read(pid, &proc) : -ENOENT;
	if (!error)
		error = sl_perf_map_name(&proc, frames->places, frames->count);
	if (!error)
		return frames;
	if (error == -EPERM)
		*note = refusal(arena, &proc);
	sl_script_frames_close(frames);
	return NULL;
}

void sl_script_frames_close(struct sl_script_frames *frames)
{
	if (!frames)
		return;
	free(frames->places);
	free(frames);
}

/* "fetch (app.js:4)", "fetch (app.py)", "connect (node:net:1038)", "Builtin:CallFunction". */
static const char *print(struct sl_arena *arena, const struct sl_script *script)
{
	char text[2 * SL_PERF_NAME_BYTES], line[16] = "";
	if (!script->file)
		return keep(arena, script->function);
	const bool is_path = script->file[0] == '/';
	if (script->line > 0)
		(void)snprintf(line, sizeof(line), ":%d", script->line);
	(void)snprintf(text, sizeof(text), "%s (%s%s)", script->function,
	               is_path ? sl_file_name_of(script->file) : script->file, line);
	return keep(arena, text);
}

const struct sl_frame *sl_script_frames_name(const struct sl_script_frames *frames,
                                             const struct sl_frame *frame)
{
	struct sl_script script;
	struct sl_perf_place key = {.address = frame->offset};
	char name[SL_PERF_NAME_BYTES];
	if (!frames || !is_made_at_run_time(frame))
		return frame;
	const struct sl_perf_place *place =
		bsearch(&key, frames->places, frames->count, sizeof(key), by_address);
	struct sl_frame *better =
		place && place->name[0] ? sl_arena_alloc(frames->arena, sizeof(*better)) : NULL;
	if (!better)
		return frame;
	memcpy(name, place->name, sizeof(name));
	sl_script_read(name, &script);
	*better = *frame;
	better->role = script.role;
	better->function = keep(frames->arena, script.function);
	better->file = keep(frames->arena, script.file);
	better->line = script.line;
	better->text = print(frames->arena, &script);
	return better;
}
