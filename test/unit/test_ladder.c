/* test_ladder.c - what may be done about a connection: a table of cases, each in the words of the option string and of the
 * facts that are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "reclaim/ladder.h"

struct row {
	const char *options;
	const char *facts;
	enum sl_rung due;
	enum sl_spared spared; /* SL_SPARED_NOT: `due` is what is done */
};

static void complain(const char *line)
{
	fail_msg("%s", line);
}

static void say_reached(struct sl_case *known, enum sl_rung rung)
{
	known->reached = rung;
	known->since_rung_ms = 5000;
}

static void take_number(struct sl_case *known, const char *word)
{
	const char *value = strchr(word, '=');
	if (!value)
		fail_msg("an unknown fact: %s", word);
	uint64_t number = strtoull(value + 1, NULL, 10);
	if (strncmp(word, "quiet", 5) == 0)
		known->quiet_ms = number;
	else if (strncmp(word, "since", 5) == 0)
		known->since_rung_ms = number;
	else
		fail_msg("an unknown fact: %s", word);
}

static void take_fact(struct sl_case *known, const char *word)
{
	const struct {
		const char *word;
		bool *fact;
	} facts[] = {
		{"close-wait", &known->is_close_wait}, {"dead", &known->is_dead},
		{"adopted", &known->is_adopted},       {"covered", &known->is_covered},
		{"exempt", &known->is_exempt},         {"unread", &known->has_unread},
		{"unsent", &known->has_unsent},        {"error", &known->has_pending_error},
		{"epoll", &known->is_in_epoll},        {"level", &known->is_level_triggered},
		{"stdio", &known->is_behind_stdio},    {"read-last", &known->read_last},
		{"probed", &known->probe_sent},        {"pending", &known->is_probe_pending},
		{"answered", &known->probe_answered},  {"intended", &known->is_intended},
	};
	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		if (strcmp(word, facts[i].word) == 0) {
			*facts[i].fact = true;
			return;
		}
	if (strcmp(word, "in") == 0)
		known->direction = SL_DIRECTION_IN;
	else if (strcmp(word, "unknown") == 0)
		known->direction = SL_DIRECTION_UNKNOWN;
	else if (strcmp(word, "eof") == 0)
		known->cause = SL_CAUSE_EOF_IGNORED;
	else if (strcmp(word, "shared") == 0)
		known->sharing = SL_SHARING_SHARED;
	else if (strcmp(word, "sharing-unknown") == 0)
		known->sharing = SL_SHARING_UNKNOWN;
	else if (strcmp(word, "after-shutdown") == 0)
		say_reached(known, SL_RUNG_SHUTDOWN);
	else if (strcmp(word, "after-neutralize") == 0)
		say_reached(known, SL_RUNG_NEUTRALIZE);
	else if (strcmp(word, "after-close") == 0)
		say_reached(known, SL_RUNG_CLOSE);
	else if (strcmp(word, "uncovered") == 0)
		known->is_covered = false;
	else
		take_number(known, word);
}

/* Outbound, in CLOSE_WAIT unless dead, covered, alone and quiet for an hour, but for what the words say. */
static struct sl_case case_of(const char *facts)
{
	struct sl_case known = {
		.direction = SL_DIRECTION_OUT,
		.cause = SL_CAUSE_NEVER_LOOKED,
		.is_covered = true,
		.sharing = SL_SHARING_NONE,
		.quiet_ms = 3600000,
	};
	char words[256];
	snprintf(words, sizeof(words), "%s", facts);
	for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
		take_fact(&known, word);
	known.is_close_wait = !known.is_dead && known.reached < SL_RUNG_SHUTDOWN;
	return known;
}

static struct sl_options options_of(const char *text)
{
	struct sl_options options;
	sl_options_defaults(&options);
	assert_int_equal(sl_options_parse(&options, text, complain), 0);
	return options;
}

static void check(const struct row *row)
{
	struct sl_options options = options_of(row->options);
	struct sl_case known = case_of(row->facts);
	struct sl_decision decision;
	sl_ladder_decide(&known, &options, &decision);
	enum sl_rung done = row->spared == SL_SPARED_NOT ? row->due : SL_RUNG_NONE;
	if (decision.due != row->due || decision.spared != row->spared || decision.rung != done)
		fail_msg("%s | %s: due %d, spared %d, done %d; wanted %d, %d, %d", row->options,
		         row->facts, decision.due, decision.spared, decision.rung, row->due,
		         row->spared, done);
	bool is_due = sl_ladder_is_due(&known, &options);
	if (is_due != (row->due != SL_RUNG_NONE))
		fail_msg("%s | %s: is %sdue", row->options, row->facts, is_due ? "" : "not ");
}

