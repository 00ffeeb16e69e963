/* hooks_process.c - prctl, syscall, pthread_exit, pipe, epoll_ctl; and what the doors still do in a sandbox. */
#include "doors.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/ownfd.h"
#include "base/process.h"
#include "base/sys.h"
#include "ledger/sites.h"
#include "tcp.h"
#include "watch/worker.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void test_hook_epoll_ctl(void **state)
{
	(void)state;
	int fd = socket(AF_INET, SOCK_STREAM, 0), pipes[2], set = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};
	assert_int_equal(pipe(pipes), 0);
	FAILS_AS(SL_SYS4(SYS_epoll_ctl, set, EPOLL_CTL_MOD, fd, &event),
	         epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
	FAILS_AS(SL_SYS4(SYS_epoll_ctl, set, EPOLL_CTL_DEL, fd, NULL),
	         epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
	FAILS_AS(SL_SYS4(SYS_epoll_ctl, -1, EPOLL_CTL_ADD, fd, &event),
	         epoll_ctl(-1, EPOLL_CTL_ADD, fd, &event));
	assert_int_equal(record_of(fd).flags, 0);
	assert_int_equal(UNTOUCHED(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event)), 0);
	assert_int_equal(record_of(fd).flags, SL_FD_EPOLL);
	FAILS_AS(SL_SYS4(SYS_epoll_ctl, set, EPOLL_CTL_ADD, fd, &event),
	         epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	assert_int_equal(UNTOUCHED(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event)), 0);
	assert_int_equal(UNTOUCHED(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL)), 0);
	assert_int_equal(record_of(fd).flags, SL_FD_EPOLL); /* is, or was */
	assert_int_equal(UNTOUCHED(epoll_ctl(set, EPOLL_CTL_ADD, pipes[0], &event)), 0);
	assert_false(is_seen(pipes[0]));
	assert_int_equal(close(fd) + close(set) + close(pipes[0]) + close(pipes[1]), 0);
}

/* What stands behind the number when the worker has neutralized it: one dead socket, which many numbers share. */
static int neutralized(int dead)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(SL_SYS3(SYS_dup3, dead, fd, O_CLOEXEC), fd);
	assert_true(sl_fdtable_mark_held(fd, record_of(fd).generation,
	                                 SL_MARK_GUARDED | SL_MARK_ENDED | SL_MARK_DEAD));
	return fd;
}

static int dead_socket(void)
{
	int fd = (int)SL_SYS3(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(SL_SYS2(SYS_shutdown, fd, SHUT_RDWR), -ENOTCONN);
	return fd;
}

static uint64_t inode_of(int fd)
{
	struct stat file;
	assert_int_equal(fstat(fd, &file), 0);
	return file.st_ino;
}

static int count_events(int set)
{
	struct epoll_event events[8];
	return epoll_wait(set, events, 8, 0);
}

/* Its registration went with the connection: to change or remove it is no error. */
static void a_neutralized_number_leaves_its_epoll_set_as_ever(void **state)
{
	(void)state;
	int set = epoll_create1(0), dead = dead_socket(), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct epoll_event event = {.events = EPOLLIN};
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
	assert_int_equal(SL_SYS3(SYS_dup3, dead, fd, O_CLOEXEC), fd);
	assert_true(sl_fdtable_mark_held(fd, record_of(fd).generation,
	                                 SL_MARK_GUARDED | SL_MARK_ENDED | SL_MARK_DEAD));
	assert_int_equal(SL_SYS4(SYS_epoll_ctl, set, EPOLL_CTL_DEL, fd, NULL), -ENOENT);
	event.events = EPOLLET | EPOLLONESHOT; /* nothing is asked for */
	assert_int_equal(UNTOUCHED(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event)), 0);
	assert_int_equal(UNTOUCHED(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL)), 0);
	assert_int_equal(UNTOUCHED(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL)), 0);
	FAILS_AS(SL_SYS4(SYS_epoll_ctl, set, 99, fd, &event), epoll_ctl(set, 99, fd, &event));
	assert_int_equal(count_events(set), 0);
	assert_int_equal(inode_of(fd), inode_of(dead));
	/* One that is shut down only is still registered, and the kernel says what it says. */
	int ended = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(sl_fdtable_mark_held(ended, record_of(ended).generation,
	                                 SL_MARK_GUARDED | SL_MARK_ENDED));
	FAILS_AS(SL_SYS4(SYS_epoll_ctl, set, EPOLL_CTL_MOD, ended, &event),
	         epoll_ctl(set, EPOLL_CTL_MOD, ended, &event));
	assert_int_equal(close(fd) + close(ended) + close(set) + sl_sys_close(dead), 0);
}

