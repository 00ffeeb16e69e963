#include "doors.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/options.h"
#include "base/ownfd.h"
#include "base/sys.h"
#include "ledger/sites.h"
#include "tcp.h"

#define CHILD_SECONDS 20
#define AN_HOUR_MS 3600000

static bool has_swept(void *unused)
{
	(void)unused;
	return atomic_load(&sl_fd_tick) > 1;
}

int doors_open(void **state)
{
	(void)state;
	strcpy(sl_options.report, "/dev/null");
	sl_options.warn_at = SL_OFF;
	sl_options.control = SL_CONTROL_OFF;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || close(fd) < 0)
		return -1;
	await(has_swept, NULL, "the worker's first turn");
	sl_options.interval_ms = AN_HOUR_MS;
	return 0;
}

struct sl_fd_record record_of(int fd)
{
	struct sl_fd_record record;
	memset(&record, 0, sizeof(record)); /* compared as bytes, with those between its members */
	assert_true(sl_fdtable_get(fd, &record));
	return record;
}

bool is_seen(int fd)
{
	struct sl_fd_record record;
	return sl_fdtable_get(fd, &record) && !(record.flags & SL_FD_ADOPTED);
}

bool is_free(int fd)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	return !slot || sl_fd_state_of(atomic_load(&slot->head)) == SL_FD_FREE;
}

bool is_open(int fd)
{
	return sl_sys_fcntl(fd, F_GETFD, 0) >= 0;
}

uint64_t opened_by(uint32_t site)
{
	return atomic_load(&sl_site_get(site)->opened);
}

bool is_sanitized(void)
{
	return dlsym(RTLD_DEFAULT, "__asan_init") || dlsym(RTLD_DEFAULT, "__tsan_init");
}

int own_fd_make(void)
{
	int fd = sl_ownfd_take(sl_sys_open("/dev/null", O_RDONLY | O_CLOEXEC, 0));
	assert_true(fd >= SL_OWN_FD_FLOOR);
	assert_true(sl_ownfd_is(fd));
	return fd;
}

void full_listener_open(struct full_listener *listener)
{
	struct sockaddr_in place = {.sin_family = AF_INET};
	socklen_t n = sizeof(place);
	place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener->fd = (int)SL_SYS3(SYS_socket, AF_INET, SOCK_STREAM, 0);
	listener->queued = (int)SL_SYS3(SYS_socket, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(SL_SYS3(SYS_bind, listener->fd, &place, n), 0);
	assert_int_equal(SL_SYS2(SYS_listen, listener->fd, 0), 0);
	assert_int_equal(sl_sys_getsockname(listener->fd, &place, &n), 0);
	assert_int_equal(SL_SYS3(SYS_connect, listener->queued, &place, n), 0);
	listener->port = ntohs(place.sin_port);
}

void full_listener_close(struct full_listener *listener)
{
	sl_sys_close(listener->queued);
	sl_sys_close(listener->fd);
}

int need_failed(const char *condition, int line)
{
	(void)dprintf(2, "line %d: not so: %s\n", line, condition);
	return 1;
}

static int ended(pid_t child)
{
	int status;
	while (waitpid(child, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

int in_fork(forked_fn *run, void *context)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)alarm(CHILD_SECONDS);
		_exit(run(context));
	}
	return ended(child);
}

int in_vfork(forked_fn *run, void *context)
{
	pid_t child = vfork(); /* NOLINT: what it shares is what is tested */
	if (child == 0)
		_exit(run(context));
	assert_true(child > 0);
	return ended(child);
}

struct blocked {
	block_fn *block;
	int fd;
	bool is_asynchronous;
	_Atomic int tid;
	bool has_cleaned_up;
	bool has_returned;
};

static void clean_up(void *context)
{
	struct blocked *blocked = context;
	blocked->has_cleaned_up = true;
}

static void *run_blocked(void *context)
{
	struct blocked *blocked = context;
	if (blocked->is_asynchronous)
		(void)pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	pthread_cleanup_push(clean_up, blocked);
	atomic_store(&blocked->tid, sl_sys_gettid());
	blocked->block(blocked->fd);
	pthread_cleanup_pop(0);
	blocked->has_returned = true;
	return NULL;
}

char thread_state(int tid)
{
	char path[64], text[256];
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	int fd = sl_sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	long n = sl_sys_read(fd, text, sizeof(text) - 1);
	(void)sl_sys_close(fd);
	text[n > 0 ? n : 0] = 0;
	const char *name_end = strrchr(text, ')');
	return name_end && name_end[1] ? name_end[2] : 0;
}

static bool is_asleep(void *tid)
{
	return thread_state(*(int *)tid) == 'S';
}

void await_asleep(int tid)
{
	await(is_asleep, &tid, "a thread to block");
}

static bool has_tid(void *context)
{
	return atomic_load((_Atomic int *)context) != 0;
}

void skip_where_cancelling_fails(void)
{
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
	print_message("cancelling a thread under clang's ASan: left out\n");
	skip();
#endif
#endif
}

void cancel_in(block_fn *block, int fd, bool is_asynchronous)
{
	struct blocked blocked = {.block = block, .fd = fd, .is_asynchronous = is_asynchronous};
	pthread_t thread;
	void *end;
	assert_int_equal(pthread_create(&thread, NULL, run_blocked, &blocked), 0);
	await(has_tid, &blocked.tid, "a thread to start");
	await_asleep(atomic_load(&blocked.tid));
	assert_int_equal(pthread_cancel(thread), 0);
	assert_int_equal(pthread_join(thread, &end), 0);
	assert_ptr_equal(end, PTHREAD_CANCELED);
	assert_true(blocked.has_cleaned_up);
	assert_false(blocked.has_returned);
	assert_false(sl_guard_is_held());
}

/* For LeakSanitizer: streams are left to themselves on purpose, and where main() has ended nobody points to what cmocka holds. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:_IO_file_doallocate\nleak:fdopen\nleak:fopen\nleak:libcmocka\n";
}
