/* reap_sharing.c - see reap_sharing.h. */
#include "cli/reap_sharing.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/proc.h"

struct entry {
	uint64_t inode;
	bool is_shared;
};

struct sl_reap_sharing {
	int pid;
	uid_t uid;
	bool is_unknown; /* somebody could not be looked at */
	unsigned count, room;
	struct entry *entries;
};

static int by_inode(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static struct entry *find(const struct sl_reap_sharing *sharing, uint64_t inode)
{
	const struct entry wanted = {.inode = inode};
	return sharing->count ? bsearch(&wanted, sharing->entries, sharing->count, sizeof(wanted),
	                                by_inode)
	                      : NULL;
}

struct sl_reap_sharing *sl_reap_sharing_start(int pid)
{
	struct sl_proc proc;
	struct sl_reap_sharing *sharing = calloc(1, sizeof(*sharing));
	if (!sharing)
		return NULL;
	sharing->pid = pid;
	sharing->uid = sl_proc_read(pid, &proc) == 0 ? proc.uid : (uid_t)-1;
	return sharing;
}

void sl_reap_sharing_add(struct sl_reap_sharing *sharing, uint64_t inode)
{
	if (sharing->count == sharing->room) {
		unsigned room = sharing->room ? sharing->room * 2 : 256;
		struct entry *more = realloc(sharing->entries, room * sizeof(*more));
		if (!more) {
			sharing->is_unknown = true;
			return;
		}
		sharing->entries = more;
		sharing->room = room;
	}
	sharing->entries[sharing->count++] = (struct entry){.inode = inode};
}

/* How many descriptors there are; 0: none is listed, or errno says why none can be. */
static unsigned look_at(struct sl_reap_sharing *sharing, const char *path)
{
	struct dirent *item;
	unsigned count = 0;
	DIR *directory = opendir(path);
	while (directory && (item = readdir(directory))) {
		char link[64];
		uint64_t inode;
		ssize_t n = readlinkat(dirfd(directory), item->d_name, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = 0;
		struct entry *entry =
			sscanf(link, "socket:[%lu]", &inode) == 1 ? find(sharing, inode) : NULL;
		if (entry)
			entry->is_shared = true;
		count += item->d_name[0] != '.';
	}
	if (directory) {
		(void)closedir(directory);
		errno = 0;
	}
	return count;
}

/* Where the first thread has ended, /proc/PID/fd is empty, and the others have the descriptors still. */
static void look_at_threads(struct sl_reap_sharing *sharing, int pid)
{
	char path[300];
	struct dirent *item;
	bool is_found = false;
	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *tasks = opendir(path);
	while (tasks && !is_found && (item = readdir(tasks))) {
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/fd", pid, item->d_name);
		is_found = item->d_name[0] != '.' && look_at(sharing, path) > 0;
	}
	if (tasks)
		(void)closedir(tasks);
}

static bool look(void *context, int pid)
{
	struct sl_reap_sharing *sharing = context;
	struct sl_proc proc;
	char path[64];
	if (pid == sharing->pid || pid == getpid())
		return true;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	if (look_at(sharing, path) > 0)
		return true;
	if (errno == 0)
		look_at_threads(sharing, pid);
	else if (errno == EACCES && sl_proc_read(pid, &proc) == 0 && proc.uid == sharing->uid)
		sharing->is_unknown = true;
	return true;
}

void sl_reap_sharing_look(struct sl_reap_sharing *sharing)
{
	if (!sharing || !sharing->count)
		return;
	qsort(sharing->entries, sharing->count, sizeof(*sharing->entries), by_inode);
	sl_proc_each(look, sharing);
}

bool sl_reap_sharing_has(const struct sl_reap_sharing *sharing, uint64_t inode)
{
	const struct entry *entry = find(sharing, inode);
	return sharing->is_unknown || !entry || entry->is_shared;
}

void sl_reap_sharing_free(struct sl_reap_sharing *sharing)
{
	if (sharing)
		free(sharing->entries);
	free(sharing);
}
