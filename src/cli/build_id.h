/* build_id.h - which build of an object it is: the build id of a file, or of what a process has mapped.
 *
 * Layer: cli. Context: one thread. Source: elf(5), NT_GNU_BUILD_ID.
 */
#ifndef SL_CLI_BUILD_ID_H
#define SL_CLI_BUILD_ID_H

#include <stdbool.h>
#include <stddef.h>

#define SL_BUILD_ID_BYTES 65 /* in hex, with its NUL */

/* From the first bytes of an ELF file, or of its image. Any bytes are taken. False: there is none. Pure. */
bool sl_build_id_find(const unsigned char *head, size_t n, char id[SL_BUILD_ID_BYTES]);

bool sl_build_id_of_file(const char *path, char id[SL_BUILD_ID_BYTES]);

/* Of the object of this file name ("libsockleak.so") that the process has mapped: from its file, or from its memory where that is
 * gone. False: not to be had. */
bool sl_build_id_of_mapped(int pid, const char *name, char id[SL_BUILD_ID_BYTES]);

#endif
