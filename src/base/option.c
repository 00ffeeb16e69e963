#include "base/option.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "base/rule.h"

#include "base/poison.h"

#define SL_SECOND_MS 1000
#define SL_MINUTE_MS 60000
#define SL_HOUR_MS 3600000
#define SL_KIB 1024
#define SL_MIB 1048576
#define SL_GIB 1073741824

const struct sl_option sl_option_rows[] = {
#define SL_OPTION_ROW(type_, key_, member_, words_, low_, high_, standard_, help_) \
	{                                                                          \
		.key = #key_,                                                      \
		.words = (words_),                                                 \
		.help = (help_),                                                   \
		.low = (low_),                                                     \
		.high = (high_),                                                   \
		.offset = offsetof(struct sl_options, member_),                    \
		.type = SL_OPTION_##type_,                                         \
	},
#include "base/options.def"
#undef SL_OPTION_ROW
};
const size_t sl_option_row_count = sizeof(sl_option_rows) / sizeof(sl_option_rows[0]);

/* Constants, not parsed text: hooks look before any constructor of ours has run. */
#define SL_OPTION_ROW(type_, key_, member_, words_, low_, high_, standard_, help_) \
	.member_ = standard_,
const struct sl_options sl_option_defaults = {
#include "base/options.def"
};
struct sl_options sl_options = {
#include "base/options.def"
};
#undef SL_OPTION_ROW

const struct sl_option *sl_option_find(const char *key, size_t n)
{
	for (size_t i = 0; i < sl_option_row_count; i++) {
		const char *own = sl_option_rows[i].key;
		if (strlen(own) == n && memcmp(own, key, n) == 0)
			return &sl_option_rows[i];
	}
	return NULL;
}

const char *sl_option_piece(const char *list, const char *separators, size_t *length)
{
	list += strspn(list, separators);
	*length = strcspn(list, separators);
	return list;
}

bool sl_option_is_list(const struct sl_option *option)
{
	return option->type == SL_OPTION_LIST || option->type == SL_OPTION_RULES;
}

static bool is_text(const struct sl_option *option)
{
	return sl_option_is_list(option) || option->type == SL_OPTION_PATH;
}

static void *member_of(const struct sl_option *option, struct sl_options *options)
{
	return (char *)options + option->offset;
}

static int64_t number_of(const struct sl_option *option, const struct sl_options *options)
{
	int64_t number;
	memcpy(&number, (const char *)options + option->offset, sizeof(number));
	return number;
}

static const char *text_of(const struct sl_option *option, const struct sl_options *options)
{
	return (const char *)options + option->offset;
}

/* The word's place in the option's words, from 0, or -1. */
static int64_t place_of_word(const struct sl_option *option, const char *value)
{
	size_t length;
	const char *word = sl_option_piece(option->words, " ", &length);
	for (int64_t place = 0; length > 0; place++) {
		if (strlen(value) == length && memcmp(word, value, length) == 0)
			return place;
		word = sl_option_piece(word + length, " ", &length);
	}
	return -1;
}

static void put_word(struct sl_out *out, const struct sl_option *option, int64_t place)
{
	size_t length;
	const char *word = sl_option_piece(option->words, " ", &length);
	while (place-- > 0)
		word = sl_option_piece(word + length, " ", &length);
	sl_out_bytes(out, word, length);
}

struct unit {
	const char *name;
	int64_t factor;
};

/* Largest first, as they are written. */
static const struct unit durations[] = {
	{"h", SL_HOUR_MS}, {"m", SL_MINUTE_MS}, {"s", SL_SECOND_MS}, {"ms", 1}, {0}};
static const struct unit sizes[] = {{"g", SL_GIB}, {"m", SL_MIB}, {"k", SL_KIB}, {"", 1}, {0}};
static const struct unit plain[] = {{"", 1}, {0}};

static const struct unit *units_of(const struct sl_option *option)
{
	return option->type == SL_OPTION_DURATION ? durations
	       : option->type == SL_OPTION_BYTES  ? sizes
	                                          : plain;
}

/* Digits of `base` at *at, which moves behind them. False: there are none. */
static bool read_digits(const char **at, unsigned base, int64_t *number)
{
	/* Above every bound, and no factor takes it past int64_t. */
	const int64_t too_large = INT64_C(1) << 32;
	const char *begin = *at;
	*number = 0;
	for (; **at >= '0' && **at < (char)('0' + base); ++*at) {
		*number = *number * base + (**at - '0');
		if (*number > too_large)
			*number = too_large;
	}
	return *at != begin;
}

/* The readers below return why the value is refused, or NULL. */

static const char *read_scaled(const struct sl_option *option, const char *value, int64_t *number)
{
	const char *refusal = option->type == SL_OPTION_DURATION ? "not a duration"
	                      : option->type == SL_OPTION_BYTES  ? "not a size"
	                                                         : "not a number";
	if (!read_digits(&value, option->type == SL_OPTION_OCTAL ? 8 : 10, number))
		return refusal;
	for (const struct unit *unit = units_of(option); unit->name; unit++) {
		if (strcmp(value, unit->name) != 0)
			continue;
		*number *= unit->factor;
		return *number < option->low || *number > option->high ? "out of range" : NULL;
	}
	return *value ? refusal : "no unit";
}

static const char *read_signal(const char *value, int64_t *number)
{
	if (strcmp(value, "USR1") == 0) {
		*number = SIGUSR1;
	} else if (strcmp(value, "USR2") == 0) {
		*number = SIGUSR2;
	} else {
		if (strncmp(value, "RTMIN+", 6) != 0)
			return "not a signal for reports";
		value += 6;
		if (!read_digits(&value, 10, number) || *value)
			return "not a signal for reports";
		if (*number > SIGRTMAX - SIGRTMIN)
			return "out of range";
		*number += SIGRTMIN;
	}
	return NULL;
}

