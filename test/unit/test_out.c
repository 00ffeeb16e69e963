/* test_out.c - text into bounded buffers: numbers, times, and strings that mean harm. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/out.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static char buffer[4096];

static struct sl_out begin(void)
{
	struct sl_out out;
	memset(buffer, '#', sizeof(buffer));
	sl_out_init(&out, buffer, sizeof(buffer) - 1, NULL, NULL);
	return out;
}

static void expect(const struct sl_out *out, const char *text)
{
	buffer[out->length] = '\0';
	assert_string_equal(buffer, text);
	assert_false(out->is_cut);
}

static void numbers(void **state)
{
	(void)state;
	struct sl_out out = begin();
	sl_out_unsigned(&out, 0);
	sl_out_char(&out, ' ');
	sl_out_unsigned(&out, UINT64_MAX);
	sl_out_char(&out, ' ');
	sl_out_signed(&out, INT64_MIN);
	sl_out_char(&out, ' ');
	sl_out_signed(&out, INT64_MAX);
	sl_out_char(&out, ' ');
	sl_out_signed(&out, -1);
	sl_out_char(&out, ' ');
	sl_out_hex(&out, 0);
	sl_out_char(&out, ' ');
	sl_out_hex(&out, 0xDEADBEEF10u);
	sl_out_char(&out, ' ');
	sl_out_hex(&out, UINT64_MAX);
	expect(&out, "0 18446744073709551615 -9223372036854775808 9223372036854775807 -1 0 "
	             "deadbeef10 ffffffffffffffff");
}

static void columns(void **state)
{
	(void)state;
	struct sl_out out = begin();
	sl_out_padded(&out, "ab", 4);
	sl_out_char(&out, '|');
	sl_out_padded(&out, "abcd", 4);
	sl_out_char(&out, '|');
	sl_out_padded(&out, "abcde", 4);
	sl_out_char(&out, '|');
	sl_out_padded(&out, NULL, 2);
	sl_out_char(&out, '|');
	sl_out_padded(&out, "\xc3\xa4\xe2\x82\xac", 4); /* two characters in five bytes */
	sl_out_char(&out, '|');
	sl_out_right(&out, 7, 3);
	sl_out_char(&out, '|');
	sl_out_right(&out, 1234, 3);
	sl_out_text(&out, NULL);
	expect(&out, "ab  |abcd|abcde|  |\xc3\xa4\xe2\x82\xac  |  7|1234");
}

