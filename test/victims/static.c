/* Build: -static */
/* static - a program into which no loader can load anything: says "ready", and waits for the end of its input. */
#include <stdio.h>

int main(void)
{
	(void)puts("ready");
	(void)fflush(stdout);
	while (getchar() != EOF)
		continue;
	return 0;
}