/* Who asks for events again gets them: the connection is over. */
static void a_neutralized_number_tells_its_end_to_who_asks(void **state)
{
	(void)state;
	int set = epoll_create1(0), dead = dead_socket(), fd = neutralized(dead);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	assert_int_equal(UNTOUCHED(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event)), 0);
	assert_int_equal(count_events(set), 1);
	assert_int_not_equal(inode_of(fd), inode_of(dead));
	event.events = 0;
	assert_int_equal(UNTOUCHED(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event)),
	                 0); /* the kernel's */
	assert_int_equal(UNTOUCHED(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL)), 0);
	assert_int_equal(count_events(set), 0);
	FAILS_AS(SL_SYS4(SYS_epoll_ctl, set, EPOLL_CTL_DEL, fd, NULL),
	         epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
	assert_int_equal(close(fd) + close(set) + sl_sys_close(dead), 0);
}

/* Added anew, it must go with its number: the shared one would stay in the set for ever, and report its end for ever. */
static void a_neutralized_number_that_is_added_leaves_with_its_close(void **state)
{
	(void)state;
	int set = epoll_create1(0), dead = dead_socket();
	int fd = neutralized(dead), other = neutralized(dead);
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
	uint64_t generation = record_of(fd).generation;
	assert_int_equal(UNTOUCHED(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event)), 0);
	assert_int_not_equal(inode_of(fd), inode_of(dead));
	assert_int_equal(inode_of(other), inode_of(dead));
	assert_int_equal(sl_sys_fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
	assert_true(sl_sys_fcntl(fd, F_GETFL, 0) & O_NONBLOCK); /* as it was */
	assert_int_equal(record_of(fd).generation, generation);
	assert_int_equal(record_of(fd).marks, SL_MARK_GUARDED | SL_MARK_ENDED);
	assert_true(record_of(fd).flags & SL_FD_EPOLL);
	assert_int_equal(count_events(set), 1); /* the program learns that it is over */
	FAILS_AS(SL_SYS4(SYS_epoll_ctl, set, EPOLL_CTL_ADD, fd, &event),
	         epoll_ctl(set, EPOLL_CTL_ADD, fd, &event)); /* EEXIST */
	event.events = 0;
	assert_int_equal(UNTOUCHED(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event)), 0);
	event.events = EPOLLIN;
	assert_int_equal(UNTOUCHED(epoll_ctl(set, EPOLL_CTL_ADD, other, &event)), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(other), 0);
	assert_int_equal(count_events(set), 0);
	/* Where it was added and the set refuses, too: nothing is left of it. */
	fd = neutralized(dead);
	FAILS_AS(SL_SYS4(SYS_epoll_ctl, -1, EPOLL_CTL_ADD, fd, &event),
	         epoll_ctl(-1, EPOLL_CTL_ADD, fd, &event));
	assert_int_equal(close(fd) + close(set) + sl_sys_close(dead), 0);
}

static int add_without_a_number(void *context)
{
	int *fds = context; /* the set, the neutralized number */
	const struct rlimit none = {0, 0};
	struct epoll_event event = {.events = EPOLLIN};
	NEED(setrlimit(RLIMIT_NOFILE, &none) == 0);
	errno = 0;
	NEED(epoll_ctl(fds[0], EPOLL_CTL_ADD, fds[1], &event) == -1 && errno == ENOMEM);
	NEED(record_of(fds[1]).marks & SL_MARK_DEAD);
	NEED(count_events(fds[0]) == 0);
	return 0;
}

