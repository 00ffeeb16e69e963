/* The lines DONE and NOW of the text report: what the ladder did, and what helps at once. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "rendered.h"
#include "sample_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct rendered got;

static void assert_line(const struct sl_snapshot *s, const char *label, const char *text)
{
	char wanted[128];
	snprintf(wanted, sizeof(wanted), "%-10s%s", label, text);
	assert_string_equal(rendered_line(&got, s, label), wanted);
}

static void act(struct sl_snapshot *s, enum sl_action action)
{
	s->reclaim.action = s->reclaim.asked = action;
}

/* ---- DONE ---- */

static void test_nothing_done(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	assert_line(&s, "DONE", "nothing (report only); rescued 0, regretted 0");
	act(&s, SL_ACTION_SHUTDOWN);
	assert_line(&s, "DONE", "nothing yet (action=shutdown); rescued 0, regretted 0");
	s.totals.stuck = s.totals.dead_stuck = 0;
	act(&s, SL_ACTION_CLOSE);
	assert_line(&s, "DONE", "nothing due yet (action=close); rescued 0, regretted 0");
	s.reclaim.is_dry_run = true;
	act(&s, SL_ACTION_NEUTRALIZE);
	assert_line(&s, "DONE",
	            "nothing: dry run of action=neutralize, see events=; rescued 0, regretted 0");
	act(&s, SL_ACTION_REPORT); /* dry_run=1 alone asks for nothing */
	assert_line(&s, "DONE", "nothing (report only); rescued 0, regretted 0");
	s.totals.rescued = 3;
	assert_line(&s, "DONE", "nothing by itself; rescued 3, regretted 0");
}

static void test_what_was_done(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	act(&s, SL_ACTION_CLOSE);
	s.totals.probed = 9;
	s.totals.shutdown = 8;
	s.totals.neutralized = 7;
	s.totals.closed_by_us = 6;
	s.totals.rescued = 5;
	s.totals.regretted = 2;
	assert_line(&s, "DONE",
	            "shut down 8, neutralized 7, closed 6, probed 9; rescued 5, regretted 2");
	s.totals.ended_by_probe = 4;
	s.totals.shutdown = s.totals.closed_by_us = 0;
	assert_line(&s, "DONE", "neutralized 7, probed 9 (ended 4); rescued 5, regretted 2");
	s.totals.probed = s.totals.ended_by_probe = s.totals.neutralized = 0;
	s.totals.shutdown = 11;
	s.totals.app_reacted = 10;
	s.totals.ended_by_keepalive = 3;
	assert_line(&s, "DONE",
	            "shut down 11, app reacted 10, keepalive ended 3; rescued 5, regretted 2");
	/* keepalive= does its work without any action. */
	act(&s, SL_ACTION_REPORT);
	s.totals.shutdown = s.totals.app_reacted = s.totals.rescued = s.totals.regretted = 0;
	assert_line(&s, "DONE", "keepalive ended 3; rescued 0, regretted 0");
}

static void test_a_stop_comes_first(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	s.reclaim.asked = SL_ACTION_NEUTRALIZE;
	s.reclaim.is_stopped = true;
	s.totals.shutdown = 8;
	s.totals.neutralized = 5;
	s.totals.regretted = 3;
	assert_line(&s, "DONE",
	            "stopped: 3 regrets; shut down 8, neutralized 5; rescued 0, regretted 3");
	s.totals.shutdown = s.totals.neutralized = 0;
	assert_line(&s, "DONE", "stopped: 3 regrets; rescued 0, regretted 3");
	render_text(&got, &s, SL_TEXT_SHORT, true, 4096);
	assert_non_null(strstr(got.text, "DONE      \033[1;31mstopped: 3 regrets\033[0m;"));
}

