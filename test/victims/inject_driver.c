/* inject_driver - brings a library into a process and says how it went: inject_driver PID LIBRARY [OPTIONS [TIMES [force]]]
 *
 * One line of JSON for each time: the value of sl_inject(), and what it filled in. Ends with the exit code of the last. Linked with
 * the command's own objects by a rule of the Makefile.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inject.h"

static void print_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(*text < ' ' ? ' ' : *text);
	}
	putchar('"');
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: inject_driver PID LIBRARY [OPTIONS [TIMES [force]]]\n");
		return 2;
	}
	const struct sl_injection injection = {
		.pid = atoi(argv[1]),
		.library = argv[2],
		.options = argc > 3 ? argv[3] : NULL,
		.is_forced = argc > 5 && strcmp(argv[5], "force") == 0,
	};
	struct sl_injected injected = {0};
	const int times = argc > 4 ? atoi(argv[4]) : 1;
	for (int i = 0; i < times; i++) {
		const int error = sl_inject(&injection, &injected);
		printf("{\"error\": %d, \"result\": %d, \"code\": %d, \"stopped_us\": %llu, "
		       "\"tid\": "
		       "%d, \"text\": ",
		       error, injected.result, (int)injected.code,
		       (unsigned long long)injected.stopped_us, injected.tid);
		print_text(injected.error);
		printf("}\n");
		fflush(stdout);
		if (error == -ESRCH)
			break;
	}
	return (int)injected.code;
}
