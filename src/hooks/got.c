/* got.c - see got.h. Relocations: the System V ABI's processor supplements, R_*_JUMP_SLOT, R_*_GLOB_DAT, and the
 * plain address of a function in data (R_X86_64_64, R_AARCH64_ABS64); elf(5). */
#include "hooks/got.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/sys.h"
#include "hooks/real.h"
#include "stack/loader.h"
#include "watch/worker.h"

#include "base/poison.h"

#if defined(__x86_64__)
#define SL_JUMP_SLOT R_X86_64_JUMP_SLOT
#define SL_GLOB_DAT R_X86_64_GLOB_DAT
#define SL_ADDRESS R_X86_64_64
#elif defined(__aarch64__)
#define SL_JUMP_SLOT R_AARCH64_JUMP_SLOT
#define SL_GLOB_DAT R_AARCH64_GLOB_DAT
#define SL_ADDRESS R_AARCH64_ABS64
#endif

#define SL_PLACES \
	512u /* of the index of names: a power of two, and several times as many as there are rows */
#define SL_LOOKS 20 /* after an object that may have been loaded behind our back */

typedef void *sl_dlopen_fn(const char *path, int flags);
static sl_dlopen_fn door_dlopen;

struct door {
	const char *name;
	uintptr_t door;
	uintptr_t real; /* 0: libc has none */
	bool is_programs; /* the program has a function of that name, which stands in front of libc's */
};

/* dlopen() has a door here alone: preloaded, we see each new object bound to us. */
static struct door doors[] = {
#define SL_HOOK(type, missing, name, parameters, arguments) \
	{#name, (uintptr_t)sl_hook_##name, 0, false},
#define SL_HOOK_LIST SL_HOOK_LIST_GOT
#define SL_HOOK_LIST_GOT(type, missing, name, parameters) \
	{#name, (uintptr_t)sl_hook_##name, 0, false},
#include "hooks/hooks.def"
#undef SL_HOOK
	{"dlopen", (uintptr_t)door_dlopen, 0, false},
};
#define SL_DOORS (sizeof(doors) / sizeof(doors[0]))
_Static_assert(SL_DOORS < 255 && SL_DOORS * 4 < SL_PLACES, "the index is sparse");

/* Constant after the first take. A place has the number of a door, from 1; 0: none. */
static uint8_t places[SL_PLACES];
static sl_dlopen_fn *real_dlopen;

static _Atomic uint64_t taken_adds; /* dlpi_adds, when everything was taken last */
static _Atomic unsigned looks_left; /* worker's looks that are wanted soon */
static _Atomic bool is_taken;

static unsigned place_of(const char *name)
{
	unsigned h = 5381;
	for (const char *at = name; *at; at++)
		h = h * 33 + (unsigned char)*at;
	return h;
}

static const struct door *door_of(const char *name)
{
	for (unsigned at = place_of(name);; at++) {
		unsigned number = places[at % SL_PLACES];
		if (number == 0)
			return NULL;
		if (strcmp(doors[number - 1].name, name) == 0)
			return &doors[number - 1];
	}
}

static void start(void)
{
	if (real_dlopen)
		return;
	for (unsigned i = 0; i < SL_DOORS; i++) {
		doors[i].real = (uintptr_t)sl_real_find(doors[i].name, (void *)doors[i].door);
		doors[i].is_programs = sl_real_is_programs(doors[i].name);
		unsigned at = place_of(doors[i].name);
		while (places[at % SL_PLACES])
			at++;
		places[at % SL_PLACES] = (uint8_t)(i + 1);
	}
	real_dlopen = (sl_dlopen_fn *)doors[SL_DOORS - 1].real;
}

/* ---- one object ---- */

#ifdef SL_JUMP_SLOT

struct table {
	const ElfW(Rela) * first;
	size_t count;
};

struct object {
	const struct dl_phdr_info *info;
	const ElfW(Sym) * symbols;
	const char *names;
	struct table tables[2]; /* DT_RELA, DT_JMPREL */
	uintptr_t relro, relro_end;
	bool is_open; /* its RELRO pages are writable for now */
	bool is_unfinished;
};

struct pass {
	bool is_back;
	bool is_sure; /* no loader is at work any more on what was there at the last pass */
	bool is_unfinished;
	uint64_t adds;
	struct sl_got_count count;
};

static bool covers(const struct dl_phdr_info *info, uintptr_t address)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
		if (segment->p_type == PT_LOAD && address >= begin &&
		    address - begin < segment->p_memsz)
			return true;
	}
	return false;
}

/* glibc has made it an address when it mapped the object; where it could not write, it is an offset still. */
static uintptr_t address_of(const struct dl_phdr_info *info, ElfW(Addr) value)
{
	return value < info->dlpi_addr ? info->dlpi_addr + value : value;
}

