/* test_due.c - what is known of a suspect that an action may be due for, and under which numbers it is to be had. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/options.h"
#include "ledger/peers.h"
#include "ledger/sites.h"
#include "reclaim/due.h"
#include "suspected.h"
#include "watch/kernel.h"
#include "watch/sweep.h"

#define WAIT_MS 4000

static struct sl_arena arena = SL_ARENA(64u << 10, 0);
static struct tcp_pair pair;

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	start_clerk();
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	sl_arena_free(&arena);
	suspected_reset();
	alarm(60);
	suspected_open(&pair);
	return 0;
}

struct views {
	struct sl_suspect_view of[16];
	unsigned count;
};

static void note_view(void *context, const struct sl_suspect_view *view)
{
	struct views *views = context;
	assert_true(views->count < 16);
	views->of[views->count++] = *view;
}

/* The suspect at this number, as a sweep meets it now. */
static struct sl_suspect_view view_of(int fd)
{
	struct views views = {.count = 0};
	sl_sweep(60000, sl_clock_ms());
	sl_suspects_each(note_view, &views);
	for (unsigned i = 0; i < views.count; i++)
		if (views.of[i].record.fd == fd)
			return views.of[i];
	fail_msg("fd %d is no suspect", fd);
	return views.of[0];
}

static struct sl_case look(int fd)
{
	struct sl_suspect_view view = view_of(fd);
	struct sl_case known;
	sl_due_look(&view, &known);
	return known;
}

/* ---- the cheap facts ---- */

static void an_outbound_one(void **state)
{
	(void)state;
	struct sl_case known = look(pair.client);
	assert_int_equal(known.direction, SL_DIRECTION_OUT);
	assert_int_equal(known.cause, SL_CAUSE_NEVER_LOOKED);
	assert_true(known.is_close_wait);
	assert_false(known.is_dead || known.is_adopted || known.is_exempt || known.has_unread ||
	             known.has_unsent || known.read_last || known.probe_sent ||
	             known.is_probe_pending || known.probe_answered);
	assert_int_equal(known.reached, SL_RUNG_NONE);
}

static void an_inbound_one(void **state)
{
	(void)state;
	struct tcp_pair other;
	suspected_open_inbound(&other);
	struct sl_case known = look(other.server);
	assert_int_equal(known.direction, SL_DIRECTION_IN);
	assert_int_equal(known.cause, SL_CAUSE_EOF_IGNORED);
	assert_true(known.read_last);
	/* It answers: the program wrote last. */
	suspected_touch(other.server, SL_IO_WRITE);
	assert_false(look(other.server).read_last);
}

static void other_facts(void **state)
{
	(void)state;
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_ADOPTED, 0));
	sl_site_get(SL_SITE_NO_STACK)->regretted = 1;
	struct sl_case known = look(pair.client);
	assert_true(known.is_adopted && known.is_exempt);
	tcp_deafen(pair.server);
	assert_int_equal(send(pair.client, "x", 1, MSG_NOSIGNAL), 1);
	assert_true(look(pair.client).has_unsent);
	tcp_reset(pair.server);
	/* A deaf end resets as well. */
	tcp_await_state(pair.client, TCP_CLOSE);
	known = look(pair.client);
	assert_true(known.is_dead && !known.is_close_wait);
	assert_int_equal(known.cause, SL_CAUSE_DEAD_BUT_OPEN);
}

