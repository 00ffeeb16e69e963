#include "base/out.h"

#include <string.h>

#include "base/poison.h"

#define SL_MINUTE_MS 60000u
#define SL_HOUR_MS 3600000u
#define SL_DAY_MS 86400000u
#define SL_YEAR_9999_END_S 253402300799u

void sl_out_init(struct sl_out *out, char *bytes, size_t capacity, sl_out_flush_fn *flush,
                 void *context)
{
	*out = (struct sl_out){
		.bytes = bytes,
		.capacity = capacity,
		.flush = flush,
		.context = context,
	};
}

void sl_out_flush(struct sl_out *out)
{
	if (!out->flush || out->length == 0)
		return;
	out->flush(out);
	out->length = 0;
}

void sl_out_bytes(struct sl_out *out, const char *bytes, size_t n)
{
	/* What follows a cut would read as if nothing were missing. */
	if (!out->flush && out->is_cut)
		return;
	while (n > 0) {
		size_t room = out->capacity - out->length;
		if (room == 0) {
			if (!out->flush || out->capacity == 0) {
				out->is_cut = true;
				return;
			}
			sl_out_flush(out);
			continue;
		}
		size_t part = n < room ? n : room;
		memcpy(out->bytes + out->length, bytes, part);
		out->length += part;
		bytes += part;
		n -= part;
	}
}

/* All n bytes or none: half a character or half an escape is worse than a cut before it. */
static void put_whole(struct sl_out *out, const char *bytes, size_t n)
{
	if (!out->flush && out->capacity - out->length < n)
		out->is_cut = true;
	else
		sl_out_bytes(out, bytes, n);
}

void sl_out_text(struct sl_out *out, const char *text)
{
	if (text)
		sl_out_bytes(out, text, strlen(text));
}

void sl_out_char(struct sl_out *out, char c)
{
	sl_out_bytes(out, &c, 1);
}

