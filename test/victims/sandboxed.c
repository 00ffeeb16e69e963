/* Build: -lseccomp */
/* sandboxed - locks itself in a seccomp filter that allows the system calls it is told, and goes on with its work.
 *
 * `sandboxed HOW ACTION WHEN WORK [CALL...]`: HOW is prctl, syscall, libseccomp or tsync, ACTION what becomes of other calls (kill_process,
 * kill_thread, trap, errno), WHEN first or later: whether the filter comes before its first socket. Without a CALL no filter is
 * set. It begins its work with sysinfo(), which is always allowed, for who follows its calls. One line for each thing it does.
 */
#include "victim.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

static int listener = -1;
static struct sockaddr_in address;

static void tell(const char *what, long result)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s %ld %s\n", what, result,
	                 result < 0 ? strerrorname_np(errno) : "");
	if (write(1, line, (size_t)n) != n)
		_exit(9);
}

static void open_listener(void)
{
	unsigned port;
	if (listener >= 0)
		return;
	listener = listen_on("127.0.0.1", 64, &port);
	address = address4("127.0.0.1", port);
}

static int connected(int *other)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		_exit(5);
	*other = accept(listener, NULL, NULL);
	return fd;
}

static void talk(void)
{
	char bytes[8];
	int other, fd = connected(&other);
	tell("send", send(fd, "x", 1, 0));
	tell("read", read(other, bytes, sizeof(bytes)));
	tell("shutdown", shutdown(fd, SHUT_WR));
	tell("end", recv(other, bytes, sizeof(bytes), 0));
	int copy = dup(fd);
	tell("dup2", dup2(other, copy) == copy);
	tell("fcntl", fcntl(fd, F_DUPFD, 50));
	tell("close", close(fd) + close(other) + close(copy) + close(50));
	tell("again", close(fd));
}

static void on_signal(int number)
{
	tell("signal", number);
}

static void signals(void)
{
	struct sigaction action = {.sa_handler = on_signal}, before;
	tell("asked", sigaction(SIGUSR1, NULL, &before));
	tell("was default", before.sa_handler == SIG_DFL);
	tell("set", sigaction(SIGUSR1, &action, &before));
	tell("was default", before.sa_handler == SIG_DFL);
	tell("raise", raise(SIGUSR1));
	tell("back", signal(SIGUSR1, SIG_DFL) == on_signal);
	talk();
}

static void reap(pid_t child)
{
	int status = -1;
	tell("waited", waitpid(child, &status, 0) == child);
	tell("status", status);
}

static void forks(void)
{
	char *words[] = {"/bin/true", NULL}, *none[] = {NULL};
	pid_t child = fork();
	if (child == 0) {
		talk();
		_exit(0);
	}
	reap(child);
	child = fork();
	if (child == 0) {
		close(listener);
		_exit(7);
	}
	reap(child);
	tell("spawn", posix_spawn(&child, words[0], NULL, NULL, words, none));
	reap(child);
	talk();
}

static void *thread(void *unused)
{
	(void)unused;
	talk();
	return NULL;
}

static void threads(void)
{
	pthread_t id;
	if (pthread_create(&id, NULL, thread, NULL) != 0)
		die("thread");
	tell("joined", pthread_join(id, NULL));
	talk();
}

/* One filter more: it allows everything. */
static void filters_again(void)
{
	struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {1, &code};
	tell("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	tell("prctl", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	tell("tsync",
	     syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program));
	talk();
}

/* Until its input ends, or a signal ends it. */
static void waits(void)
{
	char byte;
	tell("ready", 0);
	tell("read", read(0, &byte, 1));
}

static void *last_thread(void *unused)
{
	(void)pthread_join(*(pthread_t *)unused, NULL);
	talk();
	tell("done", 0);
	return NULL;
}

/* The process ends with its last thread. */
static void main_exits(void)
{
	static pthread_t first, last;
	first = pthread_self();
	tell("thread", pthread_create(&last, NULL, last_thread, &first));
	pthread_exit(NULL);
}

static void files(void)
{
	int other, fd = connected(&other);
	FILE *file = fdopen(fd, "r+");
	tell("fprintf", fprintf(file, "%d\n", 5));
	tell("fclose", fclose(file));
	tell("dprintf", dprintf(other, "x"));
	tell("close", close(other));
	talk();
}

