#include "event_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "json_reader.h"

#define LINES_MAX 20000

static char *copy;
static const char *lines[LINES_MAX];
static unsigned count;
static struct json_reader reader;

unsigned event_lines_read(const char *text)
{
	size_t length = strlen(text);
	free(copy);
	copy = malloc(length + 1);
	CHECK(copy != NULL);
	memcpy(copy, text, length + 1);
	CHECK(length == 0 || text[length - 1] == '\n');
	count = 0;
	for (char *at = copy; *at;) {
		char *end = strchr(at, '\n');
		*end = '\0';
		CHECK(count < LINES_MAX);
		lines[count++] = at;
		at = end + 1;
	}
	for (unsigned n = 0; n < count; n++) {
		bool is_json = json_reader_read(&reader, lines[n]);
		if (!is_json)
			printf("%s\n", lines[n]);
		CHECK(is_json);
		CHECK(lines[n][0] == '{');
	}
	return count;
}

const char *event_lines_value(unsigned n, const char *member)
{
	CHECK(n < count);
	CHECK(json_reader_read(&reader, lines[n]));
	const char *value = json_reader_value(&reader, member);
	return value ? value : "(missing)";
}

void event_lines_check_kind(unsigned n, const char *kind)
{
	char quoted[64];
	snprintf(quoted, sizeof(quoted), "\"%s\"", kind);
	CHECK(strcmp(event_lines_value(n, "event"), quoted) == 0);
}

uint64_t event_lines_check_series(int first_fd, int last_fd)
{
	uint64_t dropped = 0;
	int fd = first_fd;
	for (unsigned n = 0; n < count; n++) {
		if (strcmp(event_lines_value(n, "event"), "\"dropped\"") == 0) {
			uint64_t lost = strtoull(event_lines_value(n, "count"), NULL, 10);
			CHECK(lost > 0);
			dropped += lost;
			fd += (int)lost;
		} else {
			CHECK(atoi(event_lines_value(n, "fd")) == fd);
			fd++;
		}
	}
	CHECK(fd == last_fd + 1);
	return dropped;
}
