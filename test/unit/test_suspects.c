/* test_suspects.c - what is kept of connections whose peer has gone: real sockets, and the kernel's word made up. */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ledger/sites.h"
#include "tcp.h"
#include "watch/suspects.h"

#include "watch/table.h"

#define DEADLINE 60000u
#define START 100000000u /* clock of the first sweep */
#define NEVER_MS 4000000000u

static uint32_t tick = 1;
static struct tcp_pair pair;
static struct sl_kernel_tcp tcp; /* what the kernel says of the client's end at this sweep */

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	return 0;
}

/* A client's end in CLOSE_WAIT, 15 s after the last data, and one second ago. */
static int set_up(void **state)
{
	(void)state;
	sl_worker_pool.arena.limit_bytes = 0;
	sl_pool_reset(&sl_worker_pool);
	sl_suspects_forked();
	tcp_open(&pair);
	tcp_record(pair.client, SL_FD_OUT | SL_FD_CONNECTED, SL_SITE_ADOPTED);
	shutdown(pair.server, SHUT_WR);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	tcp = (struct sl_kernel_tcp){
		.state = TCP_CLOSE_WAIT,
		.last_data_sent_ms = 16500,
		.last_data_recv_ms = 16000,
		.last_ack_recv_ms = 1000,
		.bytes_sent = 100,
		.bytes_acked = 101,
		.was_established = true,
	};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(pair.client);
	sl_fdtable_commit(&forgotten);
	tcp_close(&pair);
	return 0;
}

static struct sl_fd_record record_of(int fd)
{
	struct sl_fd_record record;
	assert_true(sl_fdtable_get(fd, &record));
	return record;
}

/* What a hooked call leaves. */
static void touch(int fd, enum sl_io io)
{
	atomic_store(&sl_fd_tick, tick);
	sl_fd_touch(sl_fdtable_slot(fd), io);
}

static struct sl_suspicion meet(int fd, uint64_t now_ms)
{
	struct sl_suspicion suspicion;
	struct sl_fd_record record = record_of(fd);
	assert_true(sl_suspects_meet(&record, &tcp, DEADLINE, now_ms, &suspicion));
	return suspicion;
}

static void begin(void)
{
	sl_suspects_begin(++tick);
}

/* A whole sweep, later_ms after the first, that meets the client's end alone. The kernel's ages are of that moment. */
static struct sl_suspicion sweep(uint32_t later_ms)
{
	struct sl_kernel_tcp kept = tcp;
	tcp.last_data_sent_ms += later_ms;
	tcp.last_data_recv_ms += later_ms;
	tcp.last_ack_recv_ms += later_ms;
	begin();
	struct sl_suspicion suspicion = meet(pair.client, START + later_ms);
	sl_suspects_end();
	tcp = kept;
	return suspicion;
}

static void the_fin_and_the_idle_time_before_it(void **state)
{
	(void)state;
	struct sl_suspicion s = sweep(0);
	assert_true(s.is_new);
	assert_false(s.is_shared);
	assert_true(s.fin_at_ms == START - 1000);
	assert_int_equal(s.idle_before_fin_ms, 15000);
	assert_true(s.judgement.is_close_wait);
	assert_int_equal(s.judgement.close_wait_ms, 1000);
	assert_int_equal(s.judgement.quiet_ms, 1000);
	assert_int_equal(s.judgement.cause, SL_CAUSE_NEVER_LOOKED);
	assert_false(s.judgement.is_stuck);
	assert_int_equal(sl_suspects_close_wait(), 1);
	assert_int_equal(sl_suspects_stuck(), 0);
	/* Later acknowledgements do not move it. */
	tcp.last_ack_recv_ms = 0;
	s = sweep(5000);
	assert_false(s.is_new);
	assert_true(s.fin_at_ms == START - 1000);
	assert_int_equal(s.idle_before_fin_ms, 15000);
	assert_int_equal(s.judgement.close_wait_ms, 6000);
	assert_int_equal(s.judgement.quiet_ms, 6000);
}

