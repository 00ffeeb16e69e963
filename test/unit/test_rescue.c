/* test_rescue.c - calls that are about to fail: threads that ask, and a real worker that answers. Each test in a process of its own,
 * for a worker is there for good.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/guard.h"
#include "base/options.h"
#include "base/process.h"
#include "captured.h"
#include "child.h"
#include "ledger/peers.h"
#include "ledger/sites.h"
#include "racers.h"
#include "reclaim/dead.h"
#include "reclaim/reclaim.h"
#include "reclaim/regret.h"
#include "reclaim/rescue.h"
#include "suspected.h"
#include "watch/sweep.h"
#include "watch/worker.h"

#define OPTIONS "deadline=1h rescue_after=100ms interval=50ms "
#define AT_ONCE 16 /* connections, at most, for one rescue */

/* A call that asks for the first time. */
static bool ask_for_ports(uint32_t peer)
{
	uint64_t until_ms = 0;
	return sl_rescue_ports(peer, &until_ms);
}

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	suspected_reset();
	alarm(60);
	return 0;
}

/* ---- the worker ---- */

static _Atomic unsigned answered; /* turns in which somebody was waited for */
static _Atomic unsigned turns;    /* sweeps and turns of the ladder */
static _Atomic bool is_held_up;   /* the worker is to be busy with something else */
static _Atomic bool is_busy;      /* ... and is */

static uint64_t turn(unsigned wanted, const struct sl_pressure *pressure)
{
	static uint64_t swept_at_ms;
	(void)wanted;
	(void)pressure;
	while (atomic_load(&is_held_up)) {
		atomic_store(&is_busy, true);
		usleep(500);
	}
	atomic_store(&is_busy, false);
	uint64_t now_ms = sl_clock_ms();
	if (sl_rescue_turn(now_ms))
		atomic_fetch_add(&answered, 1);
	if (now_ms - swept_at_ms >= 25) {
		swept_at_ms = now_ms;
		sl_sweep((uint64_t)sl_options.deadline_ms, now_ms);
		(void)sl_reclaim_turn(now_ms, false);
		atomic_fetch_add(&turns, 1);
	}
	return 25;
}

static void begin(void)
{
	sl_clerk_start();
	sl_reclaim_start(told_note);
}

static void complain(const char *line)
{
	CHECK(line == NULL);
}

static void set_options(const char *text)
{
	char all[512] = OPTIONS;
	strcat(all, text);
	sl_options_defaults(&sl_options);
	CHECK(sl_options_parse(&sl_options, all, complain) == 0);
}

static bool nothing_to_end(void)
{
	return true;
}

static unsigned no_threads(void)
{
	return 0;
}

static void start_worker(const char *options)
{
	static const struct sl_worker_duties duties = {
		.start = begin, .turn = turn, .end = nothing_to_end, .threads = no_threads};
	struct sl_guard g;
	set_options(options);
	sl_worker_prepare(&duties);
	(void)sl_guard_enter(&g);
	sl_worker_ensure(&g);
	sl_guard_leave(&g);
	CHECK(sl_worker_is_running());
}

static bool has_become(void *busy)
{
	return atomic_load(&is_busy) == *(bool *)busy;
}

static void make_busy(bool busy)
{
	atomic_store(&is_held_up, busy);
	CHECK(holds_soon(has_become, &busy));
}

/* The worker's memory is this thread's until let_go(). */
static void hold_up(void)
{
	make_busy(true);
}

static void let_go(void)
{
	make_busy(false);
}

static bool has_turned(void *since)
{
	return atomic_load(&turns) >= *(unsigned *)since + 2;
}

/* Until the worker has met whatever there is, and guarded it. */
static void await_turns(void)
{
	unsigned since = atomic_load(&turns);
	CHECK(holds_soon(has_turned, &since));
}

/* ---- connections ---- */

/* Outbound, in CLOSE_WAIT, to this listener. */
static int open_to(int listener, uint16_t port)
{
	int client = tcp_connect(false, port), server = accept(listener, NULL, NULL);
	CHECK(server >= 0);
	tcp_record(client, SUSPECTED_OUT, SL_SITE_NO_STACK);
	CHECK(shutdown(server, SHUT_WR) == 0);
	tcp_await_state(client, TCP_CLOSE_WAIT);
	return client;
}

