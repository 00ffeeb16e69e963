/* test_advice.c - what the report says to look at next: each advice from its evidence, and from no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ledger/sites.h"
#include "rendered.h"
#include "report/advice.h"
#include "sample_snapshot.h"

static struct sl_snapshot s;
static struct sl_snapshot_site site, reader;
static struct sl_snapshot_peer peer;
static struct sl_advice got[SL_ADVICE_MAX];
static unsigned count;

/* 20 that one Java site has opened, of which 12 are stuck, closed by a peer of which nothing is known. */
static int set_up(void **state)
{
	(void)state;
	s = sample_rich();
	site = s.sites[0];
	peer = s.peers[0];
	site.verdict = SL_SITE_LEAK;
	site.kind = SL_STACK_JAVA;
	site.opened = 20;
	site.open = 14;
	site.close_wait = site.stuck = 12;
	site.reclaimed = site.unread_bytes = site.eof_site = 0;
	site.late_ms_p50 = SL_UNKNOWN;
	memset(site.causes, 0, sizeof(site.causes));
	memset(site.deaths, 0, sizeof(site.deaths));
	peer.close_wait = s.totals.close_wait = 12;
	peer.direction = SL_DIRECTION_OUT;
	peer.idle_before_fin_ms_p50 = peer.idle_before_fin_ms_p10 = peer.idle_before_fin_ms_p90 =
		SL_UNKNOWN;
	peer.idle_before_fin_count = 0;
	s.sites = &site;
	s.peers = &peer;
	s.site_count = s.peer_count = 1;
	s.readers = NULL;
	s.reader_count = 0;
	return 0;
}

static const char *text_of(unsigned i)
{
	static char text[1024];
	snprintf(text, sizeof(text), "%s%s%s", got[i].before, got[i].name ? got[i].name : "",
	         got[i].after);
	return text;
}

/* The texts follow, one for each that is expected; no more than these. */
static void expect(const char *about, const char *text)
{
	count = sl_advice_of(&s, got);
	assert_int_equal(count, about ? 1 : 0);
	if (!about)
		return;
	assert_string_equal(got[0].about, about);
	assert_string_equal(text_of(0), text);
	assert_true(strlen(text) <= 90 || got[0].name); /* a line without its label */
}

static void cause(enum sl_cause of)
{
	memset(site.causes, 0, sizeof(site.causes));
	site.causes[of] = 12;
}

static void never_looked(void **state)
{
	(void)state;
	cause(SL_CAUSE_NEVER_LOOKED);
	expect("never-looked",
	       "nobody touches them again: close each (try-with-resources), or share one client");
	site.kind = SL_STACK_NATIVE;
	expect("never-looked", "nobody touches them again: close each behind its answer, or keep "
	                       "one and use it again");
	/* A server cannot choose to share. */
	site.direction = SL_DIRECTION_IN;
	expect("never-looked",
	       "nobody reads them again: read each to its end, or close those that are idle");
}

static void eof_ignored(void **state)
{
	(void)state;
	cause(SL_CAUSE_EOF_IGNORED);
	expect("eof-ignored",
	       "a read returns 0 and no close follows: where, is known from the next one on");
	reader = site;
	reader.id = 77;
	reader.blame = "Pump.run(Pump.java:31)";
	site.eof_site = 77;
	s.readers = &reader;
	s.reader_count = 1;
	expect("eof-ignored", "the end of file is read, and nothing follows: close behind the read "
	                      "at Pump.run(Pump.java:31)");
}

static void unread_data(void **state)
{
	(void)state;
	cause(SL_CAUSE_UNREAD_DATA);
	site.unread_bytes = 12 * 104;
	expect("unread-data",
	       "104 bytes wait unread in each, the peer's last words: they may say why");
	site.unread_bytes = 12 * 65536;
	expect("unread-data",
	       "65536 bytes wait unread in each: read an answer to its end, or close without");
}

static void dead_but_open(void **state)
{
	(void)state;
	static const char *const texts[SL_DEATH_COUNT] = {
		[SL_DEATH_RST] = "the peer has reset them: close where a read or write fails",
		[SL_DEATH_TIMEOUT] = "the peer has not answered data: close where a read or write "
				     "fails (ETIMEDOUT)",
		[SL_DEATH_KEEPALIVE] = "the peer has not answered probes: close where a read or "
				       "write fails (ETIMEDOUT)",
		[SL_DEATH_ORDERLY] =
			"both sides have shut them down: close() is all that is missing",
	};
	cause(SL_CAUSE_DEAD_BUT_OPEN);
	for (int death = SL_DEATH_NONE + 1; death < SL_DEATH_COUNT; death++) {
		memset(site.deaths, 0, sizeof(site.deaths));
		site.deaths[death] = 7;
		site.deaths[death % 4 + 1] += 5; /* the most common one decides */
		expect("dead-but-open", texts[death]);
	}
}

