/* json_reader.h - a strict reader of JSON for tests: every scalar by its path.
 *
 * Strict: RFC 8259, valid UTF-8 is not checked, no name twice in one object.
 */
#ifndef SL_TEST_JSON_READER_H
#define SL_TEST_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_READER_VALUES 8192
#define JSON_READER_PATH 160

struct json_value {
	char path[JSON_READER_PATH]; /* "sites[0].frames[2].line"; an empty object or array: its own
	                                path */
	const char *raw;             /* as it stands in the text, a string with its quotes */
	size_t length;
};

struct json_reader {
	const char *at;
	size_t count;
	const char *complaint; /* NULL: none */
	struct json_value values[JSON_READER_VALUES];
};

/* Reads the whole text: one value and white space. False: `complaint` and `at` tell. */
bool json_reader_read(struct json_reader *reader, const char *text);

/* The raw value, copied into a static buffer; NULL: no such path. */
const char *json_reader_value(const struct json_reader *reader, const char *path);

#endif