static uint32_t peer_at(uint16_t port)
{
	struct sl_endpoint at = {.address = {[10] = 0xff, [11] = 0xff, 127, 0, 0, 1}, .port = port};
	return sl_peer_intern(SL_DIRECTION_OUT, &at);
}

struct place {
	int listener;
	uint16_t port;
	uint32_t peer;
};

static struct place new_place(void)
{
	struct place place;
	place.listener = tcp_listen(false, 64, &place.port);
	place.peer = peer_at(place.port);
	return place;
}

static bool is_shut(int fd)
{
	return suspected_marks(fd) & SL_MARK_ENDED;
}

static unsigned shut_of(const int *fds, unsigned n)
{
	unsigned count = 0;
	for (unsigned i = 0; i < n; i++)
		count += is_shut(fds[i]);
	return count;
}

static unsigned rescues(void)
{
	hold_up();
	unsigned count = told_of(SL_EVENT_RESCUE);
	let_go();
	return count;
}

struct wanted {
	uint32_t peer;
	unsigned rescues_before;
};

static struct wanted want(uint32_t peer)
{
	return (struct wanted){peer, rescues()};
}

/* What is done too late for the call that asked is done all the same, and nothing is left for the next one. */
static bool is_rescued(void *context)
{
	const struct wanted *wanted = context;
	return ask_for_ports(wanted->peer) || rescues() > wanted->rescues_before;
}

/* Until they are quiet for long enough. */
static void await_rescue(uint32_t peer)
{
	struct wanted wanted = want(peer);
	CHECK(holds_soon(is_rescued, &wanted));
}

/* ---- ports ---- */

static void same_destination_child(void)
{
	struct place here = new_place(), there = new_place();
	start_worker("action=shutdown");
	int first = open_to(here.listener, here.port), other = open_to(there.listener, there.port);
	await_turns();
	errno = 4711;
	await_rescue(here.peer);
	CHECK(is_shut(first) && !is_shut(other));
	CHECK(tcp_state(first) == TCP_CLOSE); /* the port is free */
	CHECK(tcp_state(other) == TCP_CLOSE_WAIT);
	/* The worker has said so before it answered. */
	CHECK(told_of(SL_EVENT_SHUTDOWN) == 1 && told_of(SL_EVENT_RESCUE) == 1);
	const struct sl_event *shut = told_last(SL_EVENT_SHUTDOWN);
	CHECK(shut->fd == first && shut->is_rescue && !shut->is_dry_run);
	CHECK(shut->peer == here.peer && shut->quiet_ms >= 100);
	const struct sl_event *event = told_last(SL_EVENT_RESCUE);
	CHECK(event->fd == -1 && event->peer == here.peer && event->count == 1);
	CHECK(event->cookie == 0 && event->quiet_ms == -1 && !event->is_dry_run);
	/* There is no other one. */
	CHECK(!ask_for_ports(here.peer));
	CHECK(!is_shut(other));
	await_rescue(there.peer);
	CHECK(is_shut(other));
	CHECK(!ask_for_ports(peer_at(1)));
}

static void same_destination(void **state)
{
	(void)state;
	in_child(same_destination_child);
}

/* A bind() to any port is helped by any. */
static void any_destination_child(void)
{
	struct place here = new_place(), there = new_place();
	start_worker("rescue=on");
	int fds[] = {open_to(here.listener, here.port), open_to(there.listener, there.port)};
	await_turns();
	await_rescue(0);
	if (shut_of(fds, 2) < 2)
		await_rescue(0);
	CHECK(shut_of(fds, 2) == 2);
	CHECK(told_last(SL_EVENT_RESCUE)->peer == 0);
}

static void any_destination(void **state)
{
	(void)state;
	in_child(any_destination_child);
}

static void change_options(const char *text)
{
	hold_up();
	set_options(text);
	let_go();
}