static void check_all(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check(&rows[i]);
}
#define CHECK_ALL(rows) check_all(rows, sizeof(rows) / sizeof((rows)[0]))

/* Every rung, and how far action= lets them go. */
static void the_rungs(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"", "", SL_RUNG_NONE, SL_SPARED_NOT_DUE},
		{"action=report", "", SL_RUNG_NONE, SL_SPARED_NOT_DUE},
		{"action=report", "after-shutdown", SL_RUNG_NONE, SL_SPARED_NOT_DUE},
		{"action=report", "dead", SL_RUNG_NONE, SL_SPARED_NOT_DUE},
		{"action=shutdown", "", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		{"action=shutdown", "after-shutdown", SL_RUNG_NONE, SL_SPARED_NOT_DUE},
		{"action=shutdown", "dead", SL_RUNG_NONE, SL_SPARED_NOT_DUE},
		{"action=neutralize", "", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		{"action=neutralize", "after-shutdown", SL_RUNG_NEUTRALIZE, SL_SPARED_NOT},
		{"action=neutralize", "after-neutralize", SL_RUNG_NONE, SL_SPARED_NOT_DUE},
		{"action=neutralize", "dead", SL_RUNG_NEUTRALIZE, SL_SPARED_NOT},
		{"action=close", "", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		{"action=close", "after-shutdown", SL_RUNG_NEUTRALIZE, SL_SPARED_NOT},
		{"action=close", "after-neutralize", SL_RUNG_CLOSE, SL_SPARED_NOT},
		{"action=close", "after-close", SL_RUNG_NONE, SL_SPARED_NOT_DUE},
		{"action=close", "dead", SL_RUNG_NEUTRALIZE, SL_SPARED_NOT},
	};
	CHECK_ALL(rows);
}

static void the_times(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"action=close deadline=10s", "quiet=9999", SL_RUNG_NONE, SL_SPARED_NOT_DUE},
		{"action=close deadline=10s", "quiet=10000", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		{"action=close deadline=10s", "dead quiet=9999", SL_RUNG_NONE, SL_SPARED_NOT_DUE},
		{"action=close deadline=10s", "dead quiet=10000", SL_RUNG_NEUTRALIZE,
	         SL_SPARED_NOT},
		/* Inbound has a deadline of its own. */
		{"action=close side=both deadline=10s deadline_in=20s probe=off",
	         "in eof quiet=19999", SL_RUNG_NONE, SL_SPARED_NOT_DUE},
		{"action=close side=both deadline=30s deadline_in=20s probe=off",
	         "in eof quiet=20000", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		{"action=close side=both deadline_in=20s", "in dead quiet=19999", SL_RUNG_NONE,
	         SL_SPARED_NOT_DUE},
		/* The grace counts from the rung before, not the quiet time. */
		{"action=close grace=3s", "after-shutdown since=2999", SL_RUNG_NONE,
	         SL_SPARED_NOT_DUE},
		{"action=close grace=3s", "after-shutdown since=3000 quiet=0", SL_RUNG_NEUTRALIZE,
	         SL_SPARED_NOT},
		{"action=close grace=3s", "after-neutralize since=2999", SL_RUNG_NONE,
	         SL_SPARED_NOT_DUE},
		{"action=close grace=3s", "after-neutralize since=3000", SL_RUNG_CLOSE,
	         SL_SPARED_NOT},
		/* A probe is no rung that a grace follows. */
		{"action=close", "read-last probed since=0", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
	};
	CHECK_ALL(rows);
	/* Neither CLOSE_WAIT nor dead: in use. */
	struct sl_options options = options_of("action=close");
	struct sl_case known = case_of("");
	struct sl_decision decision;
	known.is_close_wait = false;
	assert_false(sl_ladder_is_due(&known, &options));
	sl_ladder_decide(&known, &options, &decision);
	assert_int_equal(decision.rung, SL_RUNG_NONE);
}

static void the_probe(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"action=shutdown", "read-last", SL_RUNG_PROBE, SL_SPARED_NOT},
		{"action=shutdown", "read-last probed", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		/* Outbound, an answer only says that the peer is there. */
		{"action=shutdown", "read-last probed answered", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		{"action=shutdown probe=off", "read-last", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		{"action=shutdown probe=on", "", SL_RUNG_PROBE, SL_SPARED_NOT},
		{"action=shutdown probe=on", "probed", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		/* There is nobody to ask. */
		{"action=neutralize probe=on", "dead", SL_RUNG_NEUTRALIZE, SL_SPARED_NOT},
		{"action=shutdown side=in", "in eof", SL_RUNG_PROBE, SL_SPARED_NOT},
		{"action=shutdown side=in", "in eof probed", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		/* Inbound, it says that the peer waits. */
		{"action=close side=in", "in eof probed answered", SL_RUNG_SHUTDOWN,
	         SL_SPARED_PEER_WAITS},
		{"action=close side=in probe=off", "in eof", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		/* A probe changes the description too. */
		{"action=shutdown", "read-last shared", SL_RUNG_PROBE, SL_SPARED_SHARED},
		{"action=shutdown", "read-last sharing-unknown", SL_RUNG_PROBE,
	         SL_SPARED_SHARING_UNKNOWN},
	};
	CHECK_ALL(rows);
}

static void the_sides(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"action=shutdown", "in eof", SL_RUNG_PROBE, SL_SPARED_SIDE},
		{"action=shutdown side=out", "in eof probed", SL_RUNG_SHUTDOWN, SL_SPARED_SIDE},
		{"action=shutdown side=in", "", SL_RUNG_SHUTDOWN, SL_SPARED_SIDE},
		{"action=shutdown side=both", "", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		{"action=shutdown side=both", "in eof", SL_RUNG_PROBE, SL_SPARED_NOT},
		{"action=shutdown side=both", "unknown", SL_RUNG_SHUTDOWN, SL_SPARED_SIDE},
		{"action=neutralize side=out", "in dead", SL_RUNG_NEUTRALIZE, SL_SPARED_SIDE},
		{"action=neutralize side=in", "dead", SL_RUNG_NEUTRALIZE, SL_SPARED_SIDE},
		/* What was shut down before is not let go on another side either. */
		{"action=close side=in", "after-shutdown", SL_RUNG_NEUTRALIZE, SL_SPARED_SIDE},
		{"action=close side=out", "in after-neutralize", SL_RUNG_CLOSE, SL_SPARED_SIDE},
		/* Inbound only where the program has seen the end, and ignores it. */
		{"action=close side=in", "in", SL_RUNG_PROBE, SL_SPARED_CAUSE},
		{"action=close side=in probe=off", "in", SL_RUNG_SHUTDOWN, SL_SPARED_CAUSE},
		{"action=close side=in", "in dead", SL_RUNG_NEUTRALIZE, SL_SPARED_NOT},
		{"action=close side=in", "in after-shutdown", SL_RUNG_NEUTRALIZE, SL_SPARED_NOT},
	};
	CHECK_ALL(rows);
}

/* Whatever the rung. */
static void what_forbids_all(void **state)
{
	(void)state;
	static const struct {
		const char *facts;
		enum sl_spared spared;
	} reasons[] = {
		{"uncovered", SL_SPARED_RULE},
		{"exempt", SL_SPARED_REGRET},
		{"stdio", SL_SPARED_STDIO},
		{"uncovered exempt stdio", SL_SPARED_RULE},
		{"exempt stdio unread", SL_SPARED_REGRET},
	};
	static const struct {
		const char *facts;
		enum sl_rung due;
	} rungs[] = {
		{"read-last", SL_RUNG_PROBE},           {"", SL_RUNG_SHUTDOWN},
		{"after-shutdown", SL_RUNG_NEUTRALIZE}, {"dead", SL_RUNG_NEUTRALIZE},
		{"after-neutralize", SL_RUNG_CLOSE},
	};
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		for (size_t j = 0; j < sizeof(rungs) / sizeof(rungs[0]); j++) {
			char facts[128];
			snprintf(facts, sizeof(facts), "%s %s", reasons[i].facts, rungs[j].facts);
			check(&(struct row){"action=close", facts, rungs[j].due,
			                    reasons[i].spared});
		}
}

static void what_forbids_a_shutdown(void **state)
{
	(void)state;
	static const struct row rows[] = {
		/* Data that still moves: not now, and no word of it. */
		{"action=close", "unsent", SL_RUNG_SHUTDOWN, SL_SPARED_NOT_DUE},
		{"action=close", "read-last unsent", SL_RUNG_PROBE, SL_SPARED_NOT_DUE},
		{"action=shutdown", "intended", SL_RUNG_SHUTDOWN, SL_SPARED_INTENDED},
		{"action=close", "intended", SL_RUNG_SHUTDOWN, SL_SPARED_INTENDED},
		{"action=close", "dead intended", SL_RUNG_NEUTRALIZE, SL_SPARED_INTENDED},
		{"action=close", "after-shutdown intended", SL_RUNG_NEUTRALIZE, SL_SPARED_INTENDED},
		{"action=close", "after-neutralize intended", SL_RUNG_CLOSE, SL_SPARED_INTENDED},
		{"action=neutralize", "shared intended uncovered", SL_RUNG_SHUTDOWN,
	         SL_SPARED_INTENDED},
		{"action=shutdown", "shared", SL_RUNG_SHUTDOWN, SL_SPARED_SHARED},
		{"action=shutdown", "sharing-unknown", SL_RUNG_SHUTDOWN, SL_SPARED_SHARING_UNKNOWN},
		{"action=close", "sharing-unknown", SL_RUNG_SHUTDOWN, SL_SPARED_SHARING_UNKNOWN},
		/* None of these: a shutdown leaves what waits readable. */
		{"action=shutdown", "unread", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		{"action=shutdown", "error", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		{"action=shutdown", "adopted", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		{"action=shutdown", "epoll", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		/* It would spin: only where it may be neutralized at once. */
		{"action=shutdown", "epoll level", SL_RUNG_SHUTDOWN, SL_SPARED_EPOLL},
		{"action=shutdown", "epoll level unread", SL_RUNG_SHUTDOWN, SL_SPARED_EPOLL},
		{"action=shutdown", "epoll level read-last", SL_RUNG_PROBE, SL_SPARED_EPOLL},
		{"action=neutralize", "epoll level", SL_RUNG_SHUTDOWN, SL_SPARED_NOT},
		{"action=neutralize", "epoll level adopted", SL_RUNG_SHUTDOWN, SL_SPARED_EPOLL},
		{"action=neutralize", "epoll level unread", SL_RUNG_SHUTDOWN, SL_SPARED_UNREAD},
		{"action=neutralize", "epoll level error", SL_RUNG_SHUTDOWN,
	         SL_SPARED_ERROR_PENDING},
	};
	CHECK_ALL(rows);
}

static void what_forbids_to_neutralize(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"action=close", "after-shutdown unread", SL_RUNG_NEUTRALIZE, SL_SPARED_UNREAD},
		{"action=close", "after-shutdown error", SL_RUNG_NEUTRALIZE,
	         SL_SPARED_ERROR_PENDING},
		{"action=close", "after-shutdown adopted", SL_RUNG_NEUTRALIZE, SL_SPARED_ADOPTED},
		{"action=close", "after-shutdown sharing-unknown", SL_RUNG_NEUTRALIZE,
	         SL_SPARED_SHARING_UNKNOWN},
		{"action=close", "after-shutdown unsent", SL_RUNG_NEUTRALIZE, SL_SPARED_NOT},
		{"action=close", "after-shutdown epoll level", SL_RUNG_NEUTRALIZE, SL_SPARED_NOT},
		{"action=close", "dead unread", SL_RUNG_NEUTRALIZE, SL_SPARED_UNREAD},
		{"action=close", "dead error", SL_RUNG_NEUTRALIZE, SL_SPARED_ERROR_PENDING},
		{"action=close", "dead adopted", SL_RUNG_NEUTRALIZE, SL_SPARED_ADOPTED},
		{"action=close", "dead sharing-unknown", SL_RUNG_NEUTRALIZE,
	         SL_SPARED_SHARING_UNKNOWN},
		/* Shared: never shut down, at most let go of; and not where a set could never drop it. */
		{"action=neutralize", "shared", SL_RUNG_NEUTRALIZE, SL_SPARED_NOT},
		{"action=neutralize", "shared read-last", SL_RUNG_NEUTRALIZE, SL_SPARED_NOT},
		{"action=neutralize", "shared epoll", SL_RUNG_NEUTRALIZE, SL_SPARED_EPOLL},
		{"action=neutralize", "shared epoll level", SL_RUNG_NEUTRALIZE, SL_SPARED_EPOLL},
		{"action=neutralize", "shared unread", SL_RUNG_NEUTRALIZE, SL_SPARED_UNREAD},
		{"action=neutralize", "shared adopted", SL_RUNG_NEUTRALIZE, SL_SPARED_ADOPTED},
		{"action=neutralize", "shared unsent", SL_RUNG_SHUTDOWN, SL_SPARED_NOT_DUE},
		{"action=neutralize", "dead shared", SL_RUNG_NEUTRALIZE, SL_SPARED_NOT},
		{"action=neutralize", "dead shared epoll", SL_RUNG_NEUTRALIZE, SL_SPARED_EPOLL},
		{"action=neutralize", "after-shutdown shared", SL_RUNG_NEUTRALIZE, SL_SPARED_NOT},
		/* The close takes a number behind which nothing is any more. */
		{"action=close", "after-neutralize unread error shared sharing-unknown adopted",
	         SL_RUNG_CLOSE, SL_SPARED_NOT},
	};
	CHECK_ALL(rows);
}

static void check_rescue(const char *options, const char *facts, enum sl_spared spared)
{
	struct sl_options parsed = options_of(options);
	struct sl_case known = case_of(facts);
	enum sl_spared said = sl_ladder_may_rescue(&known, &parsed);
	if (said != spared)
		fail_msg("%s | %s: spared %d; wanted %d", options, facts, said, spared);
}

/* A rescue has its own time and no probe; all else is as for a shutdown. */
static void what_a_rescue_may_take(void **state)
{
	(void)state;
	const char *on = "action=shutdown rescue_after=2s deadline=10m";
	check_rescue(on, "quiet=2000", SL_SPARED_NOT);
	check_rescue(on, "quiet=1999", SL_SPARED_NOT_DUE);
	check_rescue(on, "read-last", SL_SPARED_NOT);
	check_rescue("action=shutdown probe=on", "", SL_SPARED_NOT);
	check_rescue(on, "probed answered", SL_SPARED_NOT);
	check_rescue(on, "adopted", SL_SPARED_NOT);
	check_rescue(on, "epoll", SL_SPARED_NOT);
	check_rescue(on, "error", SL_SPARED_NOT);
	/* With no action at all it may be switched on by itself. */
	check_rescue("rescue=on", "", SL_SPARED_NOT);
	check_rescue(on, "dead", SL_SPARED_NOT_DUE);
	check_rescue(on, "after-shutdown", SL_SPARED_NOT_DUE);
	check_rescue(on, "unsent", SL_SPARED_NOT_DUE);
	check_rescue(on, "in eof", SL_SPARED_SIDE);
	check_rescue(on, "unknown", SL_SPARED_SIDE);
	check_rescue("action=shutdown side=both", "in eof", SL_SPARED_SIDE);
	check_rescue("action=shutdown side=both", "", SL_SPARED_NOT);
	check_rescue("action=shutdown side=in", "", SL_SPARED_SIDE);
	check_rescue(on, "unread", SL_SPARED_UNREAD);
	check_rescue(on, "uncovered", SL_SPARED_RULE);
	check_rescue(on, "exempt", SL_SPARED_REGRET);
	check_rescue(on, "stdio", SL_SPARED_STDIO);
	check_rescue(on, "intended", SL_SPARED_INTENDED);
	check_rescue(on, "intended in unread uncovered", SL_SPARED_INTENDED);
	check_rescue(on, "shared", SL_SPARED_SHARED);
	check_rescue(on, "sharing-unknown", SL_SPARED_SHARING_UNKNOWN);
	/* There is no time to neutralize it, whatever action= says. */
	check_rescue(on, "epoll level", SL_SPARED_EPOLL);
	check_rescue("action=neutralize", "epoll level", SL_SPARED_EPOLL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rungs),
		cmocka_unit_test(the_times),
		cmocka_unit_test(the_probe),
		cmocka_unit_test(the_sides),
		cmocka_unit_test(what_forbids_all),
		cmocka_unit_test(what_forbids_a_shutdown),
		cmocka_unit_test(what_forbids_to_neutralize),
		cmocka_unit_test(what_a_rescue_may_take),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