static void no_data_before_the_fin(void **state)
{
	(void)state;
	tcp.last_data_recv_ms = NEVER_MS;
	assert_int_equal(sweep(0).idle_before_fin_ms, -1);
}

static void data_came_after_what_seems_the_fin(void **state)
{
	(void)state;
	tcp.last_data_recv_ms = 500;
	assert_int_equal(sweep(0).idle_before_fin_ms, -1);
}

static void stuck_at_the_deadline(void **state)
{
	(void)state;
	(void)sweep(0);
	assert_false(sweep(DEADLINE - 1001).judgement.is_stuck);
	assert_int_equal(sl_suspects_stuck(), 0);
	assert_true(sweep(DEADLINE - 1000).judgement.is_stuck);
	assert_int_equal(sl_suspects_stuck(), 1);
	assert_int_equal(sl_suspects_close_wait(), 1);
	assert_int_equal(sl_suspects_retracted(), 0);
}

static void closed_after_all_is_retracted(void **state)
{
	(void)state;
	uint64_t of_site = sl_site_get(SL_SITE_ADOPTED)->retracted;
	(void)sweep(0);
	(void)sweep(DEADLINE);
	begin();
	sl_suspects_end();
	assert_int_equal(sl_suspects_retracted(), 1);
	assert_int_equal(sl_site_get(SL_SITE_ADOPTED)->retracted, of_site + 1);
	assert_int_equal(sl_suspects_stuck() + sl_suspects_close_wait(), 0);
	begin();
	sl_suspects_end();
	assert_int_equal(sl_suspects_retracted(), 1);
}

static void used_after_all_is_retracted(void **state)
{
	(void)state;
	(void)sweep(0);
	assert_true(sweep(DEADLINE).judgement.is_stuck);
	touch(pair.client, SL_IO_WRITE);
	struct sl_suspicion s = sweep(DEADLINE + 5000);
	assert_false(s.judgement.is_stuck);
	assert_int_equal(s.judgement.quiet_ms, 0);
	assert_int_equal(sl_suspects_retracted(), 1);
	assert_int_equal(sl_suspects_stuck(), 0);
	/* And once more. */
	assert_true(sweep(2 * DEADLINE + 5000).judgement.is_stuck);
	begin();
	sl_suspects_end();
	assert_int_equal(sl_suspects_retracted(), 2);
}

static void intended_is_never_stuck(void **state)
{
	(void)state;
	(void)sweep(0);
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_INTENDED, 0));
	struct sl_suspicion s = sweep(DEADLINE);
	assert_true(s.judgement.is_close_wait);
	assert_int_equal(s.judgement.quiet_ms >= DEADLINE, 1);
	assert_false(s.judgement.is_stuck);
	assert_int_equal(sl_suspects_stuck(), 0);
	assert_int_equal(sl_suspects_close_wait(), 1);
	assert_int_equal(sl_suspects_retracted(), 0);
}

/* The program speaks for it late. */
static void stuck_then_intended_is_retracted(void **state)
{
	(void)state;
	(void)sweep(0);
	assert_true(sweep(DEADLINE).judgement.is_stuck);
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_INTENDED, 0));
	assert_false(sweep(DEADLINE + 1000).judgement.is_stuck);
	assert_int_equal(sl_suspects_stuck(), 0);
	assert_int_equal(sl_suspects_retracted(), 1);
}

static void closed_in_time_is_not(void **state)
{
	(void)state;
	(void)sweep(0);
	begin();
	sl_suspects_end();
	assert_int_equal(sl_suspects_retracted(), 0);
	/* What comes back is new. */
	assert_true(sweep(9000).is_new);
}

static void nothing_moves(void **state)
{
	(void)state;
	(void)sweep(0);
	for (uint32_t later_ms = 5000; later_ms < 30000; later_ms += 5000)
		assert_int_equal(sweep(later_ms).judgement.quiet_ms, later_ms + 1000);
}

