#include "reclaim/sharing.h"

#include <string.h>
#include <sys/stat.h>

#include "base/sys.h"

#include "base/poison.h"

static struct sl_shared *slot_of(struct sl_sharing *sharing, uint64_t inode)
{
	uint64_t at = inode * 0x9e3779b97f4a7c15ULL >> 20;
	while (sharing->slots[at & sharing->mask].inode &&
	       sharing->slots[at & sharing->mask].inode != inode)
		at++;
	return &sharing->slots[at & sharing->mask];
}

bool sl_sharing_begin(struct sl_sharing *sharing, struct sl_arena *arena, uint32_t count)
{
	uint32_t places = 64;
	memset(sharing, 0, sizeof(*sharing));
	while (places < count * 2)
		places *= 2;
	sharing->slots = sl_arena_alloc(arena, places * sizeof(*sharing->slots));
	sharing->mask = places - 1;
	return sharing->slots != NULL;
}

void sl_sharing_ask(struct sl_sharing *sharing, uint64_t inode)
{
	if (inode)
		slot_of(sharing, inode)->inode = inode;
}

struct sl_shared *sl_sharing_get(struct sl_sharing *sharing, uint64_t inode)
{
	struct sl_shared *found = inode ? slot_of(sharing, inode) : NULL;
	return found && found->inode ? found : NULL;
}

uint64_t sl_sharing_inode(int fd)
{
	struct stat file;
	return SL_SYS2(SYS_fstat, fd, &file) < 0 || !S_ISSOCK(file.st_mode) ? 0 : file.st_ino;
}

/* What is not known is taken for the worse. */
enum sl_sharing_answer sl_sharing_of(struct sl_sharing *sharing, uint64_t inode)
{
	const struct sl_shared *shared = sl_sharing_get(sharing, inode);
	if (shared && shared->is_elsewhere)
		return SL_SHARING_SHARED;
	return !shared || sharing->is_unknown ? SL_SHARING_UNKNOWN : SL_SHARING_NONE;
}

bool sl_sharing_is_in_epoll(struct sl_sharing *sharing, uint64_t inode)
{
	const struct sl_shared *shared = sl_sharing_get(sharing, inode);
	return !shared || sharing->is_epoll_unknown || shared->is_in_epoll;
}

bool sl_sharing_is_level_triggered(struct sl_sharing *sharing, uint64_t inode)
{
	const struct sl_shared *shared = sl_sharing_get(sharing, inode);
	return !shared || sharing->is_epoll_unknown || shared->is_level_triggered;
}