static void without_a_number_it_is_not_added(void **state)
{
	(void)state;
	int dead = dead_socket(), fds[] = {epoll_create1(0), neutralized(dead)};
	assert_int_equal(in_fork(add_without_a_number, fds), 0);
	assert_int_equal(close(fds[0]) + close(fds[1]) + sl_sys_close(dead), 0);
}

static int change_in_vfork(void *context)
{
	int *fds = context;
	return epoll_ctl(fds[0], EPOLL_CTL_DEL, fds[1], NULL) == -1 && errno == ENOENT ? 0 : 1;
}

static void a_vfork_child_gets_the_kernels_word(void **state)
{
	(void)state;
	int dead = dead_socket(), fds[] = {epoll_create1(0), neutralized(dead)};
	assert_int_equal(in_vfork(change_in_vfork, fds), 0);
	assert_int_equal(close(fds[0]) + close(fds[1]) + sl_sys_close(dead), 0);
}

static struct sock_filter allow_all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
static struct sock_fprog allowing = {1, allow_all};

typedef long filter_fn(void);

static long filter_by_prctl(void)
{
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &allowing, 0, 0);
}

static long filter_by_syscall(void)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &allowing);
}

/* Says yes with a number: that of the fd to listen at. */
static long filter_with_listener(void)
{
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
	                  &allowing);
	return fd > 0 && is_open((int)fd) ? 0 : -1;
}

/* A filter that lets all pass. For good: only in a child. */
static int enter_open_sandbox(void *context)
{
	filter_fn *const *filter = context;
	NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	NEED(!sl_process_is_sandboxed());
	NEED(!sl_worker_is_running());
	errno = ERRNO_BEFORE;
	NEED((*filter)() == 0);
	NEED(errno == ERRNO_BEFORE);
	NEED(sl_process_is_sandboxed());
	NEED(sl_worker_is_running()); /* while it still could be started */
	return 0;
}

static void check_filter(filter_fn *filter)
{
	assert_int_equal(in_fork(enter_open_sandbox, &filter), 0);
	assert_false(sl_process_is_sandboxed());
}

static void test_hook_prctl(void **state)
{
	(void)state;
	char name[16] = "", raw[16] = "";
	assert_int_equal(UNTOUCHED(prctl(PR_GET_NAME, name)), 0);
	assert_int_equal(SL_SYS2(SYS_prctl, PR_GET_NAME, raw), 0);
	assert_string_equal(name, raw);
	assert_int_equal(UNTOUCHED(prctl(PR_GET_DUMPABLE)), SL_SYS2(SYS_prctl, PR_GET_DUMPABLE, 0));
	FAILS_AS(SL_SYS2(SYS_prctl, 987654, 0), prctl(987654, 0, 0, 0, 0));
	/* A filter that the kernel refuses changes nothing. */
	FAILS_AS(SL_SYS3(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL),
	         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0));
	FAILS_AS(SL_SYS3(SYS_prctl, PR_SET_SECCOMP, 77, NULL),
	         prctl(PR_SET_SECCOMP, 77, NULL, 0, 0));
	assert_false(sl_process_is_sandboxed());
	check_filter(filter_by_prctl);
}

/* All six arguments arrive: the last is the offset into the file. */
static void check_arguments(void)
{
	int file = (int)syscall(SYS_memfd_create, "bytes", 0);
	assert_true(file >= 0);
	assert_int_equal(ftruncate(file, 8192), 0);
	assert_int_equal(pwrite(file, "second page", 12, 4096), 12);
	const char *page = (const char *)syscall(SYS_mmap, NULL, 4096L, (long)PROT_READ,
	                                         (long)MAP_SHARED, (long)file, 4096L);
	assert_ptr_not_equal(page, MAP_FAILED);
	assert_string_equal(page, "second page");
	assert_int_equal(syscall(SYS_munmap, page, 4096), 0);
	assert_int_equal(syscall(SYS_close, file), 0);
}