static void read_dynamic(struct object *object, const ElfW(Dyn) * dynamic)
{
	const struct dl_phdr_info *info = object->info;
	bool is_rela = true;
	for (; dynamic->d_tag != DT_NULL; dynamic++) {
		uintptr_t address = address_of(info, dynamic->d_un.d_ptr);
		switch (dynamic->d_tag) {
		case DT_SYMTAB:
			object->symbols = (const void *)address;
			break;
		case DT_STRTAB:
			object->names = (const char *)address;
			break;
		case DT_RELA:
			object->tables[0].first = (const void *)address;
			break;
		case DT_RELASZ:
			object->tables[0].count = dynamic->d_un.d_val / sizeof(ElfW(Rela));
			break;
		case DT_JMPREL:
			object->tables[1].first = (const void *)address;
			break;
		case DT_PLTRELSZ:
			object->tables[1].count = dynamic->d_un.d_val / sizeof(ElfW(Rela));
			break;
		case DT_PLTREL:
			is_rela = dynamic->d_un.d_val == DT_RELA;
			break;
		default:
			break;
		}
	}
	for (int i = 0; i < 2; i++)
		if (!object->tables[i].first || !object->symbols || !object->names || !is_rela)
			object->tables[i].count = 0;
}

/* The pages that the loader protects when it is done with the object (_dl_protect_relro(), glibc). */
static void read_segments(struct object *object)
{
	const uintptr_t page = getauxval(AT_PAGESZ);
	for (int i = 0; i < object->info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->info->dlpi_phdr[i];
		uintptr_t begin = object->info->dlpi_addr + segment->p_vaddr;
		if (segment->p_type == PT_DYNAMIC)
			read_dynamic(object, (const void *)begin);
		if (segment->p_type != PT_GNU_RELRO)
			continue;
		object->relro = begin & ~(page - 1);
		object->relro_end = (begin + segment->p_memsz) & ~(page - 1);
	}
}

static int protect(const struct object *object, int protection)
{
	return (int)SL_SYS3(SYS_mprotect, object->relro, object->relro_end - object->relro,
	                    protection);
}

/* May this thread write there? Asked of the kernel, by an operation that changes nothing: futex(2), FUTEX_WAKE_OP, which ors a
 * zero. */
static bool is_writable(uintptr_t address)
{
	static uint32_t nobody;
	const int wake_op = 5 | 128 /* FUTEX_PRIVATE_FLAG */, or_zero = 1 << 28;
	return sl_syscall6(SYS_futex, (long)&nobody, wake_op, 0, 0, (long)address, or_zero) >= 0;
}

static bool opens(struct object *object, uintptr_t entry, const struct pass *pass)
{
	bool is_relro = entry >= object->relro && entry < object->relro_end;
	if (is_relro && object->is_open)
		return true;
	bool is_writable_now = is_writable(entry);
	if (!is_relro)
		return is_writable_now; /* not in code, by DT_TEXTREL */
	/* Another thread's loader is at it: to protect it now would end the program. Or somebody has opened it for good, as other tools
	 * that redirect calls do: then it stays open. A loader takes less than all the looks for one object. */
	if (is_writable_now) {
		object->is_unfinished = !pass->is_sure;
		return pass->is_sure;
	}
	object->is_open = protect(object, PROT_READ | PROT_WRITE) == 0;
	return object->is_open;
}

static bool is_ours_to_take(unsigned type)
{
	return type == SL_JUMP_SLOT || type == SL_GLOB_DAT || type == SL_ADDRESS;
}

/* Not bound yet, it leads to its own object's PLT. What it will be bound to is not asked: it is libc's, unless the program has such a
 * function, which is found first, or the object itself, which is where it is loaded with RTLD_DEEPBIND: those are none of ours. */
static bool will_be_real(const struct object *object, const ElfW(Sym) * symbol,
                         const struct door *door, uintptr_t found)
{
	return covers(object->info, found) && symbol->st_shndx == SHN_UNDEF && !door->is_programs;
}

/* 0: nothing to be done there. */
static uintptr_t wanted_at(const struct object *object, const ElfW(Rela) * relocation,
                           uintptr_t found, struct pass *pass)
{
	size_t symbol = ELF64_R_SYM(relocation->r_info);
	unsigned type = ELF64_R_TYPE(relocation->r_info);
	if (symbol == 0)
		return 0;
	const struct door *door = door_of(object->names + object->symbols[symbol].st_name);
	if (!door || !door->real)
		return 0;
	if (pass->is_back)
		return found == door->door ? door->real : 0;
	if (found == door->door)
		return 0;
	if (found == door->real ||
	    (type == SL_JUMP_SLOT && will_be_real(object, &object->symbols[symbol], door, found)))
		return door->door;
	pass->count.foreign += type != SL_ADDRESS; /* data is the program's to change */
	return 0;
}

