/* The eight lines of the text report, one by one: their wording depends on the snapshot. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "rendered.h"
#include "sample_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct rendered got;

static const char *line_of(const struct sl_snapshot *s, const char *label)
{
	return rendered_line(&got, s, label);
}

static void test_verdict_counts_each_kind_apart(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	s.totals.dead = s.totals.dead_stuck = 0;
	assert_string_equal(line_of(&s, "LEAK"),
	                    "LEAK, growing: 12622 of 12719 CLOSE_WAIT stuck, the oldest for 1h58m; "
	                    "began 8min after start");
	s.totals.growth_per_min = 0;
	s.totals.oldest_stuck_ms = 61000;
	assert_string_equal(
		line_of(&s, "LEAK"),
		"LEAK, not growing: 12622 of 12719 CLOSE_WAIT stuck, the oldest for 1min; "
		"began 8min after start");
	s.totals.growth_per_min = -1;
	s.totals.began_after_ms = SL_UNKNOWN;
	assert_string_equal(
		line_of(&s, "LEAK"),
		"LEAK, shrinking: 12622 of 12719 CLOSE_WAIT stuck, the oldest for 1min; "
		"42 not accepted yet");
	s.totals.growth_per_min = SL_UNKNOWN;
	s.totals.oldest_stuck_ms = SL_UNKNOWN;
	s.totals.dead = 30;
	s.totals.dead_stuck = 22;
	assert_string_equal(line_of(&s, "LEAK"),
	                    "LEAK: 12600 of 12719 CLOSE_WAIT and 22 of 30 dead-but-open stuck; "
	                    "42 not accepted yet");
	s.totals.close_wait = 0;
	s.totals.stuck = 22;
	s.totals.backlog = 0;
	assert_string_equal(line_of(&s, "LEAK"), "LEAK: 22 of 30 dead-but-open stuck");
	s.totals.dead_stuck = 0;
	s.totals.close_wait = 50;
	assert_string_equal(line_of(&s, "LEAK"),
	                    "LEAK: 22 of 50 CLOSE_WAIT and 0 of 30 dead-but-open stuck");
}

static void test_verdict_gives_way_in_width_but_keeps_its_counts(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	s.totals.close_wait = s.totals.stuck = 1234567;
	s.totals.dead = s.totals.dead_stuck = 123456;
	assert_string_equal(line_of(&s, "LEAK"),
	                    "LEAK, growing: 1111111 of 1234567 CLOSE_WAIT and 123456 of 123456 "
	                    "dead-but-open stuck, oldest 1h58m");
}

static void test_unknown_says_why(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	s.verdict = SL_VERDICT_UNKNOWN;
	s.totals.close_wait = 5;
	s.totals.stuck = 3;
	s.totals.dead = s.totals.dead_stuck = s.totals.backlog = 0;
	s.totals.oldest_stuck_ms = 130000;
	s.totals.began_after_ms = 0;
	assert_string_equal(
		line_of(&s, "UNKNOWN"),
		"UNKNOWN: 3 of 5 CLOSE_WAIT stuck, under 10 at each site, the oldest for "
		"2min; began 0ms after start");
	s.totals.stuck = 0;
	s.totals.close_wait = 14;
	s.totals.open = 20;
	s.deadline_ms = 90000;
	assert_string_equal(
		line_of(&s, "UNKNOWN"),
		"UNKNOWN: 20 open, 14 CLOSE_WAIT, none quiet for the deadline of 90s yet");
	s.totals.dead = 3;
	s.deadline_ms = 1500;
	assert_string_equal(line_of(&s, "UNKNOWN"),
	                    "UNKNOWN: 20 open, 14 CLOSE_WAIT, 3 dead-but-open, none "
	                    "quiet for the deadline of 1500ms yet");
	struct sl_snapshot_site one = s.sites[0];
	one.verdict = SL_SITE_UNKNOWN;
	s.sites = &one;
	s.site_count = 1;
	assert_string_equal(line_of(&s, "FIX"),
	                    "FIX       if they stay: close the client or its response at "
	                    "LeakyClient.java:11");
}

/* Each verdict on its own: what it is called, what there is to do now, and later. */
static void test_each_verdict_has_its_advice(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	struct sl_snapshot_site one = s.sites[0];
	struct sl_snapshot_peer peer = s.peers[0];
	s.sites = &one;
	s.peers = &peer;
	s.site_count = s.peer_count = 1;
	s.totals.close_wait = s.totals.stuck = 20;
	s.totals.dead = s.totals.dead_stuck = s.totals.backlog = 0;
	s.totals.oldest_stuck_ms = 130000;
	s.totals.began_after_ms = SL_UNKNOWN;
	s.pressure = NULL;
	s.verdict = SL_VERDICT_POOL;
	one.verdict = SL_SITE_POOL;
	peer.idle_before_fin_ms_p50 = 15000;
	assert_string_equal(line_of(&s, "POOL"),
	                    "POOL: 20 of 20 CLOSE_WAIT stuck, idle in a pool, the oldest for 2min");
	assert_string_equal(line_of(&s, "NOW"),
	                    "NOW       nothing to do: a pool finds out when it is used again");
	assert_string_equal(line_of(&s, "FIX"),
	                    "FIX       have the pool drop idle ones within 15.0s, before the "
	                    "peer does; from LeakyClient.java:11");
	s.verdict = SL_VERDICT_BURST;
	one.verdict = SL_SITE_BURST;
	assert_string_equal(line_of(&s, "BURST"),
	                    "BURST: 20 of 20 CLOSE_WAIT stuck, opened together, none since, the "
	                    "oldest for 2min");
	assert_string_equal(line_of(&s, "NOW"),
	                    "NOW       ask for another report later, to see whether they stay and "
	                    "grow in number");
	assert_string_equal(line_of(&s, "FIX"),
	                    "FIX       if they stay: close the client or its response at "
	                    "LeakyClient.java:11");
	s.verdict = SL_VERDICT_OK;
	one.verdict = SL_SITE_SLOW;
	assert_string_equal(line_of(&s, "OK"),
	                    "OK: 20 of 20 CLOSE_WAIT stuck, closed late, the oldest for 2min");
	assert_string_equal(line_of(&s, "NOW"),
	                    "NOW       nothing to do: the program closes them itself");
	assert_string_equal(line_of(&s, "FIX"),
	                    "FIX       none needed; sooner: close the client or its response at "
	                    "LeakyClient.java:11");
	s.verdict = SL_VERDICT_UNKNOWN;
	one.verdict = SL_SITE_UNKNOWN;
	s.settled_ms = 180000;
	assert_string_equal(line_of(&s, "UNKNOWN"),
	                    "UNKNOWN: 20 of 20 CLOSE_WAIT stuck, judged once quiet for 180s, the "
	                    "oldest for 2min");
	s.site_count = 0;
	s.no_sites = "the process lacks the library";
	assert_string_equal(line_of(&s, "UNKNOWN"),
	                    "UNKNOWN: 20 of 20 CLOSE_WAIT stuck; what they come to cannot be told "
	                    "from outside, oldest 2min");
}

