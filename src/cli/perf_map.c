/* perf_map.c - see perf_map.h. */
#include "cli/perf_map.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/root_file.h"

#define CHUNK_BYTES (1u << 16)
#define LINE_BYTES (SL_PERF_NAME_BYTES + 64) /* numbers and a name: all that is kept of a line */

/* Hexadecimal digits, some makers write 0x before them, and the space behind. */
static bool read_number(const char **at, uint64_t *number)
{
	char *end;
	if (!isxdigit((unsigned char)**at))
		return false; /* strtoull() takes signs and spaces, too */
	errno = 0;
	*number = strtoull(*at, &end, 16);
	if (errno || *end != ' ')
		return false;
	*at = end + 1;
	return true;
}

/* The first place at or behind an address. */
static size_t first_from(const struct sl_perf_place *places, size_t n, uint64_t address)
{
	size_t low = 0, high = n;
	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		if (places[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void take_line(const char *line, struct sl_perf_place *places, size_t n)
{
	uint64_t start, size;
	if (!read_number(&line, &start) || !read_number(&line, &size))
		return;
	for (size_t i = first_from(places, n, start); i < n && places[i].address - start < size;
	     i++)
		(void)snprintf(places[i].name, sizeof(places[i].name), "%s", line);
}

/* The whole lines of n bytes, the rest moved to the front; how much that is. */
static size_t take_lines(char *bytes, size_t n, struct sl_perf_place *places, size_t place_count)
{
	char *at = bytes, *end;
	while ((end = memchr(at, '\n', (size_t)(bytes + n - at)))) {
		*end = '\0';
		take_line(at, places, place_count);
		at = end + 1;
	}
	n -= (size_t)(at - bytes);
	memmove(bytes, at, n);
	return n;
}

int sl_perf_map_read(int fd, struct sl_perf_place *places, size_t n)
{
	static char bytes[CHUNK_BYTES];
	size_t length = 0, total = 0;
	ssize_t got;
	while (total < SL_PERF_MAP_BYTES &&
	       (got = read(fd, bytes + length, sizeof(bytes) - length)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		total += (size_t)got;
		length = take_lines(bytes, length + (size_t)got, places, n);
		if (length > LINE_BYTES) /* what is longer is cut */
			length = LINE_BYTES;
	}
	return 0; /* a last line without its end is still being written */
}

static bool is_trusted(int fd, const struct sl_proc *proc)
{
	struct stat status;
	return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	       (status.st_uid == proc->euid || status.st_uid == 0) &&
	       (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int sl_perf_map_name(const struct sl_proc *proc, struct sl_perf_place *places, size_t n)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/tmp/perf-%d.map", proc->inner_pid);
	const int fd = sl_root_file_open(proc->pid, path, false);
	if (fd < 0)
		return fd == -ELOOP ? -EPERM : fd;
	const int error = is_trusted(fd, proc) ? sl_perf_map_read(fd, places, n) : -EPERM;
	(void)close(fd);
	return error;
}
