#include "child.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CHILD_SECONDS 20

void check_in_child(int holds, const char *condition, const char *file, int line)
{
	char text[512];
	if (holds)
		return;
	int n = snprintf(text, sizeof(text), "%s:%d: in a child: %s\n", file, line, condition);
	(void)!write(1, text, (size_t)n);
	_exit(99);
}

int child_status(child_fn *fn)
{
	int status = -1;
	fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* cmocka's own handlers would go on with its tests. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		alarm(CHILD_SECONDS);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

void in_child(child_fn *fn)
{
	int status = child_status(fn);
	if (status != 0)
		fail_msg("a child ended with status %#x", (unsigned)status);
}