static void check_raw_close(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), own = own_fd_make();
	assert_int_equal(UNTOUCHED(syscall(SYS_close, fd)), 0);
	assert_true(is_free(fd) && !is_open(fd));
	FAILS_AS(sl_sys_close(fd), syscall(SYS_close, fd));
	errno = 0;
	assert_int_equal(syscall(SYS_close, own), -1);
	assert_int_equal(errno, EBADF);
	assert_true(sl_ownfd_is(own) && is_open(own));
	sl_ownfd_close(own);
}

static void check_raw_range(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), own = own_fd_make();
	assert_int_equal(dup2(fd, own + 1), own + 1);
	FAILS_AS(SL_SYS3(SYS_close_range, 2, 1, 0), syscall(SYS_close_range, 2, 1, 0));
	FAILS_AS(SL_SYS3(SYS_close_range, fd, fd, 0x40), syscall(SYS_close_range, fd, fd, 0x40));
	assert_true(is_seen(fd) && is_seen(own + 1));
	assert_int_equal(UNTOUCHED(syscall(SYS_close_range, fd, fd, 0)), 0);
	assert_true(is_free(fd) && !is_open(fd));
	assert_int_equal(UNTOUCHED(syscall(SYS_close_range, own, ~0U, 0)), 0);
	assert_true(is_free(own + 1) && !is_open(own + 1));
	assert_true(sl_ownfd_is(own) && is_open(own));
	sl_ownfd_close(own);
}

static void *close_when_cancelled(void *fd)
{
	(void)pthread_cancel(pthread_self());
	(void)syscall(SYS_close, *(int *)fd); /* no cancellation point */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return NULL;
}

static void test_hook_syscall(void **state)
{
	(void)state;
	assert_int_equal(UNTOUCHED(syscall(SYS_getpid)), sl_sys_getpid());
	FAILS_AS(SL_SYS0(99999), syscall(99999));
	check_arguments();
	check_raw_close();
	check_raw_range();
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t thread;
	void *end;
	assert_int_equal(pthread_create(&thread, NULL, close_when_cancelled, &fd), 0);
	assert_int_equal(pthread_join(thread, &end), 0);
	assert_null(end);
	assert_true(is_free(fd) && !is_open(fd));
	FAILS_AS(SL_SYS3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL),
	         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL));
	FAILS_AS(SL_SYS3(SYS_seccomp, 77, 0, NULL), syscall(SYS_seccomp, 77, 0, NULL));
	assert_false(sl_process_is_sandboxed());
	check_filter(filter_by_syscall);
	check_filter(filter_with_listener);
}

static bool has_cleaned_up;

static void clean_up(void *unused)
{
	(void)unused;
	has_cleaned_up = true;
}

