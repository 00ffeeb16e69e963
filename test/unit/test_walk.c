/* test_walk.c - a stack by the rules of its return addresses: the same as libunwind's, or none. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "stack/cfi.h"
#include "stack/walk.h"

#define NOINLINE __attribute__((noinline))
#define FRAMES 320

static int (*unwind)(void **frames, int size);

struct walks {
	uint32_t known, learnt, theirs; /* how many frames each has */
	uint32_t limit;
	bool is_cut, in_handler;
	uint64_t words[FRAMES];
	uint64_t of_libunwind[FRAMES];
};

/* Like a hook. */
NOINLINE static void door(struct walks *walks)
{
	const void *caller = __builtin_return_address(0);
	void *frames[FRAMES];
	walks->known = sl_walk(caller, walks->words, walks->limit, false, &walks->is_cut,
	                       &walks->in_handler);
	walks->learnt = sl_walk(caller, walks->words, walks->limit, true, &walks->is_cut,
	                        &walks->in_handler);
	int n = unwind(frames, FRAMES), first = 0;
	while (first < n && frames[first] != caller)
		first++;
	for (walks->theirs = 0; first < n; first++)
		if (frames[first])
			walks->of_libunwind[walks->theirs++] = (uintptr_t)frames[first];
	__asm__ volatile("");
}

static void assert_same(const struct walks *walks)
{
	assert_true(walks->learnt > 2);
	assert_false(walks->is_cut);
	assert_int_equal(walks->learnt, walks->theirs);
	assert_memory_equal(walks->words, walks->of_libunwind, walks->theirs * sizeof(uint64_t));
}

static struct walks fresh(void)
{
	return (struct walks){.limit = FRAMES};
}

NOINLINE static void deep(struct walks *walks, unsigned frames)
{
	if (frames > 0)
		deep(walks, frames - 1);
	else
		door(walks);
	__asm__ volatile("");
}

/* Its size is known when it runs: it has a frame pointer. */
NOINLINE static void with_frame_pointer(struct walks *walks, size_t bytes)
{
	volatile char room[bytes];
	room[0] = room[bytes - 1] = 0;
	deep(walks, 3);
	room[0] = 1;
}

NOINLINE static void with_pages(struct walks *walks)
{
	volatile char room[40000];
	room[0] = room[39999] = 0;
	with_frame_pointer(walks, 300);
	room[0] = 1;
}

static struct walks *of_callback;

static int compare(const void *left, const void *right)
{
	(void)left, (void)right;
	deep(of_callback, 2);
	return 0;
}

static void through_libc(struct walks *walks)
{
	int pair[2] = {2, 1};
	of_callback = walks;
	qsort(pair, 2, sizeof(pair[0]), compare);
}

static void of_all_kinds(struct walks *walks)
{
	deep(walks, 0);
	assert_same(walks);
	deep(walks, 200);
	assert_same(walks);
	with_frame_pointer(walks, 100);
	assert_same(walks);
	with_frame_pointer(walks, 9000);
	assert_same(walks);
	with_pages(walks);
	assert_same(walks);
	through_libc(walks);
	assert_same(walks);
}

static void it_is_libunwinds_stack(void **state)
{
	(void)state;
	static struct walks walks;
	walks = fresh();
	of_all_kinds(&walks);
}

static void *all_kinds(void *walks)
{
	of_all_kinds(walks);
	return NULL;
}

static void on_a_threads_stack_too(void **state)
{
	(void)state;
	static struct walks walks;
	pthread_t thread;
	walks = fresh();
	assert_int_equal(pthread_create(&thread, NULL, all_kinds, &walks), 0);
	pthread_join(thread, NULL);
	assert_same(&walks);
}

NOINLINE static void another(struct walks *walks)
{
	deep(walks, 5);
	__asm__ volatile("");
}