/* However large they grow the line keeps its width, and says how many counts it leaves out. */
static void test_counts_give_way_in_width(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	act(&s, SL_ACTION_CLOSE);
	s.totals.shutdown = s.totals.neutralized = s.totals.closed_by_us = 123456;
	s.totals.app_reacted = s.totals.probed = s.totals.ended_by_probe = 123456;
	assert_line(
		&s, "DONE",
		"shut down 123456, neutralized 123456, closed 123456, 3 more counts; rescued 0, "
		"regretted 0");
	s.totals.probed = s.totals.ended_by_probe = 0;
	assert_line(&s, "DONE",
	            "shut down 123456, neutralized 123456, closed 123456, 1 more count; rescued 0, "
	            "regretted 0");
	for (uint64_t n = 1; n < 1000000000000; n = n * 10 + 9) {
		s.totals.shutdown = s.totals.neutralized = s.totals.closed_by_us = n;
		s.totals.app_reacted = s.totals.probed = s.totals.ended_by_probe = n;
		s.totals.ended_by_keepalive = s.totals.rescued = s.totals.regretted = n;
		(void)rendered_line(&got, &s, "DONE"); /* checks the width */
	}
}

/* ---- NOW ---- */

static void test_nothing_to_free(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_healthy();
	s.totals.backlog = 1;
	assert_line(&s, "NOW", "nothing to free: no connection waits for a close");
	s.totals.close_wait = 5;
	assert_line(&s, "NOW",
	            "ask for another report later, to see whether they stay and grow in number");
}

/* The lowest rung that relieves the pressure there is. */
static void test_shutdown_frees_ports(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_many(2);
	struct sl_snapshot_peer *peers = (struct sl_snapshot_peer *)s.peers;
	s.totals.dead_stuck = 0;
	assert_line(&s, "NOW",
	            "restart with SOCKLEAK_OPTIONS action=shutdown: would free up to 12622 ports");
	/* Only those that are outbound, and not dead: the others hold none. */
	peers[1].direction = SL_DIRECTION_IN;
	assert_line(&s, "NOW",
	            "restart with SOCKLEAK_OPTIONS action=shutdown: would free up to 11600 ports");
	s.totals.dead_stuck = 12000;
	assert_line(&s, "NOW",
	            "restart with SOCKLEAK_OPTIONS action=shutdown: would free up to 622 ports");
	/* Out of ports before anything was quiet for long enough. */
	s.verdict = SL_VERDICT_UNKNOWN;
	s.totals.stuck = s.totals.dead_stuck = 0;
	s.pressure = "EADDRNOTAVAIL connecting to 172.21.191.100:8080";
	s.pressure_error = EADDRNOTAVAIL;
	assert_line(&s, "NOW",
	            "restart with SOCKLEAK_OPTIONS action=shutdown: would free what stays quiet");
}

static void test_fds_need_more(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_many(2);
	struct sl_snapshot_peer *peers = (struct sl_snapshot_peer *)s.peers;
	const char *remedy =
		"restart with raise_nofile=N, or action=close: would free up to 12622 fds";
	s.pressure = "EMFILE";
	s.pressure_error = EMFILE;
	assert_line(&s, "NOW", remedy);
	s.pressure_error = ENFILE;
	assert_line(&s, "NOW", remedy);
	s.pressure_error = EADDRINUSE; /* bind()'s word for "no port left" */
	assert_line(&s, "NOW",
	            "restart with SOCKLEAK_OPTIONS action=shutdown: would free up to 12600 ports");
	s.pressure = NULL;
	s.pressure_error = 0;
	s.limits.fds_exhausted_in_ms = 60000; /* long before the ports */
	assert_line(&s, "NOW", remedy);
	s.limits.fds_exhausted_in_ms = SL_UNKNOWN;
	s.limits.nofile_used = s.limits.nofile_soft;
	assert_line(&s, "NOW", remedy);
	peers[0].ports_left = 0; /* these too: first what is milder */
	assert_line(&s, "NOW",
	            "restart with SOCKLEAK_OPTIONS action=shutdown: would free up to 12600 ports");
	s.limits.nofile_used = 5;
	peers[0].ports_left = 100;
	/* What is inbound, or dead, holds no port at all. */
	peers[0].direction = peers[1].direction = SL_DIRECTION_IN;
	assert_line(&s, "NOW",
	            "restart with raise_nofile=N, or action=close side=in: would free up "
	            "to 12622 fds");
	peers[1].direction = SL_DIRECTION_OUT;
	s.totals.dead_stuck = s.totals.stuck;
	assert_line(&s, "NOW",
	            "restart with raise_nofile=N, or action=close side=both: would free "
	            "up to 12622 fds");
}