/* A hooked call came at some time since the last sweep: now is the latest it can be. */
static void a_hooked_call_is_activity(void **state)
{
	(void)state;
	(void)sweep(0);
	touch(pair.client, SL_IO_READ);
	assert_int_equal(sweep(5000).judgement.quiet_ms, 0);
	assert_int_equal(sweep(10000).judgement.quiet_ms, 5000);
	touch(pair.client, SL_IO_READ); /* the same call in another tick */
	assert_int_equal(sweep(15000).judgement.quiet_ms, 0);
	assert_int_equal(sweep(15000).judgement.cause, SL_CAUSE_NEVER_LOOKED);
}

/* Bytes that stdio, io_uring or a raw call has read. */
static void reading_is_activity(void **state)
{
	(void)state;
	tcp_close_recorded(pair.client);
	pair.client = tcp_connect(false, pair.port);
	tcp_record(pair.client, SL_FD_OUT | SL_FD_CONNECTED, SL_SITE_ADOPTED);
	int server = accept(pair.listener, NULL, NULL);
	assert_int_equal(write(server, "1234567890", 10), 10);
	close(server);
	tcp_await_state(pair.client, TCP_CLOSE_WAIT);
	tcp_await_unread(pair.client, 10);
	struct sl_suspicion s = sweep(0);
	assert_int_equal(s.unread_bytes, 10);
	assert_int_equal(s.judgement.cause, SL_CAUSE_UNREAD_DATA);
	assert_int_equal(sweep(5000).judgement.quiet_ms, 6000);
	char byte;
	assert_int_equal(read(pair.client, &byte, 1), 1);
	s = sweep(10000);
	assert_int_equal(s.judgement.quiet_ms, 0);
	assert_int_equal(s.unread_bytes, 9);
}

/* Bytes sent and acknowledged are activity at the very time. */
static void sending_is_activity(void **state)
{
	(void)state;
	(void)sweep(0);
	tcp.bytes_sent += 10;
	tcp.last_data_sent_ms = 0;
	begin();
	struct sl_suspicion s = meet(pair.client, START + 7000);
	sl_suspects_end();
	assert_int_equal(s.judgement.quiet_ms, 0);
	tcp.bytes_sent += 10;
	tcp.last_data_sent_ms = 1234;
	begin();
	s = meet(pair.client, START + 12000);
	sl_suspects_end();
	assert_int_equal(s.judgement.quiet_ms, 1234);
	tcp.bytes_acked += 5;
	tcp.last_ack_recv_ms = 777;
	begin();
	s = meet(pair.client, START + 17000);
	sl_suspects_end();
	assert_int_equal(s.judgement.quiet_ms, 777);
}

/* The kernel sends again and again what a silent peer does not take. */
static void sending_again_is_none(void **state)
{
	(void)state;
	(void)sweep(0);
	tcp.last_data_sent_ms = 0;
	tcp.retransmits = 5;
	begin();
	struct sl_suspicion s = meet(pair.client, START + 30000);
	sl_suspects_end();
	assert_int_equal(s.judgement.quiet_ms, 31000);
}

static void met_late(void **state)
{
	(void)state;
	/* An answer sent after the FIN and before the first look. */
	tcp.last_data_sent_ms = 200;
	assert_int_equal(sweep(0).judgement.quiet_ms, 200);
	sl_suspects_forked();
	tcp.retransmits = 1;
	assert_int_equal(sweep(0).judgement.quiet_ms, 1000);
	sl_suspects_forked();
	tcp.retransmits = 0;
	tcp.bytes_sent = 0; /* never: the age says nothing */
	assert_int_equal(sweep(0).judgement.quiet_ms, 1000);
}

