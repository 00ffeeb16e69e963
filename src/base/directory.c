#include "base/directory.h"

#include <fcntl.h>

#include "base/sys.h"

#include "base/poison.h"

#define SL_ENTRIES_BYTES 4096

struct entry { /* struct linux_dirent64, getdents64(2) */
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

int sl_directory_open(int at, const char *path)
{
	return (int)SL_SYS4(SYS_openat, at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

long sl_directory_each(int directory, sl_directory_each_fn *each, void *context)
{
	char bytes[SL_ENTRIES_BYTES] __attribute__((aligned(8)));
	long got;
	while ((got = SL_SYS3(SYS_getdents64, directory, bytes, sizeof(bytes))) > 0)
		for (long at = 0; at < got;) {
			const struct entry *entry = (const void *)(bytes + at);
			at += entry->length;
			if (!each(context, directory, entry->name))
				return 0;
		}
	return got;
}

int64_t sl_directory_number(const char *name)
{
	uint64_t number = 0;
	if (*name < '0' || *name > '9')
		return -1;
	for (; *name >= '0' && *name <= '9'; name++)
		number = number * 10 + (uint64_t)(*name - '0');
	return (int64_t)(number & INT64_MAX);
}

long sl_directory_link(int directory, const char *name, char *link, size_t room)
{
	long n = SL_SYS4(SYS_readlinkat, directory, name, link, room - 1);
	link[n > 0 ? n : 0] = 0;
	return n;
}