static void test_ok_with_something_to_tell_gets_all_lines(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_healthy();
	s.totals.backlog = 5;
	assert_string_equal(line_of(&s, "OK"), "OK: 12 open, 0 CLOSE_WAIT; 5 not accepted yet");
	assert_string_equal(line_of(&s, "WHERE"), "WHERE     nothing suspect");
	assert_string_equal(line_of(&s, "TO"), "TO        nothing suspect");
	assert_string_equal(line_of(&s, "RUNS OUT"), "RUNS OUT  not foreseen; fds not known");
	assert_string_equal(line_of(&s, "NOT SEEN"), "NOT SEEN  adopted 0, dropped 0");
	assert_string_equal(line_of(&s, "FIX"), "FIX       nothing to close");
	assert_int_equal(rendered_lines(got.text), RENDERED_LEAD);
	assert_string_equal(line_of(&s, "sockleak"),
	                    "sockleak 1.0.0  upload  pid 1234567 on web-17  up 7.9s  "
	                    "2026-11-22T06:03:07Z  (interval)");
}

static void test_one_line_only_where_there_is_nothing_to_tell(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_healthy();
	s.totals.close_wait = 3;
	s.totals.dead = 1;
	render_text(&got, &s, SL_TEXT_FULL, false, 4096);
	assert_string_equal(got.text,
	                    "sockleak  upload  pid 1234567 on web-17  2026-11-22T06:03:07Z  "
	                    "OK: 12 open, 3 CLOSE_WAIT\n");
	struct sl_snapshot worse[18];
	const size_t n = sizeof(worse) / sizeof(worse[0]);
	for (size_t i = 0; i < n; i++)
		worse[i] = sample_healthy();
	worse[0].verdict = SL_VERDICT_UNKNOWN;
	worse[1].totals.stuck = 1;
	worse[2].totals.backlog = 1;
	worse[3].pressure = "EMFILE in socket";
	worse[4].totals.dropped = 1;
	worse[5].totals.held_back_bytes = 1;
	worse[6].sites_cut = 1;
	worse[7].totals.probed = 1;
	worse[8].totals.shutdown = 1;
	worse[9].totals.neutralized = 1;
	worse[10].totals.closed_by_us = 1;
	worse[11].totals.app_reacted = 1;
	worse[12].totals.ended_by_probe = 1;
	worse[13].totals.ended_by_keepalive = 1;
	worse[14].totals.absorbed = 1;
	worse[15].totals.rescued = 1;
	worse[16].totals.regretted = 1;
	worse[17].reclaim.is_stopped = true;
	for (size_t i = 0; i < n; i++) {
		render_text(&got, &worse[i], SL_TEXT_SHORT, false, 4096);
		assert_int_equal(rendered_lines(got.text), RENDERED_LEAD);
	}
	/* An action that is on and had nothing to do is nothing to tell. */
	s.reclaim.action = s.reclaim.asked = SL_ACTION_NEUTRALIZE;
	render_text(&got, &s, SL_TEXT_SHORT, false, 4096);
	assert_int_equal(rendered_lines(got.text), 1);
}