static void unread_bytes(void **state)
{
	(void)state;
	struct tcp_pair other;
	tcp_open(&other);
	tcp_record(other.client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	assert_int_equal(write(other.server, "x", 1), 1);
	shutdown(other.server, SHUT_WR);
	tcp_await_state(other.client, TCP_CLOSE_WAIT);
	assert_true(look(other.client).has_unread);
}

/* ---- the answer to a probe ---- */

static void probe(int fd)
{
	struct sl_suspect_view view = view_of(fd);
	struct sl_target target = suspected_target(fd);
	struct sl_probe_saved saved;
	uint64_t before_ms = sl_clock_ms();
	assert_int_equal(sl_act_probe(&target, &saved), 0);
	view.rungs->probed_at_ms = before_ms;
}

static bool is_answered(void *context)
{
	struct sl_case known = look(*(int *)context);
	assert_true(known.probe_sent);
	assert_int_not_equal(known.probe_answered, known.is_probe_pending);
	return known.probe_answered;
}

static void answered(void **state)
{
	(void)state;
	probe(pair.client);
	await(is_answered, &pair.client, "the answer to a probe");
	/* For good: whenever it is looked at. */
	uint64_t until_ms = sl_clock_ms() + 100;
	while (sl_clock_ms() < until_ms)
		assert_true(is_answered(&pair.client));
}

static struct sl_case known_now;

static bool is_over(void *context)
{
	known_now = look(*(int *)context);
	assert_true(known_now.probe_sent);
	return !known_now.is_probe_pending;
}

/* Two seconds: then it is taken for silent. */
static void not_answered(void **state)
{
	(void)state;
	/* The FIN must not look like an answer. */
	usleep(30000);
	tcp_deafen(pair.server);
	uint64_t before_ms = sl_clock_ms();
	probe(pair.client);
	await(is_over, &pair.client, "the end of a probe");
	assert_true(sl_clock_ms() - before_ms >= 2000);
	assert_false(known_now.probe_answered);
}

static void ended_by_it(void **state)
{
	(void)state;
	suspected_forget_peer(&pair);
	probe(pair.client);
	tcp_await_state(pair.client, TCP_CLOSE);
	struct sl_case known = look(pair.client);
	assert_true(known.is_dead && known.probe_sent);
	assert_false(known.is_probe_pending || known.probe_answered);
}

/* The sweep may be long over when its answers are looked at: that makes no answer older than the probe. */
static void looked_at_late(void **state)
{
	(void)state;
	probe(pair.client);
	await(is_answered, &pair.client, "the answer to a probe");
	struct sl_suspect_view view = view_of(pair.client);
	struct sl_case known;
	uint64_t until_ms = sl_clock_ms() + 300;
	while (sl_clock_ms() < until_ms)
		usleep(1000);
	sl_due_look(&view, &known);
	assert_true(known.probe_answered);
}

/* Under dry_run nobody was asked. */
static void a_pretended_probe(void **state)
{
	(void)state;
	struct sl_suspect_view view = view_of(pair.client);
	view.rungs->probed_at_ms = sl_clock_ms();
	view.rungs->is_pretended = true;
	struct sl_case known = look(pair.client);
	assert_true(known.probe_sent);
	assert_false(known.probe_answered || known.is_probe_pending);
}

/* ---- its numbers ---- */

static bool target_of(int fd, struct sl_target *target)
{
	struct sl_due due = {.view = view_of(fd)};
	return sl_due_target(&due, target);
}

static void guard(int fd)
{
	assert_true(sl_fdtable_guard(fd, suspected_record(fd).generation));
}

static void one_number(void **state)
{
	(void)state;
	struct sl_target target;
	guard(pair.client);
	assert_true(target_of(pair.client, &target));
	assert_int_equal(target.count, 1);
	assert_int_equal(target.numbers[0].fd, pair.client);
	assert_int_equal(target.numbers[0].generation, suspected_record(pair.client).generation);
	assert_int_equal(target.numbers[0].last_io, suspected_record(pair.client).last_io);
	assert_true(target.cookie == sl_kernel_cookie(pair.client));
	assert_int_equal(target.bytes_sent, 0);
	assert_int_equal(sl_act_shutdown(&target), 0);
}

/* Guarded, but not when the sweep met it: a write that began before that has not announced itself. */
static void guarded_only_now(void **state)
{
	(void)state;
	struct sl_due due = {.view = view_of(pair.client)};
	struct sl_target target;
	guard(pair.client);
	assert_false(sl_due_target(&due, &target));
	assert_true(target_of(pair.client, &target));
}

static int copy_of(int fd, int at)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, at);
	assert_true(copy >= 0 && sl_fdtable_dup(fd, copy));
	return copy;
}

