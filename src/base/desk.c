#include "base/desk.h"

#include <errno.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/ownfd.h"
#include "base/sys.h"

#include "base/poison.h"

#define SL_DESK_BELOW_LIMIT 8

static int desk =
	-1; /* none: also where the number was lost, for it may be another of ours by now */
static int filler_fd = -1;
static uint64_t lent; /* what was put there */

static int floor_of_numbers(void)
{
	struct rlimit files;
	if (SL_SYS4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &files) < 0)
		return SL_OWN_FD_FLOOR;
	if (files.rlim_cur > SL_OWN_FD_FLOOR + SL_DESK_BELOW_LIMIT)
		return SL_OWN_FD_FLOOR;
	return files.rlim_cur > SL_DESK_BELOW_LIMIT ? (int)files.rlim_cur - SL_DESK_BELOW_LIMIT : 0;
}

static int reserve(void)
{
	int fd = sl_sys_fcntl(filler_fd, F_DUPFD_CLOEXEC, floor_of_numbers());
	if (fd < 0)
		return fd == -EINVAL ? -EMFILE : fd;
	if (!sl_ownfd_keep(fd)) {
		(void)sl_sys_close(fd);
		return -EMFILE;
	}
	desk = fd;
	return 0;
}

/* The program may have taken the number, by a raw close or a dup2(). */
static bool is_open(void)
{
	if (desk >= 0 && !sl_ownfd_is_true(desk))
		desk = -1;
	return desk >= 0;
}

static uint64_t what_is_at(int fd)
{
	struct stat file;
	return SL_SYS2(SYS_fstat, fd, &file) == 0
	               ? (uint64_t)file.st_ino ^ (uint64_t)file.st_dev << 32
	               : 0;
}

static void give_up(void)
{
	sl_ownfd_close(desk);
	desk = -1;
}

int sl_desk_open(int filler)
{
	filler_fd = filler;
	return is_open() ? 0 : reserve();
}

void sl_desk_close(void)
{
	if (is_open())
		give_up();
}

static int put(int fd)
{
	return (int)SL_SYS3(SYS_dup3, fd, desk, O_CLOEXEC);
}

int sl_desk_lend(int fd)
{
	int error = is_open() ? 0 : reserve();
	if (error < 0)
		return error;
	atomic_store(&sl_ownfd_lent, desk);
	int result = put(fd);
	/* The program has lowered its limit below our number: another one. */
	if (result == -EBADF && sl_sys_fcntl(fd, F_GETFD, 0) >= 0) {
		atomic_store(&sl_ownfd_lent, -1);
		give_up();
		if (reserve() < 0)
			return -EMFILE;
		atomic_store(&sl_ownfd_lent, desk);
		result = put(fd);
	}
	if (result < 0)
		atomic_store(&sl_ownfd_lent, -1);
	else
		lent = what_is_at(desk);
	return result;
}

void sl_desk_return(void)
{
	if (atomic_load(&sl_ownfd_lent) < 0)
		return;
	/* The program may have put something of its own there, by dup2() or past the hooks. */
	if (!sl_ownfd_is(desk) || what_is_at(desk) != lent) {
		sl_ownfd_yield(desk);
		desk = -1;
	} else if (put(filler_fd) < 0) {
		give_up(); /* the limit is below it by now */
	}
	atomic_store(&sl_ownfd_lent, -1);
}

void sl_desk_forked(void)
{
	if (atomic_load(&sl_ownfd_lent) >= 0)
		sl_desk_return();
}
