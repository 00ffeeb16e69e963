/* test_clerk.c - the thread that opens files: it sees none of our fds, and we none of its. Each test that starts one is a
 * process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/sys.h"
#include "child.h"

#define PATIENCE_MS 5000
#define ERRNO_BEFORE 4321

static bool run(sl_clerk_fn *task, void *context)
{
	bool is_begun = false;
	bool is_done = sl_clerk_do(task, context, PATIENCE_MS, &is_begun);
	CHECK(is_done == is_begun);
	return is_done;
}

static void start(void)
{
	sl_clerk_start();
	CHECK(sl_clerk_is_there());
}

/* ---- whose fds ---- */

struct looked {
	int ours;          /* in */
	int is_ours_there; /* fcntl(F_GETFD), stdin and stdout included */
	int is_any_there;
	int opened; /* left open */
	int tid;
};

static void look_around(void *context)
{
	struct looked *looked = context;
	looked->tid = sl_sys_gettid();
	looked->is_ours_there = sl_sys_fcntl(looked->ours, F_GETFD, 0) >= 0;
	looked->is_any_there = 0;
	for (int fd = 0; fd < 64; fd++)
		looked->is_any_there |= sl_sys_fcntl(fd, F_GETFD, 0) >= 0;
	looked->opened = sl_sys_open("/dev/null", O_RDONLY | O_CLOEXEC, 0);
}

static void tables_apart_child(void)
{
	struct looked looked = {.ours = dup(0)};
	CHECK(looked.ours > 2);
	int lowest = dup(0);
	CHECK(close(lowest) == 0);
	start();
	CHECK(run(look_around, &looked));
	CHECK(looked.tid != sl_sys_gettid());
	CHECK(!looked.is_ours_there && !looked.is_any_there);
	CHECK(looked.opened == 0); /* there; here that is stdin, as before */
	CHECK(dup(0) == lowest);
	/* What comes here later does not come there either. */
	int first_tid = looked.tid;
	looked.ours = fcntl(0, F_DUPFD, 50);
	CHECK(run(look_around, &looked));
	CHECK(looked.tid == first_tid);
	CHECK(!looked.is_ours_there);
	CHECK(looked.is_any_there && looked.opened == 1);
	CHECK(fcntl(looked.ours, F_GETFD) >= 0);
}

static void its_fds_are_not_ours(void **state)
{
	(void)state;
	in_child(tables_apart_child);
}

/* An end of a pipe that the clerk held too would never be seen closed. */
static void no_reference_child(void)
{
	int pipes[2];
	char byte;
	struct looked looked = {.ours = 0};
	CHECK(pipe(pipes) == 0);
	start();
	CHECK(run(look_around, &looked));
	CHECK(close(pipes[1]) == 0);
	CHECK(read(pipes[0], &byte, 1) == 0);
}

static void it_holds_nothing_of_ours(void **state)
{
	(void)state;
	in_child(no_reference_child);
}

/* ---- waiting ---- */

static _Atomic bool may_end;
static _Atomic unsigned runs;

static void block(void *unused)
{
	(void)unused;
	while (!atomic_load(&may_end))
		sl_sys_futex_wait(&runs, runs, 1000000);
	runs++;
}

static void count(void *by)
{
	runs += *(unsigned *)by;
}

static void blocked_child(void)
{
	bool is_begun;
	unsigned by = 10;
	start();
	errno = ERRNO_BEFORE;
	uint64_t before_ms = sl_clock_ms();
	CHECK(!sl_clerk_do(block, NULL, 50, &is_begun));
	CHECK(sl_clock_ms() - before_ms >= 49);
	CHECK(is_begun);
	CHECK(sl_clerk_is_busy());
	/* Behind it nothing begins, and nothing waits longer than it was told to. */
	before_ms = sl_clock_ms();
	CHECK(!sl_clerk_do(count, &by, 50, &is_begun));
	CHECK(sl_clock_ms() - before_ms >= 49 && sl_clock_ms() - before_ms < PATIENCE_MS);
	CHECK(!is_begun);
	char text[64] = "unchanged";
	/* But /proc is read all the same: that is another thread's. */
	CHECK(!sl_clerk_is_asked());
	CHECK(sl_clerk_read("/proc/self/stat", text, sizeof(text)) > 0 && text[0] != 0);
	CHECK(sl_clerk_ask(count, &by, PATIENCE_MS, &is_begun) && is_begun && runs == 10);
	runs = 0;
	CHECK(sl_clerk_threads() == 2);
	/* Once it is done, the next one waits for it and runs; the one refused never does. */
	may_end = true;
	CHECK(sl_clerk_do(count, &by, PATIENCE_MS, &is_begun) && is_begun);
	CHECK(runs == 11);
	CHECK(!sl_clerk_is_busy());
	CHECK(errno == ERRNO_BEFORE);
}