/* A read before the FIN and one after it look alike, but for the end of file. */
static void what_the_hooks_saw_before_the_first_look(void **state)
{
	(void)state;
	touch(pair.client, SL_IO_READ);
	assert_int_equal(sweep(0).judgement.quiet_ms, 1000);
	sl_suspects_forked();
	touch(pair.client, SL_IO_READ);
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_EOF, 0));
	struct sl_suspicion s = sweep(0);
	assert_int_equal(s.judgement.quiet_ms, 0);
	assert_int_equal(s.judgement.cause, SL_CAUSE_EOF_IGNORED);
	/* An end of file long ago is no activity now. */
	sl_suspects_forked();
	tick += 3;
	assert_int_equal(sweep(0).judgement.quiet_ms, 1000);
}

/* last_io has 30 bits for the tick. */
static void the_tick_wraps(void **state)
{
	(void)state;
	static const uint32_t ends[] = {UINT32_MAX >> SL_IO_BITS, UINT32_MAX - 1};
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_EOF, 0));
	for (int i = 0; i < 2; i++) {
		sl_suspects_forked();
		tick = ends[i];
		touch(pair.client, SL_IO_READ);
		assert_int_equal(sweep(0).judgement.quiet_ms, 0);
		assert_int_equal(sweep(5000).judgement.quiet_ms, 5000);
		sl_suspects_forked();
		assert_int_equal(sweep(0).judgement.quiet_ms, 1000);
	}
	tick = 1;
}

static void unsent_data(void **state)
{
	(void)state;
	tcp_deafen(pair.server);
	assert_int_equal(send(pair.client, "12345", 5, MSG_NOSIGNAL), 5);
	tcp.has_unsent = true;
	struct sl_suspicion s = sweep(0);
	assert_int_equal(s.unsent_bytes, 5);
	/* Half-close in use, for as long as the peer answers window probes at least: every two minutes. */
	s = sweep(DEADLINE + 5000);
	assert_int_equal(s.judgement.quiet_ms, 0);
	assert_false(s.judgement.is_stuck);
	s = sweep(130000);
	assert_int_equal(s.judgement.quiet_ms, 131000);
	assert_true(s.judgement.is_stuck);
}

static void a_second_descriptor(void **state)
{
	(void)state;
	int copy = dup(pair.client);
	assert_true(sl_fdtable_dup(pair.client, copy));
	begin();
	assert_false(meet(pair.client, START).is_shared);
	assert_true(meet(copy, START).is_shared);
	sl_suspects_end();
	assert_int_equal(sl_suspects_close_wait(), 1);
	/* It may be used through either. */
	touch(copy, SL_IO_WRITE);
	begin();
	(void)meet(pair.client, START + 5000);
	assert_int_equal(meet(copy, START + 5000).judgement.quiet_ms, 0);
	sl_suspects_end();
	begin();
	assert_int_equal(meet(pair.client, START + 10000).judgement.quiet_ms, 5000);
	assert_int_equal(meet(copy, START + 10000).judgement.quiet_ms, 5000);
	sl_suspects_end();
	/* Whichever saw the end of file. */
	assert_true(sl_fdtable_mark_now(copy, SL_FD_EOF, 0));
	begin();
	(void)meet(pair.client, START + 15000);
	(void)meet(copy, START + 15000);
	sl_suspects_end();
	tcp_close_recorded(copy);
	begin();
	struct sl_suspicion s = meet(pair.client, START + 20000);
	sl_suspects_end();
	assert_false(s.is_new);
	assert_false(s.is_shared);
	assert_int_equal(s.judgement.cause, SL_CAUSE_EOF_IGNORED);
	assert_int_equal(sl_suspects_close_wait(), 1);
}

static void unread_bytes(const char *start, int bytes, enum sl_cause cause)
{
	char some[64] = {0};
	memcpy(some, start, 5);
	struct tcp_pair other;
	struct sl_suspicion s;
	tcp_open(&other);
	tcp_record(other.client, SL_FD_OUT | SL_FD_CONNECTED, SL_SITE_ADOPTED);
	assert_int_equal(write(other.server, some, (size_t)bytes), bytes);
	tcp_await_unread(other.client, bytes);
	begin();
	s = meet(other.client, START);
	sl_suspects_end();
	assert_int_equal(s.unread_bytes, bytes);
	assert_int_equal(s.judgement.cause, cause);
	tcp_close_recorded(other.client);
	other.client = -1;
	tcp_close(&other);
}

