/* symbols.c - see symbols.h. */
#include "cli/symbols.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "cli/elf_names.h"
#include "cli/heap.h"
#include "cli/root_file.h"
#include "cli/script_frames.h"
#include "stack/blame.h"

/* A module, opened once. */
struct module {
	struct sl_elf_names *names; /* NULL: nothing known */
	UT_hash_handle hh;
	char key[]; /* build id and path */
};

struct place {
	const struct module *module;
	uint64_t offset;
};

/* A frame of the library as one or more named ones. */
struct named {
	struct place place; /* the key */
	const struct sl_frame *frames[SL_ELF_INLINED_MAX];
	uint32_t count;
	bool is_better; /* than what the library said */
	UT_hash_handle hh;
};

struct symbols {
	struct sl_arena *arena;
	int pid;
	const char *app;
	struct sl_script_frames *scripts; /* NULL: none */
	struct module *modules;
	struct named *named;
};

/* ---- modules ---- */

static struct sl_elf_names *open_names(const struct symbols *symbols, const struct sl_frame *frame)
{
	struct sl_elf_names *names = NULL;
	if (!frame->build_id && !symbols->pid)
		return NULL;
	int fd = sl_root_file_open(symbols->pid, frame->module, true);
	if (fd >= 0)
		names = sl_elf_names_open(fd, frame->module, frame->build_id);
	/* Gone, or replaced by another build: its debug file may still be there. */
	if (!names && frame->build_id)
		names = sl_elf_names_open(-1, frame->module, frame->build_id);
	return names;
}

static const struct module *module_of(struct symbols *symbols, const struct sl_frame *frame)
{
	const char *id = frame->build_id ? frame->build_id : "";
	const size_t n = strlen(id) + strlen(frame->module) + 2;
	struct module *found, *module = sl_heap_grow(NULL, sizeof(*module) + n);
	memset(module, 0, sizeof(*module));
	(void)snprintf(module->key, n, "%s %s", id, frame->module);
	HASH_FIND(hh, symbols->modules, module->key, n, found);
	if (found) {
		free(module);
		return found;
	}
	module->names = open_names(symbols, frame);
	HASH_ADD_KEYPTR(hh, symbols->modules, module->key, n, module);
	return module;
}

/* ---- frames ---- */

/* Code of others that was compiled into the application's own module: templates, inlined headers, crates. */
static bool is_of_others(const char *file)
{
	static const char *const places[] = {"/usr/include/", "/usr/lib/gcc/", "/rustc/",
	                                     "/.cargo/registry/", "/usr/local/include/"};
	for (size_t i = 0; file && i < sizeof(places) / sizeof(places[0]); i++) {
		const char *at = strstr(file, places[i]);
		if (at && (at == file || strstr(places[i], ".cargo")))
			return true;
	}
	return false;
}

/* "function (file.c:12)" with ":", "function (module+0x1f)" with "+0x"; without a function the latter part alone. */
static const char *print(struct sl_arena *arena, const char *function, const char *file,
                         const char *sign, unsigned long long number)
{
	char place[512], text[1024];
	(void)snprintf(place, sizeof(place), *sign == ':' ? "%s%s%llu" : "%s%s%llx",
	               sl_file_name_of(file), sign, number);
	(void)snprintf(text, sizeof(text), "%s (%s)", function ? function : "", place);
	const char *shown = function ? text : place;
	return sl_arena_text(arena, shown, strlen(shown));
}

static const struct sl_frame *name_frame(struct symbols *symbols, const struct sl_frame *frame,
                                         const struct sl_elf_name *name)
{
	struct sl_frame *better = sl_arena_alloc(symbols->arena, sizeof(*better));
	if (!better)
		return frame;
	*better = *frame;
	better->function = name->function;
	/* The namespace is known only now. */
	better->role = sl_role_of_native(frame->module, name->function, symbols->app);
	if (!name->file || name->line <= 0) {
		better->text =
			print(symbols->arena, name->function, frame->module, "+0x", frame->offset);
		return better;
	}
	better->file = name->file;
	better->line = name->line;
	better->text = print(symbols->arena, name->function, name->file, ":", (unsigned)name->line);
	if (better->role == SL_ROLE_APPLICATION && !sl_blame_is_pinned(frame, symbols->app) &&
	    is_of_others(name->file))
		better->role = SL_ROLE_LIBRARY;
	return better;
}

/* What the library itself said is as good, where no line comes with the name: but for mangled names. */
static bool is_better_name(const struct sl_frame *frame, const struct sl_elf_name *name)
{
	return name->function &&
	       (name->line > 0 || !frame->function || strncmp(frame->function, "_Z", 2) == 0 ||
	        strncmp(frame->function, "_R", 2) == 0);
}

static void find_names(struct symbols *symbols, const struct sl_frame *frame, struct named *named)
{
	struct sl_elf_name found[SL_ELF_INLINED_MAX] = {0};
	struct sl_elf_names *names = named->place.module->names;
	unsigned n = names ? sl_elf_names_at(names, frame->offset, symbols->arena, found,
	                                     SL_ELF_INLINED_MAX)
	                   : 0;
	if (!n) {
		found[0].function = sl_elf_names_plain(symbols->arena, frame->function);
		n = 1;
	}
	for (unsigned i = 0; i < n; i++)
		if (is_better_name(frame, &found[i]))
			named->frames[named->count++] = name_frame(symbols, frame, &found[i]);
	named->is_better = named->count > 0;
	if (!named->count)
		named->frames[named->count++] = frame;
}