static void what_is_learnt_is_known_until_it_is_forgotten(void **state)
{
	(void)state;
	static struct walks walks;
	for (volatile int round = 0; round < 4; round++) {
		if (round == 2)
			sl_walk_forget();
		walks = fresh();
		another(&walks);
		assert_same(&walks);
		assert_int_equal(walks.known, round % 2 ? walks.learnt : 0);
	}
}

static void no_more_than_the_limit(void **state)
{
	(void)state;
	static struct walks walks;
	walks = fresh();
	deep(&walks, 30);
	uint32_t depth = walks.learnt;
	for (uint32_t limit = depth - 2; limit <= depth + 1; limit++) {
		walks = fresh();
		walks.limit = limit;
		deep(&walks, 30);
		assert_int_equal(walks.learnt, limit < depth ? limit : depth);
		assert_int_equal(walks.is_cut, limit < depth);
		assert_memory_equal(walks.words, walks.of_libunwind,
		                    walks.learnt * sizeof(uint64_t));
	}
}

static void a_caller_that_is_not_met_is_no_stack(void **state)
{
	(void)state;
	uint64_t words[8];
	bool is_cut, in_handler;
	assert_int_equal(sl_walk((void *)1, words, 8, true, &is_cut, &in_handler), 0);
	assert_false(in_handler);
}

static struct walks of_handler;

static void handle(int number)
{
	(void)number;
	deep(&of_handler, 1);
}

/* Its frame is of the kernel's making: what a handler interrupts may be at any instruction. */
static void a_handlers_stack_is_left_to_libunwind(void **state)
{
	(void)state;
	struct sigaction action = {.sa_handler = handle}, before;
	of_handler = fresh();
	assert_int_equal(sigaction(SIGUSR2, &action, &before), 0);
	raise(SIGUSR2);
	sigaction(SIGUSR2, &before, NULL);
	assert_int_equal(of_handler.learnt, 0);
	assert_true(of_handler.in_handler);
	assert_true(of_handler.theirs > 4);
}

static int was_amidst; /* -1: not asked */

static void ask(int number)
{
	(void)number;
	was_amidst = sl_walk_is_amidst();
}

static void ask_on(int number, int flags)
{
	struct sigaction action = {.sa_handler = ask, .sa_flags = flags};
	was_amidst = -1;
	assert_int_equal(sigaction(number, &action, NULL), 0);
}

static void outside_a_handler_it_is_amidst_nothing(void **state)
{
	(void)state;
	assert_false(sl_walk_is_amidst());
}

/* The call that has sent it does not wait. */
static void a_handler_comes_amidst_code(void **state)
{
	(void)state;
	ask_on(SIGUSR2, 0);
	raise(SIGUSR2);
	assert_int_equal(was_amidst, 1);
}

static void a_handler_comes_amidst_code_from_a_stack_of_its_own(void **state)
{
	(void)state;
	stack_t stack = {.ss_size = 1 << 16}, none = {.ss_flags = SS_DISABLE};
	stack.ss_sp = malloc(stack.ss_size);
	assert_int_equal(sigaltstack(&stack, NULL), 0);
	ask_on(SIGUSR2, SA_ONSTACK);
	raise(SIGUSR2);
	assert_int_equal(was_amidst, 1);
	assert_int_equal(sigaltstack(&none, NULL), 0);
	free(stack.ss_sp);
}

static sigset_t all_but_one(int number)
{
	sigset_t most;
	sigfillset(&most);
	sigdelset(&most, number);
	return most;
}

static void a_handler_comes_into_a_wait(void **state)
{
	(void)state;
	sigset_t all, most = all_but_one(SIGUSR2), before;
	sigfillset(&all);
	ask_on(SIGUSR2, 0);
	sigprocmask(SIG_SETMASK, &all, &before);
	raise(SIGUSR2);
	assert_int_equal(sigsuspend(&most), -1);
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_int_equal(was_amidst, 0);
}

struct waiting {
	int ends[2];
	uint32_t word;
	bool is_futex;
	int tid;
};

