/* client_find.c - see client_find.h. */
#include "cli/client_find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/options.h"
#include "cli/args.h"
#include "cli/netns.h"

#define SL_FOLDERS 4
#define SL_CONTROL_THREAD "sockleak-ctl"

static uid_t reach_as; /* as whom connect() is called; 0: as who we are */

static int open_below(int root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_PATH | O_CLOEXEC | O_NOFOLLOW),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

/* The uid as the process itself knows it: its user namespace may count otherwise (user_namespaces(7)). False: it has none there. */
static bool has_inner_uid(int pid, uid_t uid, uid_t *inner)
{
	size_t n;
	bool is_found = false;
	*inner = uid;
	char *map = sl_proc_file(pid, "uid_map", &n);
	for (char *line = map; line && *line && !is_found;) {
		unsigned inside, outside, count;
		if (sscanf(line, "%u %u %u", &inside, &outside, &count) == 3 && uid >= outside &&
		    uid - outside < count) {
			*inner = inside + (uid - outside);
			is_found = true;
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	free(map);
	return is_found || !map;
}

static uid_t inner_uid(int pid, uid_t uid)
{
	uid_t inner;
	(void)has_inner_uid(pid, uid, &inner);
	return inner;
}

/* The value of dir= in its options, if it is set there; to be freed. */
static char *option_dir(int pid)
{
	char *options = sl_proc_variable(pid, "SOCKLEAK_OPTIONS"), *dir = NULL;
	char *rest = NULL;
	for (char *word = options ? strtok_r(options, " ,\t\r\n", &rest) : NULL; word;
	     word = strtok_r(NULL, " ,\t\r\n", &rest))
		if (strncmp(word, "dir=", 4) == 0) { /* the last one counts */
			free(dir);
			dir = strdup(word + 4);
		}
	free(options);
	return dir;
}

static unsigned list_folders(const struct sl_proc *proc,
                             char folders[SL_FOLDERS][SL_PROC_PATH_BYTES])
{
	unsigned n = 0;
	char *dir = option_dir(proc->pid);
	char *runtime = sl_proc_variable(proc->pid, "XDG_RUNTIME_DIR");
	if (dir && dir[0] == '/')
		(void)snprintf(folders[n++], SL_PROC_PATH_BYTES, "%s", dir);
	if (runtime && runtime[0] == '/')
		(void)snprintf(folders[n++], SL_PROC_PATH_BYTES, "%s/sockleak", runtime);
	(void)snprintf(folders[n++], SL_PROC_PATH_BYTES, "/run/sockleak");
	(void)snprintf(folders[n++], SL_PROC_PATH_BYTES, "/tmp/sockleak-%u",
	               inner_uid(proc->pid, proc->euid));
	free(dir);
	free(runtime);
	return n;
}

/* A process that is stopped takes nobody out of its queue: connect() waits for a place as long as a send would. */
static int connect_to(int fd, const struct sockaddr_un *address, socklen_t n, unsigned patience_ms)
{
	const struct timeval patience = {.tv_sec = patience_ms / 1000,
	                                 .tv_usec = (patience_ms % 1000) * 1000 + 1};
	if (fd < 0)
		return -ENOENT;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	int error = reach_as && seteuid(reach_as) < 0 ? -ENOENT : 0;
	if (!error && connect(fd, (const struct sockaddr *)address, n) < 0)
		error = errno == EAGAIN ? -ETIMEDOUT : -ENOENT; /* nobody is there any more */
	if (reach_as)
		(void)seteuid(0);
	if (!error)
		return fd;
	(void)close(fd);
	return error;
}

/* The socket of that name in the folder, if the folder is the user's alone. Takes `directory`, a descriptor, or < 0. */
static int connect_in(int directory, const char *name, uid_t owner, unsigned patience_ms)
{
	struct stat info;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (directory < 0)
		return -ENOENT;
	bool is_private = fstat(directory, &info) == 0 && info.st_uid == owner &&
	                  (info.st_mode & 07777) == 0700;
	int socket_path = is_private ? open_below(directory, name, 0) : -ENOENT;
	int connected = -ENOENT;
	if (socket_path >= 0 && fstat(socket_path, &info) == 0 && S_ISSOCK(info.st_mode)) {
		(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d",
		               socket_path);
		connected = connect_to(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), &address,
		                       sizeof(address), patience_ms);
	}
	if (socket_path >= 0)
		(void)close(socket_path);
	(void)close(directory);
	return connected;
}

static bool is_control_thread(int pid, int tid)
{
	size_t n;
	char path[64];
	(void)snprintf(path, sizeof(path), "task/%d/comm", tid);
	char *name = sl_proc_file(pid, path, &n);
	bool is_it = name && strcmp(name, SL_CONTROL_THREAD "\n") == 0;
	free(name);
	return is_it;
}

/* In each directory that this thread has open, in the descriptor table of its own. */
static int connect_in_open_ones(const struct sl_proc *proc, int tid, const char *name,
                                unsigned patience_ms)
{
	char path[64];
	int connected = -ENOENT;
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/fd", proc->pid, tid);
	DIR *fds = opendir(path);
	for (struct dirent *entry; connected == -ENOENT && fds && (entry = readdir(fds));)
		if (entry->d_name[0] != '.')
			connected = connect_in(
				openat(dirfd(fds), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC),
				name, proc->euid, patience_ms);
	if (fds)
		(void)closedir(fds);
	return connected;
}

/* nginx, PostgreSQL and their kin write their title over their environment, and with it over dir= and XDG_RUNTIME_DIR. But the thread
 * that serves holds its folder open. */
static int connect_by_thread(const struct sl_proc *proc, const char *name, unsigned patience_ms)
{
	char path[64];
	int connected = -ENOENT, tid;
	(void)snprintf(path, sizeof(path), "/proc/%d/task", proc->pid);
	DIR *tasks = opendir(path);
	for (struct dirent *entry; connected == -ENOENT && tasks && (entry = readdir(tasks));)
		if (sl_args_read_pid(entry->d_name, &tid) && is_control_thread(proc->pid, tid))
			connected = connect_in_open_ones(proc, tid, name, patience_ms);
	if (tasks)
		(void)closedir(tasks);
	return connected;
}

/* Abstract names belong to the network namespace of the socket. */
static int connect_abstract(const struct sl_proc *proc, unsigned patience_ms)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int home;
	int n = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "sockleak/%u/%d.%llu",
	                 inner_uid(proc->pid, proc->euid), proc->inner_pid,
	                 (unsigned long long)proc->start_ticks);
	if (sl_netns_enter(proc->pid, &home) < 0)
		return -ENOENT;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	sl_netns_leave(home);
	return connect_to(fd, &address,
	                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (unsigned)n),
	                  patience_ms);
}

