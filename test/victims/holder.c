/* holder TID: holds that thread, as a debugger does, until the end of its input. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	const int tid = argc > 1 ? atoi(argv[1]) : 0;
	int status;
	if (ptrace(PTRACE_SEIZE, tid, 0, 0) || ptrace(PTRACE_INTERRUPT, tid, 0, 0) ||
	    waitpid(tid, &status, __WALL) != tid)
		return 1;
	(void)puts("held");
	(void)fflush(stdout);
	while (getchar() != EOF)
		continue;
	return ptrace(PTRACE_DETACH, tid, 0, 0) ? 1 : 0;
}
