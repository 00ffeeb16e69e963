/* The words of the contract: each value has one, no two the same, and they are those that scripts match. */
#include "report/words.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef const char *word_fn(int value);

/* value -> word for 0 .. n-1, NULL where there is none; beyond the table there is never one. */
static void assert_words(word_fn *word_of, const char *const *words, int n)
{
	for (int value = 0; value < n; value++) {
		const char *word = word_of(value);
		if (!words[value]) {
			assert_null(word);
			continue;
		}
		assert_non_null(word);
		assert_string_equal(word, words[value]);
	}
	assert_null(word_of(n));
	assert_null(word_of(n + 1000));
	assert_null(word_of(-1));
}

static const char *event_word(int value)
{
	return sl_words_event((enum sl_event_kind)value);
}

static void events(void **state)
{
	(void)state;
	static const char *const words[] = {
		"stuck",       "retracted", "probed",    "shutdown",  "app_reacted",
		"neutralized", "closed",    "skipped",   "regretted", "stopped",
		"rescue",      "pressure",  "keepalive", "set",       "reverted",
	};
	assert_int_equal(COUNT(words), SL_EVENT_COUNT);
	assert_words(event_word, words, SL_EVENT_COUNT);
}

static const char *spared_word(int value)
{
	return sl_words_spared((enum sl_spared)value);
}

/* What is merely not due, or looked at again at once, is no event. */
static void reasons(void **state)
{
	(void)state;
	static const char *const words[SL_SPARED_COUNT] = {
		[SL_SPARED_SIDE] = "side",
		[SL_SPARED_RULE] = "rule",
		[SL_SPARED_ADOPTED] = "adopted",
		[SL_SPARED_REGRET] = "regret",
		[SL_SPARED_CAUSE] = "cause",
		[SL_SPARED_SHARED] = "shared",
		[SL_SPARED_SHARING_UNKNOWN] = "sharing-unknown",
		[SL_SPARED_UNREAD] = "unread-data",
		[SL_SPARED_ERROR_PENDING] = "error-pending",
		[SL_SPARED_EPOLL] = "epoll",
		[SL_SPARED_PEER_WAITS] = "peer-waits",
		[SL_SPARED_STDIO] = "stdio",
		[SL_SPARED_NUMBERS] = "numbers",
		[SL_SPARED_INTENDED] = "intended",
	};
	for (int spared = 0; spared < SL_SPARED_COUNT; spared++)
		assert_true(words[spared] || spared == SL_SPARED_NOT ||
		            spared == SL_SPARED_NOT_DUE || spared == SL_SPARED_BUSY);
	assert_words(spared_word, words, SL_SPARED_COUNT);
}

static const char *rung_word(int value)
{
	return sl_words_rung((enum sl_rung)value);
}

static void rungs(void **state)
{
	(void)state;
	static const char *const words[] = {NULL, "probe", "shutdown", "neutralize", "close"};
	assert_int_equal(COUNT(words), SL_RUNG_COUNT);
	assert_words(rung_word, words, SL_RUNG_COUNT);
}

static unsigned complaints;

static void complain(const char *line)
{
	(void)line;
	complaints++;
}

static const char *action_word(int value)
{
	return sl_words_action((enum sl_action)value);
}

/* The report says what one would write after action=. */
static void actions(void **state)
{
	(void)state;
	static const char *const words[] = {"report", "shutdown", "neutralize", "close"};
	char text[64];
	assert_words(action_word, words, COUNT(words));
	for (size_t i = 0; i < COUNT(words); i++) {
		struct sl_options options;
		sl_options_defaults(&options);
		options.action = -1;
		strcpy(text, "action=");
		strcat(text, words[i]);
		assert_int_equal(sl_options_parse(&options, text, complain), 0);
		assert_int_equal(options.action, i);
	}
	assert_int_equal(complaints, 0);
}

static void errors(void **state)
{
	(void)state;
	assert_string_equal(sl_words_error(EADDRNOTAVAIL), "EADDRNOTAVAIL");
	assert_string_equal(sl_words_error(EADDRINUSE), "EADDRINUSE");
	assert_string_equal(sl_words_error(EMFILE), "EMFILE");
	assert_string_equal(sl_words_error(ENFILE), "ENFILE");
	assert_null(sl_words_error(0));
	assert_null(sl_words_error(EBADF));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events),  cmocka_unit_test(reasons), cmocka_unit_test(rungs),
		cmocka_unit_test(actions), cmocka_unit_test(errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