/* A TLS peer that closes leaves its close_notify behind: nobody looked, nothing is lost. */
static void a_lone_close_notify(void **state)
{
	(void)state;
	const char *tls12 = "\x15\x03\x03\x00\x1a", *tls13 = "\x17\x03\x03\x00\x13";
	unread_bytes(tls12, 31, SL_CAUSE_NEVER_LOOKED);
	unread_bytes(tls13, 24, SL_CAUSE_NEVER_LOOKED);
	unread_bytes(tls13, 31, SL_CAUSE_UNREAD_DATA);
	unread_bytes(tls12, 24, SL_CAUSE_UNREAD_DATA);
	unread_bytes(tls13, 25, SL_CAUSE_UNREAD_DATA);
	unread_bytes("plain", 31, SL_CAUSE_UNREAD_DATA);
	unread_bytes("plain", 24, SL_CAUSE_UNREAD_DATA);
	unread_bytes(tls12, 1, SL_CAUSE_UNREAD_DATA);
}

static void dead_from_the_first_look(void **state)
{
	(void)state;
	tcp.state = TCP_CLOSE;
	struct sl_suspicion s = sweep(0);
	assert_true(s.judgement.is_dead);
	assert_int_equal(s.judgement.cause, SL_CAUSE_DEAD_BUT_OPEN);
	assert_int_equal(s.judgement.death, SL_DEATH_RST);
	assert_int_equal(s.judgement.quiet_ms, 0); /* nobody knows since when */
	assert_int_equal(s.idle_before_fin_ms, -1);
	assert_int_equal(sl_suspects_close_wait(), 0);
	assert_true(sweep(DEADLINE).judgement.is_stuck);
	assert_int_equal(sl_suspects_stuck(), 1);
}

/* A RST in CLOSE_WAIT: it has been quiet since the FIN all the same. */
static void dead_after_close_wait(void **state)
{
	(void)state;
	(void)sweep(0);
	tcp.state = TCP_CLOSE;
	struct sl_suspicion s = sweep(DEADLINE - 1000);
	assert_true(s.judgement.is_dead);
	assert_int_equal(s.judgement.quiet_ms, DEADLINE);
	assert_int_equal(s.judgement.close_wait_ms, 0);
	assert_true(s.judgement.is_stuck);
	assert_int_equal(sl_suspects_close_wait(), 0);
	assert_int_equal(sl_suspects_retracted(), 0);
	tcp.retransmits = 9;
	assert_int_equal(sweep(DEADLINE).judgement.death, SL_DEATH_TIMEOUT);
	tcp.probes = 9;
	assert_int_equal(sweep(DEADLINE).judgement.death, SL_DEATH_KEEPALIVE);
	assert_true(sl_fdtable_mark_now(pair.client, SL_FD_SHUT_WRITE, 0));
	assert_int_equal(sweep(DEADLINE).judgement.death, SL_DEATH_ORDERLY);
}

static uint32_t peers_seen[8], peers_count;

static void note_peer(uint32_t peer)
{
	peers_seen[peers_count++] = peer;
}

static void peers_of_close_waits(void **state)
{
	(void)state;
	struct sl_fd_record record = record_of(pair.client);
	struct sl_suspicion s;
	struct tcp_pair other;
	tcp_open(&other);
	tcp_record(other.client, SL_FD_CONNECTED, SL_SITE_ADOPTED);
	begin();
	record.peer = 17;
	record.cookie = sl_kernel_cookie(pair.client);
	assert_true(sl_suspects_meet(&record, &tcp, DEADLINE, START, &s));
	tcp.state = TCP_CLOSE; /* no CLOSE_WAIT */
	(void)meet(other.client, START);
	sl_suspects_end();
	peers_count = 0;
	sl_suspects_each_close_wait(note_peer);
	assert_int_equal(peers_count, 1);
	assert_int_equal(peers_seen[0], 17);
	tcp_close_recorded(other.client);
	other.client = -1;
	tcp_close(&other);
}