static void test_a_ladder_that_is_on(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_reclaimed();
	assert_line(&s, "NOW",
	            "action=neutralize ends what is quiet for 60s; nothing is "
	            "stuck now");
	s.totals.stuck = 1234567;
	s.deadline_ms = 86399999;
	assert_line(&s, "NOW",
	            "action=neutralize ends what is quiet for 86399999ms; 1234567 stuck "
	            "are next, or spared");
	s.pressure = "EMFILE";
	s.pressure_error = EMFILE;
	assert_line(&s, "NOW",
	            "action=neutralize frees no fds: restart with raise_nofile=N, or "
	            "action=close");
	act(&s, SL_ACTION_CLOSE);
	s.deadline_ms = 60000;
	s.totals.stuck = 0;
	assert_line(&s, "NOW", "action=close ends what is quiet for 60s; nothing is stuck now");
}

/* Where the process can be asked, the line is a command. */
static void test_a_command_where_there_is_control(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_many(2);
	s.reclaim.has_control = true;
	s.process.pid = 4242;
	s.totals.dead_stuck = 0;
	assert_line(&s, "NOW",
	            "sockleak set 4242 action=shutdown for=2h: would free up to 12622 ports");
	s.pressure = "EMFILE";
	s.pressure_error = EMFILE;
	assert_line(&s, "NOW",
	            "sockleak set 4242 raise_nofile=N, or action=close for=2h: would free up to "
	            "12622 fds");
	s = sample_reclaimed();
	s.reclaim.has_control = true;
	s.process.pid = 4194304;
	s.pressure = "EMFILE";
	s.pressure_error = EMFILE;
	assert_line(&s, "NOW",
	            "action=neutralize frees no fds: sockleak set 4194304 raise_nofile=N, or "
	            "action=close");
	s = sample_rich();
	act(&s, SL_ACTION_SHUTDOWN);
	s.reclaim.has_control = true;
	s.reclaim.is_dry_run = true;
	s.process.pid = 7;
	assert_line(&s, "NOW",
	            "sockleak set 7 dry_run=0: action=shutdown would end up to 12622 connections");
}

static void test_a_ladder_that_is_not(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	act(&s, SL_ACTION_SHUTDOWN);
	s.reclaim.is_dry_run = true;
	assert_line(&s, "NOW",
	            "restart without dry_run=1: action=shutdown would end up to 12622 "
	            "connections");
	s.totals.stuck = 0;
	assert_line(&s, "NOW",
	            "restart without dry_run=1: action=shutdown would end what stays quiet");
	s = sample_rich();
	s.reclaim.asked = SL_ACTION_SHUTDOWN;
	assert_line(&s, "NOW",
	            "no action under the program's seccomp filter; a restart frees 12749 "
	            "connections");
	s.reclaim.is_stopped = true;
	assert_line(&s, "NOW",
	            "the ladder is off since the regrets, see events=; a restart frees "
	            "12749 connections");
	s = sample_healthy();
	s.reclaim.is_stopped = true;
	assert_line(&s, "NOW", "the ladder is off since the regrets, see events=");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_done),
		cmocka_unit_test(test_what_was_done),
		cmocka_unit_test(test_a_stop_comes_first),
		cmocka_unit_test(test_counts_give_way_in_width),
		cmocka_unit_test(test_nothing_to_free),
		cmocka_unit_test(test_shutdown_frees_ports),
		cmocka_unit_test(test_fds_need_more),
		cmocka_unit_test(test_a_ladder_that_is_on),
		cmocka_unit_test(test_a_ladder_that_is_not),
		cmocka_unit_test(test_a_command_where_there_is_control),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
