/* namespaces - what the kernel allows only to a process of one thread, or gives one thread alone: unshare(), setns(),
 * close_range() with CLOSE_RANGE_UNSHARE. */
#include "cases.h"

#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>

/* The far end of a connection that was closed here. */
static void tell_far_end(int fd)
{
	char byte;
	CALL_AS("recv() at the far end", recv(fd, &byte, 1, 0));
}

static void in_child(void (*act)(void))
{
	pid_t pid = (pid_t)MUST(fork());
	if (pid == 0) {
		int fds[2];
		tcp_pair(fds);
		act();
		exit(0);
	}
	tell_end_of("child", pid);
}

static void user_namespace(void)
{
	CALL(unshare(CLONE_NEWUSER));
	CALL(unshare(CLONE_NEWNET));
	CALL(close(socket(AF_INET, SOCK_STREAM, 0)));
}

static void unshare_user(void)
{
	in_child(user_namespace);
}

static void every_flag(void)
{
	static const int flags[] = {
		CLONE_FS,     CLONE_SYSVSEM, CLONE_THREAD, CLONE_SIGHAND, CLONE_VM,
		CLONE_NEWUTS, CLONE_NEWIPC,  CLONE_NEWNS,  CLONE_NEWNET,  0,
		CLONE_PARENT};
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		tell("%#x", (unsigned)flags[i]);
		CALL(unshare(flags[i]));
	}
}

static void unshare_flags(void)
{
	in_child(every_flag);
}

static void enter_own_namespaces(void)
{
	static const char *const names[] = {"user", "mnt", "net", "uts", "ipc", "pid"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[64];
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		int fd = (int)MUST(open(path, O_RDONLY | O_CLOEXEC));
		tell("%s", names[i]);
		CALL(setns(fd, 0));
		MUST(close(fd));
	}
	CALL(setns(-1, 0));
	CALL(setns(0, CLONE_NEWNET));
}

static void setns_to_its_own(void)
{
	in_child(enter_own_namespaces);
}

static void unshare_files_alone(void)
{
	int kept[2], closed[2];
	tcp_pair(kept);
	tcp_pair(closed);
	CALL(unshare(CLONE_FILES));
	CALL(close(closed[0]));
	tell_far_end(closed[1]);
	tcp_pair(closed);
	CALL(close(closed[1]));
	tell_far_end(closed[0]);
}

static void close_range_alone(void)
{
	int kept[2], closed[2], high = 500;
	tcp_pair(kept);
	tcp_pair(closed);
	MUST(dup2(closed[0], high));
	MUST(close(closed[0]));
	CALL(close_range(500, ~0U, CLOSE_RANGE_UNSHARE));
	tell_far_end(closed[1]);
	CALL(close_range(closed[1], ~0U, CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC));
	CALL(fcntl(closed[1], F_GETFD));
	CALL(fcntl(kept[1], F_GETFD));
	CALL(close_range(7, 6, CLOSE_RANGE_UNSHARE));
	tcp_pair(closed);
}

/* A thread with a table of its own: what it closes and opens is not the others'. */
static int shared[2], closed_by_thread[2];
static int how;

static void *separate(void *unused)
{
	if (how == 0)
		CALL(unshare(CLONE_FILES));
	else
		CALL(close_range(closed_by_thread[0], ~0U, CLOSE_RANGE_UNSHARE));
	CALL(close(shared[0]));
	int fd = CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(dup2(fd, shared[1]));
	struct sockaddr_in address;
	int at = listener(&address);
	CALL(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	CALL(send(fd, "x", 1, 0));
	CALL(close(at));
	CALL(close_range(0, ~0U, 0));
	return unused;
}

static void separate_thread(void)
{
	pthread_t thread;
	char byte;
	tcp_pair(shared);
	tcp_pair(closed_by_thread);
	MUST(pthread_create(&thread, NULL, separate, NULL));
	MUST(pthread_join(thread, NULL));
	CALL(send(shared[0], "y", 1, 0));
	CALL(recv(shared[1], &byte, 1, 0));
	CALL(close(closed_by_thread[0]));
	tell_far_end(closed_by_thread[1]);
	tcp_pair(closed_by_thread);
}

static void unshare_files_in_a_thread(void)
{
	how = 0;
	separate_thread();
}

static void close_range_in_a_thread(void)
{
	how = 1;
	separate_thread();
}

/* A program of several threads is told that it is one. */
static void *wait_for_end(void *pipe_end)
{
	char byte;
	MUST(read((int)(intptr_t)pipe_end, &byte, 1));
	return NULL;
}

static void unshare_with_threads(void)
{
	pthread_t thread;
	int fds[2], pipes[2];
	MUST(pipe(pipes));
	MUST(pthread_create(&thread, NULL, wait_for_end, (void *)(intptr_t)pipes[0]));
	tcp_pair(fds);
	CALL(unshare(CLONE_NEWUSER));
	CALL(unshare(CLONE_THREAD));
	CALL(unshare(CLONE_VM));
	MUST(write(pipes[1], "x", 1));
	MUST(pthread_join(thread, NULL));
}

static const struct cases_case cases[] = {
	CASE(unshare_user),
	CASE(unshare_flags),
	CASE(setns_to_its_own),
	CASE(unshare_files_alone),
	CASE(close_range_alone),
	CASE(unshare_files_in_a_thread),
	CASE(close_range_in_a_thread),
	CASE(unshare_with_threads),
};

CASES_MAIN(cases)