static const struct named *name(struct symbols *symbols, const struct sl_frame *frame)
{
	struct named *named;
	struct place place;
	memset(&place, 0, sizeof(place)); /* it is hashed */
	place.module = module_of(symbols, frame);
	place.offset = frame->offset;
	HASH_FIND(hh, symbols->named, &place, sizeof(place), named);
	if (named)
		return named;
	named = sl_heap_grow(NULL, sizeof(*named));
	memset(named, 0, sizeof(*named));
	named->place = place;
	find_names(symbols, frame, named);
	HASH_ADD(hh, symbols->named, place, sizeof(named->place), named);
	return named;
}

/* ---- sites ---- */

/* The library's own word stays where nothing better is known. */
static void name_blame(struct symbols *symbols, struct sl_snapshot_site *site)
{
	const uint32_t blame = sl_blame(site->frames, site->frame_count, symbols->app);
	site->blame_frame = blame;
	if (blame >= site->frame_count) {
		site->blame = site->blame_where = NULL;
		return;
	}
	const struct sl_frame *frame = site->frames[blame];
	if (frame->file && frame->line > 0)
		site->blame_where =
			print(symbols->arena, NULL, frame->file, ":", (unsigned)frame->line);
	if (!frame->module && !frame->function)
		return;
	site->blame = frame->function
	                      ? frame->text
	                      : print(symbols->arena, NULL, frame->module, "+0x", frame->offset);
}

/* In a report that was named before, what was inlined stands there already, at the same offset. */
static bool is_named(const struct sl_snapshot_site *site)
{
	for (uint32_t i = 0; i < site->frame_count; i++)
		if (site->frames[i]->module && site->frames[i]->file)
			return true;
	return false;
}

/* The inner functions of a client library that is a part of the program. */
static void give_to_clients(struct symbols *symbols, const struct sl_frame **frames, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (frames[i]->role != SL_ROLE_APPLICATION ||
		    sl_blame_is_pinned(frames[i], symbols->app) ||
		    !sl_blame_is_enclosed(frames, n, i))
			continue;
		struct sl_frame *given = sl_arena_alloc(symbols->arena, sizeof(*given));
		if (!given)
			return;
		*given = *frames[i];
		given->role = SL_ROLE_LIBRARY;
		frames[i] = given;
	}
}

static void name_site(struct symbols *symbols, struct sl_snapshot_site *site)
{
	uint32_t n = 0;
	bool is_better = false;
	for (uint32_t i = 0; i < site->frame_count; i++)
		n += site->frames[i]->module ? name(symbols, site->frames[i])->count : 1;
	const struct sl_frame **frames =
		sl_arena_alloc(symbols->arena, n * sizeof(const struct sl_frame *));
	if (!frames)
		return;
	n = 0;
	for (uint32_t i = 0; i < site->frame_count; i++) {
		const struct named *named =
			site->frames[i]->module ? name(symbols, site->frames[i]) : NULL;
		for (uint32_t j = 0; named && j < named->count; j++)
			frames[n++] = named->frames[j];
		if (!named)
			frames[n++] = sl_script_frames_name(symbols->scripts, site->frames[i]);
		is_better |= named ? named->is_better : frames[n - 1] != site->frames[i];
	}
	if (!is_better)
		return;
	give_to_clients(symbols, frames, n);
	site->frames = frames;
	site->frame_count = n;
	name_blame(symbols, site);
}

static const char *app_of(const struct sl_snapshot *s)
{
	for (uint32_t i = 0; i < s->option_count; i++)
		if (strcmp(s->options[i].key, "app") == 0)
			return s->options[i].value;
	return "";
}

static void end(struct symbols *symbols)
{
	struct module *module = symbols->modules;
	struct named *named = symbols->named;
	HASH_CLEAR(hh, symbols->modules);
	while (module) {
		struct module *next = module->hh.next;
		sl_elf_names_close(module->names);
		free(module);
		module = next;
	}
	HASH_CLEAR(hh, symbols->named);
	while (named) {
		struct named *next = named->hh.next;
		free(named);
		named = next;
	}
}

/* The same blame as the site's. */
static void name_elsewhere(struct symbols *symbols, struct sl_snapshot *s)
{
	size_t n = s->elsewhere_count * sizeof(*s->elsewhere);
	struct sl_snapshot_elsewhere *rows = n ? sl_arena_alloc(symbols->arena, n) : NULL;
	if (!rows)
		return;
	memcpy(rows, s->elsewhere, n);
	for (uint32_t i = 0; i < s->elsewhere_count; i++)
		for (uint32_t j = 0; j < s->site_count; j++)
			if (rows[i].site == (int64_t)s->sites[j].id)
				rows[i].blame = s->sites[j].blame;
	s->elsewhere = rows;
}

/* The same with names; as they are, where memory is out. */
static const struct sl_snapshot_site *name_sites(struct symbols *symbols,
                                                 const struct sl_snapshot_site *sites,
                                                 uint32_t count)
{
	struct sl_snapshot_site *named =
		count ? sl_arena_alloc(symbols->arena, count * sizeof(*named)) : NULL;
	for (uint32_t i = 0; named && i < count; i++) {
		named[i] = sites[i];
		if (named[i].kind == SL_STACK_NATIVE && !is_named(&named[i]))
			name_site(symbols, &named[i]);
	}
	return named ? named : sites;
}

const char *sl_symbols_apply(struct sl_arena *arena, struct sl_snapshot *s, int pid)
{
	struct symbols symbols = {.arena = arena, .pid = pid, .app = app_of(s)};
	const char *note;
	symbols.scripts = sl_script_frames_open(arena, s, pid, &note);
	s->sites = name_sites(&symbols, s->sites, s->site_count);
	s->readers = name_sites(&symbols, s->readers, s->reader_count);
	name_elsewhere(&symbols, s);
	sl_script_frames_close(symbols.scripts);
	end(&symbols);
	return note;
}
