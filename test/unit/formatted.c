#include "formatted.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

void formatted_start(struct formatted *formatted)
{
	*formatted = (struct formatted){0};
	formatted->to = open_memstream(&formatted->text, &formatted->length);
	assert_non_null(formatted->to);
}

void formatted_end(struct formatted *formatted)
{
	assert_int_equal(fclose(formatted->to), 0);
	formatted->to = NULL;
}

void formatted_free(struct formatted *formatted)
{
	free(formatted->text);
	*formatted = (struct formatted){0};
}

unsigned formatted_count(const struct formatted *formatted, const char *part)
{
	unsigned n = 0;
	for (const char *at = formatted->text; (at = strstr(at, part)); at += strlen(part))
		n++;
	return n;
}
