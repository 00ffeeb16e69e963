/* test_sweep.c - one look at every socket: real connections in every state that matters. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ledger/sites.h"
#include "tcp.h"
#include "watch/sweep.h"

#include "watch/table.h"

#define DEADLINE 60000u
#define JIFFY_MS 10u /* at the coarsest */
#define OUT (SL_FD_OUT | SL_FD_CONNECTED)
#define IN (SL_FD_IN | SL_FD_CONNECTED)

static struct sl_arena arena = SL_ARENA(1u << 20, 0);
static struct sl_survey survey;

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	return 0;
}

/* Nothing is recorded, nothing suspected, and no number above stderr's is taken. */
static int set_up(void **state)
{
	(void)state;
	struct sl_fd_record record;
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1)
		sl_fdtable_drop(record.fd, record.generation);
	close_range(3, ~0u, 0);
	sl_pool_reset(&sl_worker_pool);
	sl_suspects_forked();
	sl_arena_free(&arena);
	alarm(60);
	return 0;
}

static void take_survey(uint64_t now_ms)
{
	sl_sweep_survey(DEADLINE, now_ms, &arena, &survey);
}

static const struct sl_survey_row *row_of(int fd)
{
	for (uint32_t i = 0; i < survey.count; i++)
		if (survey.rows[i].record.fd == fd)
			return &survey.rows[i];
	fail_msg("no row for fd %d", fd);
	return NULL;
}

static bool is_recorded(int fd)
{
	struct sl_fd_record record;
	return sl_fdtable_get(fd, &record);
}

/* A pair with both ends recorded, as the doors would have done. */
static void open_recorded(struct tcp_pair *pair)
{
	tcp_open(pair);
	tcp_record(pair->listener, SL_FD_LISTENING, SL_SITE_NO_STACK);
	tcp_record(pair->client, OUT, SL_SITE_NO_STACK);
	tcp_record(pair->server, IN, SL_SITE_NO_STACK);
}

static void close_wait_is_found(void **state)
{
	(void)state;
	struct tcp_pair pair;
	open_recorded(&pair);
	sl_sweep(DEADLINE, sl_clock_ms());
	assert_int_equal(sl_suspects_close_wait(), 0);
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	uint64_t now_ms = sl_clock_ms();
	sl_sweep(DEADLINE, now_ms);
	assert_int_equal(sl_suspects_close_wait(), 1);
	assert_int_equal(sl_suspects_stuck(), 0);
	sl_sweep(DEADLINE, now_ms + DEADLINE + 1000);
	assert_int_equal(sl_suspects_stuck(), 1);
	/* The end that sent the FIN is none. */
	take_survey(now_ms + DEADLINE + 2000);
	assert_int_equal(survey.count, 3);
	assert_true(row_of(pair.client)->is_suspect);
	assert_true(row_of(pair.client)->suspicion.judgement.is_stuck);
	assert_false(row_of(pair.server)->is_suspect);
	assert_false(row_of(pair.listener)->is_suspect);
	tcp_close_recorded(pair.client);
	sl_sweep(DEADLINE, now_ms + DEADLINE + 3000);
	assert_int_equal(sl_suspects_stuck() + sl_suspects_close_wait(), 0);
	assert_int_equal(sl_suspects_retracted(), 1);
}

/* Against our own clock, to some milliseconds, however late the sweep comes. */
static void the_time_of_the_fin(void **state)
{
	(void)state;
	struct tcp_pair pair;
	open_recorded(&pair);
	assert_int_equal(write(pair.server, "x", 1), 1);
	uint64_t data_at_ms = sl_clock_ms();
	tcp_await_unread(pair.client, 1);
	while (sl_clock_ms() < data_at_ms + 120)
		usleep(500);
	uint64_t before_ms = sl_clock_ms();
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	uint64_t after_ms = sl_clock_ms();
	while (sl_clock_ms() < after_ms + 150)
		usleep(500);
	take_survey(sl_clock_ms());
	const struct sl_suspicion *s = &row_of(pair.client)->suspicion;
	assert_true(s->fin_at_ms + JIFFY_MS >= before_ms);
	assert_true(s->fin_at_ms <= after_ms + JIFFY_MS);
	assert_true(s->idle_before_fin_ms + JIFFY_MS >= (int64_t)(before_ms - data_at_ms));
	assert_true(s->idle_before_fin_ms <= (int64_t)(after_ms - data_at_ms + JIFFY_MS));
	assert_true(s->judgement.close_wait_ms + JIFFY_MS >= 150);
}

