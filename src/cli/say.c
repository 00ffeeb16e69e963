/* say.c - see say.h. */
#include "cli/say.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/out.h"

#define SL_SAY_BYTES 4096

static void put(const char *text)
{
	char shown[2 * SL_SAY_BYTES];
	struct sl_out out;
	sl_out_init(&out, shown, sizeof(shown), NULL, NULL);
	sl_out_terminal(&out, text);
	(void)fflush(stdout); /* where both go to one place, in the order in which they were said */
	(void)fprintf(stderr, "sockleak: %.*s\n", (int)out.length, shown);
}

int sl_say(enum sl_exit code, const char *format, ...)
{
	char text[SL_SAY_BYTES];
	va_list list;
	va_start(list, format);
	(void)vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	put(text);
	return code;
}

void sl_say_note(const char *format, ...)
{
	char text[SL_SAY_BYTES];
	va_list list;
	va_start(list, format);
	(void)vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	put(text);
}
