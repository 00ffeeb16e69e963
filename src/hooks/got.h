/* got.h - the doors by way of each object's table of addresses (GOT), for a library that came into a process that runs.
 *
 * What was loaded before us has its symbols bound, past our names. So each entry of a JUMP_SLOT or GLOB_DAT relocation, and each address in data, that names
 * a function of hooks.def, and that leads to what we call the real one, or is not bound yet, is made to lead to the door; and
 * back, when we leave. Entries that lead elsewhere are somebody else's, and stay. The loader's own object and ours are left alone.
 * Pages that the loader has made read-only (PT_GNU_RELRO) are writable for that moment.
 *
 * Layer: hooks. Locks: the loader's, by dl_iterate_phdr(). Fork: the child's tables are as its parent's. errno: untouched.
 */
#ifndef SL_HOOKS_GOT_H
#define SL_HOOKS_GOT_H

#include <stdbool.h>
#include <stdint.h>

struct sl_got_count {
	uint32_t objects; /* in which something was changed */
	uint32_t entries;
	uint32_t unwritable; /* that the kernel would not let us write */
	uint32_t foreign;    /* left alone: they lead to somebody else's function */
};

/* Lead everything to the doors. What is being loaded at this moment is left for the next look.
 * Context: any thread of a process that was attached to, after sl_real_start_late(). Not in a hook. */
struct sl_got_count sl_got_take(void);

/* ... and back to the real functions. */
struct sl_got_count sl_got_give_back(void);

/* Has anything been loaded since? Then it is taken too. True: look again soon.
 * Context: the worker. */
bool sl_got_look(void);

#endif