static void unread_data_stays_unread(void **state)
{
	(void)state;
	struct tcp_pair pair;
	char bytes[16];
	open_recorded(&pair);
	assert_int_equal(write(pair.server, "hello", 5), 5);
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	uint64_t now_ms = sl_clock_ms();
	for (int i = 0; i < 3; i++)
		sl_sweep(DEADLINE, now_ms);
	take_survey(now_ms);
	assert_int_equal(row_of(pair.client)->suspicion.unread_bytes, 5);
	assert_int_equal(row_of(pair.client)->suspicion.judgement.cause, SL_CAUSE_UNREAD_DATA);
	assert_int_equal(read(pair.client, bytes, sizeof(bytes)), 5);
	assert_memory_equal(bytes, "hello", 5);
	assert_int_equal(read(pair.client, bytes, sizeof(bytes)), 0);
	take_survey(now_ms);
	assert_int_equal(row_of(pair.client)->suspicion.unread_bytes, 0);
	assert_int_equal(row_of(pair.client)->suspicion.judgement.cause, SL_CAUSE_NEVER_LOOKED);
}

static void reset_in_close_wait(void **state)
{
	(void)state;
	struct tcp_pair pair;
	open_recorded(&pair);
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	uint64_t now_ms = sl_clock_ms();
	sl_sweep(DEADLINE, now_ms);
	tcp_close_recorded(pair.server);
	/* Its end is gone: what we send now is answered with a RST. */
	assert_int_equal(send(pair.client, "x", 1, MSG_NOSIGNAL), 1);
	tcp_await_state(pair.client, TCP_CLOSE);
	take_survey(now_ms + 1000);
	const struct sl_survey_row *row = row_of(pair.client);
	assert_true(row->is_suspect);
	assert_true(row->suspicion.judgement.is_dead);
	assert_int_equal(row->suspicion.judgement.cause, SL_CAUSE_DEAD_BUT_OPEN);
	assert_int_equal(sl_suspects_close_wait(), 0);
	assert_int_equal(sl_suspects_retracted(), 0);
}

static void reset_while_established(void **state)
{
	(void)state;
	struct tcp_pair pair;
	open_recorded(&pair);
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(pair.server);
	tcp_reset(pair.server);
	sl_fdtable_commit(&forgotten);
	tcp_await_state(pair.client, TCP_CLOSE);
	uint64_t now_ms = sl_clock_ms();
	sl_sweep(DEADLINE, now_ms);
	assert_int_equal(sl_suspects_stuck(), 0);
	sl_sweep(DEADLINE, now_ms + DEADLINE + 1);
	assert_int_equal(sl_suspects_stuck(), 1);
	assert_int_equal(sl_suspects_close_wait(), 0);
	/* A pending error is the program's. */
	int error = 0;
	socklen_t n = sizeof(error);
	assert_int_equal(getsockopt(pair.client, SOL_SOCKET, SO_ERROR, &error, &n), 0);
	assert_int_equal(error, ECONNRESET);
}

/* connect() in the background, and it was over before anybody looked. */
static void reset_before_the_first_look(void **state)
{
	(void)state;
	struct tcp_pair pair;
	tcp_open(&pair);
	tcp_record(pair.client, SL_FD_OUT | SL_FD_CONNECTING, SL_SITE_NO_STACK);
	tcp_reset(pair.server);
	tcp_await_state(pair.client, TCP_CLOSE);
	take_survey(sl_clock_ms());
	assert_true(row_of(pair.client)->is_suspect);
	assert_true(row_of(pair.client)->suspicion.judgement.is_dead);
}