static void all_its_numbers(void **state)
{
	(void)state;
	struct sl_target target;
	struct tcp_pair other;
	suspected_open(&other);
	guard(pair.client);
	int copies[2] = {copy_of(pair.client, 50), copy_of(pair.client, 200)};
	assert_true(target_of(pair.client, &target));
	assert_int_equal(target.count, 3);
	assert_int_equal(target.numbers[0].fd, pair.client);
	assert_int_equal(target.numbers[1].fd, copies[0]);
	assert_int_equal(target.numbers[2].fd, copies[1]);
	/* One that nobody saw being made is guarded first. */
	int unseen = fcntl(pair.client, F_DUPFD_CLOEXEC, 300);
	tcp_record(unseen, SUSPECTED_OUT | SL_FD_ADOPTED, SL_SITE_ADOPTED);
	assert_false(target_of(pair.client, &target));
	assert_int_equal(suspected_marks(unseen), SL_MARK_GUARDED);
	assert_true(target_of(pair.client, &target));
	assert_int_equal(target.count, 4);
	/* Closed again, a copy is none. */
	for (int i = 0; i < 2; i++)
		tcp_close_recorded(copies[i]);
	tcp_close_recorded(unseen);
	assert_true(target_of(pair.client, &target));
	assert_int_equal(target.count, 1);
}

static void copied_since_the_sweep(void **state)
{
	(void)state;
	struct sl_target target;
	guard(pair.client);
	struct sl_due due = {.view = view_of(pair.client)};
	int copy = copy_of(pair.client, 50);
	assert_true(sl_due_target(&due, &target));
	assert_int_equal(target.count, 2);
	assert_int_equal(target.numbers[1].fd, copy);
}

/* Through any number: the program is at it. */
static void a_copy_used_since_the_sweep(void **state)
{
	(void)state;
	struct sl_target target;
	guard(pair.client);
	int copy = copy_of(pair.client, 50);
	suspected_touch(copy, SL_IO_READ);
	struct sl_due due = {.view = view_of(pair.client)};
	assert_true(sl_due_target(&due, &target));
	suspected_touch(copy, SL_IO_READ);
	assert_false(sl_due_target(&due, &target));
	/* The next sweep knows of it. */
	due.view = view_of(pair.client);
	assert_true(sl_due_target(&due, &target));
	/* Of the first number the action itself asks. */
	suspected_touch(pair.client, SL_IO_READ);
	assert_true(sl_due_target(&due, &target));
	assert_int_equal(sl_act_shutdown(&target), -EBUSY);
}

static void too_many_numbers(void **state)
{
	(void)state;
	struct sl_target target;
	guard(pair.client);
	for (int i = 1; i < SL_HELD_MAX; i++)
		(void)copy_of(pair.client, 50);
	assert_true(target_of(pair.client, &target));
	assert_int_equal(target.count, SL_HELD_MAX);
	(void)copy_of(pair.client, 50);
	assert_false(target_of(pair.client, &target));
	assert_int_equal(target.count, SL_HELD_MAX);
}

/* ---- the costly facts ---- */

static struct sl_due_list list;

static void add(void *unused, const struct sl_suspect_view *view)
{
	struct sl_case known;
	(void)unused;
	sl_due_look(view, &known);
	sl_due_add(&list, view, &known);
}

static void complete(void)
{
	sl_arena_free(&arena);
	sl_sweep(60000, sl_clock_ms());
	assert_true(sl_due_begin(&list, &arena));
	sl_suspects_each(add, NULL);
	assert_true(sl_due_complete(&list, WAIT_MS));
}

static const struct sl_case *known_of(int fd)
{
	for (uint32_t i = 0; i < list.count; i++)
		if (list.of[i].view.record.fd == fd)
			return &list.of[i].known;
	fail_msg("fd %d is not on the list", fd);
	return NULL;
}

