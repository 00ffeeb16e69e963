/* say.c - see say.h. */
#include "cli/say.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/out.h"

#define SL_SAY_BYTES 4096

static void say(const char *format, va_list list)
{
	char text[SL_SAY_BYTES], shown[2 * SL_SAY_BYTES];
	struct sl_out out;
	(void)vsnprintf(text, sizeof(text), format, list);
	sl_out_init(&out, shown, sizeof(shown), NULL, NULL);
	sl_out_terminal(&out, text);
	(void)fflush(stdout); /* where both go to one place, in the order in which they were said */
	(void)fprintf(stderr, "sockleak: %.*s\n", (int)out.length, shown);
}

int sl_say(enum sl_exit code, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	say(format, list);
	va_end(list);
	return code;
}

void sl_say_note(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	say(format, list);
	va_end(list);
}
