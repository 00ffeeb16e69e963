/* modules.c - native frames in words: module, offset, build id and, where exported, the function's name. */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "base/options.h"
#include "base/out.h"
#include "base/sys.h"
#include "stack/blame.h"
#include "stack/loader.h"
#include "stack/names.h"
#include "stack/walk.h"

#include "base/poison.h"

struct module_search {
	uintptr_t pc;
	bool is_found;
	uintptr_t base;
	char path[512];
	char build_id[65];
};

static void print_build_id(struct module_search *search, const uint8_t *id, size_t n)
{
	struct sl_out out;
	sl_out_init(&out, search->build_id, sizeof(search->build_id) - 1, NULL, NULL);
	for (size_t i = 0; i < n && i < 32; i++) {
		sl_out_hex(&out, id[i] >> 4);
		sl_out_hex(&out, id[i] & 15);
	}
	search->build_id[out.length] = 0;
}

/* The note NT_GNU_BUILD_ID (elf.h) of a PT_NOTE segment. */
static void find_build_id(struct module_search *search, const char *note, size_t size)
{
	while (size >= sizeof(ElfW(Nhdr))) {
		ElfW(Nhdr) head;
		memcpy(&head, note, sizeof(head));
		size_t name_at = sizeof(head);
		size_t desc_at = name_at + ((size_t)head.n_namesz + 3) / 4 * 4;
		size_t next = desc_at + ((size_t)head.n_descsz + 3) / 4 * 4;
		if (next > size)
			return;
		if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 &&
		    memcmp(note + name_at, "GNU", 4) == 0) {
			print_build_id(search, (const uint8_t *)note + desc_at, head.n_descsz);
			return;
		}
		note += next;
		size -= next;
	}
}

static bool module_covers(const struct dl_phdr_info *info, uintptr_t pc)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + segment->p_vaddr;
		if (segment->p_type == PT_LOAD && pc >= start && pc - start < segment->p_memsz)
			return true;
	}
	return false;
}

static int look_at_module(struct dl_phdr_info *info, size_t size, void *context)
{
	struct module_search *search = context;
	(void)size;
	if (!module_covers(info, search->pc))
		return 0;
	search->is_found = true;
	search->base = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_NOTE && !search->build_id[0])
			find_build_id(search,
			              (const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr),
			              info->dlpi_phdr[i].p_memsz);
	size_t n = strnlen(info->dlpi_name, sizeof(search->path) - 1);
	memcpy(search->path, info->dlpi_name, n);
	if (n == 0) { /* the main program has no name here */
		long got = SL_SYS4(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", search->path,
		                   sizeof(search->path) - 1);
		n = got > 0 ? (size_t)got : 0;
	}
	search->path[n] = 0;
	return 1;
}

static void describe_text(struct sl_frame *frame, const char *function, uintptr_t past,
                          const char *module)
{
	char text[1024];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	if (function) {
		sl_out_text(&out, function);
		sl_out_text(&out, "+0x");
		sl_out_hex(&out, past);
		sl_out_text(&out, " (");
		sl_out_text(&out, module);
		sl_out_char(&out, ')');
	} else {
		sl_out_text(&out, module);
		sl_out_text(&out, "+0x");
		sl_out_hex(&out, frame->offset);
	}
	frame->text = sl_arena_text(&sl_ledger_arena, text, out.length);
}

static void describe(uint64_t word, uint64_t second, void *context, struct sl_frame *frame)
{
	(void)second;
	(void)context;
	/* A return address points behind the call. */
	struct module_search search = {.pc = (uintptr_t)word - 1};
	(void)dl_iterate_phdr(look_at_module, &search);
	frame->offset = search.pc - search.base;
	if (!search.is_found) {
		frame->role = SL_ROLE_RUNTIME; /* code made at run time */
		describe_text(frame, NULL, 0, "(no module)");
		return;
	}
	frame->module = sl_arena_text(&sl_ledger_arena, search.path, strlen(search.path));
	if (search.build_id[0])
		frame->build_id =
			sl_arena_text(&sl_ledger_arena, search.build_id, strlen(search.build_id));
	Dl_info info;
	const char *function = NULL;
	if (dladdr((void *)search.pc, &info) && info.dli_sname)
		function = frame->function =
			sl_arena_text(&sl_ledger_arena, info.dli_sname, strlen(info.dli_sname));
	frame->role = sl_role_of_native(search.path, function, sl_options.app);
	describe_text(frame, function, function ? search.pc - (uintptr_t)info.dli_saddr : 0,
	              sl_file_name_of(search.path));
}

static _Atomic unsigned long long unloaded; /* objects that were, when somebody looked last */

static int look_for_unloaded(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)context;
	if (size >= offsetof(struct dl_phdr_info, dlpi_subs) + sizeof(info->dlpi_subs) &&
	    info->dlpi_subs != atomic_exchange(&unloaded, info->dlpi_subs))
		sl_walk_forget();
	return 1;
}

void sl_names_native(void)
{
	for (uint32_t id = sl_site_last(); id > 0; id--) {
		struct sl_site *site = sl_site_get(id);
		if (!site || site->kind != SL_STACK_NATIVE || atomic_load(&site->named) ||
		    !sl_loader_enter())
			continue;
		/* A new stack may be of code that came where other code has been. */
		(void)dl_iterate_phdr(look_for_unloaded, NULL);
		sl_site_name(site, describe, NULL);
		sl_loader_leave();
	}
}
