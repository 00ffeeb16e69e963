/* fdnames.h - what the program calls its connections, by sockleak_name_fd().
 *
 * Beside the fd table, for its slots are full: a word for each number, in chunks like those of the table, made where a name is given
 * first. Each names the generation of the record that it is for, so that it ends with that.
 *
 * Layer: ledger. Locks: none. Fork: the child keeps all. errno: untouched.
 * Async-signal-safe: everything but sl_fdname_set(), which may take memory by mmap.
 */
#ifndef SL_LEDGER_FDNAMES_H
#define SL_LEDGER_FDNAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_FDNAMES_MAX 1024u /* different names */
#define SL_FDNAME_BYTES 31u  /* of a name; the rest is cut */

/* Name what is recorded at fd now; no bytes: it has no name any more. False: nothing is recorded there, or there is no room for another
 * name. */
bool sl_fdname_set(int fd, const char *name, size_t n);

/* The name of that record, or NULL. Equal names are the same pointer. Constant. */
const char *sl_fdname_get(int fd, uint32_t generation);

/* `to` is a copy of `from`: it has its name, where there is memory for it already. */
void sl_fdname_copy(int from, uint32_t from_generation, int to, uint32_t to_generation);

#endif