static void a_child_starts_anew(void **state)
{
	(void)state;
	(void)sweep(0);
	(void)sweep(DEADLINE);
	assert_int_equal(sl_suspects_stuck(), 1);
	sl_pool_reset(&sl_worker_pool);
	sl_suspects_forked();
	assert_int_equal(sl_suspects_stuck() + sl_suspects_close_wait(), 0);
	begin();
	sl_suspects_end();
	assert_int_equal(sl_suspects_retracted(), 0);
	assert_true(sweep(0).is_new);
}

static void a_socket_that_is_gone(void **state)
{
	(void)state;
	struct sl_fd_record record = record_of(pair.client);
	struct sl_suspicion s;
	record.fd = -1;
	begin();
	assert_false(sl_suspects_meet(&record, &tcp, DEADLINE, START, &s));
	sl_suspects_end();
	assert_int_equal(sl_suspects_close_wait() + sl_suspects_dropped(), 0);
}

/* Those that find no room are counted; the rest is kept, and room that comes free is used. */
static void out_of_memory(void **state)
{
	(void)state;
	struct sl_fd_record record = record_of(pair.client);
	struct sl_suspicion s;
	unsigned met = 0, refused = 0;
	sl_worker_pool.arena.limit_bytes = 256u << 10;
	begin();
	for (uint64_t i = 1; i <= 5000; i++) {
		record.cookie = i;
		if (sl_suspects_meet(&record, &tcp, DEADLINE, START, &s))
			met++;
		else
			refused++;
	}
	sl_suspects_end();
	assert_true(met > 100);
	assert_true(refused > 100);
	assert_int_equal(sl_suspects_dropped(), refused);
	assert_int_equal(sl_suspects_close_wait(), met);
	begin();
	sl_suspects_end();
	assert_int_equal(sl_suspects_close_wait(), 0);
	begin();
	for (uint64_t i = 10001; i <= 10100; i++) {
		record.cookie = i;
		assert_true(sl_suspects_meet(&record, &tcp, DEADLINE, START, &s));
	}
	sl_suspects_end();
	assert_int_equal(sl_suspects_close_wait(), 100);
	sl_worker_pool.arena.limit_bytes = 4096;
	sl_pool_reset(&sl_worker_pool);
	sl_suspects_forked();
	begin();
	assert_false(sl_suspects_meet(&record, &tcp, DEADLINE, START, &s));
	sl_suspects_end();
	assert_int_equal(sl_suspects_dropped(), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_fin_and_the_idle_time_before_it),
		TEST(no_data_before_the_fin),
		TEST(data_came_after_what_seems_the_fin),
		TEST(stuck_at_the_deadline),
		TEST(closed_after_all_is_retracted),
		TEST(used_after_all_is_retracted),
		TEST(intended_is_never_stuck),
		TEST(stuck_then_intended_is_retracted),
		TEST(closed_in_time_is_not),
		TEST(nothing_moves),
		TEST(a_hooked_call_is_activity),
		TEST(reading_is_activity),
		TEST(sending_is_activity),
		TEST(sending_again_is_none),
		TEST(met_late),
		TEST(what_the_hooks_saw_before_the_first_look),
		TEST(the_tick_wraps),
		TEST(unsent_data),
		TEST(a_second_descriptor),
		TEST(a_lone_close_notify),
		TEST(dead_from_the_first_look),
		TEST(dead_after_close_wait),
		TEST(peers_of_close_waits),
		TEST(a_child_starts_anew),
		TEST(a_socket_that_is_gone),
		TEST(out_of_memory),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