static void test_where_never_rounds_up(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_many(1);
	struct sl_snapshot_site *site = (struct sl_snapshot_site *)s.sites;
	site->stuck = 12621;
	assert_string_equal(line_of(&s, "WHERE"),
	                    "WHERE     LeakyClient.fetch(LeakyClient.java:11)  99 %");
	site->stuck = 12622;
	assert_string_equal(line_of(&s, "WHERE"),
	                    "WHERE     LeakyClient.fetch(LeakyClient.java:11)  100 %");
	site->stuck = 1;
	assert_string_equal(line_of(&s, "WHERE"),
	                    "WHERE     LeakyClient.fetch(LeakyClient.java:11)  <1 %");
	s.totals.stuck = UINT64_MAX;
	site->stuck = UINT64_MAX / 2;
	assert_string_equal(line_of(&s, "WHERE"),
	                    "WHERE     LeakyClient.fetch(LeakyClient.java:11)  49 %");
	s.totals.stuck = site->stuck = 0;
	s.verdict = SL_VERDICT_UNKNOWN;
	assert_string_equal(line_of(&s, "WHERE"),
	                    "WHERE     LeakyClient.fetch(LeakyClient.java:11)  91 % of CLOSE_WAIT");
	s.totals.close_wait = site->close_wait = 0;
	site->causes[SL_CAUSE_DEAD_BUT_OPEN] = 15;
	assert_string_equal(
		line_of(&s, "WHERE"),
		"WHERE     LeakyClient.fetch(LeakyClient.java:11)  50 % of dead-but-open");
}