static void one_way_of_many(void **state)
{
	(void)state;
	site.opened = 1200;
	count = sl_advice_of(&s, got);
	assert_int_equal(count, 1);
	assert_string_equal(got[0].about, "share");
	assert_string_equal(text_of(0), "1 % of what is opened there stays: look at ways out by an "
	                                "error or an early return");
	/* What we ended would have stayed. */
	site.reclaimed = 800;
	expect(NULL, NULL);
	site.opened = 19;
	site.reclaimed = 0;
	site.close_wait = 1;
	expect(NULL, NULL);
}

static void the_peers_habit(void **state)
{
	(void)state;
	peer.idle_before_fin_ms_p10 = peer.idle_before_fin_ms_p50 = peer.idle_before_fin_ms_p90 =
		15000;
	peer.idle_before_fin_count = 12;
	cause(SL_CAUSE_NEVER_LOOKED);
	count = sl_advice_of(&s, got);
	assert_int_equal(count, 2);
	assert_string_equal(got[1].about, "idle-timeout");
	assert_string_equal(text_of(1),
	                    "a pool must drop those that are idle for 15.0s, before the peer does");
	cause(SL_CAUSE_UNREAD_DATA); /* nobody keeps these for later */
	assert_int_equal(sl_advice_of(&s, got), 1);
	peer.idle_before_fin_ms_p10 = peer.idle_before_fin_ms_p50 = peer.idle_before_fin_ms_p90 = 3;
	count = sl_advice_of(&s, got);
	assert_int_equal(count, 2);
	assert_string_equal(got[1].about, "closes-at-once");
	assert_string_equal(
		text_of(1),
		"the peer closes behind each answer (Connection: close): none can be used again");
	/* The habit of the peer that this site connects to, not of another site's. */
	struct sl_snapshot_peer both[2] = {peer, peer};
	both[0].address = "192.0.2.9";
	both[0].idle_before_fin_ms_p10 = both[0].idle_before_fin_ms_p50 =
		both[0].idle_before_fin_ms_p90 = 15000;
	s.peers = both;
	s.peer_count = 2;
	site.peer = "172.21.191.100:8080";
	assert_int_equal(sl_advice_of(&s, got), 2);
	assert_string_equal(got[1].about, "closes-at-once");
	both[1].address = "192.0.2.10";
	assert_int_equal(sl_advice_of(&s, got), 1);
	site.peer = NULL;
	s.peers = &peer;
	s.peer_count = 1;
	peer.direction = SL_DIRECTION_IN;
	assert_int_equal(sl_advice_of(&s, got), 1);
}

static void by_verdict(void **state)
{
	(void)state;
	cause(SL_CAUSE_NEVER_LOOKED);
	s.settled_ms = 180000;
	site.verdict = SL_SITE_BURST;
	count = sl_advice_of(&s, got);
	assert_int_equal(count, 2);
	assert_string_equal(got[1].about, "young");
	assert_string_equal(text_of(1),
	                    "ask again when the oldest have been quiet for 180s: do they stay?");
	site.verdict = SL_SITE_POOL; /* FIX says it all */
	expect(NULL, NULL);
	site.verdict = SL_SITE_SLOW;
	expect(NULL, NULL);
	site.late_ms_p50 = 64200;
	expect("slow", "closed 1min after the peer (median): a longer deadline= calls fewer stuck");
	s.site_count = 0;
	expect(NULL, NULL);
	s = sample_healthy();
	expect(NULL, NULL);
}

static void adopted(void **state)
{
	(void)state;
	site.id = SL_SITE_ADOPTED;
	expect("adopted",
	       "opened before the library, or past its hooks: a restart with it names the line");
}

static void in_the_reports(void **state)
{
	(void)state;
	static struct rendered text;
	cause(SL_CAUSE_EOF_IGNORED);
	reader = site;
	reader.id = 77;
	reader.blame = "com.example.transfer.internal.channels.BufferedSegmentPump."
		       "copyUntilEndOfStream(BufferedSegmentPump.java:3131)";
	site.eof_site = 77;
	s.readers = &reader;
	s.reader_count = 1;
	/* A name that is too long is shortened in the middle, and what is outside is escaped. */
	render_text(&text, &s, SL_TEXT_FULL, false, 4096);
	assert_non_null(strstr(text.text, "\nNEXT      the end of file is read, and nothing "
	                                  "follows: close behind the read at "));
	assert_true(rendered_widest(text.text, 12) <= 100);
	reader.blame = "evil\033[2J";
	render_text(&text, &s, SL_TEXT_FULL, false, 4096);
	assert_null(strchr(text.text, '\033'));
	render_json(&text, &s, 4096);
	assert_non_null(
		strstr(text.text,
	               "\"advice\":[{\"about\":\"eof-ignored\",\"text\":\"the end of file is read, "
	               "and nothing follows: close behind the read at evil\\u001b[2J\"}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(never_looked, set_up),
		cmocka_unit_test_setup(eof_ignored, set_up),
		cmocka_unit_test_setup(unread_data, set_up),
		cmocka_unit_test_setup(dead_but_open, set_up),
		cmocka_unit_test_setup(one_way_of_many, set_up),
		cmocka_unit_test_setup(the_peers_habit, set_up),
		cmocka_unit_test_setup(by_verdict, set_up),
		cmocka_unit_test_setup(adopted, set_up),
		cmocka_unit_test_setup(in_the_reports, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
