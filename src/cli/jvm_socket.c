/* jvm_socket.c - see jvm_socket.h. */
#include "cli/jvm_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/as_user.h"
#include "cli/held_signals.h"
#include "cli/jvm.h"
#include "cli/root_file.h"

#define SL_LOOK_MS 2       /* between two looks whether the socket is there */
#define SL_AGAIN_MS 1000   /* before a VM is asked again, then four times as long */
#define SL_SLICE_MS 100    /* between two looks whether a signal came */
#define SL_CONNECT_MS 2000 /* for a place in the queue of the VM */

/* The kernel says who listens: that process, still. */
static bool is_it(int fd, const struct sl_proc *proc)
{
	struct ucred who;
	socklen_t n = sizeof(who);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.pid == proc->pid &&
	       sl_proc_is_same(proc);
}

/* Nobody listens at what an earlier VM of the same number has left: that is as good as none. */
static int connect_to(int path_fd)
{
	static const struct timeval patience = {.tv_sec = SL_CONNECT_MS / 1000};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", path_fd);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	const int error = errno == EAGAIN ? -EAGAIN : errno == EACCES ? -EPERM : -ENOENT;
	(void)close(fd);
	return error;
}

/* The socket as a place in the file system; or -ENOENT. */
static int find_in(int root, const struct sl_proc *proc)
{
	struct stat info;
	char path[64];
	(void)snprintf(path, sizeof(path), "/tmp/.java_pid%d", proc->inner_pid);
	const int path_fd = sl_root_open_at(root, path, O_PATH | O_NOFOLLOW, 0, true);
	if (path_fd < 0)
		return -ENOENT;
	if (fstat(path_fd, &info) == 0 && S_ISSOCK(info.st_mode))
		return path_fd;
	(void)close(path_fd);
	return -ENOENT;
}

bool sl_jvm_socket_exists(const struct sl_proc *proc)
{
	const int root = sl_root_open(proc->pid);
	const int path_fd = root < 0 ? root : find_in(root, proc);
	if (path_fd >= 0)
		(void)close(path_fd);
	if (root >= 0)
		(void)close(root);
	return path_fd >= 0;
}

static int connect_in(int root, const struct sl_proc *proc)
{
	const int path_fd = find_in(root, proc);
	if (path_fd < 0)
		return path_fd;
	int fd = connect_to(path_fd);
	(void)close(path_fd);
	if (fd >= 0 && !is_it(fd, proc)) {
		(void)close(fd);
		fd = -EPERM;
	}
	return fd;
}

int sl_jvm_socket_connect(const struct sl_proc *proc)
{
	struct sl_as_user before;
	const int root = sl_root_open(proc->pid);
	if (root < 0)
		return root;
	int fd = sl_as_user_begin(&before, proc->euid, proc->egid);
	if (!fd) {
		fd = connect_in(root, proc);
		sl_as_user_end(&before);
	}
	(void)close(root);
	return fd;
}

/* The file that tells the VM what SIGQUIT is about. */
struct trigger {
	int folder;
	char name[32];
	bool is_ours; /* else somebody else attaches just now, or has left it there */
};

/* 0, or why it cannot lie there. What lies there already counts if it is the user's. */
static int lay_in(struct trigger *trigger, const struct sl_proc *proc)
{
	struct stat info;
	const int fd = openat(trigger->folder, trigger->name,
	                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0) {
		(void)close(fd);
		trigger->is_ours = true;
		return 0;
	}
	if (errno != EEXIST)
		return -errno;
	return fstatat(trigger->folder, trigger->name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
	                       S_ISREG(info.st_mode) && info.st_uid == proc->euid
	               ? 0
	               : -EEXIST;
}

/* /tmp, where its socket will lie as well; then its working directory, which may be read-only, or watched by something that starts over
 * at each new file. */
static int open_folder(const struct sl_proc *proc, unsigned at)
{
	char cwd[32];
	(void)snprintf(cwd, sizeof(cwd), "/proc/%d/cwd", proc->pid);
	if (at > 0)
		return open(cwd, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const int root = sl_root_open(proc->pid);
	if (root < 0)
		return root;
	const int tmp = sl_root_open_at(root, "/tmp", O_PATH | O_DIRECTORY, 0, true);
	(void)close(root);
	return tmp;
}

static int lay(struct trigger *trigger, const struct sl_proc *proc)
{
	struct sl_as_user before;
	int error = -EROFS;
	(void)snprintf(trigger->name, sizeof(trigger->name), ".attach_pid%d", proc->inner_pid);
	for (unsigned i = 0; i < 2; i++) {
		trigger->folder = open_folder(proc, i);
		if (trigger->folder < 0)
			continue;
		int here = sl_as_user_begin(&before, proc->euid, proc->egid);
		if (here == 0)
			here = lay_in(trigger, proc);
		sl_as_user_end(&before);
		if (here == 0)
			return 0;
		(void)close(trigger->folder);
		error = here == -EEXIST ? here : error;
	}
	return error;
}

static void take_away(const struct trigger *trigger, const struct sl_proc *proc)
{
	struct sl_as_user before;
	(void)sl_as_user_begin(&before, proc->euid, proc->egid);
	if (trigger->is_ours)
		(void)unlinkat(trigger->folder, trigger->name, 0);
	sl_as_user_end(&before);
	(void)close(trigger->folder);
}

/* Wait; -ESRCH: the process has ended meanwhile. */
static int pause_unless_ended(int pidfd)
{
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};
	return poll(&ended, 1, SL_LOOK_MS) > 0 ? -ESRCH : 0;
}

static int await(const struct sl_proc *proc, int pidfd, uint64_t until_ms)
{
	for (;;) {
		const int fd = sl_jvm_socket_connect(proc);
		if (fd != -ENOENT)
			return fd;
		const int error = pause_unless_ended(pidfd);
		if (error)
			return error;
		if (sl_held_signals_came())
			return -EINTR;
		if (sl_clock_ms() >= until_ms)
			return -ETIMEDOUT;
	}
}

/* With the file in its place. At the last moment it is asked again whether the VM catches the signal: one that starts has no handler yet,
 * and would die; and whether it listens by now, because somebody else attaches as well: it would print its stacks. */
static int signal_and_await(const struct sl_proc *proc, int pidfd, uint64_t until_ms)
{
	if (!sl_jvm_catches_quit(proc->pid))
		return -ENXIO;
	const int fd = sl_jvm_socket_connect(proc);
	if (fd != -ENOENT)
		return fd;
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGQUIT, NULL, 0) < 0)
		return -errno;
	return await(proc, pidfd, until_ms);
}