static void durations(void **state)
{
	(void)state;
	const uint64_t minute = 60000, hour = 60 * minute, day = 24 * hour;
	const struct {
		uint64_t ms;
		const char *text;
	} rows[] = {
		{0, "0ms"},
		{850, "850ms"},
		{999, "999ms"},
		{1000, "1.0s"},
		{15000, "15.0s"},
		{15049, "15.0s"},
		{59999, "59.9s"},
		{minute, "1min"},
		{8 * minute + 59999, "8min"},
		{hour - 1, "59min"},
		{hour, "1h0m"},
		{hour + 58 * minute, "1h58m"},
		{day - 1, "23h59m"},
		{day, "1d0h"},
		{3 * day + 4 * hour + 59 * minute, "3d4h"},
		{UINT64_MAX, "213503982334d14h"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct sl_out out = begin();
		sl_out_duration(&out, rows[i].ms);
		expect(&out, rows[i].text);
	}
}

static void dates(void **state)
{
	(void)state;
	const struct {
		uint64_t seconds;
		const char *text;
	} rows[] = {
		{0, "1970-01-01T00:00:00Z"},
		{68169599, "1972-02-28T23:59:59Z"},
		{68169600, "1972-02-29T00:00:00Z"},
		{68256000, "1972-03-01T00:00:00Z"},
		{94694399, "1972-12-31T23:59:59Z"},
		{951782400, "2000-02-29T00:00:00Z"},
		{1795327387, "2026-11-22T06:03:07Z"},
		{4107542400, "2100-03-01T00:00:00Z"}, /* 2100 is no leap year */
		{253402300799, "9999-12-31T23:59:59Z"},
		{253402300800, "9999-12-31T23:59:59Z"},
		{UINT64_MAX / 1000, "9999-12-31T23:59:59Z"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct sl_out out = begin();
		sl_out_rfc3339(&out, rows[i].seconds * 1000 + 615);
		expect(&out, rows[i].text);
	}
}

struct hostile {
	const char *text;
	const char *terminal;
	const char *json;
};

#define FFFD "\xef\xbf\xbd"

static const struct hostile hostiles[] = {
	{"", "", "\"\""},
	{"plain text", "plain text", "\"plain text\""},
	/* what names are made of */
	{"a\"b\\c/d", "a\"b\\c/d", "\"a\\\"b\\\\c/d\""},
	{"<&'>", "<&'>", "\"<&'>\""},
	/* control bytes: C0, ESC, DEL */
	{"a\nb\tc\rd", "a\\x0ab\\x09c\\x0dd", "\"a\\u000ab\\u0009c\\u000dd\""},
	{"\x01\x1f", "\\x01\\x1f", "\"\\u0001\\u001f\""},
	{"\x1b[2J\x1b]0;x\x07", "\\x1b[2J\\x1b]0;x\\x07", "\"\\u001b[2J\\u001b]0;x\\u0007\""},
	{"\x7f", "\\x7f", "\"\\u007f\""},
	/* C1 in UTF-8: U+009B is CSI for a terminal; U+00A0 is a space */
	{"\xc2\x9b"
         "31m",
         "\\xc2\\x9b"
         "31m",
         "\"\\u009b31m\""},
	{"\xc2\x80\xc2\x9f\xc2\xa0", "\\xc2\\x80\\xc2\\x9f\xc2\xa0", "\"\\u0080\\u009f\xc2\xa0\""},
	/* line separator, right-to-left override, isolate; their neighbours are text */
	{"\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6", "\\xe2\\x80\\xa8\\xe2\\x80\\xae\\xe2\\x81\\xa6",
         "\"\\u2028\\u202e\\u2066\""},
	{"\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa",
         "\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa",
         "\"\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa\""},
	/* valid: the ends of each length */
	{"\xc2\xa1\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf",
         "\xc2\xa1\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf",
         "\"\xc2\xa1\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\""},
	{"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
         "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""},
	/* overlong: NUL, slash, U+07FF in three, U+FFFF in four */
	{"\xc0\x80", "\\xc0\\x80", "\"" FFFD FFFD "\""},
	{"\xc1\xbf", "\\xc1\\xbf", "\"" FFFD FFFD "\""},
	{"\xe0\x9f\xbf", "\\xe0\\x9f\\xbf", "\"" FFFD FFFD FFFD "\""},
	{"\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf", "\"" FFFD FFFD FFFD FFFD "\""},
	/* surrogates, as a JVM's modified UTF-8 has them */
	{"\xed\xa0\x80", "\\xed\\xa0\\x80", "\"" FFFD FFFD FFFD "\""},
	{"\xed\xbf\xbf", "\\xed\\xbf\\xbf", "\"" FFFD FFFD FFFD "\""},
	/* above U+10FFFF, and bytes that never occur */
	{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\"" FFFD FFFD FFFD FFFD "\""},
	{"\xf5\xf8\xfe\xff", "\\xf5\\xf8\\xfe\\xff", "\"" FFFD FFFD FFFD FFFD "\""},
	/* alone, or cut off: by the end, by text, by the next character */
	{"\x80"
         "a\xbf",
         "\\x80"
         "a\\xbf",
         "\"" FFFD "a" FFFD "\""},
	{"x\xc3", "x\\xc3", "\"x" FFFD "\""},
	{"\xe2\x82", "\\xe2\\x82", "\"" FFFD FFFD "\""},
	{"\xf0\x9f\x92", "\\xf0\\x9f\\x92", "\"" FFFD FFFD FFFD "\""},
	{"\xe2\x82"
         "A",
         "\\xe2\\x82"
         "A",
         "\"" FFFD FFFD "A\""},
	{"\xc3\xc3\xa4", "\\xc3\xc3\xa4", "\"" FFFD "\xc3\xa4\""},
};

static void hostile_on_terminal(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(hostiles); i++) {
		struct sl_out out = begin();
		sl_out_terminal(&out, hostiles[i].text);
		expect(&out, hostiles[i].terminal);
		out = begin();
		sl_out_terminal(&out, hostiles[i].terminal);
		expect(&out, hostiles[i].terminal);
	}
	struct sl_out out = begin();
	sl_out_terminal(&out, NULL);
	expect(&out, "");
}

static void hostile_in_json(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(hostiles); i++) {
		struct sl_out out = begin();
		sl_out_json(&out, hostiles[i].text);
		expect(&out, hostiles[i].json);
	}
	struct sl_out out = begin();
	sl_out_json(&out, NULL);
	expect(&out, "null");
}

/* No byte outside printable ASCII and no broken sequence, whatever two bytes come in. */
static void every_pair_of_bytes(void **state)
{
	(void)state;
	for (unsigned pair = 0x0101; pair <= 0xffff; pair++) {
		char text[] = {(char)(pair >> 8), (char)pair, '\0'};
		struct sl_out out = begin();
		sl_out_terminal(&out, text);
		bool is_two_byte_character =
			out.length == 2 && memcmp(buffer, text, 2) == 0 && pair >= 0xc2a0;
		for (size_t i = 0; i < out.length && !is_two_byte_character; i++)
			assert_in_range((unsigned char)buffer[i], 0x20, 0x7e);
		if (is_two_byte_character) {
			assert_in_range((unsigned char)buffer[0], 0xc2, 0xdf);
			assert_in_range((unsigned char)buffer[1], 0x80, 0xbf);
		}
	}
}

static void cut_without_flush(void **state)
{
	(void)state;
	struct sl_out out;
	memset(buffer, '#', sizeof(buffer));
	sl_out_init(&out, buffer, 5, NULL, NULL);
	sl_out_text(&out, "12345");
	assert_false(out.is_cut);
	sl_out_text(&out, "");
	assert_false(out.is_cut);
	sl_out_text(&out, "6");
	assert_true(out.is_cut);
	assert_int_equal(out.length, 5);
	sl_out_flush(&out);
	assert_int_equal(out.length, 5);
	assert_memory_equal(buffer, "12345#", 6);

	sl_out_init(&out, buffer, 0, NULL, NULL);
	sl_out_char(&out, 'x');
	assert_true(out.is_cut);
	assert_int_equal(out.length, 0);
}

/* Outside text is cut before an escape or a character, and nothing is squeezed in behind the gap. */
static void cut_between_characters(void **state)
{
	(void)state;
	struct sl_out out;
	memset(buffer, '#', sizeof(buffer));
	sl_out_init(&out, buffer, 6, NULL, NULL);
	sl_out_terminal(&out, "abc\x1b"
	                      "d");
	assert_true(out.is_cut);
	sl_out_text(&out, "e");
	assert_int_equal(out.length, 3);
	assert_memory_equal(buffer, "abc#", 4);

	memset(buffer, '#', sizeof(buffer));
	sl_out_init(&out, buffer, 4, NULL, NULL);
	sl_out_json(&out, "a\xe2\x82\xac");
	assert_true(out.is_cut);
	assert_int_equal(out.length, 2);
	assert_memory_equal(buffer, "\"a#", 3);
}

struct collected {
	char bytes[4096];
	size_t length;
	unsigned flushes;
};

static void collect(struct sl_out *out)
{
	struct collected *all = out->context;
	assert_true(out->length > 0 && out->length <= out->capacity);
	memcpy(all->bytes + all->length, out->bytes, out->length);
	all->length += out->length;
	all->flushes++;
}

static void flushes_when_full(void **state)
{
	(void)state;
	for (size_t capacity = 1; capacity < 40; capacity++) {
		struct collected all = {.length = 0};
		struct sl_out out;
		char small[40];
		sl_out_init(&out, small, capacity, collect, &all);
		sl_out_text(&out, "a text that is longer than most of the buffers ");
		sl_out_unsigned(&out, 12345678901u);
		sl_out_json(&out, "\x1b\xe2\x82\xac\xff");
		sl_out_flush(&out);
		sl_out_flush(&out); /* nothing left: not called again */
		static const char whole[] = "a text that is longer than most of the buffers "
					    "12345678901\"\\u001b\xe2\x82\xac" FFFD "\"";
		assert_int_equal(all.length, sizeof(whole) - 1);
		assert_memory_equal(all.bytes, whole, all.length);
		assert_int_equal(all.flushes, (sizeof(whole) - 1 + capacity - 1) / capacity);
		assert_false(out.is_cut);
		assert_int_equal(out.length, 0);
	}
}

static void no_room_even_with_flush(void **state)
{
	(void)state;
	struct collected all = {.length = 0};
	struct sl_out out;
	sl_out_init(&out, buffer, 0, collect, &all);
	sl_out_text(&out, "x");
	assert_true(out.is_cut);
	assert_int_equal(all.flushes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(columns),
		cmocka_unit_test(durations),
		cmocka_unit_test(dates),
		cmocka_unit_test(hostile_on_terminal),
		cmocka_unit_test(hostile_in_json),
		cmocka_unit_test(every_pair_of_bytes),
		cmocka_unit_test(cut_without_flush),
		cmocka_unit_test(cut_between_characters),
		cmocka_unit_test(flushes_when_full),
		cmocka_unit_test(no_room_even_with_flush),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