static void *exit_thread(void *value)
{
	pthread_cleanup_push(clean_up, NULL);
	pthread_exit(value);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *outlive_main(void *status)
{
	const struct timespec a_moment = {0, 500000};
	while (thread_state(sl_sys_getpid()) != 'Z')
		(void)nanosleep(&a_moment, NULL);
	if (status)
		_exit(*(int *)status);
	return NULL;
}

/* main() ends by pthread_exit() and another thread goes on. The worker runs, and must not keep the process. */
static int exit_main(void *status)
{
	static int kept_status;
	pthread_t thread;
	if (status)
		kept_status = *(int *)status;
	NEED(socket(AF_INET, SOCK_STREAM, 0) >= 0);
	NEED(sl_worker_is_running());
	__fpurge(stdout); /* the end may be exit(), and what waits there is the test's */
	NEED(pthread_create(&thread, NULL, outlive_main, status ? &kept_status : NULL) == 0);
	pthread_exit(NULL);
}

static void test_hook_pthread_exit(void **state)
{
	(void)state;
	pthread_t thread;
	void *end;
	int value, status = 7;
	assert_int_equal(pthread_create(&thread, NULL, exit_thread, &value), 0);
	assert_int_equal(pthread_join(thread, &end), 0);
	assert_ptr_equal(end, &value);
	assert_true(has_cleaned_up);
	assert_int_equal(in_fork(exit_main, &status), 7);
	assert_int_equal(in_fork(exit_main, NULL), 0);
}

static void test_hook_pipe(void **state)
{
	(void)state;
	int fds[2];
	char byte;
	assert_int_equal(UNTOUCHED(pipe(fds)), 0);
	assert_true(fds[0] < 1024 && fds[1] < 1024);
	assert_false(sl_ownfd_is(fds[0]) || sl_ownfd_is(fds[1]));
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	FAILS_AS(SL_SYS2(SYS_pipe2, NULL, 0), pipe(NULL));
	assert_int_equal(close(fds[0]) + close(fds[1]), 0);
}

static void test_hook_pipe2(void **state)
{
	(void)state;
	int fds[2];
	assert_int_equal(UNTOUCHED(pipe2(fds, O_CLOEXEC | O_NONBLOCK)), 0);
	assert_true(fds[0] < 1024 && fds[1] < 1024);
	assert_false(sl_ownfd_is(fds[0]) || sl_ownfd_is(fds[1]));
	assert_int_equal(sl_sys_fcntl(fds[0], F_GETFD, 0), FD_CLOEXEC);
	assert_true(sl_sys_fcntl(fds[0], F_GETFL, 0) & O_NONBLOCK);
	FAILS_AS(SL_SYS2(SYS_pipe2, fds, 0x1234), pipe2(fds, 0x1234));
	assert_int_equal(close(fds[0]) + close(fds[1]), 0);
}

/* A program that has closed everything and opens a socket has that fd, and no other that it can see. */
static int open_one_socket(void *unused)
{
	(void)unused;
	closefrom(0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd != 0)
		return 1;
	for (int other = 1; other < 1024; other++)
		if (is_open(other))
			return 2;
	return 0;
}

static void our_own_numbers_are_high(void **state)
{
	(void)state;
	assert_int_equal(in_fork(open_one_socket, NULL), 0);
}

/* System calls that the program below never makes, and that the library makes elsewhere. */
static const int deadly[] = {
	SYS_getpid,        SYS_gettid,         SYS_mmap,         SYS_munmap,    SYS_madvise,
	SYS_futex,         SYS_getsockopt,     SYS_prctl,        SYS_openat,    SYS_getdents64,
	SYS_getsockname,   SYS_rt_sigprocmask, SYS_ioctl,        SYS_ppoll,     SYS_clone,
	SYS_clock_gettime, SYS_write,          SYS_rt_sigaction, SYS_prlimit64, SYS_eventfd2,
};

static bool enter_deadly_sandbox(void)
{
	struct sock_filter filter[2 * COUNT_OF(deadly) + 2] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	unsigned short n = 1;
	for (size_t i = 0; i < COUNT_OF(deadly); i++) {
		filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
		                                           (uint32_t)deadly[i], 0, 1);
		filter[n++] =
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	}
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {n, filter};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

static int connect_and_end(const struct sockaddr_in *place, int listener)
{
	char byte = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	NEED(fd >= 0 && is_seen(fd) && record_of(fd).site == SL_SITE_NO_STACK);
	NEED(connect(fd, (const struct sockaddr *)place, sizeof(*place)) == 0);
	NEED(record_of(fd).flags == (SL_FD_OUT | SL_FD_CONNECTED));
	NEED(record_of(fd).dest != 0);
	int server = accept(listener, NULL, NULL);
	NEED(server >= 0 && is_seen(server));
	NEED(send(fd, "x", 1, 0) == 1 && recv(server, &byte, 1, 0) == 1);
	int copy = dup(fd);
	NEED(copy >= 0 && (record_of(copy).flags & SL_FD_DUPED));
	NEED(dup2(server, copy) == copy && is_seen(copy));
	NEED(shutdown(fd, SHUT_WR) == 0 && recv(server, &byte, 1, 0) == 0);
	NEED(record_of(server).flags & SL_FD_EOF);
	NEED(close_range((unsigned)copy, (unsigned)copy, 0) == 0 && !is_seen(copy));
	NEED(close(fd) == 0 && close(server) == 0 && !is_seen(fd) && !is_seen(server));
	return 0;
}

struct sandboxed {
	struct sockaddr_in place;
	int listener;
	int dead;   /* a neutralized number */
	int late;   /* a number that we closed */
	int unseen; /* a listener that nobody saw open */
	int set;
};

static int work_in_sandbox(void *context)
{
	const struct sandboxed *box = context;
	struct epoll_event event = {.events = EPOLLIN};
	int pair[2];
	NEED(enter_deadly_sandbox());
	for (int i = 0; i < 3; i++)
		if (connect_and_end(&box->place, box->listener) != 0)
			return 1;
	NEED(epoll_ctl(box->set, EPOLL_CTL_ADD, box->listener, &event) == 0);
	NEED(record_of(box->listener).flags & SL_FD_EPOLL);
	NEED(epoll_ctl(box->set, EPOLL_CTL_DEL, box->dead, NULL) == 0);
	errno = 0;
	NEED(epoll_ctl(box->set, EPOLL_CTL_ADD, box->dead, &event) == -1 && errno == ENOMEM);
	NEED(close(box->late) == 0);
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && is_seen(pair[0]));
	NEED(close(pair[0]) == 0 && close(pair[1]) == 0 && close(-1) == -1);
	errno = 0;
	NEED(accept4(box->unseen, NULL, NULL, 0) == -1 && errno == EAGAIN);
	closefrom(box->listener + 1);
	return 0;
}