static void test_no_stack_is_said(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	s.sites += 2; /* the adopted ones */
	s.site_count = 1;
	assert_string_equal(line_of(&s, "WHERE"),
	                    "WHERE     not known: no stack was kept for the worst site  <1 %");
	assert_string_equal(line_of(&s, "FIX"),
	                    "FIX       not known: opened before us, or no stack "
	                    "could be walked (stacks=, libunwind)");
	assert_non_null(strstr(got.text, "\n      no stack was kept\n"));
	const struct sl_snapshot_site *adopted = s.sites;
	struct sl_snapshot_site before_attach = *adopted;
	before_attach.unseen = "opened before attach";
	s.sites = &before_attach;
	assert_string_equal(line_of(&s, "WHERE"), "WHERE     opened before attach  <1 %");
	assert_non_null(strstr(got.text, "\n      opened before attach\n"));
	s.sites = adopted + 2; /* frames, but none to blame */
	assert_string_equal(line_of(&s, "WHERE"), "WHERE     no frame of the application  0 %");
	assert_string_equal(
		line_of(&s, "FIX"),
		"FIX       not known: name the application's packages or modules with app=");
	s.site_count = 0;
	assert_string_equal(line_of(&s, "WHERE"), "WHERE     not known: no site was recorded");
}

static void test_fix_speaks_of_what_was_opened(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_many(1);
	struct sl_snapshot_site *site = (struct sl_snapshot_site *)s.sites;
	assert_string_equal(line_of(&s, "FIX"),
	                    "FIX       close the client or its response at LeakyClient.java:11");
	site->direction = SL_DIRECTION_IN;
	assert_string_equal(line_of(&s, "FIX"),
	                    "FIX       close the connection accepted at LeakyClient.java:11");
	site->direction = SL_DIRECTION_OUT;
	site->kind = SL_STACK_NATIVE;
	site->blame = "module+0x1234";
	site->blame_where = NULL;
	assert_string_equal(line_of(&s, "FIX"),
	                    "FIX       close the socket opened at module+0x1234");
}

static void test_to_names_the_worst_peer(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_many(1);
	struct sl_snapshot_peer *peer = (struct sl_snapshot_peer *)s.peers;
	struct sl_snapshot_site *site = (struct sl_snapshot_site *)s.sites;
	site->causes[SL_CAUSE_UNREAD_DATA] = 12346;
	assert_string_equal(line_of(&s, "TO"),
	                    "TO        172.21.191.100:8080, which closes after 15.0s idle; "
	                    "mostly left with data unread");
	memset(site->causes, 0, sizeof(site->causes));
	site->causes[SL_CAUSE_EOF_IGNORED] = 1;
	peer->idle_before_fin_ms_p50 = SL_UNKNOWN;
	assert_string_equal(line_of(&s, "TO"),
	                    "TO        172.21.191.100:8080; read to its end, not closed");
	peer->address = "2001:db8::17";
	peer->port = 443;
	memset(site->causes, 0, sizeof(site->causes));
	site->causes[SL_CAUSE_DEAD_BUT_OPEN] = 1;
	assert_string_equal(line_of(&s, "TO"),
	                    "TO        [2001:db8::17]:443; dead, but not closed");
	peer->direction = SL_DIRECTION_IN;
	peer->port = 8080;
	peer->idle_before_fin_ms_p50 = 2000;
	peer->idle_before_fin_count = 1;
	site->causes[SL_CAUSE_DEAD_BUT_OPEN] = 0;
	assert_string_equal(line_of(&s, "TO"),
	                    "TO        clients of local port 8080 at 2001:db8::17, which "
	                    "close after 2.0s idle");
	peer->address = NULL;
	peer->port = SL_UNKNOWN;
	peer->idle_before_fin_ms_p50 = SL_UNKNOWN;
	assert_string_equal(line_of(&s, "TO"), "TO        (others)");
	s.peer_count = 0;
	assert_string_equal(line_of(&s, "TO"), "TO        not known");
}

