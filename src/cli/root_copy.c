/* root_copy.c - see root_copy.h. */
#include "cli/root_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/as_user.h"
#include "cli/root_file.h"
#include "stack/blame.h"

static bool can_be_executed_on(int fd)
{
	struct statvfs of;
	return fstatvfs(fd, &of) == 0 && !(of.f_flag & ST_NOEXEC);
}

/* The very same file, under the same path, readable for who we are now? */
static bool is_there(int root, const char *file)
{
	struct stat ours, theirs;
	const int fd = sl_root_open_at(root, file, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, false);
	if (fd < 0)
		return false;
	const bool is_same = stat(file, &ours) == 0 && fstat(fd, &theirs) == 0 &&
	                     ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino &&
	                     can_be_executed_on(fd);
	(void)close(fd);
	return is_same;
}

static int pour(int from, int to, mode_t mode)
{
	struct stat info;
	off_t at = 0;
	if (fstat(from, &info) < 0)
		return -errno;
	while (at < info.st_size) {
		const ssize_t n = sendfile(to, from, &at, (size_t)(info.st_size - at));
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
	}
	return fchmod(to, mode) < 0 ? -errno : 0;
}

/* "libsockleak.so.NUMBER": the name says what it is, to who looks at the maps of the process. */
static int name_it(const char *file, char name[64])
{
	uint64_t number;
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	(void)snprintf(name, 64, "%.32s.%llu", sl_file_name_of(file), (unsigned long long)number);
	return 0;
}

static int copy_into(int folder, int from, const char *file, struct sl_root_copy *copy)
{
	int error = name_it(file, copy->name);
	if (error)
		return error;
	const int to = openat(folder, copy->name,
	                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	/* Root's is for its user to read, not to change. */
	error = pour(from, to, geteuid() == 0 ? 0555 : 0500);
	(void)close(to);
	if (error)
		(void)unlinkat(folder, copy->name, 0);
	return error;
}

static int copy_below(int root, int from, const char *file, struct sl_root_copy *copy)
{
	static const char *const folders[] = {"/tmp", "/var/tmp", "/dev/shm", "/run"};
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		copy->folder = sl_root_open_at(root, folders[i], O_PATH | O_DIRECTORY, 0, false);
		if (copy->folder < 0)
			continue;
		if (can_be_executed_on(copy->folder) &&
		    copy_into(copy->folder, from, file, copy) == 0) {
			(void)snprintf(copy->path, sizeof(copy->path), "%s/%s", folders[i],
			               copy->name);
			copy->is_copy = true;
			return 0;
		}
		(void)close(copy->folder);
	}
	return -EROFS;
}

/* Root's own in the process's user namespace? Only root may change what root has written there. Where root is nobody to the process, the
 * folders may be others than they seem: mounted by its user. */
static bool is_of_our_root(int pid)
{
	char path[64];
	struct stat ours, theirs;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	return geteuid() == 0 && stat("/proc/self/ns/user", &ours) == 0 &&
	       stat(path, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino;
}

static bool can_be_read(int root, const char *path)
{
	const int fd = sl_root_open_at(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, false);
	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

static void remove_it(struct sl_root_copy *copy)
{
	(void)unlinkat(copy->folder, copy->name, 0);
	(void)close(copy->folder);
	copy->is_copy = false;
}

/* As its user, if not given as root: a process may have more rights than its user, who must not have the chance to put something else
 * into the copy before it is loaded. */
static int make_copy(const struct sl_proc *proc, int root, int from, const char *file,
                     struct sl_root_copy *copy)
{
	struct sl_as_user before;
	if (is_of_our_root(proc->pid) && copy_below(root, from, file, copy) == 0) {
		const bool is_user = sl_as_user_begin(&before, proc->euid, proc->egid) == 0;
		const bool is_fine = is_user && can_be_read(root, copy->path);
		sl_as_user_end(&before);
		copy->is_roots = true;
		if (is_fine)
			return 0;
		remove_it(copy);
	}
	copy->is_roots = false;
	int error = sl_as_user_begin(&before, proc->euid, proc->egid);
	if (!error)
		error = copy_below(root, from, file, copy);
	sl_as_user_end(&before);
	return error;
}

int sl_root_copy_make(const struct sl_proc *proc, const char *file, struct sl_root_copy *copy)
{
	struct sl_as_user before;
	*copy = (struct sl_root_copy){.folder = -1};
	const int root = sl_root_open(proc->pid);
	if (root < 0)
		return root;
	const int from = open(file, O_RDONLY | O_CLOEXEC);
	int error = from < 0 ? -errno : sl_as_user_begin(&before, proc->euid, proc->egid);
	if (!error) {
		const bool is_seen = is_there(root, file);
		sl_as_user_end(&before);
		if (is_seen)
			(void)snprintf(copy->path, sizeof(copy->path), "%s", file);
		else
			error = make_copy(proc, root, from, file, copy);
	}
	if (from >= 0)
		(void)close(from);
	(void)close(root);
	return error;
}

void sl_root_copy_remove(const struct sl_proc *proc, struct sl_root_copy *copy)
{
	struct sl_as_user before = {0};
	if (!copy->is_copy)
		return;
	if (!copy->is_roots)
		(void)sl_as_user_begin(&before, proc->euid, proc->egid);
	remove_it(copy);
	sl_as_user_end(&before);
}