static void state_close_that_is_no_death(void **state)
{
	(void)state;
	struct tcp_pair pair;
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	open_recorded(&pair);
	int fresh = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	tcp_record(fresh, 0, SL_SITE_NO_STACK);
	/* Disconnected on purpose. */
	assert_int_equal(connect(pair.client, &nobody, sizeof(nobody)), 0);
	/* Refused, in the background. */
	int refused = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int closed = tcp_listen(false, 1, &pair.port);
	address.sin_port = htons(pair.port);
	close(closed);
	(void)connect(refused, (struct sockaddr *)&address, sizeof(address));
	tcp_record(refused, SL_FD_OUT | SL_FD_CONNECTING, SL_SITE_NO_STACK);
	tcp_await_state(refused, TCP_CLOSE);
	take_survey(sl_clock_ms());
	assert_int_equal(row_of(fresh)->tcp.state, TCP_CLOSE);
	assert_false(row_of(fresh)->is_suspect);
	assert_int_equal(row_of(pair.client)->tcp.state, TCP_CLOSE);
	assert_false(row_of(pair.client)->is_suspect);
	assert_int_equal(row_of(refused)->tcp.state, TCP_CLOSE);
	assert_false(row_of(refused)->is_suspect);
}

/* A server goes on sending after its client's FIN, past all hooks: legal, whatever the deadline. */
static void half_close_in_use(void **state)
{
	(void)state;
	struct tcp_pair pair;
	char bytes[256];
	open_recorded(&pair);
	shutdown(pair.client, SHUT_WR);
	tcp_await_state(pair.server, TCP_CLOSE_WAIT);
	uint64_t end_ms = sl_clock_ms() + 600;
	unsigned sweeps = 0;
	uint64_t sent_at_ms;
	do {
		assert_int_equal(write(pair.server, "more", 4), 4);
		sent_at_ms = sl_clock_ms();
		sl_sweep(150, sl_clock_ms());
		sweeps++;
		/* Unless this process did not get to run meanwhile. */
		if (sl_clock_ms() - sent_at_ms < 100)
			assert_int_equal(sl_suspects_stuck(), 0);
		assert_int_equal(sl_suspects_close_wait(), 1);
		assert_true(read(pair.client, bytes, sizeof(bytes)) > 0);
		usleep(1000);
	} while (sl_clock_ms() < end_ms);
	assert_true(sweeps >= 3);
	/* Then it stops: quiet from the last byte's acknowledgement on. */
	while (sl_suspects_stuck() == 0) {
		assert_true(sl_clock_ms() < sent_at_ms + PATIENCE_MS);
		usleep(1000);
		sl_sweep(150, sl_clock_ms());
	}
	assert_true(sl_clock_ms() + JIFFY_MS >= sent_at_ms + 150);
}