static void switched_off_child(void)
{
	struct place here = new_place();
	set_options("action=shutdown");
	CHECK(!ask_for_ports(here.peer)); /* nobody is there to ask */
	start_worker("action=report");
	(void)open_to(here.listener, here.port);
	await_turns();
	CHECK(!ask_for_ports(here.peer));
	CHECK(!sl_rescue_fds(EMFILE) && !sl_rescue_fds(ENFILE));
	change_options("action=shutdown rescue=off");
	CHECK(!ask_for_ports(here.peer));
	CHECK(atomic_load(&answered) == 0);
	/* Nor by the worker itself, and whatever it calls, nor in a sandbox. */
	struct sl_guard g;
	change_options("action=shutdown");
	(void)sl_guard_enter(&g);
	CHECK(!ask_for_ports(here.peer));
	sl_guard_leave(&g);
	CHECK(atomic_load(&answered) == 0);
	sl_process_sandboxed();
	CHECK(!ask_for_ports(here.peer));
	CHECK(atomic_load(&answered) == 0);
}

static void switched_off(void **state)
{
	(void)state;
	in_child(switched_off_child);
}

/* All that must not be touched, beside one that may be. */
static void spared_child(void)
{
	struct place here = new_place();
	struct epoll_event event = {.events = EPOLLIN};
	int set = epoll_create1(EPOLL_CLOEXEC);
	start_worker("action=neutralize probe=on");
	enum { UNREAD, UNSENT, LEVEL, STDIO, PASSED, REGRET, USED, FIXED, SPARED };
	int fds[SPARED];
	for (int i = 0; i < SPARED; i++) {
		fds[i] = tcp_connect(false, here.port);
		int server = accept(here.listener, NULL, NULL);
		tcp_record(fds[i], SUSPECTED_OUT, i == REGRET ? SL_SITE_ADOPTED : SL_SITE_NO_STACK);
		if (i == UNREAD)
			CHECK(write(server, "x", 1) == 1);
		CHECK(shutdown(server, SHUT_WR) == 0);
		tcp_await_state(fds[i], TCP_CLOSE_WAIT);
		if (i == UNSENT) {
			tcp_deafen(server);
			CHECK(send(fds[i], "x", 1, MSG_NOSIGNAL) == 1);
		}
	}
	CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fds[LEVEL], &event) == 0);
	CHECK(sl_fdtable_mark_now(fds[STDIO], SL_FD_STDIO, 0));
	CHECK(sl_fdtable_mark_now(fds[PASSED], SL_FD_PASSED, 0));
	CHECK(sl_fdtable_mark_now(fds[FIXED], SL_FD_FIXED_PORT, 0));
	hold_up();
	sl_site_get(SL_SITE_ADOPTED)->regretted = 1;
	let_go();
	int plain = open_to(here.listener, here.port);
	struct wanted wanted = want(here.peer);
	uint64_t until_ms = sl_clock_ms() + PATIENCE_MS;
	do {
		CHECK(sl_clock_ms() < until_ms);
		suspected_touch(fds[USED], SL_IO_WRITE);
	} while (!is_rescued(&wanted));
	CHECK(is_shut(plain));
	CHECK(shut_of(fds, SPARED) == 0);
	for (int i = 0; i < SPARED; i++)
		CHECK(tcp_state(fds[i]) == TCP_CLOSE_WAIT);
	CHECK(!ask_for_ports(here.peer) || is_shut(fds[USED]));
}

static void spared(void **state)
{
	(void)state;
	in_child(spared_child);
}

static void spared_by_rule_child(void)
{
	struct place here = new_place(), there = new_place();
	start_worker("action=shutdown");
	hold_up();
	snprintf(sl_options.never, sizeof(sl_options.never), ":%u", here.port);
	let_go();
	int never = open_to(here.listener, here.port), plain = open_to(there.listener, there.port);
	await_turns();
	await_rescue(there.peer);
	CHECK(is_shut(plain) && !is_shut(never));
	CHECK(!ask_for_ports(here.peer) && !is_shut(never));
}

static void spared_by_rule(void **state)
{
	(void)state;
	in_child(spared_by_rule_child);
}