static void *wait_in_a_call(void *context)
{
	struct waiting *waiting = context;
	char byte;
	__atomic_store_n(&waiting->tid, (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	if (!waiting->is_futex)
		return (void *)read(waiting->ends[0], &byte, 1);
	while (__atomic_load_n(&waiting->word, __ATOMIC_SEQ_CST) == 0)
		(void)syscall(SYS_futex, &waiting->word, FUTEX_WAIT_PRIVATE, 0, NULL);
	return NULL;
}

/* /proc/self/task/TID/syscall begins with its number. */
static bool is_in_call(int tid, long number)
{
	char path[64], text[32] = "";
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	FILE *file = fopen(path, "re");
	bool is_there = file && fgets(text, sizeof(text), file) && strtol(text, NULL, 10) == number;
	if (file)
		fclose(file);
	return is_there;
}

static int ask_in_a_call(bool is_futex, int flags)
{
	struct waiting waiting = {.is_futex = is_futex};
	pthread_t thread;
	ask_on(SIGUSR2, flags);
	assert_int_equal(pipe(waiting.ends), 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_in_a_call, &waiting), 0);
	while (!__atomic_load_n(&waiting.tid, __ATOMIC_SEQ_CST) ||
	       !is_in_call(waiting.tid, is_futex ? SYS_futex : SYS_read))
		sched_yield();
	pthread_kill(thread, SIGUSR2);
	while (__atomic_load_n(&was_amidst, __ATOMIC_SEQ_CST) < 0)
		sched_yield();
	__atomic_store_n(&waiting.word, 1, __ATOMIC_SEQ_CST);
	(void)syscall(SYS_futex, &waiting.word, FUTEX_WAKE_PRIVATE, 1);
	assert_int_equal(write(waiting.ends[1], "x", 1), 1);
	pthread_join(thread, NULL);
	close(waiting.ends[0]);
	close(waiting.ends[1]);
	return was_amidst;
}

/* By a futex somebody may wait for a lock, and hold another. */
static void a_call_that_waits_for_a_lock_is_no_wait(void **state)
{
	(void)state;
	assert_int_equal(ask_in_a_call(false, 0), 0);
	assert_int_equal(ask_in_a_call(false, SA_RESTART), 0);
	assert_int_equal(ask_in_a_call(true, 0), 1);
	assert_int_equal(ask_in_a_call(true, SA_RESTART), 1);
}

static void raise_another(int number)
{
	(void)number;
	raise(SIGUSR2);
}

static void suspend_and_ask(int number)
{
	sigset_t all, most = all_but_one(SIGUSR2);
	(void)number;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	raise(SIGUSR2);
	(void)sigsuspend(&most);
}

/* All of them count, not only the innermost. */
static void a_handler_in_a_handler(void **state)
{
	(void)state;
	struct sigaction outer = {.sa_handler = raise_another};
	sigset_t all, most = all_but_one(SIGALRM), before;
	sigfillset(&all);
	assert_int_equal(sigaction(SIGALRM, &outer, NULL), 0);
	ask_on(SIGUSR2, 0);
	sigprocmask(SIG_SETMASK, &all, &before);
	raise(SIGALRM);
	sigdelset(&most, SIGUSR2);
	(void)sigsuspend(&most);
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_int_equal(was_amidst, 1);

	outer.sa_handler = suspend_and_ask;
	assert_int_equal(sigaction(SIGALRM, &outer, NULL), 0);
	ask_on(SIGUSR2, 0);
	raise(SIGALRM);
	assert_int_equal(was_amidst, 1);
}

static ucontext_t back, there;
static struct walks of_coroutine;

static void coroutine(void)
{
	deep(&of_coroutine, 1);
}

/* Stacks that end where nothing can be read, one after another at the same place, of different size: nothing is read past an end, and
 * what is told is libunwind's or nothing. */
static void coroutines_come_and_go(void **state)
{
	(void)state;
	const size_t page = 4096, most = 32;
	char *memory = mmap(NULL, (most + 1) * page, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(memory != MAP_FAILED);
	for (size_t pages = most; pages >= 16; pages -= 4) {
		assert_int_equal(mprotect(memory + pages * page, page, PROT_NONE), 0);
		assert_int_equal(getcontext(&there), 0);
		there.uc_stack.ss_sp = memory;
		there.uc_stack.ss_size = pages * page;
		there.uc_link = &back;
		makecontext(&there, coroutine, 0);
		of_coroutine = fresh();
		assert_int_equal(swapcontext(&back, &there), 0);
		if (of_coroutine.learnt)
			assert_same(&of_coroutine);
	}
	assert_int_equal(munmap(memory, (most + 1) * page), 0);
}

/* In no object, at its very ends, in data. */
static void what_is_no_code_has_no_rule(void **state)
{
	(void)state;
	static char data[64];
	struct sl_cfi_rule rule;
	void *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_false(sl_cfi_find(0, &rule));
	assert_false(sl_cfi_find(1, &rule));
	assert_false(sl_cfi_find(UINTPTR_MAX, &rule));
	assert_false(sl_cfi_find((uintptr_t)memory + 16, &rule));
	assert_false(sl_cfi_find((uintptr_t)&rule, &rule));
	assert_false(sl_cfi_find((uintptr_t)data + 8, &rule));
	munmap(memory, 4096);
}

/* Each function of each object that is here. */
static int look_at_tables(struct dl_phdr_info *info, size_t size, void *context)
{
	const size_t head_bytes = 12;
	unsigned *seen = context;
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type != PT_GNU_EH_FRAME)
			continue;
		const uint8_t *head = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
		uint32_t count;
		memcpy(&count, head + 8, sizeof(count));
		for (uint32_t k = 0; k < count; k++) {
			int32_t function;
			struct sl_cfi_rule rule = {0};
			memcpy(&function, head + head_bytes + k * 8, sizeof(function));
			if (sl_cfi_find((uintptr_t)head + (uintptr_t)(intptr_t)function + 1, &rule))
				assert_int_not_equal(rule.kind, SL_CFI_BROKEN);
			*seen += rule.kind != 0;
		}
	}
	return 0;
}