static void none_at_all(void **state)
{
	(void)state;
	need_readable_proc();
	complete();
	const struct sl_case *known = known_of(pair.client);
	assert_int_equal(list.count, 1);
	assert_true(known->is_covered);
	assert_int_equal(known->sharing, SL_SHARING_NONE);
	assert_false(known->is_in_epoll || known->is_level_triggered || known->is_behind_stdio ||
	             known->has_pending_error);
}

static void who_has_which(void **state)
{
	(void)state;
	need_readable_proc();
	struct tcp_pair shared, passed, level, edge, reset;
	suspected_open(&shared);
	pid_t child = fork();
	if (child == 0)
		for (alarm(60);;)
			pause();
	suspected_open(&passed);
	suspected_open(&level);
	suspected_open(&edge);
	suspected_open(&reset);
	struct epoll_event event = {.events = EPOLLIN};
	int set = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, level.client, &event), 0);
	event.events |= EPOLLET;
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, edge.client, &event), 0);
	tcp_reset(reset.server);
	tcp_await_state(reset.client, TCP_CLOSE);
	sl_sweep(60000, sl_clock_ms());
	/* Only now: the sweep does not know of it. */
	sl_arena_free(&arena);
	assert_true(sl_due_begin(&list, &arena));
	sl_suspects_each(add, NULL);
	assert_true(sl_fdtable_mark_now(passed.client, SL_FD_PASSED, 0));
	assert_true(sl_due_complete(&list, WAIT_MS));
	kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	assert_int_equal(known_of(pair.client)->sharing, SL_SHARING_SHARED);
	assert_int_equal(known_of(shared.client)->sharing, SL_SHARING_SHARED);
	assert_int_equal(known_of(passed.client)->sharing, SL_SHARING_SHARED);
	assert_int_equal(known_of(level.client)->sharing, SL_SHARING_NONE);
	assert_true(known_of(level.client)->is_in_epoll);
	assert_true(known_of(level.client)->is_level_triggered);
	assert_true(known_of(edge.client)->is_in_epoll);
	assert_false(known_of(edge.client)->is_level_triggered);
	assert_false(known_of(shared.client)->is_in_epoll);
	assert_true(known_of(reset.client)->has_pending_error);
	assert_false(known_of(edge.client)->has_pending_error);
}

/* What came of our own action is nothing that the program must see. */
static void an_error_of_ours(void **state)
{
	(void)state;
	tcp_reset(pair.server);
	tcp_await_state(pair.client, TCP_CLOSE);
	complete();
	assert_true(known_of(pair.client)->has_pending_error);
	list.of[0].view.rungs->is_error_ours = true;
	complete();
	assert_false(known_of(pair.client)->has_pending_error);
}

static void rules(void **state)
{
	(void)state;
	strcpy(sl_options.never, "127.0.0.0/8");
	complete();
	assert_false(known_of(pair.client)->is_covered);
}

static void handle(int number)
{
	(void)number;
}

/* A FILE writes past the hooks: only where the signal would not end the program. */
static void behind_stdio(void **state)
{
	(void)state;
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_STDIO, 0));
	complete();
	assert_true(known_of(pair.client)->is_behind_stdio);
	signal(SIGPIPE, SIG_IGN);
	complete();
	assert_false(known_of(pair.client)->is_behind_stdio);
	signal(SIGPIPE, handle);
	complete();
	assert_true(known_of(pair.client)->is_behind_stdio);
	signal(SIGPIPE, SIG_DFL);
}

static _Atomic bool may_go_on;

static void wait_for_leave(void *unused)
{
	(void)unused;
	while (!atomic_load(&may_go_on))
		usleep(500);
}

static bool is_idle(void *unused)
{
	(void)unused;
	return !sl_clerk_is_asked();
}