/* The longest address there is keeps all its digits; the cause gives way, the site's own lines have
 * it. */
static void test_to_keeps_an_address_whole(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_many(1);
	struct sl_snapshot_peer *peer = (struct sl_snapshot_peer *)s.peers;
	peer->address = "2001:0db8:1111:2222:3333:4444:5555:6666";
	peer->port = 65535;
	assert_string_equal(line_of(&s, "TO"),
	                    "TO        [2001:0db8:1111:2222:3333:4444:5555:6666]:65535, which "
	                    "closes after 15.0s idle");
}

static void test_runs_out_of_what_comes_first(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_many(2);
	struct sl_snapshot_peer *peers = (struct sl_snapshot_peer *)s.peers;
	assert_string_equal(
		line_of(&s, "RUNS OUT"),
		"RUNS OUT  of ports in about 2h48m (at most 15491 of 28232 left); fds 14 % of "
		"100000");
	s.limits.fds_exhausted_in_ms = 60000;
	assert_string_equal(
		line_of(&s, "RUNS OUT"),
		"RUNS OUT  of fds in about 1min; at most 15491 of 28232 ports left; fds 14 % of "
		"100000");
	s.limits.nofile_used = 100000;
	assert_string_equal(
		line_of(&s, "RUNS OUT"),
		"RUNS OUT  of fds now; at most 15491 of 28232 ports left; fds 100 % of 100000");
	peers[1].address = "10.9.8.7";
	peers[1].ports_left = 0;
	peers[1].exhausted_in_ms = SL_UNKNOWN;
	assert_string_equal(line_of(&s, "RUNS OUT"), "RUNS OUT  of ports now (none of 28232 left) "
	                                             "to 10.9.8.7:8080; fds 100 % of 100000");
	s.pressure = "EADDRNOTAVAIL connecting to 10.9.8.7:8080";
	assert_string_equal(
		line_of(&s, "RUNS OUT"),
		"RUNS OUT  now: EADDRNOTAVAIL connecting to 10.9.8.7:8080; none of 28232 "
		"ports left");
	s.pressure = "EMFILE in socket";
	assert_string_equal(
		line_of(&s, "RUNS OUT"),
		"RUNS OUT  now: EMFILE in socket; none of 28232 ports left; fds 100 % of "
		"100000");
	s.pressure = NULL;
	s.limits.port_low = SL_UNKNOWN;
	s.limits.nofile_used = 5;
	peers[1].ports_left = 7;
	peers[0].exhausted_in_ms = s.limits.fds_exhausted_in_ms = SL_UNKNOWN;
	assert_string_equal(line_of(&s, "RUNS OUT"),
	                    "RUNS OUT  not foreseen; at most 7 ports left; fds <1 % of 100000");
	peers[0].ports_left = peers[1].ports_left = SL_UNKNOWN;
	s.limits.nofile_soft = SL_UNKNOWN;
	assert_string_equal(line_of(&s, "RUNS OUT"), "RUNS OUT  not foreseen; fds not known");
}

static void test_not_seen_counts(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	s.totals.dropped = 2;
	s.sites_cut = 1;
	s.totals.held_back_bytes = 77;
	assert_string_equal(line_of(&s, "NOT SEEN"),
	                    "NOT SEEN  adopted 55, dropped 2, 1 stack past the site "
	                    "table, 77 bytes of output held back");
}

/* ---- what we have ended is still a leak ---- */