static void no_table_is_taken_for_broken(void **state)
{
	unsigned seen = 0;
	(void)state;
	(void)dl_iterate_phdr(look_at_tables, &seen);
	assert_true(seen > 1000);
}

static int start(void **state)
{
	(void)state;
	void *libunwind = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
	if (!libunwind)
		return -1;
	*(void **)&unwind = dlsym(libunwind, "unw_backtrace");
	sl_cfi_open();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_libunwinds_stack),
		cmocka_unit_test(on_a_threads_stack_too),
		cmocka_unit_test(what_is_learnt_is_known_until_it_is_forgotten),
		cmocka_unit_test(no_more_than_the_limit),
		cmocka_unit_test(a_caller_that_is_not_met_is_no_stack),
		cmocka_unit_test(a_handlers_stack_is_left_to_libunwind),
		cmocka_unit_test(outside_a_handler_it_is_amidst_nothing),
		cmocka_unit_test(a_handler_comes_amidst_code),
		cmocka_unit_test(a_handler_comes_amidst_code_from_a_stack_of_its_own),
		cmocka_unit_test(a_handler_comes_into_a_wait),
		cmocka_unit_test(a_call_that_waits_for_a_lock_is_no_wait),
		cmocka_unit_test(a_handler_in_a_handler),
		cmocka_unit_test(coroutines_come_and_go),
		cmocka_unit_test(what_is_no_code_has_no_rule),
		cmocka_unit_test(no_table_is_taken_for_broken),
	};
#if !defined(__x86_64__)
	return 0; /* nothing is known of other processors: all is libunwind's */
#endif
	return cmocka_run_group_tests(tests, start, NULL);
}
