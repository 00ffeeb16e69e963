/* inject_maps.c - see inject_maps.h. */
#include "cli/inject_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/heap.h"
#include "cli/proc.h"

/* "start-end rwxp offset device inode   path"; takes the line apart in place. */
static bool read_line(char *line, struct sl_map *map)
{
	char mode[8], *device;
	int at = 0;
	unsigned long start, end, offset, inode;
	if (sscanf(line, "%lx-%lx %7s %lx %n", &start, &end, mode, &offset, &at) != 4 || !at)
		return false;
	device = line + at;
	char *behind = device + strcspn(device, " ");
	if (!*behind)
		return false;
	*behind++ = 0;
	inode = strtoul(behind, &behind, 10);
	*map = (struct sl_map){
		.start = start,
		.end = end,
		.offset = offset,
		.inode = inode,
		.is_readable = mode[0] == 'r',
		.is_writable = mode[1] == 'w',
		.is_executable = mode[2] == 'x',
		.device = device,
		.path = behind + strspn(behind, " "),
	};
	return true;
}

int sl_maps_read(int id, struct sl_maps *maps)
{
	size_t bytes, room = 0;
	*maps = (struct sl_maps){.text = sl_proc_file(id, "maps", &bytes)};
	if (!maps->text)
		return errno == EACCES || errno == EPERM ? -EACCES : -ESRCH;
	for (char *line = maps->text; line && *line;) {
		char *end = strchr(line, '\n');
		if (end)
			*end++ = 0;
		if (maps->n == room) {
			room = room ? room * 2 : 64;
			maps->rows = sl_heap_grow(maps->rows, room * sizeof(*maps->rows));
		}
		if (read_line(line, &maps->rows[maps->n]))
			maps->n++;
		line = end;
	}
	return 0;
}

void sl_maps_free(struct sl_maps *maps)
{
	free(maps->rows);
	free(maps->text);
	*maps = (struct sl_maps){0};
}

const struct sl_map *sl_maps_at(const struct sl_maps *maps, uint64_t address)
{
	for (size_t i = 0; i < maps->n; i++)
		if (address >= maps->rows[i].start && address < maps->rows[i].end)
			return &maps->rows[i];
	return NULL;
}

const struct sl_map *sl_maps_first(const struct sl_maps *maps, const struct sl_map *map)
{
	/* One file may be mapped twice, by a program that reads it: the nearest before is its own. */
	for (const struct sl_map *at = map; at >= maps->rows; at--)
		if (at->inode == map->inode && at->offset == 0 &&
		    strcmp(at->device, map->device) == 0)
			return at;
	return NULL;
}

const char *sl_map_name(const struct sl_map *map, size_t *n)
{
	static const char gone[] = " (deleted)";
	const char *slash = map->path[0] == '/' ? strrchr(map->path, '/') : NULL;
	const char *name = slash ? slash + 1 : "";
	*n = strlen(name);
	if (*n >= sizeof(gone) - 1 && strcmp(name + *n - (sizeof(gone) - 1), gone) == 0)
		*n -= sizeof(gone) - 1;
	return name;
}

int sl_memory_open(int id)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", id);
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	return errno == EACCES || errno == EPERM ? -EACCES : -ESRCH;
}

bool sl_memory_read(int memory, uint64_t address, void *to, size_t n)
{
	return pread(memory, to, n, (off_t)address) == (ssize_t)n;
}

bool sl_memory_write(int memory, uint64_t address, const void *from, size_t n)
{
	return pwrite(memory, from, n, (off_t)address) == (ssize_t)n;
}