/* A client that does not read, but answers, lets its server wait for as long as it likes. */
static void a_closed_window(void **state)
{
	(void)state;
	static const char block[65536];
	struct tcp_pair pair;
	open_recorded(&pair);
	shutdown(pair.client, SHUT_WR);
	tcp_await_state(pair.server, TCP_CLOSE_WAIT);
	while (send(pair.server, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	uint64_t now_ms = sl_clock_ms();
	take_survey(now_ms);
	take_survey(now_ms + 10 * DEADLINE);
	const struct sl_suspicion *s = &row_of(pair.server)->suspicion;
	assert_true(s->unsent_bytes > 0);
	assert_int_equal(s->judgement.quiet_ms, 0);
	assert_false(s->judgement.is_stuck);
}

static void duplicates_count_once(void **state)
{
	(void)state;
	struct tcp_pair pair;
	open_recorded(&pair);
	int high = fcntl(pair.client, F_DUPFD_CLOEXEC, 100);
	assert_true(sl_fdtable_dup(pair.client, high));
	/* One that nobody saw being made. */
	int unseen = fcntl(pair.server, F_DUPFD_CLOEXEC, 200);
	const struct sl_fd_opening adopted = {
		.kind = SL_KIND_TCP,
		.flags = SL_FD_ADOPTED | SL_FD_CONNECTED,
		.site = SL_SITE_ADOPTED,
		.opened_at_ms = sl_clock_ms(),
	};
	assert_true(sl_fdtable_adopt(unseen, &adopted));
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	sl_sweep(DEADLINE, sl_clock_ms());
	assert_int_equal(sl_suspects_close_wait(), 1);
	take_survey(sl_clock_ms());
	assert_int_equal(survey.count, 5);
	assert_int_equal(sl_suspects_close_wait(), 1);
	assert_true(row_of(pair.client)->is_shared);
	assert_false(row_of(pair.client)->is_duplicate);
	assert_true(row_of(high)->is_shared && row_of(high)->is_duplicate);
	assert_true(row_of(high)->is_suspect);
	assert_true(row_of(pair.server)->is_shared);
	assert_true(row_of(unseen)->is_shared && row_of(unseen)->is_duplicate);
	assert_false(row_of(pair.listener)->is_shared);
	/* Closed by one number, it is still the same connection by the other. */
	tcp_close_recorded(pair.client);
	take_survey(sl_clock_ms());
	assert_int_equal(sl_suspects_close_wait(), 1);
	assert_false(row_of(high)->is_duplicate);
	assert_false(row_of(high)->suspicion.is_new);
	assert_int_equal(sl_suspects_retracted(), 0);
}

/* By raw calls, or inside libc: the sweep notices. */
static void closed_behind_our_back(void **state)
{
	(void)state;
	struct tcp_pair one, two, three, four;
	int unix_pair[2];
	open_recorded(&one);
	open_recorded(&two);
	open_recorded(&three);
	open_recorded(&four);
	close(one.client);
	/* The number may be something else by now. */
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(dup2(file, two.client), two.client);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, unix_pair), 0);
	assert_int_equal(dup2(unix_pair[0], three.client), three.client);
	close(unix_pair[1]); /* so that poll() has something to say of it */
	assert_int_equal(dup2(open("/dev/null", O_RDONLY), four.client), four.client);
	sl_sweep(DEADLINE, sl_clock_ms());
	assert_false(is_recorded(one.client));
	assert_false(is_recorded(three.client));
	take_survey(sl_clock_ms());
	assert_false(is_recorded(two.client));
	assert_false(is_recorded(four.client));
	assert_true(is_recorded(one.server));
	/* What was dropped has no row. */
	for (uint32_t i = 0; i < survey.count; i++)
		assert_int_not_equal(survey.rows[i].record.fd, four.client);
}

static void directions_and_peers(void **state)
{
	(void)state;
	static const uint8_t loopback[16] = {[10] = 0xff, [11] = 0xff, 127, 0, 0, 1};
	struct tcp_pair seen, unseen;
	open_recorded(&seen);
	tcp_open(&unseen);
	tcp_record(unseen.listener, SL_FD_ADOPTED | SL_FD_LISTENING, SL_SITE_ADOPTED);
	tcp_record(unseen.client, SL_FD_ADOPTED, SL_SITE_ADOPTED);
	tcp_record(unseen.server, SL_FD_ADOPTED, SL_SITE_ADOPTED);
	take_survey(sl_clock_ms());
	const struct tcp_pair *pairs[] = {&seen, &unseen};
	for (int i = 0; i < 2; i++) {
		const struct sl_survey_row *client = row_of(pairs[i]->client);
		const struct sl_survey_row *server = row_of(pairs[i]->server);
		assert_int_equal(client->direction, SL_DIRECTION_OUT);
		assert_int_equal(server->direction, SL_DIRECTION_IN);
		assert_int_equal(row_of(pairs[i]->listener)->direction, SL_DIRECTION_UNKNOWN);
		assert_int_equal(row_of(pairs[i]->listener)->record.peer, 0);
		/* Out: where it goes. In: who called, and at which of our ports. */
		const struct sl_peer *to = sl_peer_get(client->record.peer);
		const struct sl_peer *from = sl_peer_get(server->record.peer);
		assert_int_equal(to->direction, SL_DIRECTION_OUT);
		assert_int_equal(to->at.port, pairs[i]->port);
		assert_memory_equal(to->at.address, loopback, 16);
		assert_int_equal(from->direction, SL_DIRECTION_IN);
		assert_int_equal(from->at.port, pairs[i]->port);
		assert_memory_equal(from->at.address, loopback, 16);
		assert_true(client->record.cookie == sl_kernel_cookie(pairs[i]->client));
	}
	/* It is remembered, for when the kernel cannot say any more. */
	struct sl_fd_record record;
	assert_true(sl_fdtable_get(seen.client, &record));
	uint32_t peer = record.peer;
	assert_true(peer != 0 && record.cookie != 0);
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(seen.server);
	tcp_reset(seen.server);
	sl_fdtable_commit(&forgotten);
	tcp_await_state(seen.client, TCP_CLOSE);
	take_survey(sl_clock_ms());
	assert_int_equal(row_of(seen.client)->record.peer, peer);
	assert_int_equal(row_of(seen.client)->direction, SL_DIRECTION_OUT);
}