static void no_more_than_it_takes_child(void)
{
	enum { MANY = AT_ONCE + 5 };
	struct place here = new_place();
	int fds[MANY];
	start_worker("action=shutdown max_rate=1");
	for (int i = 0; i < MANY; i++)
		fds[i] = open_to(here.listener, here.port);
	uint64_t since_ms = sl_clock_ms();
	while (sl_clock_ms() < since_ms + 400)
		usleep(5000);
	/* The first two are the younger for what the program does. */
	suspected_touch(fds[0], SL_IO_WRITE);
	suspected_touch(fds[1], SL_IO_WRITE);
	await_turns();
	await_rescue(here.peer);
	CHECK(shut_of(fds, MANY) == AT_ONCE);
	CHECK(told_last(SL_EVENT_RESCUE)->count == AT_ONCE);
	CHECK(!is_shut(fds[0]) && !is_shut(fds[1]));
	await_rescue(here.peer);
	CHECK(shut_of(fds, MANY) > AT_ONCE);
}

static void no_more_than_it_takes(void **state)
{
	(void)state;
	in_child(no_more_than_it_takes_child);
}

static void in_words_only_child(void)
{
	struct place here = new_place();
	start_worker("action=shutdown dry_run=1");
	int fd = open_to(here.listener, here.port);
	uint64_t until_ms = sl_clock_ms() + PATIENCE_MS;
	do {
		CHECK(!ask_for_ports(here.peer));
		CHECK(sl_clock_ms() < until_ms);
	} while (rescues() == 0);
	hold_up();
	CHECK(told_last(SL_EVENT_RESCUE)->is_dry_run);
	CHECK(!is_shut(fd) && tcp_state(fd) == TCP_CLOSE_WAIT);
}

static void in_words_only(void **state)
{
	(void)state;
	in_child(in_words_only_child);
}

static unsigned answers(void)
{
	return atomic_load(&answered);
}

/* It is counted after whoever waited was woken. */
static bool is_counted(void *before)
{
	return answers() > *(unsigned *)before;
}

/* Who was told that there is nothing is told so again, without the worker, for a while. */
static void a_rest_child(void)
{
	struct place here = new_place(), there = new_place();
	start_worker("action=shutdown");
	unsigned before = answers();
	CHECK(!ask_for_ports(here.peer));
	uint64_t told_at_ms = sl_clock_ms();
	CHECK(holds_soon(is_counted, &before));
	before = answers();
	while (sl_clock_ms() < told_at_ms + 50)
		CHECK(!ask_for_ports(here.peer));
	if (sl_clock_ms() < told_at_ms + 90)
		CHECK(answers() == before);
	/* Another destination is another question. */
	CHECK(!ask_for_ports(there.peer));
	CHECK(holds_soon(is_counted, &before));
	/* And in the end it is asked again. */
	int fd = open_to(here.listener, here.port);
	await_rescue(here.peer);
	CHECK(is_shut(fd));
}

static void a_rest(void **state)
{
	(void)state;
	in_child(a_rest_child);
}

static bool is_shut_by_now(void *fd)
{
	return is_shut(*(int *)fd);
}

/* The program waits a moment, not for ever. */
static void a_busy_worker_child(void)
{
	struct place here = new_place();
	start_worker("action=shutdown");
	int fd = open_to(here.listener, here.port);
	for (uint64_t until_ms = sl_clock_ms() + 400; sl_clock_ms() < until_ms;)
		await_turns(); /* it is quiet for long enough */
	hold_up();
	uint64_t before_ms = sl_clock_ms();
	CHECK(!ask_for_ports(here.peer));
	CHECK(sl_clock_ms() - before_ms >= SL_RESCUE_WAIT_MS - 1);
	let_go();
	/* What was asked is answered all the same, though nobody waits for it any more. */
	CHECK(holds_soon(is_shut_by_now, &fd));
}

static void a_busy_worker(void **state)
{
	(void)state;
	in_child(a_busy_worker_child);
}

static void stopped_child(void)
{
	struct place here = new_place();
	start_worker("action=shutdown");
	int fd = open_to(here.listener, here.port);
	/* Three regrets, of sockets that are none. */
	for (int i = 300; i < 303; i++) {
		tcp_record(i, SUSPECTED_OUT, SL_SITE_ADOPTED);
		sl_regret_note(i, atomic_load(&sl_fdtable_slot(i)->head));
		sl_fdtable_drop(i, suspected_record(i).generation);
	}
	await_turns();
	for (uint64_t until_ms = sl_clock_ms() + 500; sl_clock_ms() < until_ms;)
		CHECK(!ask_for_ports(here.peer));
	hold_up();
	CHECK(sl_reclaim_is_stopped());
	CHECK(!is_shut(fd));
}