static uint32_t redirect(struct object *object, const struct table *table, struct pass *pass)
{
	uint32_t changed = 0;
	for (size_t i = 0; i < table->count; i++) {
		const ElfW(Rela) *relocation = &table->first[i];
		uintptr_t entry = object->info->dlpi_addr + relocation->r_offset;
		unsigned type = ELF64_R_TYPE(relocation->r_info);
		if (!is_ours_to_take(type) || entry % sizeof(entry) != 0)
			continue;
		_Atomic uintptr_t *place = (_Atomic uintptr_t *)entry;
		uintptr_t wanted =
			wanted_at(object, relocation,
		                  atomic_load_explicit(place, memory_order_relaxed), pass);
		if (!wanted)
			continue;
		if (!opens(object, entry, pass)) {
			pass->count.unwritable += !object->is_unfinished;
			continue;
		}
		atomic_store_explicit(place, wanted, memory_order_relaxed);
		changed++;
	}
	return changed;
}

static int visit(struct dl_phdr_info *info, size_t size, void *context)
{
	struct pass *pass = context;
	struct object object = {.info = info};
	(void)size;
	/* All of it under the loader's lock: who comes behind a way back finds this. */
	if (!pass->is_back && !atomic_load(&is_taken))
		return 1;
	pass->adds = info->dlpi_adds;
	const uintptr_t loader = getauxval(AT_BASE); /* 0: it was started as the program */
	if (covers(info, (uintptr_t)visit) || (loader && info->dlpi_addr == loader) ||
	    covers(info, getauxval(AT_SYSINFO_EHDR)))
		return 0;
	read_segments(&object);
	uint32_t changed = redirect(&object, &object.tables[0], pass) +
	                   redirect(&object, &object.tables[1], pass);
	if (object.is_open)
		(void)protect(&object, PROT_READ);
	pass->is_unfinished |= object.is_unfinished;
	pass->count.objects += changed > 0;
	pass->count.entries += changed;
	return 0;
}

#else /* a processor whose relocations we do not know */

struct pass {
	bool is_back, is_sure, is_unfinished;
	uint64_t adds;
	struct sl_got_count count;
};

static int visit(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)info, (void)size, (void)context;
	return 1;
}

#endif

/* ---- all of them ---- */

/* Through the gate: a thread that forks meanwhile would leave its child the loader's lock, taken. Where the gate is shut for good, who
 * asks has been in the loader a moment ago. */
static void run(struct pass *pass)
{
	bool is_in = sl_loader_enter();
	(void)dl_iterate_phdr(visit, pass);
	if (is_in)
		sl_loader_leave();
	atomic_store(&taken_adds, pass->adds);
	if (pass->is_unfinished)
		atomic_store(&looks_left, SL_LOOKS);
}

struct sl_got_count sl_got_take(void)
{
	struct pass pass = {.is_back = false};
	start();
	atomic_store(&looks_left, SL_LOOKS); /* for an entry that was being bound at this moment */
	atomic_store(&is_taken, true);
	run(&pass);
	return pass.count;
}

struct sl_got_count sl_got_give_back(void)
{
	struct pass pass = {.is_back = true, .is_sure = true};
	atomic_store(&is_taken, false);
	run(&pass);
	return pass.count;
}

static int note_adds(struct dl_phdr_info *info, size_t size, void *adds)
{
	(void)size;
	*(uint64_t *)adds = info->dlpi_adds;
	return 1;
}

static void take_new(bool is_sure)
{
	struct pass pass = {.is_back = false};
	uint64_t adds = 0;
	if (!atomic_load(&is_taken) || !sl_loader_enter())
		return;
	(void)dl_iterate_phdr(note_adds, &adds);
	sl_loader_leave();
	pass.is_sure = is_sure && adds == atomic_load(&taken_adds);
	if (is_sure || adds != atomic_load(&taken_adds))
		run(&pass);
}

bool sl_got_look(void)
{
	unsigned left = atomic_load(&looks_left);
	if (!atomic_load(&is_taken))
		return false;
	take_new(left == 1);
	return left > 0 && atomic_compare_exchange_strong(&looks_left, &left, left - 1) && left > 1;
}

/* Does the loader ask who is calling? For a name without a slash it searches the caller's own DT_RUNPATH, for $ORIGIN and its like
 * it takes the caller's folder (ld.so(8)): there the call must stay the caller's. */
static bool depends_on_caller(const char *path, int flags)
{
	return !path || (flags & RTLD_NOLOAD) || !strchr(path, '/') || strchr(path, '$');
}

/* Compiled, the first return is a jump: dlopen() finds its caller's address, not ours, where it looks for it. */
static void *door_dlopen(const char *path, int flags)
{
	if (depends_on_caller(path, flags)) {
		atomic_store(&looks_left, SL_LOOKS);
		return real_dlopen(path, flags);
	}
	void *handle = real_dlopen(path, flags);
	int saved_errno = errno;
	if (handle)
		take_new(false);
	errno = saved_errno;
	return handle;
}