/* The filter must really bite, or the test above shows nothing. */
static int ask_pid_in_sandbox(void *unused)
{
	(void)unused;
	NEED(enter_deadly_sandbox());
	(void)sl_sys_getpid();
	return 0;
}

static void in_a_sandbox_no_door_makes_calls_of_its_own(void **state)
{
	(void)state;
	uint16_t port;
	struct sandboxed box = {.listener = tcp_listen(false, 8, &port), .set = epoll_create1(0)};
	int dead = dead_socket();
	box.dead = neutralized(dead);
	box.place = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	box.place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	box.unseen = (int)SL_SYS3(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(SL_SYS2(SYS_listen, box.unseen, 1), 0);
	box.late = socket(AF_INET, SOCK_STREAM, 0);
	uint32_t generation = record_of(box.late).generation;
	assert_int_equal(sl_fdtable_hold(box.late, generation, SL_IO_ANY), 0);
	assert_int_equal(sl_sys_close(box.late), 0);
	sl_fdtable_release_closed(box.late, generation);
	assert_int_equal(in_fork(ask_pid_in_sandbox, NULL), 1000 + SIGSYS);
	assert_int_equal(in_fork(work_in_sandbox, &box), 0);
	assert_int_equal(close(box.listener) + close(box.unseen) + close(box.set), 0);
	assert_int_equal(close(box.dead) + close(box.late) + sl_sys_close(dead), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hook_epoll_ctl),
		cmocka_unit_test(a_neutralized_number_leaves_its_epoll_set_as_ever),
		cmocka_unit_test(a_neutralized_number_tells_its_end_to_who_asks),
		cmocka_unit_test(a_neutralized_number_that_is_added_leaves_with_its_close),
		cmocka_unit_test(without_a_number_it_is_not_added),
		cmocka_unit_test(a_vfork_child_gets_the_kernels_word),
		cmocka_unit_test(test_hook_prctl),
		cmocka_unit_test(test_hook_syscall),
		cmocka_unit_test(test_hook_pthread_exit),
		cmocka_unit_test(test_hook_pipe),
		cmocka_unit_test(test_hook_pipe2),
		cmocka_unit_test(our_own_numbers_are_high),
		cmocka_unit_test(in_a_sandbox_no_door_makes_calls_of_its_own),
	};
	return cmocka_run_group_tests(tests, doors_open, NULL);
}