static void stopped_by_regrets(void **state)
{
	(void)state;
	in_child(stopped_child);
}

static void counted_child(void)
{
	struct sl_reclaim_counts counts;
	sl_rescue_tell(false);
	CHECK(sl_rescue_count() == 0);
	sl_rescue_tell(true);
	sl_rescue_tell(true);
	CHECK(sl_rescue_count() == 2);
	sl_reclaim_counts(&counts);
	CHECK(counts.rescued == 2);
	sl_rescue_forked();
	CHECK(sl_rescue_count() == 0);
}

static void counted(void **state)
{
	(void)state;
	in_child(counted_child);
}

/* ---- fds ---- */

static rlim_t soft_limit(void)
{
	struct rlimit files;
	CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
	return files.rlim_cur;
}

static void set_limit(rlim_t soft, rlim_t hard)
{
	struct rlimit files = {soft, hard};
	CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
}

/* On a machine that is busy the answer may come too late; then that is what is seen. */
static bool is_helped(int error)
{
	uint64_t before_ms = sl_clock_ms();
	return sl_rescue_fds(error) || sl_clock_ms() - before_ms >= SL_RESCUE_WAIT_MS;
}

static bool has_limit(void *limit)
{
	return soft_limit() == *(rlim_t *)limit;
}

static bool reaches(rlim_t limit)
{
	return holds_soon(has_limit, &limit);
}

static void the_limit_is_raised_child(void)
{
	set_limit(1200, 3000);
	capture_stderr();
	start_worker("raise_nofile=2000");
	/* ENFILE is no limit of this process. */
	CHECK(!sl_rescue_fds(ENFILE));
	CHECK(soft_limit() == 1200);
	errno = 4711;
	CHECK(is_helped(EMFILE));
	CHECK(errno == 4711);
	CHECK(reaches(2000));
	/* Once. */
	CHECK(!sl_rescue_fds(EMFILE));
	CHECK(soft_limit() == 2000);
	const char *said = captured_stderr();
	CHECK(occurrences(said, "the soft limit was raised from 1200 to 2000") == 1);
	CHECK(occurrences(said, "\n") == 1);
}

static void the_limit_is_raised(void **state)
{
	(void)state;
	in_child(the_limit_is_raised_child);
}

static void to_the_hard_limit_child(void)
{
	set_limit(1200, 1500);
	start_worker("raise_nofile=2000 action=close");
	CHECK(!sl_rescue_fds(ENFILE)); /* with something to close it would be asked for */
	CHECK(soft_limit() == 1200);
	CHECK(is_helped(EMFILE));
	CHECK(reaches(1500));
}

static void to_the_hard_limit(void **state)
{
	(void)state;
	in_child(to_the_hard_limit_child);
}

static void no_lower_child(void)
{
	set_limit(1200, 3000);
	start_worker("raise_nofile=1100");
	CHECK(!sl_rescue_fds(EMFILE));
	CHECK(soft_limit() == 1200);
}

static void no_lower(void **state)
{
	(void)state;
	in_child(no_lower_child);
}

static bool is_dead(void *fd)
{
	return suspected_marks(*(int *)fd) & SL_MARK_DEAD;
}

static bool is_closed(void *fd)
{
	return fcntl(*(int *)fd, F_GETFD) == -1;
}

