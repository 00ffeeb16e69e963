#include "json_reader.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 16

static bool read_value(struct json_reader *reader, const char *path, int depth);

static bool refuse(struct json_reader *reader, const char *complaint)
{
	if (!reader->complaint)
		reader->complaint = complaint;
	return false;
}

static void skip_space(struct json_reader *reader)
{
	reader->at += strspn(reader->at, " \t\r\n");
}

static bool take(struct json_reader *reader, char c)
{
	skip_space(reader);
	if (*reader->at != c)
		return false;
	reader->at++;
	return true;
}

static bool read_string(struct json_reader *reader)
{
	if (!take(reader, '"'))
		return refuse(reader, "a string was expected");
	while (*reader->at != '"') {
		if ((unsigned char)*reader->at < 0x20)
			return refuse(reader, "a control byte or the end within a string");
		if (*reader->at++ != '\\')
			continue;
		if (*reader->at == 'u') {
			reader->at++;
			if (strspn(reader->at, "0123456789abcdefABCDEF") < 4)
				return refuse(reader, "not four hex digits");
			reader->at += 4;
		} else if (*reader->at && strchr("\"\\/bfnrt", *reader->at)) {
			reader->at++;
		} else {
			return refuse(reader, "no such escape");
		}
	}
	reader->at++;
	return true;
}

static bool read_number(struct json_reader *reader)
{
	if (*reader->at == '-')
		reader->at++;
	size_t digits = strspn(reader->at, "0123456789");
	if (!digits || (digits > 1 && *reader->at == '0'))
		return refuse(reader, "not a number");
	reader->at += digits;
	return true; /* the library writes integers alone: a fraction is refused by what follows */
}

static bool read_word(struct json_reader *reader)
{
	static const char *const words[] = {"true", "false", "null"};
	for (size_t i = 0; i < 3; i++) {
		if (!strncmp(reader->at, words[i], strlen(words[i]))) {
			reader->at += strlen(words[i]);
			return true;
		}
	}
	return refuse(reader, "a value was expected");
}

static bool keep(struct json_reader *reader, const char *path, const char *raw)
{
	if (reader->count == JSON_READER_VALUES)
		return refuse(reader, "more values than the reader holds");
	for (size_t i = reader->count; i > 0 && i + 256 > reader->count; i--) {
		if (!strcmp(reader->values[i - 1].path, path))
			return refuse(reader, "a name twice");
	}
	struct json_value *value = &reader->values[reader->count++];
	snprintf(value->path, sizeof(value->path), "%s", path);
	value->raw = raw;
	value->length = (size_t)(reader->at - raw);
	return true;
}

static bool read_object(struct json_reader *reader, const char *path, int depth)
{
	do {
		char member[JSON_READER_PATH];
		skip_space(reader);
		const char *name = reader->at + 1;
		if (!read_string(reader))
			return false;
		int length = snprintf(member, sizeof(member), "%s%s%.*s", path, *path ? "." : "",
		                      (int)(reader->at - 1 - name), name);
		if (length >= JSON_READER_PATH)
			return refuse(reader, "a path longer than the reader holds");
		if (!take(reader, ':'))
			return refuse(reader, "a colon was expected");
		if (!read_value(reader, member, depth))
			return false;
	} while (take(reader, ','));
	return take(reader, '}') || refuse(reader, "a brace was expected");
}

static bool read_array(struct json_reader *reader, const char *path, int depth)
{
	unsigned i = 0;
	do {
		char element[JSON_READER_PATH];
		int length = snprintf(element, sizeof(element), "%s[%u]", path, i++);
		if (length >= JSON_READER_PATH)
			return refuse(reader, "a path longer than the reader holds");
		if (!read_value(reader, element, depth))
			return false;
	} while (take(reader, ','));
	return take(reader, ']') || refuse(reader, "a bracket was expected");
}

static bool read_value(struct json_reader *reader, const char *path, int depth)
{
	if (depth == DEPTH_MAX)
		return refuse(reader, "deeper than the reader goes");
	skip_space(reader);
	const char *raw = reader->at;
	if (take(reader, '{'))
		return take(reader, '}') ? keep(reader, path, raw)
		                         : read_object(reader, path, depth + 1);
	if (take(reader, '['))
		return take(reader, ']') ? keep(reader, path, raw)
		                         : read_array(reader, path, depth + 1);
	if (*raw == '"') {
		if (!read_string(reader))
			return false;
	} else if (*raw == '-' || (*raw >= '0' && *raw <= '9')) {
		if (!read_number(reader))
			return false;
	} else if (!read_word(reader)) {
		return false;
	}
	return keep(reader, path, raw);
}

bool json_reader_read(struct json_reader *reader, const char *text)
{
	reader->at = text;
	reader->count = 0;
	reader->complaint = NULL;
	if (!read_value(reader, "", 0))
		return false;
	skip_space(reader);
	return !*reader->at || refuse(reader, "something behind the value");
}

const char *json_reader_value(const struct json_reader *reader, const char *path)
{
	static char text[4096];
	for (size_t i = 0; i < reader->count; i++) {
		const struct json_value *value = &reader->values[i];
		if (strcmp(value->path, path))
			continue;
		snprintf(text, sizeof(text), "%.*s", (int)value->length, value->raw);
		return text;
	}
	return NULL;
}
