/* The words are a contract: each is written out here once more. */
#include "report/words.h"

#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void assert_word(const char *word, const char *wanted)
{
	if (!wanted)
		assert_null(word);
	else
		assert_string_equal(word, wanted);
}

/* Every value of an enumeration up to its COUNT, one beyond, and a negative one. */
#define ASSERT_WORDS(function, type, ...)                                       \
	do {                                                                    \
		static const char *const wanted[] = {__VA_ARGS__, NULL};        \
		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) \
			assert_word(function((type)i), wanted[i]);              \
		assert_null(function((type)-1));                                \
	} while (0)

static void test_verdicts(void **state)
{
	(void)state;
	ASSERT_WORDS(sl_words_verdict, enum sl_verdict, "OK", "UNKNOWN", "LEAK");
	ASSERT_WORDS(sl_words_site_verdict, enum sl_site_verdict, "ok", "unknown", "leak");
}

static void test_causes(void **state)
{
	(void)state;
	ASSERT_WORDS(sl_words_cause, enum sl_cause, NULL, "eof-ignored", "never-looked",
	             "unread-data", "dead-but-open");
	assert_null(sl_words_cause_phrase(SL_CAUSE_NONE));
	for (int cause = SL_CAUSE_NONE + 1; cause < SL_CAUSE_COUNT; cause++)
		assert_non_null(sl_words_cause_phrase((enum sl_cause)cause));
}

static void test_states_are_those_of_netstat(void **state)
{
	(void)state;
	ASSERT_WORDS(sl_words_state, unsigned, NULL, "ESTABLISHED", "SYN_SENT", "SYN_RECV",
	             "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK",
	             "LISTEN", "CLOSING");
	assert_string_equal(sl_words_state(TCP_CLOSE_WAIT), "CLOSE_WAIT");
	assert_string_equal(sl_words_state(TCP_CLOSING), "CLOSING");
}

static void test_triggers(void **state)
{
	(void)state;
	ASSERT_WORDS(sl_words_trigger, enum sl_trigger, "signal", "exit", "interval", "threshold",
	             "pressure", "command");
}

static void test_kinds_and_directions(void **state)
{
	(void)state;
	ASSERT_WORDS(sl_words_direction, enum sl_direction, NULL, "out", "in");
	ASSERT_WORDS(sl_words_kind, enum sl_kind, NULL, "tcp", "udp", "unix", "netlink", "other");
	ASSERT_WORDS(sl_words_stack_kind, enum sl_stack_kind, NULL, "native", "java");
	ASSERT_WORDS(sl_words_role, enum sl_role, "runtime", "library", "application");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_causes),
		cmocka_unit_test(test_states_are_those_of_netstat),
		cmocka_unit_test(test_triggers),
		cmocka_unit_test(test_kinds_and_directions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