/* A connection is identified by the first sweep after it was made, idle or not. */
static void idle_connections_are_identified(void **state)
{
	(void)state;
	struct tcp_pair pair;
	struct sl_fd_record record;
	tcp_open(&pair);
	tcp_record(pair.client, SL_FD_OUT | SL_FD_CONNECTING, SL_SITE_NO_STACK);
	tcp_record(pair.server, IN, SL_SITE_NO_STACK);
	sl_sweep(DEADLINE, sl_clock_ms());
	assert_true(sl_fdtable_get(pair.client, &record));
	assert_int_equal(record.flags & (SL_FD_CONNECTED | SL_FD_CONNECTING), SL_FD_CONNECTED);
	assert_true(record.peer != 0);
	assert_true(sl_fdtable_get(pair.server, &record));
	assert_true(record.peer != 0);
}

static void kinds_are_counted(void **state)
{
	(void)state;
	struct tcp_pair pair;
	struct sl_fd_opening opening = {.kind = SL_KIND_UDP};
	open_recorded(&pair);
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(sl_fdtable_open(udp, &opening));
	int unix_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	opening.kind = SL_KIND_UNIX;
	assert_true(sl_fdtable_open(unix_socket, &opening));
	take_survey(sl_clock_ms());
	assert_int_equal(survey.by_kind[SL_KIND_TCP], 3);
	assert_int_equal(survey.by_kind[SL_KIND_UDP], 1);
	assert_int_equal(survey.by_kind[SL_KIND_UNIX], 1);
	assert_int_equal(survey.by_kind[SL_KIND_OTHER], 0);
	assert_int_equal(survey.count, 3);
	assert_false(survey.is_cut);
}

static void backlogs(void **state)
{
	(void)state;
	uint16_t port;
	int listener = tcp_listen(false, 7, &port);
	tcp_record(listener, 0, SL_SITE_NO_STACK); /* its listen() was not seen */
	int clients[] = {tcp_connect(false, port), tcp_connect(false, port)};
	take_survey(sl_clock_ms());
	assert_int_equal(row_of(listener)->tcp.state, TCP_LISTEN);
	assert_int_equal(row_of(listener)->tcp.backlog, 2);
	assert_int_equal(row_of(listener)->tcp.backlog_limit, 7);
	struct sl_fd_record record;
	assert_true(sl_fdtable_get(listener, &record));
	assert_int_equal(record.flags, SL_FD_LISTENING);
	close(clients[0]);
	close(clients[1]);
}

