/* jvm_perf.c - see jvm_perf.h. */
#include "cli/jvm_perf.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/root_file.h"

#define SL_PERF_MAGIC 0xcafec0c0u /* big-endian, whatever the machine */
#define SL_PERF_BYTES_MAX (1u << 20)

struct prologue {
	uint32_t magic;
	uint8_t is_little_endian, major, minor, is_accessible;
	int32_t used, overflow;
	int64_t modified;
	int32_t entry_offset, entries;
};

struct entry {
	int32_t length, name_offset, vector_length;
	uint8_t type, flags, unit, variability;
	int32_t data_offset;
};

/* The VM gives its file to its own user, mode 0600. */
static char *read_own(int folder, const char *name, uid_t owner, size_t *n)
{
	struct stat info;
	char *bytes = NULL;
	const int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == owner &&
	    info.st_size > 0 && info.st_size <= SL_PERF_BYTES_MAX)
		bytes = malloc((size_t)info.st_size);
	const ssize_t got = bytes ? pread(fd, bytes, (size_t)info.st_size, 0) : -1;
	(void)close(fd);
	*n = got > 0 ? (size_t)got : 0;
	if (got <= 0) {
		free(bytes);
		bytes = NULL;
	}
	return bytes;
}

bool sl_jvm_perf_open(const struct sl_proc *proc, struct sl_jvm_perf *perf)
{
	char name[16];
	*perf = (struct sl_jvm_perf){0};
	(void)snprintf(name, sizeof(name), "%d", proc->inner_pid);
	const int root = sl_root_open(proc->pid);
	const int tmp =
		root < 0 ? -1 : sl_root_open_at(root, "/tmp", O_RDONLY | O_DIRECTORY, 0, true);
	if (root >= 0)
		(void)close(root);
	DIR *folders = tmp < 0 ? NULL : fdopendir(tmp);
	for (struct dirent *entry; folders && !perf->bytes && (entry = readdir(folders));) {
		if (strncmp(entry->d_name, "hsperfdata_", 11) != 0)
			continue;
		const int folder = openat(dirfd(folders), entry->d_name,
		                          O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (folder < 0)
			continue;
		perf->bytes = read_own(folder, name, proc->euid, &perf->n);
		(void)close(folder);
	}
	if (folders)
		(void)closedir(folders);
	return perf->bytes;
}

void sl_jvm_perf_free(struct sl_jvm_perf *perf)
{
	free(perf->bytes);
	*perf = (struct sl_jvm_perf){0};
}

/* Does the entry that begins there carry this name? */
static bool is_named(const struct sl_jvm_perf *perf, size_t at, const struct entry *entry,
                     const char *name)
{
	const size_t begin = at + (size_t)entry->name_offset, n = strlen(name) + 1;
	return entry->name_offset >= 0 && begin + n <= perf->n &&
	       memcmp(perf->bytes + begin, name, n) == 0;
}

static bool take_text(const struct sl_jvm_perf *perf, size_t at, const struct entry *entry,
                      char text[SL_JVM_PERF_TEXT_BYTES])
{
	size_t n = (size_t)entry->vector_length;
	const size_t begin = at + (size_t)entry->data_offset;
	if (entry->type != 'B' || entry->vector_length <= 0 || entry->data_offset < 0 ||
	    begin + n > perf->n)
		return false;
	n = n < SL_JVM_PERF_TEXT_BYTES ? n : SL_JVM_PERF_TEXT_BYTES - 1;
	memcpy(text, perf->bytes + begin, n);
	text[n] = 0;
	return true;
}

static bool read_prologue(const struct sl_jvm_perf *perf, struct prologue *head)
{
	if (!perf->bytes || perf->n < sizeof(*head))
		return false;
	memcpy(head, perf->bytes, sizeof(*head));
	return __builtin_bswap32(head->magic) == SL_PERF_MAGIC && head->is_little_endian == 1 &&
	       head->major == 2 && head->entry_offset > 0;
}

bool sl_jvm_perf_text(const struct sl_jvm_perf *perf, const char *name,
                      char text[SL_JVM_PERF_TEXT_BYTES])
{
	struct prologue head;
	struct entry entry;
	text[0] = 0;
	if (!read_prologue(perf, &head))
		return false;
	size_t at = (size_t)head.entry_offset;
	for (int32_t i = 0; i < head.entries && at + sizeof(entry) <= perf->n; i++) {
		memcpy(&entry, perf->bytes + at, sizeof(entry));
		if (is_named(perf, at, &entry, name))
			return take_text(perf, at, &entry, text);
		if (entry.length <= 0 || (size_t)entry.length > perf->n - at)
			return false;
		at += (size_t)entry.length;
	}
	return false;
}
