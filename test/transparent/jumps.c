/* jumps - threads that leave a call for good by a jump: out of a handler, or out of a callback. */
#include "blocking.h"

#include <setjmp.h>
#include <sys/time.h>
#include <ucontext.h>

static sigjmp_buf back;
static ucontext_t elsewhere;
static int jumped;

struct jumper {
	const struct blocking *blocking;
	struct place place;
	int tid;
	bool is_switching;
};

static void handle_with(void (*handler)(int), int number)
{
	struct sigaction action = {};
	action.sa_handler = handler;
	MUST(sigaction(number, &action, NULL));
}

static void jump(int number)
{
	(void)number;
	siglongjmp(back, 1);
}

static void switch_away(int number)
{
	(void)number;
	setcontext(&elsewhere);
}

/* Out of the same call ten times; the last time it is over. */
static void *block_and_jump(void *context)
{
	struct jumper *jumper = (struct jumper *)context;
	if (jumper->is_switching)
		getcontext(&elsewhere);
	else
		(void)sigsetjmp(back, 1);
	/* From here on all that is kept is in memory. */
	set(&jumped, get(&jumped) + 1);
	if (get(&jumped) <= 10) {
		set(&jumper->tid, own_tid());
		jumper->blocking->call(&jumper->place);
		tell("came back");
	}
	return NULL;
}

static void jump_out_of_each(bool is_switching)
{
	handle_with(is_switching ? switch_away : jump, SIGUSR2);
	for (size_t i = 0; i < BLOCKINGS; i++) {
		struct jumper jumper = {};
		jumper.blocking = &blockings[i];
		jumper.is_switching = is_switching;
		place_open(&jumper.place);
		set(&jumped, 0);
		pthread_t thread = begin(block_and_jump, &jumper);
		for (int times = 1; times <= 10; times++) {
			AWAIT(get(&jumped) == times);
			await_blocked(&jumper.tid, &blockings[i]);
			MUST(pthread_kill(thread, SIGUSR2));
		}
		end_of(thread);
		tell("%s: left %d times", blockings[i].name, get(&jumped) - 1);
		tell_use(&jumper.place, blockings[i].name);
		place_close(&jumper.place);
	}
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

static void siglongjmp_out_of_blocked(void)
{
	jump_out_of_each(false);
}

static void setcontext_out_of_blocked(void)
{
	jump_out_of_each(true);
}

/* ---- one handler in another ---- */

static struct place outer, inner;
static int nested_tid;
static sigjmp_buf inner_back;

static void block_in_handler(int number)
{
	char byte;
	(void)number;
	if (sigsetjmp(inner_back, 1) == 0) {
		set(&nested_tid, own_tid());
		(void)!recv(inner.pair[0], &byte, 1, 0);
	}
	set(&jumped, get(&jumped) + 1);
}

static void jump_to_inner(int number)
{
	(void)number;
	siglongjmp(inner_back, 1);
}

static void *block_outside(void *tid)
{
	char byte = 0;
	set((int *)tid, own_tid());
	CALL(read(outer.pair[0], &byte, 1));
	tell("read %c", byte);
	return NULL;
}

/* The inner call is left for good, the outer one goes on. */
static void jump_within_a_handler(void)
{
	int tid = 0;
	struct sigaction action = {};
	action.sa_handler = block_in_handler;
	action.sa_flags = SA_RESTART;
	MUST(sigaction(SIGUSR2, &action, NULL));
	handle_with(jump_to_inner, SIGWINCH);
	place_open(&outer);
	place_open(&inner);
	pthread_t thread = begin(block_outside, &tid);
	for (int times = 1; times <= 10; times++) {
		set(&nested_tid, 0);
		await_call(&tid, SYS_read);
		MUST(pthread_kill(thread, SIGUSR2));
		await_call(&nested_tid, SYS_recvfrom);
		MUST(pthread_kill(thread, SIGWINCH));
		AWAIT(get(&jumped) == times);
	}
	await_call(&tid, SYS_read);
	MUST(write(outer.pair[1], "o", 1));
	end_of(thread);
	tell_use(&inner, "inner");
	tell_use(&outer, "outer");
	place_close(&inner);
	place_close(&outer);
}

/* ---- out of whatever is under way ---- */

static volatile sig_atomic_t is_armed;

static void jump_if_armed(int number)
{
	(void)number;
	if (is_armed)
		siglongjmp(back, 1);
}

#define JUMPS 1500

/* The timer comes anywhere in socket() and close(): before libc's call, in it, after it. */
static void open_and_be_interrupted(void)
{
	struct itimerval often = {{0, 61}, {0, 61}}, never = {};
	handle_with(jump_if_armed, SIGALRM);
	MUST(setitimer(ITIMER_REAL, &often, NULL));
	while (get(&jumped) < JUMPS) {
		if (sigsetjmp(back, 1) != 0) {
			is_armed = 0;
			set(&jumped, get(&jumped) + 1);
			syscall(SYS_close_range, 50, 1023, 0);
		}
		is_armed = 1;
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		int copy = fcntl(fd, F_DUPFD, 50);
		close(copy);
		close(fd);
		is_armed = 0;
	}
	MUST(setitimer(ITIMER_REAL, &never, NULL));
	MUST(close_range(3, 1023, 0));
}

static void tell_that_all_is_well(void)
{
	int fds[2], pair[2];
	char byte;
	CALL(pipe(fds));
	tell("pipe %d %d", fds[0], fds[1]);
	CALL(write(fds[1], "x", 1));
	CALL(read(fds[0], &byte, 1));
	CALL(pipe2(fds, O_CLOEXEC));
	tell("pipe %d %d", fds[0], fds[1]);
	CALL(close(fds[0]));
	CALL(close(fds[1]));
	tcp_pair(pair);
	tell("pair %d %d", pair[0], pair[1]);
	pid_t child = fork();
	if (child == 0) {
		tcp_pair(pair);
		tell("pair in the child %d %d", pair[0], pair[1]);
		_exit(0);
	}
	tell_end_of("child", child);
}

static void jump_out_of_anything(void)
{
	open_and_be_interrupted();
	tell("jumped");
	tell_that_all_is_well();
}

static void *be_interrupted(void *unused)
{
	sigset_t alarm;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
	open_and_be_interrupted();
	return unused;
}

static void jump_out_of_anything_in_a_thread(void)
{
	sigset_t alarm;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, NULL);
	end_of(begin(be_interrupted, NULL));
	tell("jumped");
	tell_that_all_is_well();
}