static void a_task_that_blocks(void **state)
{
	(void)state;
	in_child(blocked_child);
}

/* ---- files ---- */

static void reading_child(void)
{
	char text[1024], wanted[32], name[32];
	start();
	errno = ERRNO_BEFORE;
	size_t n = sl_clerk_read("/proc/self/stat", text, sizeof(text));
	CHECK(n > 0 && n == strlen(text));
	int length = snprintf(wanted, sizeof(wanted), "%d (", (int)getpid());
	CHECK(strncmp(text, wanted, (size_t)length) == 0);
	/* No more than there is room for, with its NUL. */
	memset(name, 'x', sizeof(name));
	CHECK(sl_clerk_read("/proc/self/stat", name, 5) == 4);
	CHECK(strncmp(name, text, 4) == 0 && name[4] == 0 && name[5] == 'x');
	strcpy(text, "old");
	CHECK(sl_clerk_read("/proc/self/no_such_file", text, sizeof(text)) == 0);
	CHECK(text[0] == 0);
	char path[400];
	memset(path, '/', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	CHECK(sl_clerk_read(path, text, sizeof(text)) == 0);
	CHECK(errno == ERRNO_BEFORE);
	/* It closes what it read. */
	struct looked looked = {.ours = 0};
	CHECK(run(look_around, &looked));
	CHECK(!looked.is_any_there);
}

static void a_file_of_proc(void **state)
{
	(void)state;
	in_child(reading_child);
}

/* ---- none ---- */

static void check_none(void)
{
	bool is_begun = true;
	unsigned by = 1;
	char text[64] = "unchanged";
	uint64_t before_ms = sl_clock_ms();
	CHECK(!sl_clerk_is_there() && !sl_clerk_is_busy());
	CHECK(!sl_clerk_do(count, &by, PATIENCE_MS, &is_begun));
	CHECK(!is_begun && runs == 0);
	CHECK(sl_clerk_read("/proc/self/stat", text, sizeof(text)) == 0 && text[0] == 0);
	CHECK(sl_clock_ms() - before_ms < PATIENCE_MS / 2); /* nobody to wait for */
	sl_clerk_end();
}

static void without_a_clerk(void **state)
{
	(void)state;
	in_child(check_none);
}

static void grandchild(void)
{
	struct looked looked = {.ours = 0};
	sl_clerk_forked();
	check_none();
	start(); /* it may have one of its own */
	CHECK(run(look_around, &looked));
}

static void fork_child(void)
{
	struct looked looked = {.ours = 0};
	start();
	CHECK(run(look_around, &looked));
	CHECK(child_status(grandchild) == 0);
	CHECK(run(look_around, &looked)); /* ours goes on */
}

static void a_forked_child_has_none(void **state)
{
	(void)state;
	in_child(fork_child);
}

/* ---- its end ---- */

static void end_child(void)
{
	struct looked looked = {.ours = 0};
	start();
	CHECK(run(look_around, &looked));
	sl_clerk_end();
	/* At once: whichever thread ends last runs the exit handlers, and there it has none of the fds. */
	CHECK(SL_SYS3(SYS_tgkill, sl_sys_getpid(), looked.tid, 0) == -ESRCH);
}

static void it_ends_before_us(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		in_child(end_child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_fds_are_not_ours), cmocka_unit_test(it_holds_nothing_of_ours),
		cmocka_unit_test(a_task_that_blocks),   cmocka_unit_test(a_file_of_proc),
		cmocka_unit_test(without_a_clerk),      cmocka_unit_test(a_forked_child_has_none),
		cmocka_unit_test(it_ends_before_us),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
