/* inject_maps.h - the mappings of a process, and its memory.
 *
 * Layer: cli. Context: one thread. Source: proc(5).
 */
#ifndef SL_CLI_INJECT_MAPS_H
#define SL_CLI_INJECT_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_map {
	uint64_t start, end, offset, inode;
	bool is_readable, is_writable, is_executable;
	const char *device; /* as the kernel writes it; equal text, equal device */
	const char *path;   /* "": anonymous */
};

struct sl_maps {
	struct sl_map *rows; /* by address */
	size_t n;
	char *text; /* what the rows point into */
};

/* Of process or thread `id`. 0, -ESRCH, -EACCES. Owner: sl_maps_free(). */
int sl_maps_read(int id, struct sl_maps *maps);
void sl_maps_free(struct sl_maps *maps);

/* The mapping that holds this address; NULL. */
const struct sl_map *sl_maps_at(const struct sl_maps *maps, uint64_t address);
/* Where the file that is mapped at `map` begins in memory: its mapping of offset 0; NULL. */
const struct sl_map *sl_maps_first(const struct sl_maps *maps, const struct sl_map *map);
/* The file name of a mapping, without its folder and without " (deleted)" in the count `n`. */
const char *sl_map_name(const struct sl_map *map, size_t *n);

/* Memory through /proc/PID/mem, opened for reading and writing: all of it, or false. */
int sl_memory_open(int id);
bool sl_memory_read(int memory, uint64_t address, void *to, size_t n);
bool sl_memory_write(int memory, uint64_t address, const void *from, size_t n);

#endif