/* ---- out of a callback ---- */

static jmp_buf out_of_sort;

static int compare(const void *a, const void *b)
{
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	if (fd > 20)
		longjmp(out_of_sort, fd);
	return *(const int *)a - *(const int *)b;
}

static void longjmp_out_of_a_callback(void)
{
	int numbers[64];
	for (int i = 0; i < 64; i++)
		numbers[i] = 64 - i;
	int fd = setjmp(out_of_sort);
	if (fd == 0)
		qsort(numbers, 64, sizeof(numbers[0]), compare);
	tell("jumped with %d", fd);
	CALL(close(fd));
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

__attribute__((noinline)) static void open_deep_down(int frames)
{
	volatile char room[200];
	room[0] = (char)frames;
	if (frames > 0)
		open_deep_down(frames - 1);
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	if (room[0] == 0)
		longjmp(out_of_sort, fd);
}

static void longjmp_across_frames(void)
{
	for (volatile int i = 0; i < 20; i++) {
		int fd = setjmp(out_of_sort);
		if (fd == 0)
			open_deep_down(i * 10);
		tell("jumped with %d", fd);
	}
}

static const struct cases_case cases[] = {
	CASE(siglongjmp_out_of_blocked),
	CASE(setcontext_out_of_blocked),
	CASE(jump_within_a_handler),
	CASE(jump_out_of_anything),
	CASE(jump_out_of_anything_in_a_thread),
	CASE(longjmp_out_of_a_callback),
	CASE(longjmp_across_frames),
};

CASES_MAIN(cases)
