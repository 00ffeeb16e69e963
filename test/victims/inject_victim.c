/* Build: -lm */
/* inject_victim - does one kind of work until SIGTERM, checks it all the time, and says how much was done: inject_victim HOW [N].
 *
 * "ready" first; then "ok COUNT" and the end with status 0, or one line on stderr and status 3. It knows nothing of who borrows
 * its threads.
 */
#include "victim.h"

#include <fenv.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

static atomic_int is_over;
static atomic_long count;

static void end_it(int unused)
{
	(void)unused;
	is_over = 1;
}

static void fail(const char *what, long a, long b)
{
	fprintf(stderr, "victim: %s: %ld, not %ld\n", what, a, b);
	_exit(3);
}

/* ---- registers: all of them across a system call that libc's syscall() makes ---- */

struct bank {
	uint64_t vectors[16][4];
	uint64_t general[5]; /* rbx r12 r13 r14 r15 */
};

/* Fills the registers, makes syscall(number, a, b, c), and stores them. */
#ifdef __x86_64__
static void exchange(const struct bank *in, struct bank *out, long number, long a, long b, long c)
{
	const struct {
		const struct bank *in;
		struct bank *out;
		long number, a, b, c;
	} all = {in, out, number, a, b, c};
	const void *at = &all;
	__asm__ volatile("lea -128(%%rsp), %%rsp\n"
	                 "push %%rbp\n"
	                 "mov %%rsp, %%rbp\n"
	                 "sub $1024, %%rsp\n"
	                 "and $-64, %%rsp\n"

	                 "mov 8(%%rax), %%rdx\n"
	                 "mov %%rdx, (%%rsp)\n"
	                 "mov (%%rax), %%rdx\n"
	                 "vmovdqu 0(%%rdx), %%ymm0\n"
	                 "vmovdqu 32(%%rdx), %%ymm1\n"
	                 "vmovdqu 64(%%rdx), %%ymm2\n"
	                 "vmovdqu 96(%%rdx), %%ymm3\n"
	                 "vmovdqu 128(%%rdx), %%ymm4\n"
	                 "vmovdqu 160(%%rdx), %%ymm5\n"
	                 "vmovdqu 192(%%rdx), %%ymm6\n"
	                 "vmovdqu 224(%%rdx), %%ymm7\n"
	                 "vmovdqu 256(%%rdx), %%ymm8\n"
	                 "vmovdqu 288(%%rdx), %%ymm9\n"
	                 "vmovdqu 320(%%rdx), %%ymm10\n"
	                 "vmovdqu 352(%%rdx), %%ymm11\n"
	                 "vmovdqu 384(%%rdx), %%ymm12\n"
	                 "vmovdqu 416(%%rdx), %%ymm13\n"
	                 "vmovdqu 448(%%rdx), %%ymm14\n"
	                 "vmovdqu 480(%%rdx), %%ymm15\n"
	                 "mov 512(%%rdx), %%rbx\n"
	                 "mov 520(%%rdx), %%r12\n"
	                 "mov 528(%%rdx), %%r13\n"
	                 "mov 536(%%rdx), %%r14\n"
	                 "mov 544(%%rdx), %%r15\n"
	                 "mov 16(%%rax), %%rdi\n"
	                 "mov 24(%%rax), %%rsi\n"
	                 "mov 40(%%rax), %%rcx\n"
	                 "mov 32(%%rax), %%rdx\n"
	                 "xor %%r8d, %%r8d\n"
	                 "xor %%eax, %%eax\n"
	                 "call syscall@PLT\n"
	                 "mov (%%rsp), %%rdx\n"
	                 "vmovdqu %%ymm0, 0(%%rdx)\n"
	                 "vmovdqu %%ymm1, 32(%%rdx)\n"
	                 "vmovdqu %%ymm2, 64(%%rdx)\n"
	                 "vmovdqu %%ymm3, 96(%%rdx)\n"
	                 "vmovdqu %%ymm4, 128(%%rdx)\n"
	                 "vmovdqu %%ymm5, 160(%%rdx)\n"
	                 "vmovdqu %%ymm6, 192(%%rdx)\n"
	                 "vmovdqu %%ymm7, 224(%%rdx)\n"
	                 "vmovdqu %%ymm8, 256(%%rdx)\n"
	                 "vmovdqu %%ymm9, 288(%%rdx)\n"
	                 "vmovdqu %%ymm10, 320(%%rdx)\n"
	                 "vmovdqu %%ymm11, 352(%%rdx)\n"
	                 "vmovdqu %%ymm12, 384(%%rdx)\n"
	                 "vmovdqu %%ymm13, 416(%%rdx)\n"
	                 "vmovdqu %%ymm14, 448(%%rdx)\n"
	                 "vmovdqu %%ymm15, 480(%%rdx)\n"
	                 "mov %%rbx, 512(%%rdx)\n"
	                 "mov %%r12, 520(%%rdx)\n"
	                 "mov %%r13, 528(%%rdx)\n"
	                 "mov %%r14, 536(%%rdx)\n"
	                 "mov %%r15, 544(%%rdx)\n"
	                 "mov %%rbp, %%rsp\n"
	                 "pop %%rbp\n"
	                 "lea 128(%%rsp), %%rsp\n"
	                 : "+a"(at)
	                 :
	                 : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
	                   "r13", "r14", "r15", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3",
	                   "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
	                   "xmm12", "xmm13", "xmm14", "xmm15");
}