/* Nothing is known, and so nothing is done; asked again when the clerk is there. */
static void the_clerk_is_busy(void **state)
{
	(void)state;
	bool is_begun;
	sl_sweep(60000, sl_clock_ms());
	assert_true(sl_due_begin(&list, &arena));
	sl_suspects_each(add, NULL);
	atomic_store(&may_go_on, false);
	assert_false(sl_clerk_ask(wait_for_leave, NULL, 1, &is_begun));
	assert_false(sl_due_complete(&list, 1));
	atomic_store(&may_go_on, true);
	await(is_idle, NULL, "the clerk");
	assert_true(sl_due_complete(&list, WAIT_MS));
}

/* ---- the list ---- */

static void nobody(void **state)
{
	(void)state;
	assert_false(sl_due_begin(&list, &arena)); /* before any sweep */
	assert_int_equal(list.count, 0);
	struct sl_arena none = SL_ARENA(4096, 1);
	sl_sweep(60000, sl_clock_ms());
	assert_false(sl_due_begin(&list, &none));
	assert_true(sl_due_begin(&list, &arena));
	struct sl_suspect_view view = view_of(pair.client);
	struct sl_case known = {.quiet_ms = 1};
	sl_due_add(&list, &view, &known);
	sl_due_add(&list, &view, &known); /* no room */
	assert_int_equal(list.count, 1);
}

/* The longest quiet first; those that were spared before at the end. */
static void the_order(void **state)
{
	(void)state;
	struct sl_suspect_rungs rungs[6] = {[1] = {.spared_said = 3}, [4] = {.spared_said = 7}};
	struct sl_due dues[6];
	struct sl_due_list some = {.of = dues, .count = 6, .capacity = 6};
	static const uint64_t quiet[6] = {10, 900, 30, 20, 901, 30};
	static const uint64_t wall[6] = {10, 900, 31, 20, 901, 32};
	static const int wanted[6] = {5, 2, 3, 0, 4, 1};
	memset(dues, 0, sizeof(dues));
	for (int i = 0; i < 6; i++) {
		dues[i].view.record.fd = i;
		dues[i].view.rungs = &rungs[i];
		dues[i].known.quiet_ms = quiet[i];
		dues[i].view.judgement.quiet_ms = wall[i];
	}
	sl_due_sort(&some);
	for (int i = 0; i < 6; i++)
		assert_int_equal(dues[i].view.record.fd, wanted[i]);
}

static void the_event(void **state)
{
	(void)state;
	(void)look(pair.client);
	struct sl_suspect_view view = view_of(pair.client);
	struct sl_event event = sl_due_event(&view, SL_EVENT_CLOSED);
	assert_int_equal(event.kind, SL_EVENT_CLOSED);
	assert_int_equal(event.fd, pair.client);
	assert_true(event.cookie == sl_kernel_cookie(pair.client));
	assert_int_equal(event.peer, suspected_record(pair.client).peer);
	assert_int_not_equal(event.peer, 0);
	assert_int_equal(event.site, SL_SITE_NO_STACK);
	assert_int_equal(event.quiet_ms, view.judgement.quiet_ms);
	assert_int_equal(event.cause, SL_CAUSE_NEVER_LOOKED);
	assert_false(event.is_rescue || event.is_dry_run);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_outbound_one),
		TEST(an_inbound_one),
		TEST(other_facts),
		TEST(unread_bytes),
		TEST(answered),
		TEST(not_answered),
		TEST(ended_by_it),
		TEST(looked_at_late),
		TEST(a_pretended_probe),
		TEST(one_number),
		TEST(guarded_only_now),
		TEST(all_its_numbers),
		TEST(copied_since_the_sweep),
		TEST(a_copy_used_since_the_sweep),
		TEST(too_many_numbers),
		TEST(none_at_all),
		TEST(who_has_which),
		TEST(an_error_of_ours),
		TEST(rules),
		TEST(behind_stdio),
		TEST(the_clerk_is_busy),
		TEST(nobody),
		TEST(the_order),
		TEST(the_event),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}

int main(void)
{
	return run_alone(run_all);
}