static void ranges(void)
{
	int other;
	(void)connected(&other);
	(void)connected(&other);
	tell("close_range", close_range(40, 50, 0));
	closefrom(3);
	listener = -1;
	open_listener();
	talk();
}

static void out_of_fds(void)
{
	int n = 0, fd, last = -1;
	while ((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0) {
		last = fd;
		n++;
	}
	tell("socket", fd);
	tell("dup", dup(0));
	tell("many", n > 5);
	tell("close", close(last) + close(last - 1) + close(last - 2) + close(last - 3));
	talk();
}

/* A thread that was there before the filter goes on inside it, or outside. */
static pthread_barrier_t barrier;

static void *earlier(void *unused)
{
	pthread_barrier_wait(&barrier); /* here, past all that a thread begins with */
	pthread_barrier_wait(&barrier);
	talk();
	return unused;
}

static const struct work {
	const char *name;
	void (*run)(void);
} works[] = {
	{"talk", talk},
	{"signals", signals},
	{"forks", forks},
	{"threads", threads},
	{"files", files},
	{"ranges", ranges},
	{"out_of_fds", out_of_fds},
	{"returns", talk},
	{"earlier", talk},
	{"main_exits", main_exits},
	{"filters_again", filters_again},
	{"waits", waits},
};

static scmp_filter_ctx filter_of(const char *action, char **names, int n)
{
	scmp_filter_ctx filter =
		seccomp_init(strcmp(action, "kill_process") == 0  ? SCMP_ACT_KILL_PROCESS
	                     : strcmp(action, "kill_thread") == 0 ? SCMP_ACT_KILL_THREAD
	                     : strcmp(action, "trap") == 0        ? SCMP_ACT_TRAP
	                                                          : SCMP_ACT_ERRNO(EPERM));
	const char *const always[] = {"sysinfo", "exit_group", "exit"};
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		(void)seccomp_rule_add(filter, SCMP_ACT_ALLOW,
		                       seccomp_syscall_resolve_name(always[i]), 0);
	for (int i = 0; i < n; i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(names[i]),
		                     0) != 0)
			die(names[i]);
	return filter;
}

static void load_raw(scmp_filter_ctx filter, bool is_prctl)
{
	static struct sock_filter code[4096];
	int fd = memfd_create("filter", MFD_CLOEXEC);
	if (fd < 0 || seccomp_export_bpf(filter, fd) != 0)
		die("export");
	ssize_t n = pread(fd, code, sizeof(code), 0);
	struct sock_fprog program = {(unsigned short)((size_t)n / sizeof(code[0])), code};
	close(fd);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		die("no_new_privs");
	if (is_prctl ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)
	             : syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
		die("seccomp");
}

static void set_filter(const char *how, scmp_filter_ctx filter)
{
	if (strcmp(how, "prctl") == 0 || strcmp(how, "syscall") == 0) {
		load_raw(filter, how[0] == 'p');
		return;
	}
	if (strcmp(how, "tsync") == 0 && seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) != 0)
		die("tsync");
	int error = seccomp_load(filter);
	if (error) {
		errno = -error;
		die("seccomp_load");
	}
}

int main(int argc, char **argv)
{
	struct rlimit limit = {64, 64};
	struct sysinfo info;
	pthread_t id;
	if (argc < 5)
		return 2;
	bool is_first = strcmp(argv[3], "first") == 0;
	bool is_earlier = strcmp(argv[4], "earlier") == 0;
	if (!is_first) {
		open_listener();
		talk();
	}
	if (strcmp(argv[4], "out_of_fds") == 0)
		setrlimit(RLIMIT_NOFILE, &limit);
	if (is_earlier && (pthread_barrier_init(&barrier, NULL, 2) != 0 ||
	                   pthread_create(&id, NULL, earlier, NULL) != 0))
		die("thread");
	if (is_earlier)
		pthread_barrier_wait(&barrier);
	if (argc > 5)
		set_filter(argv[1], filter_of(argv[2], argv + 5, argc - 5));
	sysinfo(&info);
	open_listener();
	if (is_earlier) {
		pthread_barrier_wait(&barrier);
		pthread_join(id, NULL);
	}
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		if (strcmp(works[i].name, argv[4]) == 0)
			works[i].run();
	tell("done", 0);
	if (strcmp(argv[4], "returns") == 0)
		return 0;
	_exit(0);
}