/* What was neutralized gives its number up at once, grace or not; what is exempt keeps it. */
static void numbers_are_freed_child(void)
{
	struct tcp_pair pairs[2];
	start_worker("action=close deadline=100ms grace=1h");
	for (int i = 0; i < 2; i++) {
		int error = 0;
		socklen_t n = sizeof(error);
		tcp_open(&pairs[i]);
		tcp_record(pairs[i].client, SUSPECTED_OUT, i ? SL_SITE_ADOPTED : SL_SITE_NO_STACK);
		await_turns();
		tcp_reset(pairs[i].server);
		tcp_await_state(pairs[i].client, TCP_CLOSE);
		CHECK(getsockopt(pairs[i].client, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error);
	}
	for (int i = 0; i < 2; i++)
		CHECK(holds_soon(is_dead, &pairs[i].client));
	CHECK(sl_dead_is_dead(pairs[0].client) && sl_dead_is_dead(pairs[1].client));
	hold_up();
	sl_site_get(SL_SITE_ADOPTED)->regretted = 1;
	let_go();
	CHECK(is_helped(EMFILE));
	CHECK(holds_soon(is_closed, &pairs[0].client));
	CHECK(sl_dead_is_dead(pairs[1].client));
	CHECK(sl_fdtable_absorb(pairs[0].client));
	CHECK(!sl_rescue_fds(ENFILE) && !sl_rescue_fds(EMFILE));
	CHECK(sl_dead_is_dead(pairs[1].client));
}

static void numbers_are_freed(void **state)
{
	(void)state;
	in_child(numbers_are_freed_child);
}

/* ---- many at once ---- */

static void ask(unsigned index, void *context)
{
	(void)index;
	(void)ask_for_ports(*(uint32_t *)context);
}

/* All who want the same are helped by one. */
static void the_same_at_once_child(void)
{
	enum { MANY = AT_ONCE + 4 };
	struct place here = new_place();
	int fds[MANY];
	start_worker("action=shutdown");
	for (int i = 0; i < MANY; i++)
		fds[i] = open_to(here.listener, here.port);
	await_turns();
	uint64_t until_ms = sl_clock_ms() + PATIENCE_MS;
	while (rescues() == 0) {
		CHECK(sl_clock_ms() < until_ms);
		race(8, ask, &here.peer);
	}
	CHECK(shut_of(fds, MANY) >= AT_ONCE);
}

static void the_same_at_once(void **state)
{
	(void)state;
	in_child(the_same_at_once_child);
}

/* Whoever something was freed for is told so, whatever those who come later are told. */
struct late_asker {
	uint32_t peer;
	_Atomic unsigned helped;
};

static void ask_in_turn(unsigned index, void *context)
{
	struct late_asker *asker = context;
	usleep(index * 40);
	if (ask_for_ports(asker->peer))
		atomic_fetch_add(&asker->helped, 1);
}

static void each_keeps_its_answer_child(void)
{
	struct place here = new_place();
	start_worker("action=shutdown");
	for (unsigned round = 0; round < RACE_ROUNDS(16); round++) {
		struct late_asker asker = {.peer = here.peer};
		int fd = open_to(here.listener, here.port);
		uint64_t begin_ms = sl_clock_ms();
		while (sl_clock_ms() < begin_ms + 220)
			await_turns(); /* guarded, quiet, and the rest of the last round is over */
		begin_ms = sl_clock_ms();
		race(12, ask_in_turn, &asker);
		/* Slower than that, and a thread may have given up before. */
		if (is_shut(fd) && sl_clock_ms() < begin_ms + 150)
			CHECK(atomic_load(&asker.helped) > 0);
	}
}

static void each_keeps_its_answer(void **state)
{
	(void)state;
	in_child(each_keeps_its_answer_child);
}

/* More destinations than there are places: whoever finds none fails as it would have without us, and nobody waits for ever. */
static void ask_for_one_each(unsigned index, void *context)
{
	(void)context;
	for (unsigned i = 0; i < 20; i++)
		if (ask_for_ports(1000 + index * 100 + i % 40))
			_exit(98); /* there is nothing that could be freed */
}

static void many_destinations_child(void)
{
	struct place here = new_place();
	start_worker("action=shutdown");
	int fd = open_to(here.listener, here.port);
	await_turns();
	race(24, ask_for_one_each, NULL);
	CHECK(!is_shut(fd));
	await_rescue(here.peer);
	CHECK(is_shut(fd));
}

static void many_destinations(void **state)
{
	(void)state;
	in_child(many_destinations_child);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		TEST(same_destination),  TEST(any_destination),
		TEST(switched_off),      TEST(spared),
		TEST(spared_by_rule),    TEST(no_more_than_it_takes),
		TEST(in_words_only),     TEST(a_rest),
		TEST(a_busy_worker),     TEST(stopped_by_regrets),
		TEST(counted),           TEST(the_limit_is_raised),
		TEST(to_the_hard_limit), TEST(no_lower),
		TEST(numbers_are_freed), TEST(the_same_at_once),
		TEST(many_destinations), TEST(each_keeps_its_answer),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}

int main(void)
{
	return run_alone(run_all);
}