/* A VM that is just starting takes away, for an earlier one's, what it may have laid down a moment ago (AttachListener::vm_start()); asked again, it
 * sees that its socket is gone, and makes another (check_socket_file()). The JDK's own tools ask twice as well. */
static int signal_until_it_listens(const struct sl_proc *proc, int pidfd, uint64_t until_ms)
{
	int fd = -ETIMEDOUT;
	for (uint64_t wait_ms = SL_AGAIN_MS; fd == -ETIMEDOUT && sl_clock_ms() < until_ms;
	     wait_ms *= 4) {
		const uint64_t next_ms = sl_clock_ms() + wait_ms;
		fd = signal_and_await(proc, pidfd, next_ms < until_ms ? next_ms : until_ms);
	}
	return fd;
}

int sl_jvm_socket_wake(const struct sl_proc *proc, unsigned patience_ms)
{
	struct trigger trigger = {0};
	const uint64_t until_ms = sl_clock_ms() + patience_ms;
	const int pidfd = (int)syscall(SYS_pidfd_open, proc->pid, 0);
	if (pidfd < 0)
		return -ESRCH;
	int fd = sl_proc_is_same(proc) ? lay(&trigger, proc) : -ESRCH;
	if (fd == 0) {
		fd = signal_until_it_listens(proc, pidfd, until_ms);
		take_away(&trigger, proc);
	}
	(void)close(pidfd);
	return fd;
}

/* 0 when it is ready. */
static int wait_for(int fd, short events, uint64_t until_ms)
{
	struct pollfd look = {.fd = fd, .events = events};
	for (;;) {
		if (poll(&look, 1, SL_SLICE_MS) > 0)
			return 0;
		if (sl_held_signals_came())
			return -EINTR;
		if (sl_clock_ms() >= until_ms)
			return -ETIMEDOUT;
	}
}

static int send_all(int fd, const char *bytes, size_t n, uint64_t until_ms)
{
	while (n > 0) {
		const int error = wait_for(fd, POLLOUT, until_ms);
		if (error)
			return error;
		const ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return -EPROTO;
		bytes += sent > 0 ? sent : 0;
		n -= sent > 0 ? (size_t)sent : 0;
	}
	return 0;
}

static int read_all(int fd, char *bytes, size_t room, uint64_t until_ms)
{
	for (size_t n = 0;;) {
		const int error = wait_for(fd, POLLIN, until_ms);
		if (error)
			return error;
		const ssize_t got = recv(fd, bytes + n, room - n - 1, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got <=
		    0) { /* a VM that closes with something unread sends a reset behind its answer */
			bytes[n] = 0;
			return n ? 0 : -EPROTO;
		}
		n += (size_t)got;
		if (n + 1 == room) {
			bytes[n] = 0;
			return 0;
		}
	}
}

int sl_jvm_socket_ask(int fd, const char *verb, const char *const arguments[SL_JVM_ARGUMENTS],
                      unsigned patience_ms, struct sl_jvm_answer *answer)
{
	static char request[SL_JVM_REQUEST_BYTES], bytes[SL_JVM_ANSWER_BYTES];
	const uint64_t until_ms = sl_clock_ms() + patience_ms;
	const size_t n = sl_jvm_request(request, verb, arguments);
	int error = n ? send_all(fd, request, n, until_ms) : -EFBIG;
	if (!error)
		error = read_all(fd, bytes, sizeof(bytes), until_ms);
	(void)close(fd);
	if (error)
		return error;
	return sl_jvm_answer_read(bytes, answer) ? 0 : -EPROTO;
}