/* More than one poll() takes. */
static void many(void **state)
{
	(void)state;
	enum { PAIRS = 1200, GONE = 700 };
	static int clients[PAIRS], servers[PAIRS];
	struct rlimit before, raised;
	uint16_t port;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	raised = before;
	raised.rlim_cur = 4000 < before.rlim_max ? 4000 : before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &raised), 0);
	int listener = tcp_listen(false, 16, &port);
	for (int i = 0; i < PAIRS; i++) {
		clients[i] = tcp_connect(false, port);
		servers[i] = accept(listener, NULL, NULL);
		tcp_record(clients[i], OUT, SL_SITE_NO_STACK);
		tcp_record(servers[i], IN, SL_SITE_NO_STACK);
	}
	for (int i = 0; i < GONE; i++)
		shutdown(servers[i], SHUT_WR);
	for (int i = 0; i < GONE; i++)
		tcp_await_state(clients[i], TCP_CLOSE_WAIT);
	uint64_t now_ms = sl_clock_ms();
	sl_sweep(DEADLINE, now_ms);
	assert_int_equal(sl_suspects_close_wait(), GONE);
	sl_sweep(DEADLINE, now_ms + DEADLINE + 5000);
	assert_int_equal(sl_suspects_stuck(), GONE);
	take_survey(now_ms + DEADLINE + 6000);
	assert_int_equal(survey.count, 2 * PAIRS);
	unsigned stuck = 0;
	for (uint32_t i = 0; i < survey.count; i++)
		stuck += survey.rows[i].suspicion.judgement.is_stuck;
	assert_int_equal(stuck, GONE);

	/* The program lowers its limit below what is open: poll() says EINVAL, nobody is forgotten. */
	raised.rlim_cur = 10;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &raised), 0);
	sl_sweep(DEADLINE, now_ms + DEADLINE + 7000);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(sl_suspects_stuck(), GONE);
	assert_int_equal(sl_suspects_retracted(), 0);
	for (int i = 0; i < GONE / 2; i++)
		tcp_close_recorded(clients[i]);
	sl_sweep(DEADLINE, now_ms + DEADLINE + 8000);
	assert_int_equal(sl_suspects_stuck(), GONE - GONE / 2);
	assert_int_equal(sl_suspects_retracted(), GONE / 2);
}

static void a_survey_without_memory(void **state)
{
	(void)state;
	struct tcp_pair pair;
	struct sl_arena none = SL_ARENA(4096, 1);
	open_recorded(&pair);
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	sl_sweep_survey(DEADLINE, sl_clock_ms(), &none, &survey);
	assert_true(survey.is_cut);
	assert_int_equal(survey.count, 0);
	assert_int_equal(sl_suspects_close_wait(), 1); /* looked at all the same */
}

static void the_tick_advances(void **state)
{
	(void)state;
	uint32_t tick = atomic_load(&sl_fd_tick);
	sl_sweep(DEADLINE, sl_clock_ms());
	assert_int_equal(atomic_load(&sl_fd_tick), tick + 1);
	take_survey(sl_clock_ms());
	assert_int_equal(atomic_load(&sl_fd_tick), tick + 2);
	assert_int_equal(survey.count, 0);
}

/* An end of file that a hook saw, then nothing: quiet from the look after it. */
static void hooked_calls_between_sweeps(void **state)
{
	(void)state;
	struct tcp_pair pair;
	open_recorded(&pair);
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	uint64_t now_ms = sl_clock_ms();
	sl_sweep(DEADLINE, now_ms);
	sl_fd_touch(sl_fdtable_slot(pair.client), SL_IO_READ);
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_EOF, 0));
	sl_sweep(DEADLINE, now_ms + 10000);
	take_survey(now_ms + 25000);
	const struct sl_judgement *judgement = &row_of(pair.client)->suspicion.judgement;
	assert_int_equal(judgement->cause, SL_CAUSE_EOF_IGNORED);
	assert_in_range(judgement->quiet_ms, 14500, 15500);
	assert_in_range(judgement->close_wait_ms, 24500, 25500);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(close_wait_is_found),
		TEST(the_time_of_the_fin),
		TEST(unread_data_stays_unread),
		TEST(reset_in_close_wait),
		TEST(reset_while_established),
		TEST(reset_before_the_first_look),
		TEST(state_close_that_is_no_death),
		TEST(half_close_in_use),
		TEST(a_closed_window),
		TEST(duplicates_count_once),
		TEST(closed_behind_our_back),
		TEST(directions_and_peers),
		TEST(idle_connections_are_identified),
		TEST(kinds_are_counted),
		TEST(backlogs),
		TEST(many),
		TEST(a_survey_without_memory),
		TEST(the_tick_advances),
		TEST(hooked_calls_between_sweeps),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
