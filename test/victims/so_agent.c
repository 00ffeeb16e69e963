/* In place of the library: says on stderr how it was called, and ends as the variable AGENT_RESULT says. */
#include <stdio.h>
#include <stdlib.h>

static int tell(const char *way, const char *options)
{
	const char *result = getenv("AGENT_RESULT");
	(void)fprintf(stderr, "agent by %s: [%s]\n", way, options ? options : "");
	return result ? atoi(result) : 0;
}

int Agent_OnAttach(void *vm, char *options, void *reserved);
int Agent_OnAttach(void *vm, char *options, void *reserved)
{
	(void)reserved;
	return vm ? tell("vm", options) : -1;
}

int sockleak_attach(const char *options);
int sockleak_attach(const char *options)
{
	return tell("call", options);
}