/* Digits from the back; returns where they begin. `end` has room for 20 before it. */
static char *digits_before(char *end, uint64_t value)
{
	do {
		*--end = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	return end;
}

void sl_out_unsigned(struct sl_out *out, uint64_t value)
{
	char digits[20];
	char *end = digits + sizeof(digits);
	char *begin = digits_before(end, value);
	sl_out_bytes(out, begin, (size_t)(end - begin));
}

void sl_out_signed(struct sl_out *out, int64_t value)
{
	if (value >= 0) {
		sl_out_unsigned(out, (uint64_t)value);
		return;
	}
	sl_out_char(out, '-');
	sl_out_unsigned(out, 0 - (uint64_t)value);
}

static char hex_digit(uint64_t value)
{
	return "0123456789abcdef"[value & 15];
}

void sl_out_hex(struct sl_out *out, uint64_t value)
{
	char digits[16];
	char *end = digits + sizeof(digits);
	char *begin = end;
	do {
		*--begin = hex_digit(value);
		value >>= 4;
	} while (value);
	sl_out_bytes(out, begin, (size_t)(end - begin));
}

static void put_spaces(struct sl_out *out, size_t n)
{
	while (n-- > 0)
		sl_out_char(out, ' ');
}

/* Characters, not bytes: columns are what has to line up. */
static size_t count_characters(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void sl_out_padded(struct sl_out *out, const char *text, unsigned width)
{
	sl_out_text(out, text);
	size_t n = text ? count_characters(text) : 0;
	put_spaces(out, n < width ? width - n : 0);
}

void sl_out_right(struct sl_out *out, uint64_t value, unsigned width)
{
	char digits[20];
	char *end = digits + sizeof(digits);
	char *begin = digits_before(end, value);
	size_t n = (size_t)(end - begin);
	put_spaces(out, n < width ? width - n : 0);
	sl_out_bytes(out, begin, n);
}

/* Cut, never rounded: a time that has not passed yet is not shown. */
void sl_out_duration(struct sl_out *out, uint64_t ms)
{
	if (ms < 1000) {
		sl_out_unsigned(out, ms);
		sl_out_text(out, "ms");
	} else if (ms < SL_MINUTE_MS) {
		sl_out_unsigned(out, ms / 1000);
		sl_out_char(out, '.');
		sl_out_unsigned(out, ms % 1000 / 100);
		sl_out_char(out, 's');
	} else if (ms < SL_HOUR_MS) {
		sl_out_unsigned(out, ms / SL_MINUTE_MS);
		sl_out_text(out, "min");
	} else if (ms < SL_DAY_MS) {
		sl_out_unsigned(out, ms / SL_HOUR_MS);
		sl_out_char(out, 'h');
		sl_out_unsigned(out, ms % SL_HOUR_MS / SL_MINUTE_MS);
		sl_out_char(out, 'm');
	} else {
		sl_out_unsigned(out, ms / SL_DAY_MS);
		sl_out_char(out, 'd');
		sl_out_unsigned(out, ms % SL_DAY_MS / SL_HOUR_MS);
		sl_out_char(out, 'h');
	}
}

static void put_digits(struct sl_out *out, unsigned value, unsigned width)
{
	char digits[4];
	for (unsigned i = width; i-- > 0; value /= 10)
		digits[i] = (char)('0' + value % 10);
	sl_out_bytes(out, digits, width);
}

static bool is_leap_year(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Turns days since 1970-01-01 into a date; at most 8,030 turns of the loop, in the year 9999. */
static void put_date(struct sl_out *out, unsigned days)
{
	static const unsigned char month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	unsigned year = 1970;
	while (days >= 365u + is_leap_year(year))
		days -= 365u + is_leap_year(year++);
	unsigned month = 0;
	for (;; month++) {
		unsigned length = month_days[month] + (month == 1 && is_leap_year(year));
		if (days < length)
			break;
		days -= length;
	}
	put_digits(out, year, 4);
	sl_out_char(out, '-');
	put_digits(out, month + 1, 2);
	sl_out_char(out, '-');
	put_digits(out, days + 1, 2);
}

void sl_out_rfc3339(struct sl_out *out, uint64_t wall_ms)
{
	uint64_t seconds = wall_ms / 1000;
	if (seconds > SL_YEAR_9999_END_S) /* the format ends there */
		seconds = SL_YEAR_9999_END_S;
	unsigned of_day = (unsigned)(seconds % 86400);
	put_date(out, (unsigned)(seconds / 86400));
	sl_out_char(out, 'T');
	put_digits(out, of_day / 3600, 2);
	sl_out_char(out, ':');
	put_digits(out, of_day / 60 % 60, 2);
	sl_out_char(out, ':');
	put_digits(out, of_day % 60, 2);
	sl_out_char(out, 'Z');
}

/* The character at `text` and its length in bytes; 0: not valid UTF-8 (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). The NUL at the end stops a sequence that is too short. */
static unsigned utf8_decode(const char *text, uint32_t *character)
{
	const unsigned char *s = (const unsigned char *)text;
	if (s[0] < 0x80) {
		*character = s[0];
		return 1;
	}
	unsigned n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	uint32_t c = s[0] & (0x7fu >> n);
	for (unsigned i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	if (c < least[n] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return 0;
	*character = c;
	return n;
}

/* What steers a terminal: C0, DEL, C1 (U+009B is CSI), line separators, changes of direction. */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

void sl_out_terminal(struct sl_out *out, const char *text)
{
	while (text && *text) {
		uint32_t c = 0;
		unsigned n = utf8_decode(text, &c);
		if (n > 0 && !is_control(c)) {
			put_whole(out, text, n);
			text += n;
			continue;
		}
		for (n = n ? n : 1; n > 0; n--, text++) {
			unsigned char byte = (unsigned char)*text;
			char escape[] = {'\\', 'x', hex_digit(byte >> 4), hex_digit(byte)};
			put_whole(out, escape, sizeof(escape));
		}
	}
}

static void put_json_character(struct sl_out *out, const char *text, unsigned n, uint32_t c)
{
	if (n == 0) {
		put_whole(out, "\xef\xbf\xbd", 3);
	} else if (c == '"' || c == '\\') {
		char escape[] = {'\\', (char)c};
		put_whole(out, escape, sizeof(escape));
	} else if (is_control(c)) {
		/* More than RFC 8259 asks: people look at these files in a terminal. */
		char escape[] = {
			'\\',        'u', hex_digit(c >> 12), hex_digit(c >> 8), hex_digit(c >> 4),
			hex_digit(c)};
		put_whole(out, escape, sizeof(escape));
	} else {
		put_whole(out, text, n);
	}
}

void sl_out_json(struct sl_out *out, const char *text)
{
	if (!text) {
		sl_out_text(out, "null");
		return;
	}
	sl_out_char(out, '"');
	while (*text) {
		uint32_t c = 0;
		unsigned n = utf8_decode(text, &c);
		put_json_character(out, text, n, c);
		text += n ? n : 1;
	}
	sl_out_char(out, '"');
}