static int find_and_connect(const struct sl_proc *proc, unsigned patience_ms)
{
	static char folders[SL_FOLDERS][SL_PROC_PATH_BYTES];
	char path[64], name[64];
	unsigned n = list_folders(proc, folders);
	(void)snprintf(path, sizeof(path), "/proc/%d/root", proc->pid);
	(void)snprintf(name, sizeof(name), "%d.%llu.sock", proc->inner_pid,
	               (unsigned long long)proc->start_ticks);
	int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return errno == EACCES || errno == EPERM ? -EACCES : -ENOENT;
	int connected = -ENOENT;
	for (unsigned i = 0; connected == -ENOENT && i < n; i++)
		connected = connect_in(open_below(root, folders[i], O_DIRECTORY), name, proc->euid,
		                       patience_ms);
	(void)close(root);
	if (connected == -ENOENT)
		connected = connect_by_thread(proc, name, patience_ms);
	return connected == -ENOENT ? connect_abstract(proc, patience_ms) : connected;
}

/* Root of the host is nobody in a rootless container, and is refused there as nobody: it asks as the user of the process, whom it
 * could become in any case. The kernel notes who connects (SO_PEERCRED). */
int sl_client_connect(const struct sl_proc *proc, unsigned patience_ms)
{
	uid_t inner;
	if (geteuid() != 0 || proc->euid == 0 || has_inner_uid(proc->pid, 0, &inner))
		return find_and_connect(proc, patience_ms);
	reach_as = proc->euid;
	int connected = find_and_connect(proc, patience_ms);
	reach_as = 0;
	return connected;
}