static const char *read_number(const struct sl_option *option, const char *value, int64_t *number)
{
	int64_t place = place_of_word(option, value);
	if (option->type == SL_OPTION_ENUM) {
		*number = place;
		return place < 0 ? "not one of the words" : NULL;
	}
	if (place >= 0) {
		*number = strcmp(value, "auto") == 0 ? SL_AUTO : SL_OFF;
		return NULL;
	}
	return option->type == SL_OPTION_SIGNAL ? read_signal(value, number)
	                                        : read_scaled(option, value, number);
}

static const char *read_text(const struct sl_option *option, const char *value, char *text)
{
	if (!*value)
		return "empty";
	size_t length = strlen(value);
	size_t used = 0;
	if (option->type == SL_OPTION_RULES) {
		struct sl_rule rule;
		const char *refusal = sl_rule_read(value, length, &rule);
		if (refusal)
			return refusal;
	}
	if (sl_option_is_list(option) && *text) {
		used = strlen(text);
		if (used + 1 + length >= SL_OPTION_TEXT_MAX)
			return "the list is full";
		text[used++] = ',';
	} else if (strcmp(value, "off") == 0 && place_of_word(option, value) >= 0) {
		length = 0;
	}
	memcpy(text + used, value, length);
	text[used + length] = '\0';
	return NULL;
}

const char *sl_option_read(const struct sl_option *option, const char *value,
                           struct sl_options *options)
{
	if (is_text(option))
		return read_text(option, value, member_of(option, options));
	int64_t number = 0;
	const char *refusal = read_number(option, value, &number);
	if (!refusal)
		memcpy(member_of(option, options), &number, sizeof(number));
	return refusal;
}

static void put_scaled(struct sl_out *out, const struct sl_option *option, int64_t number)
{
	const struct unit *unit = units_of(option);
	/* One minute is written 60s, as the default deadline is. */
	while (unit->factor > 1 && (number % unit->factor != 0 || number < unit->factor ||
	                            (unit->factor == SL_MINUTE_MS && number == unit->factor)))
		unit++;
	sl_out_signed(out, number / unit->factor);
	sl_out_text(out, unit->name);
}

static void put_octal(struct sl_out *out, int64_t number)
{
	sl_out_char(out, '0');
	for (int shift = 6; shift >= 0; shift -= 3)
		sl_out_char(out, (char)('0' + (number >> shift & 7)));
}

static void put_signal(struct sl_out *out, int64_t number)
{
	if (number == SIGUSR1) {
		sl_out_text(out, "USR1");
	} else if (number == SIGUSR2) {
		sl_out_text(out, "USR2");
	} else {
		sl_out_text(out, "RTMIN+");
		sl_out_signed(out, number - SIGRTMIN);
	}
}

static void put_number(struct sl_out *out, const struct sl_option *option, int64_t number)
{
	if (option->type == SL_OPTION_ENUM)
		put_word(out, option, number);
	else if (number == SL_AUTO)
		sl_out_text(out, "auto");
	else if (number == SL_OFF)
		sl_out_text(out, option->type == SL_OPTION_SIGNAL ? "none" : "off");
	else if (option->type == SL_OPTION_SIGNAL)
		put_signal(out, number);
	else if (option->type == SL_OPTION_OCTAL)
		put_octal(out, number);
	else
		put_scaled(out, option, number);
}

void sl_option_write(struct sl_out *out, const struct sl_option *option,
                     const struct sl_options *options)
{
	if (!is_text(option))
		put_number(out, option, number_of(option, options));
	else if (option->type == SL_OPTION_PATH && !*text_of(option, options))
		sl_out_text(out, "off");
	else
		sl_out_text(out, text_of(option, options));
}

void sl_option_write_allowed(struct sl_out *out, const struct sl_option *option)
{
	size_t length;
	const char *word = sl_option_piece(option->words, " ", &length);
	for (bool is_first = true; length > 0; is_first = false) {
		sl_out_text(out, is_first ? "" : ", ");
		sl_out_bytes(out, word, length);
		word = sl_option_piece(word + length, " ", &length);
	}
	if (option->type == SL_OPTION_ENUM)
		return;
	sl_out_text(out, *option->words ? ", " : "");
	if (option->type == SL_OPTION_SIGNAL) {
		sl_out_text(out, "USR1, USR2, RTMIN+0..RTMIN+");
		sl_out_signed(out, SIGRTMAX - SIGRTMIN);
	} else if (is_text(option)) {
		sl_out_text(out, option->type == SL_OPTION_PATH    ? "a path"
		                 : option->type == SL_OPTION_RULES ? "CIDR[:port], [v6]:port, "
		                                                     ":port, local:PORT"
		                                                   : "a name, repeated for more");
		sl_out_text(out, ", up to ");
		sl_out_unsigned(out, SL_OPTION_TEXT_MAX - 1);
		sl_out_text(out, sl_option_is_list(option) ? " bytes together" : " bytes");
	} else if (option->type == SL_OPTION_BOOL) {
		sl_out_text(out, "0, 1");
	} else {
		put_number(out, option, option->low);
		sl_out_text(out, "..");
		put_number(out, option, option->high);
	}
}

void sl_option_write_allowed_with_example(struct sl_out *out, const struct sl_option *option)
{
	sl_option_write_allowed(out, option);
	bool is_measure = !is_text(option) && option->type != SL_OPTION_ENUM &&
	                  option->type != SL_OPTION_BOOL;
	if (!is_measure || number_of(option, &sl_option_defaults) < 0)
		return;
	sl_out_text(out, ", such as ");
	put_number(out, option, number_of(option, &sl_option_defaults));
}
