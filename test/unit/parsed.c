#include "parsed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct sl_options options;
char said[64][1024];
unsigned said_count;

void hear(const char *line)
{
	assert_true(said_count < sizeof(said) / sizeof(said[0]));
	assert_true(strlen(line) < sizeof(said[0]));
	memcpy(said[said_count++], line, strlen(line) + 1);
}

unsigned parse(const char *text)
{
	said_count = 0;
	sl_options_defaults(&options);
	return sl_options_parse(&options, text, hear);
}

struct wanted {
	const char *key;
	char value[SL_OPTION_TEXT_MAX];
	unsigned count;
};

static void look(void *context, const char *key, const char *value)
{
	struct wanted *wanted = context;
	if (strcmp(key, wanted->key) != 0)
		return;
	memcpy(wanted->value, value, strlen(value) + 1);
	wanted->count++;
}

const char *value_of(const char *key)
{
	static struct wanted wanted;
	wanted = (struct wanted){.key = key};
	sl_options_each(&options, look, &wanted);
	assert_int_equal(wanted.count, 1);
	return wanted.value;
}
