#include "control/place.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/directory.h"
#include "base/options.h"
#include "base/out.h"
#include "base/sys.h"

#include "base/poison.h"

#define SL_BACKLOG 16
#define SL_NAME_BYTES 64
#define SL_PLACE_BYTES 600
#define SL_SUFFIX ".sock"
#define SL_FRESH ".new" /* of one that does not listen yet */

static char runtime_dir[SL_OPTION_TEXT_MAX]; /* constant after start */
static char bound[SL_PLACE_BYTES];           /* the path, to be removed; "": none */
static _Atomic bool is_bound;

void sl_place_start(const char *path)
{
	if (path && *path == '/' && strlen(path) < sizeof(runtime_dir))
		memcpy(runtime_dir, path, strlen(path) + 1);
}

static void join(char *text, size_t n, const char *first, const char *second)
{
	struct sl_out out;
	sl_out_init(&out, text, n - 1, NULL, NULL);
	sl_out_text(&out, first);
	sl_out_text(&out, second);
	text[out.is_cut ? 0 : out.length] = 0;
}

/* Field 22 of the process's stat: digits; "" where it cannot be read. `process` is "self" or a number. */
static void start_time_of(const char *process, char *text, size_t room)
{
	char path[64], stat[1024];
	*text = 0;
	join(path, sizeof(path), "/proc/", process);
	join(stat, sizeof(stat), path, "/stat");
	int fd = sl_sys_open(stat, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	long got = sl_sys_read(fd, stat, sizeof(stat) - 1);
	(void)sl_sys_close(fd);
	stat[got > 0 ? got : 0] = 0;
	const char *at = strrchr(stat, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	size_t n = at ? strspn(at + 1, "0123456789") : 0;
	if (n == 0 || n >= room)
		return;
	memcpy(text, at + 1, n);
	text[n] = 0;
}

uint64_t sl_place_start_ticks(void)
{
	char text[32];
	uint64_t ticks = 0;
	start_time_of("self", text, sizeof(text));
	for (const char *at = text; *at; at++)
		ticks = ticks * 10 + (uint64_t)(*at - '0');
	return ticks;
}

static void own_name(char *name, size_t room)
{
	char start[32];
	struct sl_out out;
	start_time_of("self", start, sizeof(start));
	sl_out_init(&out, name, room - 1, NULL, NULL);
	sl_out_unsigned(&out, (uint64_t)sl_sys_getpid());
	sl_out_char(&out, '.');
	sl_out_text(&out, *start ? start : "0");
	name[out.length] = 0;
}

/* An address below the open directory, whatever the length of its path. False: it does not fit. */
static bool address_in(int directory, const char *name, struct sockaddr_un *address,
                       socklen_t *length)
{
	struct sl_out out;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	sl_out_init(&out, address->sun_path, sizeof(address->sun_path) - 1, NULL, NULL);
	sl_out_text(&out, "/proc/thread-self/fd/");
	sl_out_unsigned(&out, (uint64_t)directory);
	sl_out_char(&out, '/');
	sl_out_text(&out, name);
	*length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + out.length + 1);
	return !out.is_cut;
}

static int make_socket(void)
{
	return (int)SL_SYS3(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Does somebody listen there? */
static bool is_alive(int directory, const char *name)
{
	struct sockaddr_un address;
	socklen_t length;
	if (!address_in(directory, name, &address, &length))
		return true;
	int fd = make_socket();
	if (fd < 0)
		return true;
	long result = SL_SYS3(SYS_connect, fd, &address, length);
	(void)sl_sys_close(fd);
	return result != -ECONNREFUSED;
}

/* Is it the name of a process that is gone? One of another pid namespace looks like that too, and answers. */
static bool is_stale(int directory, const char *name)
{
	char pid[16], start[32];
	size_t digits = strspn(name, "0123456789");
	const char *at = name + digits;
	size_t n = *at == '.' ? strspn(at + 1, "0123456789") : 0;
	if (digits == 0 || digits >= sizeof(pid) || n == 0 || strcmp(at + 1 + n, SL_SUFFIX) != 0)
		return false;
	memcpy(pid, name, digits);
	pid[digits] = 0;
	start_time_of(pid, start, sizeof(start));
	if (strlen(start) == n && memcmp(start, at + 1, n) == 0)
		return false;
	return !is_alive(directory, name);
}

static bool prune_one(void *unused, int directory, const char *name)
{
	(void)unused;
	if (is_stale(directory, name))
		(void)SL_SYS3(SYS_unlinkat, directory, name, 0);
	return true;
}

static void prune(int directory)
{
	int listed = sl_directory_open(directory, ".");
	if (listed < 0)
		return;
	(void)sl_directory_each(listed, prune_one, NULL);
	(void)sl_sys_close(listed);
}

/* The directory, if it is ours: a descriptor or -errno. */
static int open_directory(const char *path)
{
	struct stat found;
	if (!*path)
		return -ENOENT;
	(void)SL_SYS3(SYS_mkdirat, AT_FDCWD, path, 0700);
	int fd = sl_sys_open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	if (SL_SYS2(SYS_fstat, fd, &found) == 0 && found.st_uid == (uid_t)SL_SYS0(SYS_geteuid) &&
	    (found.st_mode & 07777) == 0700)
		return fd;
	(void)sl_sys_close(fd);
	return -EACCES;
}

static int bind_in(int directory, const char *name)
{
	struct sockaddr_un address;
	socklen_t length;
	int fd = make_socket();
	if (fd < 0)
		return fd;
	if (!address_in(directory, name, &address, &length)) {
		(void)sl_sys_close(fd);
		return -ENAMETOOLONG;
	}
	long result = SL_SYS3(SYS_bind, fd, &address, length);
	if (result ==
	    -EADDRINUSE) { /* left by a process of this number that was killed just here */
		(void)SL_SYS3(SYS_unlinkat, directory, name, 0);
		result = SL_SYS3(SYS_bind, fd, &address, length);
	}
	if (result == 0)
		(void)SL_SYS3(SYS_fchmodat, directory, name, 0600);
	if (result == 0)
		result = SL_SYS2(SYS_listen, fd, SL_BACKLOG);
	if (result < 0)
		(void)sl_sys_close(fd);
	return result < 0 ? (int)result : fd;
}

/* Under its name only once it listens: who finds the name finds somebody there. */
static int bind_as(int directory, const char *name)
{
	char fresh[SL_NAME_BYTES + sizeof(SL_FRESH)];
	struct stat found;
	join(fresh, sizeof(fresh), name, SL_FRESH);
	/* Unless nobody answers: our own, of the program that ran in this process before it executed this one. */
	if (SL_SYS4(SYS_newfstatat, directory, name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
	    is_alive(directory, name))
		return -EADDRINUSE;
	int fd = bind_in(directory, fresh);
	if (fd < 0)
		return fd;
	long result = SL_SYS5(SYS_renameat2, directory, fresh, directory, name, 0);
	if (result < 0)
		(void)sl_sys_close(fd);
	return result < 0 ? (int)result : fd;
}

static int listen_in(const char *path, const char *name)
{
	char file[SL_NAME_BYTES];
	join(file, sizeof(file), name, SL_SUFFIX);
	int directory = open_directory(path);
	if (directory < 0)
		return directory;
	prune(directory);
	int fd = bind_as(directory, file);
	if (fd < 0) {
		(void)sl_sys_close(directory);
		return fd;
	}
	/* The directory stays open, for as long as the thread lives: the command finds it by /proc where it can read nothing out of an
	 * environment that the program has written its title over (sl_client_connect()). */
	char in[SL_PLACE_BYTES];
	join(in, sizeof(in), path, "/");
	join(bound, sizeof(bound), in, file);
	atomic_store(&is_bound, *bound != 0);
	return fd;
}

/* "\0sockleak/UID/PID.START": where no directory is to be had. */
static int listen_abstract(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct sl_out out;
	int fd = make_socket();
	if (fd < 0)
		return fd;
	sl_out_init(&out, address.sun_path + 1, sizeof(address.sun_path) - 1, NULL, NULL);
	sl_out_text(&out, "sockleak/");
	sl_out_unsigned(&out, (uint64_t)SL_SYS0(SYS_geteuid));
	sl_out_char(&out, '/');
	sl_out_text(&out, name);
	socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + out.length);
	long result = SL_SYS3(SYS_bind, fd, &address, length);
	if (result == 0)
		result = SL_SYS2(SYS_listen, fd, SL_BACKLOG);
	if (result < 0)
		(void)sl_sys_close(fd);
	return result < 0 ? (int)result : fd;
}

int sl_place_listen(void)
{
	char name[SL_NAME_BYTES - sizeof(SL_SUFFIX)], path[SL_PLACE_BYTES];
	struct sl_out out;
	int fd = -ENOENT;
	own_name(name, sizeof(name));
	if (strcmp(sl_options.dir, "search") != 0)
		fd = listen_in(sl_options.dir, name);
	if (fd < 0 && *runtime_dir) {
		join(path, sizeof(path), runtime_dir, "/sockleak");
		fd = listen_in(path, name);
	}
	if (fd < 0)
		fd = listen_in("/run/sockleak", name);
	if (fd < 0) {
		sl_out_init(&out, path, sizeof(path) - 1, NULL, NULL);
		sl_out_text(&out, "/tmp/sockleak-");
		sl_out_unsigned(&out, (uint64_t)SL_SYS0(SYS_geteuid));
		path[out.length] = 0;
		fd = listen_in(path, name);
	}
	return fd < 0 ? listen_abstract(name) : fd;
}

void sl_place_remove(void)
{
	if (atomic_exchange(&is_bound, false))
		(void)SL_SYS3(SYS_unlinkat, AT_FDCWD, bound, 0);
}

void sl_place_forked(void)
{
	atomic_store(&is_bound, false);
}
