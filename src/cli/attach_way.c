/* attach_way.c - see attach_way.h. */
#include "cli/attach_way.h"

#include <stdarg.h>
#include <stdio.h>

void sl_attach_refuse(struct sl_attach_refusal *refusal, enum sl_exit code, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	refusal->code = code;
	(void)vsnprintf(refusal->why, sizeof(refusal->why), format, list);
	va_end(list);
}