static void test_verdict_tells_what_was_ended(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_reclaimed();
	assert_string_equal(line_of(&s, "LEAK"), "LEAK: 42 open, 0 CLOSE_WAIT, 14000 ended by us");
	s.totals.close_wait = 7;
	assert_string_equal(line_of(&s, "LEAK"),
	                    "LEAK: 42 open, 7 CLOSE_WAIT, 14000 ended by us, none quiet for the "
	                    "deadline of 60s yet");
	/* That their number stays, or falls, is our doing. */
	s.totals.growth_per_min = -5;
	s.totals.stuck = 3;
	s.totals.oldest_stuck_ms = 61000;
	assert_string_equal(
		line_of(&s, "LEAK"),
		"LEAK: 3 of 7 CLOSE_WAIT stuck, 14000 ended by us, the oldest for 1min");
	s.totals.growth_per_min = 5;
	assert_string_equal(line_of(&s, "LEAK"), "LEAK, growing: 3 of 7 CLOSE_WAIT stuck, 14000 "
	                                         "ended by us, the oldest for 1min");
	/* It gives way before the counts of what is stuck do: the line DONE has its own. */
	s.totals.close_wait = s.totals.stuck = 1234567;
	s.totals.dead = s.totals.dead_stuck = 123456;
	assert_string_equal(line_of(&s, "LEAK"),
	                    "LEAK, growing: 1111111 of 1234567 CLOSE_WAIT and 123456 of 123456 "
	                    "dead-but-open stuck, oldest 1min");
}

static void test_where_and_fix_name_the_site_that_was_ended(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_reclaimed();
	struct sl_snapshot_site *sites = (struct sl_snapshot_site *)s.sites;
	assert_string_equal(line_of(&s, "WHERE"), "WHERE     LeakyClient.fetch(LeakyClient.java:11)"
	                                          "  100 % of those ended");
	assert_string_equal(line_of(&s, "TO"), "TO        nobody now: what was stuck is ended");
	assert_string_equal(line_of(&s, "FIX"),
	                    "FIX       close the client or its response at LeakyClient.java:11");
	/* Another site has some stuck now, and stands first: the one with most of both is guilty. */
	sites[0].stuck = sites[0].close_wait = s.totals.stuck = s.totals.close_wait = 1000;
	assert_string_equal(line_of(&s, "WHERE"), "WHERE     LeakyClient.fetch(LeakyClient.java:11)"
	                                          "  93 % of stuck and ended");
	sites[0].blame = "Serve.run(Serve.java:70)";
	sites[0].stuck = sites[0].close_wait = s.totals.stuck = s.totals.close_wait = 14001;
	assert_string_equal(line_of(&s, "WHERE"),
	                    "WHERE     Serve.run(Serve.java:70)  50 % of stuck and ended");
	/* What only waits in CLOSE_WAIT, and is not quiet yet, is less than what was ended. */
	sites[0].stuck = s.totals.stuck = 0;
	assert_string_equal(line_of(&s, "WHERE"), "WHERE     LeakyClient.fetch(LeakyClient.java:11)"
	                                          "  100 % of those ended");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdict_counts_each_kind_apart),
		cmocka_unit_test(test_verdict_gives_way_in_width_but_keeps_its_counts),
		cmocka_unit_test(test_unknown_says_why),
		cmocka_unit_test(test_each_verdict_has_its_advice),
		cmocka_unit_test(test_ok_with_something_to_tell_gets_all_lines),
		cmocka_unit_test(test_one_line_only_where_there_is_nothing_to_tell),
		cmocka_unit_test(test_where_never_rounds_up),
		cmocka_unit_test(test_no_stack_is_said),
		cmocka_unit_test(test_fix_speaks_of_what_was_opened),
		cmocka_unit_test(test_to_names_the_worst_peer),
		cmocka_unit_test(test_to_keeps_an_address_whole),
		cmocka_unit_test(test_runs_out_of_what_comes_first),
		cmocka_unit_test(test_not_seen_counts),
		cmocka_unit_test(test_verdict_tells_what_was_ended),
		cmocka_unit_test(test_where_and_fix_name_the_site_that_was_ended),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