#else
static void exchange(const struct bank *in, struct bank *out, long number, long a, long b, long c)
{
	*out = *in;
	syscall(number, a, b, c, 0);
}
#endif

static uint64_t next_random(void)
{
	static uint64_t state = 88172645463325252ull;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void do_registers(int n)
{
	struct bank in, out;
	(void)n;
	fesetround(FE_DOWNWARD);
	while (!is_over) {
		struct timespec ms = {0, 1000000};
		for (size_t i = 0; i < sizeof(in) / 8; i++)
			((uint64_t *)&in)[i] = next_random();
		memset(&out, 0, sizeof(out));
		errno = 4711;
		if (count % 2)
			exchange(&in, &out, SYS_nanosleep, (long)&ms, 0, 0);
		else
			exchange(&in, &out, SYS_poll, 0, 0, 1);
		if (is_over)
			break; /* SIGTERM has ended the call */
		if (errno != 4711)
			fail("errno", errno, 4711);
		if (fegetround() != FE_DOWNWARD)
			fail("rounding", fegetround(), FE_DOWNWARD);
		for (size_t i = 0; i < sizeof(in) / 8; i++)
			if (((uint64_t *)&in)[i] != ((uint64_t *)&out)[i])
				fail("register of another value, by index", (long)i, -1);
		count++;
	}
}

/* ---- signals: queued ones, each with its number; none may be lost, none come twice ---- */

static pthread_t receiver;
static atomic_long taken, sent;

static void take(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	if (info->si_value.sival_int != (int)taken)
		fail("signal", info->si_value.sival_int, taken);
	taken++;
}

static void *send_signals(void *unused)
{
	while (!is_over) {
		union sigval value = {.sival_int = (int)sent};
		if (pthread_sigqueue(receiver, SIGRTMIN, value) == 0)
			sent++;
		for (volatile int i = 0; i < 20000; i++)
			;
	}
	return unused;
}

static void do_signals(int n)
{
	struct sigaction action = {.sa_sigaction = take,
	                           .sa_flags = SA_SIGINFO | (n ? SA_RESTART : 0)};
	pthread_t sender;
	sigset_t term;
	receiver = pthread_self();
	sigaction(SIGRTMIN, &action, NULL);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigaddset(&term, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	pthread_create(&sender, NULL, send_signals, NULL);
	pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	while (!is_over) {
		if (poll(NULL, 0, 5) < 0 && errno != EINTR)
			fail("poll", errno, EINTR);
		count++;
	}
	pthread_join(sender, NULL);
	while (taken < sent)
		poll(NULL, 0, 1);
	count = taken;
}

/* ---- wakeups: each signal must end the wait that it comes into, as a program without a self-pipe needs it;
 * and nothing else may end it, but where N says that somebody may be killed who makes it wait ---- */

static atomic_int flag;

static void set_flag(int unused)
{
	(void)unused;
	flag = 1;
}

static void *raise_flags(void *unused)
{
	while (!is_over) {
		pthread_kill(receiver, SIGUSR2);
		poll(NULL, 0, 3);
	}
	pthread_kill(receiver, SIGUSR2);
	return unused;
}

static void do_wakeups(int n)
{
	pthread_t sender;
	struct sigaction action = {.sa_handler = set_flag};
	struct epoll_event event;
	int set = epoll_create1(0);
	receiver = pthread_self();
	sigaction(SIGUSR2, &action, NULL);
	pthread_create(&sender, NULL, raise_flags, NULL);
	while (!is_over) {
		int got = epoll_wait(set, &event, 1, 20000);
		if (got == 0)
			fail("epoll_wait() slept on after a signal", flag, 0);
		if (got < 0 && errno != EINTR)
			fail("epoll_wait", errno, EINTR);
		/* For no reason that the program knows of. */
		if (!flag && !is_over && !n)
			fail("epoll_wait() ended without a signal", errno, 0);
		flag = 0;
		count++;
	}
	pthread_join(sender, NULL);
}

/* ---- handler: the only thread waits within a signal handler. N says what that interrupted: 0 kill(), 1 malloc(), 2 select(), 3 a
 * read() that is begun again, 4 sigprocmask() ---- */

static int gate[2];
static atomic_int has_been_in, leaves_byte;

static void wait_in_handler(int unused)
{
	char byte;
	(void)unused;
	if (write(1, "in\n", 3) != 3)
		_exit(3);
	while (read(gate[0], &byte, 1) < 0)
		;
	if (leaves_byte && write(gate[1], "y", 1) != 1)
		_exit(3);
	has_been_in = 1;
}

static void be_interrupted(int where)
{
	char byte;
	const struct itimerval soon = {.it_value = {.tv_usec = 20000}};
	has_been_in = 0;
	leaves_byte = where == 3; /* which the read() gets */
	if (where == 0) {
		raise(SIGALRM);
		return;
	}
	if (where == 4) {
		sigset_t alarm;
		sigemptyset(&alarm);
		sigaddset(&alarm, SIGALRM);
		sigprocmask(SIG_BLOCK, &alarm, NULL);
		kill(getpid(), SIGALRM);
		sigprocmask(SIG_UNBLOCK, &alarm, NULL);
		return;
	}
	setitimer(ITIMER_REAL, &soon, NULL);
	if (where == 2)
		select(0, NULL, NULL, NULL, NULL);
	else if (where == 3 && (read(gate[0], &byte, 1) != 1 || byte != 'y'))
		die("read");
	while (!has_been_in)
		free(malloc(1 + next_random() % 10000));
}

static void do_handler(int n)
{
	struct sigaction action = {.sa_handler = wait_in_handler, .sa_flags = SA_RESTART};
	char byte;
	if (pipe(gate) < 0)
		die("pipe");
	sigaction(SIGALRM, &action, NULL);
	/* The handler of SIGUSR1 opens the gate. */
	while (!is_over) {
		be_interrupted(n);
		count++;
		say("out");
		while (!is_over && read(gate[0], &byte, 1) < 0)
			;
	}
}

/* ---- leftover: a handler came into malloc(), and has ended; in a variable that nothing was put into lies what it left ---- */

static void pass(int unused)
{
	(void)unused;
	has_been_in = 1;
}

static __attribute__((noinline)) void be_interrupted_deep(void)
{
	char room[16 << 10];
	__asm__ volatile("" : : "r"(room) : "memory");
	be_interrupted(1);
	__asm__ volatile("" : : "r"(room) : "memory");
}

static __attribute__((noinline)) void wait_with_room(void)
{
	char room[48 << 10];
	while (!is_over && read(gate[0], room, 1) < 0)
		;
}

static void do_leftover(int n)
{
	struct sigaction action = {.sa_handler = pass};
	(void)n;
	if (pipe(gate) < 0)
		die("pipe");
	sigaction(SIGALRM, &action, NULL);
	be_interrupted_deep();
	say("in");
	while (!is_over) {
		wait_with_room();
		count++;
	}
}

static void open_gate(int unused)
{
	(void)unused;
	if (write(gate[1], "x", 1) != 1)
		_exit(3);
}

/* ---- malloc: always in the allocator; out of it only to write a byte now and then, if ever ---- */

static void do_malloc(int n)
{
	void *blocks[64] = {0};
	while (!is_over) {
		size_t i = next_random() % 64;
		free(blocks[i]);
		blocks[i] = malloc(16 + next_random() % 100000);
		memset(blocks[i], 1, 16);
		if (n && count % n == 0 && write(2, "", 0) < 0)
			die("write");
		count++;
	}
}

/* ---- deadline: a long sleep takes as long as it was told to, however often it is interrupted ---- */

static void do_deadline(int ms)
{
	struct timespec begin, end, time = {ms / 1000, ms % 1000 * 1000000L};
	clock_gettime(CLOCK_MONOTONIC, &begin);
	if (nanosleep(&time, NULL) < 0)
		fail("nanosleep", errno, 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	count = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
}

/* ---- crowd: N threads answer, each its own client; every answer is checked ---- */

static void *answer_all(void *argument)
{
	int fd = (int)(intptr_t)argument;
	uint64_t number;
	while (recv(fd, &number, sizeof(number), MSG_WAITALL) == sizeof(number)) {
		for (int i = 0; i < 2000; i++)
			number = number * 6364136223846793005ull + 1442695040888963407ull;
		if (send(fd, &number, sizeof(number), 0) != sizeof(number))
			die("send");
	}
	if (!is_over)
		fail("recv", errno, 0);
	return NULL;
}

static void do_crowd(int n)
{
	struct pollfd *clients = calloc((size_t)n, sizeof(*clients));
	uint64_t *wanted = calloc((size_t)n, sizeof(*wanted));
	for (int i = 0; i < n; i++) {
		int pair[2];
		pthread_t thread;
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ||
		    pthread_create(&thread, NULL, answer_all, (void *)(intptr_t)pair[1]) != 0)
			die("crowd");
		clients[i] = (struct pollfd){.fd = pair[0], .events = POLLIN};
	}
	for (int i = 0; i < n; i++) {
		if (send(clients[i].fd, &wanted[i], sizeof(wanted[i]), 0) != sizeof(wanted[i]))
			die("send");
	}
	while (!is_over) {
		if (poll(clients, (nfds_t)n, 10000) == 0)
			fail("no answer for ten seconds", 0, 1);
		for (int i = 0; i < n; i++) {
			uint64_t got, number = wanted[i];
			if (!(clients[i].revents & POLLIN))
				continue;
			if (recv(clients[i].fd, &got, sizeof(got), MSG_WAITALL) != sizeof(got))
				die("recv");
			for (int k = 0; k < 2000; k++)
				number = number * 6364136223846793005ull + 1442695040888963407ull;
			if (got != number)
				fail("answer", (long)got, (long)number);
			wanted[i] = next_random();
			if (send(clients[i].fd, &wanted[i], sizeof(wanted[i]), 0) !=
			    sizeof(wanted[i]))
				die("send");
			count++;
		}
	}
}

/* ---- mixed: threads that may not be borrowed, each in a read(), and one that may, which waits for a condition ---- */

static ucontext_t outer, inner;

static void wait_on_own_stack(void)
{
	char byte;
	while (read(gate[0], &byte, 1) < 0)
		;
}

static void *be_coroutine(void *unused)
{
	getcontext(&inner);
	inner.uc_stack.ss_size = 256 << 10;
	inner.uc_stack.ss_sp = malloc(inner.uc_stack.ss_size);
	inner.uc_link = &outer;
	makecontext(&inner, wait_on_own_stack, 0);
	swapcontext(&outer, &inner);
	return unused;
}

static void *be_handler(void *unused)
{
	raise(SIGUSR2);
	return unused;
}

static void do_mixed(int n)
{
	struct sigaction action = {.sa_handler = wait_in_handler};
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
	pthread_t thread;
	if (pipe(gate) < 0)
		die("pipe");
	sigaction(SIGUSR2, &action, NULL);
	for (int i = 0; i < n; i++)
		if (pthread_create(&thread, NULL, i % 2 ? be_coroutine : be_handler, NULL) != 0)
			die("thread");
	pthread_mutex_lock(&mutex);
	while (!is_over) {
		struct timespec time;
		clock_gettime(CLOCK_REALTIME, &time);
		time.tv_sec++;
		pthread_cond_timedwait(&condition, &mutex, &time);
		count++;
	}
}

/* ---- becoming: another program every few milliseconds, which is this one again ---- */

static void do_becoming(int n)
{
	char number[16];
	for (int i = 0; i < 10 && !is_over; i++)
		poll(NULL, 0, 1);
	count = n;
	if (is_over)
		return;
	snprintf(number, sizeof(number), "%d", n + 1);
	execl("/proc/self/exe", "inject_victim", "becoming", number, (char *)NULL);
	die("execl");
}

/* ---- filtered: a seccomp filter of its own, which lets everything pass ---- */

static void do_filtered(int n)
{
	struct sock_filter pass[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog program = {.len = 1, .filter = pass};
	(void)n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		die("filter");
	say("in");
	while (!is_over) {
		poll(NULL, 0, 1000);
		count++;
	}
}

/* ---- locked: a thread that keeps the loader's lock until SIGUSR1 ---- */

static int wait_inside(struct dl_phdr_info *info, size_t size, void *unused)
{
	char byte;
	(void)info, (void)size, (void)unused;
	say("in");
	while (read(gate[0], &byte, 1) < 0)
		;
	return 1;
}

static void *keep_lock(void *unused)
{
	dl_iterate_phdr(wait_inside, unused);
	say("out");
	return NULL;
}

static void do_locked(int n)
{
	pthread_t thread;
	(void)n;
	if (pipe(gate) < 0 || pthread_create(&thread, NULL, keep_lock, NULL))
		die("thread");
	while (!is_over) {
		poll(NULL, 0, 1000);
		count++;
	}
}

static const struct {
	const char *name;
	void (*work)(int n);
} works[] = {
	{"registers", do_registers}, {"signals", do_signals},   {"wakeups", do_wakeups},
	{"handler", do_handler},     {"malloc", do_malloc},     {"deadline", do_deadline},
	{"crowd", do_crowd},         {"filtered", do_filtered}, {"mixed", do_mixed},
	{"becoming", do_becoming},   {"leftover", do_leftover}, {"locked", do_locked},
};

int main(int argc, char **argv)
{
	struct sigaction term = {.sa_handler = end_it}, gate_opener = {.sa_handler = open_gate};
	sigaction(SIGTERM, &term, NULL);
	sigaction(SIGUSR1, &gate_opener, NULL);
	for (size_t i = 0; argc > 1 && i < sizeof(works) / sizeof(works[0]); i++)
		if (strcmp(works[i].name, argv[1]) == 0) {
			say("ready");
			works[i].work(argc > 2 ? atoi(argv[2]) : 0);
			say("ok %ld", (long)count);
			fflush(stdout);
			_exit(0);
		}
	fprintf(stderr, "usage: inject_victim HOW [N]\n");
	return 2;
}
