/* fuzz_text.c - hostile names on their way out: nothing in them steers a terminal, JSON stays JSON and says what the name said, a
 * buffer that is too small cuts between characters, and a path is filled in or given up.
 *
 * A libFuzzer entry; with -DSL_FUZZ_MAIN a program that replays the files named as arguments.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/out.h"
#include "report/paths.h"
#include "stack/blame.h"

#define SL_FUZZ_TEXT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		__builtin_trap();
}

/* The character at `s` (RFC 3629) and its bytes; 0: none. Written anew, so as not to believe what is tested. */
static unsigned character_at(const unsigned char *s, uint32_t *c)
{
	static const struct {
		unsigned char mask, lead;
		unsigned bytes;
		uint32_t least;
	} forms[] = {{0x80, 0, 1, 0},
	             {0xe0, 0xc0, 2, 0x80},
	             {0xf0, 0xe0, 3, 0x800},
	             {0xf8, 0xf0, 4, 0x10000}};
	for (unsigned i = 0; i < 4; i++) {
		if ((s[0] & forms[i].mask) != forms[i].lead)
			continue;
		*c = s[0] & (unsigned char)~forms[i].mask;
		for (unsigned at = 1; at < forms[i].bytes; at++) {
			if ((s[at] & 0xc0) != 0x80)
				return 0;
			*c = *c << 6 | (s[at] & 0x3f);
		}
		bool is_surrogate = *c >= 0xd800 && *c < 0xe000;
		return *c >= forms[i].least && *c < 0x110000 && !is_surrogate ? forms[i].bytes : 0;
	}
	return 0;
}

static bool steers(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

/* Only characters that steer nothing. */
static void check_visible(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	while (*s) {
		uint32_t c;
		unsigned n = character_at(s, &c);
		require(n > 0 && !steers(c));
		s += n;
	}
}

static uint32_t hex4(const char *digits)
{
	uint32_t value = 0;
	for (int i = 0; i < 4; i++) {
		const char *all = "0123456789abcdef", *digit = strchr(all, digits[i]);
		require(digits[i] && digit);
		value = value << 4 | (uint32_t)(digit - all);
	}
	return value;
}

/* A JSON string reads back as the text, where that is UTF-8. */
static void check_json(const char *json, size_t n, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	require(n >= 2 && json[0] == '"' && json[n - 1] == '"');
	check_visible(json);
	for (size_t at = 1; at < n - 1;) {
		uint32_t said, meant;
		unsigned bytes = character_at(s, &meant);
		if (bytes == 0) {
			bytes = 1;
			meant = 0xfffd;
		}
		if (json[at] == '\\' && json[at + 1] == 'u') {
			said = hex4(json + at + 2);
			at += 6;
		} else if (json[at] == '\\') {
			require(json[at + 1] == '"' || json[at + 1] == '\\');
			said = (uint32_t)json[at + 1];
			at += 2;
		} else {
			require(json[at] != '"');
			at += character_at((const unsigned char *)json + at, &said);
		}
		require(*s && said == meant);
		s += bytes;
	}
	require(!*s);
}

typedef void put_fn(struct sl_out *out, const char *text);

/* What fits is the beginning of the whole. */
static void check_cut(put_fn *put, const char *text, const char *whole, size_t n, size_t room)
{
	static char bytes[8 * SL_FUZZ_TEXT_MAX];
	struct sl_out out;
	sl_out_init(&out, bytes, room, NULL, NULL);
	put(&out, text);
	require(out.length <= room && memcmp(bytes, whole, out.length) == 0);
	require(out.is_cut == (n > room) && (out.is_cut || out.length == n));
	bytes[out.length] = 0;
	check_visible(bytes);
}

static size_t put_whole(put_fn *put, const char *text, char *bytes, size_t room)
{
	struct sl_out out;
	sl_out_init(&out, bytes, room - 1, NULL, NULL);
	put(&out, text);
	require(!out.is_cut);
	bytes[out.length] = 0;
	return out.length;
}

static void check_path(const char *path)
{
	static char expanded[SL_PATH_BYTES + 32];
	(void)sl_paths_expand(path, expanded, SL_PATH_BYTES);
	size_t n = strlen(expanded);
	require(n < SL_PATH_BYTES);
	require(n > 0 || !*path || strlen(path) > 1);
	sl_paths_add_pid(expanded, SL_PATH_BYTES);
	require(strlen(expanded) < SL_PATH_BYTES);
	char small[16];
	(void)sl_paths_expand(path, small, sizeof(small));
	require(strlen(small) < sizeof(small) &&
	        (!*small || strncmp(small, expanded, strlen(small)) == 0));
}

/* Half of the text is the list of app=, the other the name. */
static void check_role(const char *app, const char *name)
{
	struct sl_frame java = {.class_name = name}, native = {.module = name};
	const struct sl_frame *frames[] = {&java, &native};
	java.role = sl_role_of_java(&java, app);
	native.role = sl_role_of_native(name, name, app);
	require(java.role < SL_ROLE_COUNT && native.role < SL_ROLE_COUNT);
	require(!sl_blame_is_pinned(&java, app) || java.role == SL_ROLE_APPLICATION);
	require(!sl_blame_is_pinned(&native, app) || native.role == SL_ROLE_APPLICATION);
	uint32_t guilty = sl_blame(frames, 2, app);
	require(guilty < 2 || (guilty == SL_BLAME_NONE && java.role != SL_ROLE_APPLICATION &&
	                       native.role != SL_ROLE_APPLICATION));
	require(!strchr(sl_file_name_of(name), '/'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[SL_FUZZ_TEXT_MAX + 4], json[8 * SL_FUZZ_TEXT_MAX],
		shown[8 * SL_FUZZ_TEXT_MAX], again[8 * SL_FUZZ_TEXT_MAX];
	if (size == 0 || size > SL_FUZZ_TEXT_MAX)
		return 0;
	memcpy(text, data + 1, size - 1);
	memset(text + size - 1, 0, 4);
	size_t n = put_whole(sl_out_json, text, json, sizeof(json));
	check_json(json, n, text);
	check_cut(sl_out_terminal, text, shown,
	          put_whole(sl_out_terminal, text, shown, sizeof(shown)), data[0]);
	check_visible(shown);
	(void)put_whole(sl_out_terminal, shown, again, sizeof(again));
	require(strcmp(shown, again) == 0);
	check_path(text);
	size_t half = strlen(text);
	check_role(text, half + 1 < size ? text + half + 1 : text);
	return 0;
}

#include "replay.h"
