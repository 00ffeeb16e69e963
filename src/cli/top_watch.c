/* top_watch.c - see top_watch.h. */
#include "cli/top_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/formats.h"
#include "cli/heap.h"
#include "cli/set_reply.h"
#include "cli/symbols.h"
#include "report/text_unblamed.h"
#include "report/words.h"

#define SL_TOP_PATIENCE_MS 2000
#define SL_TOP_LIST_PATIENCE_MS 500 /* of each */
#define SL_TOP_CHUNK_BYTES (1u << 18)

#define SAY(watch, ...) ((void)snprintf((watch)->said, sizeof((watch)->said), __VA_ARGS__))

static int look(struct sl_top_watch *watch, const struct sl_proc *proc)
{
	struct sl_arena arena = SL_ARENA(SL_TOP_CHUNK_BYTES, 0);
	struct sl_snapshot snapshot;
	struct sl_taken taken;
	int error = sl_take(&arena, proc, SL_TOP_PATIENCE_MS, &snapshot, &taken);
	if (error) {
		sl_arena_free(&arena);
		return error;
	}
	(void)sl_symbols_apply(&arena, &snapshot, proc->pid);
	sl_arena_free(&watch->arena);
	watch->arena = arena;
	watch->snapshot = snapshot;
	watch->taken = taken;
	watch->proc = *proc;
	sl_top_model_show(watch->top, &watch->snapshot);
	return 0;
}

int sl_top_watch_open(struct sl_top_watch *watch, int pid)
{
	struct sl_proc proc;
	int error = sl_proc_read(pid, &proc);
	if (error)
		return error;
	watch->said[0] = '\0';
	error = look(watch, &proc);
	if (!error)
		watch->has_ended = false;
	return error;
}

void sl_top_watch_close(struct sl_top_watch *watch)
{
	sl_top_model_forget(watch->top);
	sl_arena_free(&watch->arena);
	watch->arena = (struct sl_arena)SL_ARENA(SL_TOP_CHUNK_BYTES, 0);
	watch->proc.pid = 0;
	watch->said[0] = '\0';
}

static void add_process(struct sl_top_watch *watch, const struct sl_proc *proc,
                        const struct sl_snapshot *snapshot)
{
	const struct sl_snapshot_site *worst = snapshot->site_count ? &snapshot->sites[0] : NULL;
	const char *name = snapshot->process.name;
	watch->processes = sl_heap_grow(watch->processes,
	                                (watch->process_count + 1) * sizeof(*watch->processes));
	struct sl_top_process *process = &watch->processes[watch->process_count++];
	*process = (struct sl_top_process){
		.pid = proc->pid,
		.uptime_ms = proc->uptime_ms,
		.open = snapshot->totals.open,
		.close_wait = snapshot->totals.close_wait,
		.stuck = snapshot->totals.stuck,
	};
	(void)snprintf(process->name, sizeof(process->name), "%s",
	               name && *name ? name : proc->name);
	char text[SL_TEXT_UNBLAMED_BYTES];
	if (worst && (worst->stuck || worst->close_wait))
		(void)snprintf(process->blame, sizeof(process->blame), "%s",
		               sl_text_blame(text, worst, UINT32_MAX, ""));
}

static bool list_one(void *context, int pid)
{
	struct sl_top_watch *watch = context;
	struct sl_arena arena = SL_ARENA(SL_TOP_CHUNK_BYTES, 0);
	struct sl_snapshot snapshot;
	struct sl_taken taken;
	struct sl_proc proc;
	if (pid == getpid() || sl_proc_read(pid, &proc) ||
	    (geteuid() != 0 && proc.uid != getuid()) ||
	    sl_proc_has_object(pid, "libsockleak.so", NULL) != 1)
		return true;
	if (sl_take(&arena, &proc, SL_TOP_LIST_PATIENCE_MS, &snapshot, &taken) == 0) {
		snapshot.site_count = snapshot.site_count ? 1 : 0; /* only the worst is shown */
		(void)sl_symbols_apply(&arena, &snapshot, pid);
		add_process(watch, &proc, &snapshot);
	}
	sl_arena_free(&arena);
	return true;
}

void sl_top_watch_refresh(struct sl_top_watch *watch)
{
	const uint64_t from_ms = sl_clock_ms();
	if (!watch->proc.pid) {
		watch->process_count = 0;
		sl_proc_each(list_one, watch);
		sl_top_model_list(watch->top, watch->processes, watch->process_count);
	} else if (!watch->has_ended) {
		int error = sl_proc_is_same(&watch->proc) ? look(watch, &watch->proc) : -ESRCH;
		struct sl_proc proc;
		watch->has_ended = error == -ESRCH;
		if (!error && sl_proc_read(watch->proc.pid, &proc) == 0)
			watch->proc = proc; /* its age */
		else if (error && error != -ESRCH)
			SAY(watch, "process %d: %s", watch->proc.pid, strerror(-error));
	}
	watch->cost_ms = sl_clock_ms() - from_ms;
}

const char *sl_top_watch_no_action(const struct sl_top_watch *watch)
{
	if (watch->has_ended)
		return "the process has ended";
	if (!watch->taken.has_library)
		return "the library is not in this process; 'sockleak reap PID' ends connections "
		       "from outside";
	if (!watch->taken.is_from_library)
		return "its library did not answer";
	return NULL;
}

/* The first line of what `sockleak set` would print, without the process: it is on the screen. */
static void say_reply(struct sl_top_watch *watch, const struct sl_set_reply *told)
{
	char *text = NULL;
	size_t n;
	FILE *to = open_memstream(&text, &n);
	if (!to)
		return;
	sl_set_reply_print(to, &watch->proc, false, told);
	(void)fclose(to);
	const char *from = text ? strstr(text, "): ") : NULL;
	from = from ? from + 3 : "";
	SAY(watch, "%.*s", (int)strcspn(from, "\n"), from);
	free(text);
}

void sl_top_watch_act(struct sl_top_watch *watch, enum sl_action action, const char *duration)
{
	char request[SL_CLIENT_REQUEST_BYTES];
	struct sl_client_reply reply;
	struct sl_set_reply told;
	(void)snprintf(request, sizeof(request), "set action=%s%s%s", sl_words_action(action),
	               duration ? " for=" : "", duration ? duration : "");
	if (!sl_proc_is_same(&watch->proc)) {
		watch->has_ended = true;
		return;
	}
	int error = sl_client_ask(&watch->proc, request, SL_CLIENT_PATIENCE_MS, &reply);
	if (error) {
		SAY(watch, "process %d: %.300s", watch->proc.pid, sl_client_why(error, &reply));
	} else if (sl_set_reply_read(reply.bytes, reply.n, &told)) {
		say_reply(watch, &told);
		sl_set_reply_free(&told);
	} else {
		SAY(watch, "process %d: its answer is not understood", watch->proc.pid);
	}
	sl_client_free(&reply);
}

void sl_top_watch_save(struct sl_top_watch *watch, const char *path)
{
	int error =
		sl_format_to_file(sl_format_find("json"), path, &watch->snapshot, SL_MEASURE_AUTO);
	if (error)
		SAY(watch, "%.300s: %s", path, strerror(-error));
	else
		SAY(watch, "saved what is shown: %.400s", path);
}

void sl_top_watch_free(struct sl_top_watch *watch)
{
	sl_top_model_free(watch->top);
	sl_arena_free(&watch->arena);
	free(watch->processes);
}
