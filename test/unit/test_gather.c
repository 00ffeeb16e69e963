/* test_gather.c - the snapshot of real sockets: every sum, every row, in the right order. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/options.h"
#include "ledger/sites.h"
#include "ledger/threads.h"
#include "reclaim/due.h"
#include "reclaim/reclaim.h"
#include "reclaim/regret.h"
#include "reclaim/rescue.h"
#include "report/gather.h"
#include "own_net.h"
#include "tcp.h"
#include "watch/evidence.h"
#include "watch/growth.h"
#include "watch/listeners.h"
#include "watch/ports.h"

#include "watch/table.h"

#define OUT (SL_FD_OUT | SL_FD_CONNECTED)
#define IN (SL_FD_IN | SL_FD_CONNECTED)
#define DEADLINE_MS 250u

static struct sl_arena arena = SL_ARENA(1u << 20, 0);
static struct sl_snapshot snapshot;
static uint64_t opened_before;

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	sl_clerk_start();
	return 0;
}

/* Nothing is recorded, and no number above stderr's is taken. */
static int set_up(void **state)
{
	(void)state;
	struct sl_fd_record record;
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1)
		sl_fdtable_drop(record.fd, record.generation);
	close_range(3, ~0u, 0);
	sl_pool_reset(&sl_worker_pool);
	sl_suspects_forked();
	sl_evidence_forked();
	sl_growth_forked();
	sl_ports_forked();
	sl_listeners_forked();
	sl_reclaim_forked();
	sl_arena_free(&arena);
	sl_options_defaults(&sl_options);
	sl_options.deadline_ms = DEADLINE_MS;
	opened_before = sl_fdtable_opened(SL_KIND_TCP);
	alarm(60);
	return 0;
}

static void gather_for(const struct sl_pressure *pressure)
{
	sl_gather(&arena, SL_TRIGGER_SIGNAL, pressure, &snapshot);
}

static void gather(void)
{
	const struct sl_pressure none = {0};
	gather_for(&none);
}

/* Once more where the clerk was not done in time: then nobody knows how many fds and ports there are. */
static void gather_counted(void)
{
	uint64_t until_ms = sl_clock_ms() + PATIENCE_MS;
	do {
		assert_true(sl_clock_ms() < until_ms);
		gather();
	} while (snapshot.limits.nofile_used == SL_UNKNOWN || snapshot.limits.ports_not_counted);
}

/* Ports that listeners of the machine have, as the last snapshot counted them. */
static int64_t taken(void)
{
	return snapshot.limits.ports_taken == SL_UNKNOWN ? 0 : snapshot.limits.ports_taken;
}

/* A site of two frames, of which the second, in this program, is to blame. */
static int at_fault(void)
{
	return 4711;
}

static uint32_t site(unsigned past)
{
	const uint64_t words[] = {(uint64_t)(uintptr_t)getenv + 2,
	                          (uint64_t)(uintptr_t)at_fault + 1 + past};
	const struct sl_stack stack = {SL_STACK_NATIVE, 2, past == 9, words};
	bool is_new;
	return sl_site_intern(&stack, &is_new);
}

static int record_at(int fd, uint32_t flags, uint32_t of, const char *thread, uint64_t now_ms)
{
	uint32_t name = thread ? sl_thread_intern(thread, strlen(thread)) : 0;
	struct sl_fd_opening opening = {
		.kind = SL_KIND_TCP,
		.flags = flags,
		.site = of,
		.thread = name,
		.opened_at_ms = now_ms,
	};
	sl_fdtable_prepare();
	assert_true(sl_fdtable_open(fd, &opening));
	sl_site_count_opened(of, name);
	return fd;
}

static int record(int fd, uint32_t flags, uint32_t of, const char *thread)
{
	return record_at(fd, flags, of, thread, sl_clock_ms());
}

static const struct sl_snapshot_site *site_row(uint32_t id)
{
	for (uint32_t i = 0; i < snapshot.site_count; i++)
		if (snapshot.sites[i].id == id)
			return &snapshot.sites[i];
	fail_msg("site %u is not there", id);
	return NULL;
}

static const struct sl_snapshot_peer *peer_row(enum sl_direction direction, int64_t port)
{
	for (uint32_t i = 0; i < snapshot.peer_count; i++)
		if (snapshot.peers[i].direction == direction && snapshot.peers[i].port == port)
			return &snapshot.peers[i];
	fail_msg("no peer at port %d", (int)port);
	return NULL;
}

static const struct sl_snapshot_socket *socket_row(int fd)
{
	for (uint32_t i = 0; i < snapshot.socket_count; i++)
		if (snapshot.sockets[i].fd == fd)
			return &snapshot.sockets[i];
	fail_msg("no socket %d", fd);
	return NULL;
}

/* `count` connections to one listener, both ends recorded: opened at once, for however long that takes here. */
struct crowd {
	uint16_t port;
	int listener;
	int clients[32], servers[32];
};

static void crowd_open(struct crowd *crowd, unsigned count, uint32_t site_of_clients)
{
	const uint64_t now_ms = sl_clock_ms();
	crowd->listener = tcp_listen(false, 64, &crowd->port);
	record(crowd->listener, SL_FD_LISTENING, SL_SITE_NO_STACK, NULL);
	for (unsigned i = 0; i < count; i++) {
		crowd->clients[i] = record_at(tcp_connect(false, crowd->port), OUT, site_of_clients,
		                              i % 2 ? "pool-1" : "pool-0", now_ms);
		crowd->servers[i] =
			record(accept(crowd->listener, NULL, NULL), IN, SL_SITE_NO_STACK, NULL);
	}
}

/* The peer closes its half of the first `count`. */
static void crowd_gone(struct crowd *crowd, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		shutdown(crowd->servers[i], SHUT_WR);
	for (unsigned i = 0; i < count; i++)
		tcp_await_state(crowd->clients[i], TCP_CLOSE_WAIT);
}

static void await_deadline(void)
{
	uint64_t since_ms = sl_clock_ms();
	while (sl_clock_ms() <= since_ms + DEADLINE_MS + 10)
		usleep(1000);
}

static void nothing_at_all(void **state)
{
	(void)state;
	gather();
	assert_int_equal(snapshot.verdict, SL_VERDICT_OK);
	assert_int_equal(snapshot.trigger, SL_TRIGGER_SIGNAL);
	assert_int_equal(snapshot.totals.open + snapshot.totals.close_wait + snapshot.totals.stuck,
	                 0);
	assert_int_equal(snapshot.totals.closed, snapshot.totals.opened);
	assert_true(snapshot.totals.oldest_stuck_ms == SL_UNKNOWN);
	assert_true(snapshot.totals.began_after_ms == SL_UNKNOWN);
	assert_true(snapshot.totals.growth_per_min == SL_UNKNOWN);
	assert_int_equal(snapshot.peer_count, 0);
	assert_int_equal(snapshot.listener_count, 0);
	assert_null(snapshot.pressure);
	assert_null(snapshot.sockets);
	assert_int_equal(snapshot.deadline_ms, DEADLINE_MS);
	assert_int_equal(snapshot.process.pid, getpid());
	assert_in_range(snapshot.taken_wall_ms, sl_clock_wall_ms() - 5000, sl_clock_wall_ms());
}

static void totals(void **state)
{
	(void)state;
	struct crowd crowd;
	crowd_open(&crowd, 12, site(0));
	struct sl_fd_opening opening = {.kind = SL_KIND_UDP};
	assert_true(sl_fdtable_open(socket(AF_INET, SOCK_DGRAM, 0), &opening));
	int copy = fcntl(crowd.clients[0], F_DUPFD_CLOEXEC, 100);
	assert_true(sl_fdtable_dup(crowd.clients[0], copy));
	int raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* that nobody saw */
	crowd_gone(&crowd, 10);
	await_deadline();
	tcp_close_recorded(crowd.clients[11]);
	tcp_await_state(crowd.servers[11], TCP_CLOSE_WAIT);
	gather();
	/* 12 pairs but one end, the listener, the raw one; the copy is none of its own. */
	assert_int_equal(snapshot.totals.open, 25);
	assert_int_equal(snapshot.totals.opened - opened_before, 26);
	assert_int_equal(snapshot.totals.closed - opened_before, 1);
	assert_int_equal(snapshot.totals.close_wait, 11);
	assert_int_equal(snapshot.totals.stuck, 10);
	assert_int_equal(snapshot.totals.dead, 0);
	assert_int_equal(snapshot.totals.by_state[TCP_ESTABLISHED], 2);
	assert_int_equal(snapshot.totals.by_state[TCP_CLOSE_WAIT], 11);
	assert_int_equal(snapshot.totals.by_state[TCP_FIN_WAIT2], 10);
	assert_int_equal(snapshot.totals.by_state[TCP_LISTEN], 1);
	assert_int_equal(snapshot.totals.by_state[TCP_CLOSE], 1);
	assert_int_equal(snapshot.totals.by_kind[SL_KIND_TCP], 25);
	assert_int_equal(snapshot.totals.by_kind[SL_KIND_UDP], 1);
	assert_int_equal(snapshot.totals.retracted, 0);
	assert_int_equal(snapshot.totals.dropped, 0);
	assert_int_equal(snapshot.verdict, SL_VERDICT_BURST);
	assert_in_range(snapshot.totals.oldest_stuck_ms, DEADLINE_MS, 10000);
	assert_in_range(snapshot.totals.began_after_ms, 0, snapshot.process.uptime_ms);
	assert_true(raw >= 0);
	/* Closed after all. */
	for (int i = 0; i < 4; i++)
		tcp_close_recorded(crowd.clients[i]);
	tcp_close_recorded(copy);
	await_deadline();
	gather();
	assert_int_equal(snapshot.totals.stuck, 7); /* with the server's end */
	assert_int_equal(snapshot.totals.retracted, 4);
	assert_int_equal(snapshot.verdict, SL_VERDICT_UNKNOWN);
}

static void limits(void **state)
{
	(void)state;
	struct rlimit limit;
	struct sl_limits known;
	int64_t fds = 0;
	for (int fd = 0; fd < 1024; fd++)
		fds += fcntl(fd, F_GETFD) >= 0;
	gather_counted();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	sl_limits_read(&known);
	assert_int_equal(snapshot.limits.nofile_soft, limit.rlim_cur);
	assert_int_equal(snapshot.limits.nofile_used, fds);
	assert_int_equal(snapshot.limits.port_low, known.port_low);
	assert_int_equal(snapshot.limits.port_high, known.port_high);
	assert_true(snapshot.limits.fds_exhausted_in_ms == SL_UNKNOWN);
}

static void sites(void **state)
{
	(void)state;
	struct crowd small, large;
	char blame[64];
	crowd_open(&small, 6, site(1));
	crowd_open(&large, 12, site(9));
	crowd_gone(&large, 11);
	crowd_gone(&small, 3);
	await_deadline();
	/* Each cause once: an end of file ignored, bytes unread, and a connection that died. */
	assert_true(sl_fdtable_mark_now(small.clients[0], SL_FD_EOF, 0));
	assert_int_equal(write(small.servers[5], "unread", 6), 6);
	shutdown(small.servers[5], SHUT_WR);
	tcp_await_state(small.clients[5], TCP_CLOSE_WAIT);
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(small.servers[4]);
	tcp_reset(small.servers[4]);
	sl_fdtable_commit(&forgotten);
	tcp_await_state(small.clients[4], TCP_CLOSE);
	gather();
	const struct sl_snapshot_site *worst = &snapshot.sites[0];
	assert_int_equal(worst->id, site(9));
	assert_int_equal(worst->verdict, SL_SITE_BURST);
	assert_int_equal(worst->kind, SL_STACK_NATIVE);
	assert_int_equal(worst->direction, SL_DIRECTION_OUT);
	assert_int_equal(worst->open, 12);
	assert_int_equal(worst->opened, 12);
	assert_int_equal(worst->closed, 0);
	assert_int_equal(worst->close_wait, 11);
	assert_int_equal(worst->stuck, 11);
	assert_int_equal(worst->causes[SL_CAUSE_NEVER_LOOKED], 11);
	assert_true(worst->oldest_close_wait_ms >= DEADLINE_MS);
	assert_int_equal(worst->frame_count, 2);
	assert_int_equal(worst->blame_frame, 1);
	assert_int_equal(worst->frames_cut, 1);
	snprintf(blame, sizeof(blame), "test_gather+0x%llx",
	         (unsigned long long)worst->frames[1]->offset);
	assert_string_equal(worst->blame, blame);
	assert_null(worst->blame_where);
	assert_int_equal(worst->thread_count, 2);
	assert_int_equal(worst->thread_names, 2);
	assert_string_equal(worst->threads[0], "pool-0");
	assert_string_equal(worst->threads[1], "pool-1");
	assert_int_equal(strncmp(worst->peer, "127.0.0.1:", 10), 0);

	const struct sl_snapshot_site *other = site_row(site(1));
	assert_int_equal(other->causes[SL_CAUSE_EOF_IGNORED], 1);
	assert_int_equal(other->causes[SL_CAUSE_NEVER_LOOKED], 2);
	assert_int_equal(other->causes[SL_CAUSE_UNREAD_DATA], 1);
	assert_int_equal(other->causes[SL_CAUSE_DEAD_BUT_OPEN], 1);
	assert_int_equal(other->close_wait, 4);
	assert_int_equal(snapshot.totals.dead, 1);
	assert_int_equal(other->verdict, SL_SITE_UNKNOWN);
	assert_int_equal(other->frames_cut, 0);
	const struct sl_snapshot_site *servers = site_row(SL_SITE_NO_STACK);
	assert_int_equal(servers->direction, SL_DIRECTION_IN);
	assert_int_equal(servers->open, 19);
	assert_null(servers->blame);
	assert_string_equal(servers->peer, "127.0.0.1");
	assert_int_equal(servers->thread_count, 0);
	assert_true(servers->oldest_close_wait_ms == SL_UNKNOWN);
	/* Worst first, and the sums are those of the process. */
	uint64_t open = 0, close_wait = 0, stuck = 0;
	for (uint32_t i = 0; i < snapshot.site_count; i++) {
		const struct sl_snapshot_site *s = &snapshot.sites[i];
		open += s->open;
		close_wait += s->close_wait;
		stuck += s->stuck;
		assert_true(i == 0 || s[-1].stuck > s->stuck ||
		            (s[-1].stuck == s->stuck && s[-1].close_wait >= s->close_wait));
	}
	assert_int_equal(open, snapshot.totals.open);
	assert_int_equal(close_wait, snapshot.totals.close_wait);
	assert_int_equal(stuck, snapshot.totals.stuck);
}

static void peers(void **state)
{
	(void)state;
	struct crowd one, two;
	crowd_open(&one, 4, site(1));
	crowd_open(&two, 6, site(2));
	/* Idle for about 0, 60 and 120 ms before the FIN: the middle one counts. */
	uint64_t began_ms = sl_clock_ms();
	for (unsigned i = 0; i < 3; i++) {
		while (sl_clock_ms() < began_ms + i * 60)
			usleep(1000);
		shutdown(two.servers[i], SHUT_WR);
		tcp_await_state(two.clients[i], TCP_CLOSE_WAIT);
	}
	uint64_t took_ms = sl_clock_ms() - began_ms;
	int dup_of_one = fcntl(one.clients[0], F_DUPFD_CLOEXEC, 100);
	assert_true(sl_fdtable_dup(one.clients[0], dup_of_one));
	gather_counted();
	const struct sl_snapshot_peer *worst = &snapshot.peers[0];
	assert_int_equal(snapshot.peer_count, 4);
	assert_int_equal(worst->direction, SL_DIRECTION_OUT);
	assert_string_equal(worst->address, "127.0.0.1");
	assert_int_equal(worst->port, two.port);
	assert_int_equal(worst->open, 6);
	assert_int_equal(worst->close_wait, 3);
	assert_int_equal(worst->established, 3);
	assert_true(worst->growth_per_min == SL_UNKNOWN);
	assert_true(worst->exhausted_in_ms == SL_UNKNOWN);
	assert_in_range(worst->idle_before_fin_ms_p50, 50, took_ms + 10);
	int64_t range = snapshot.limits.port_high - snapshot.limits.port_low + 1;
	struct sl_limits known;
	sl_limits_read(&known);
	/* Where the network is not ours alone, others may have had connections to the same place. */
	int64_t others = worst->ports.used - 6;
	assert_int_equal(worst->ports_left + taken() + others, range - known.ports_reserved - 6);
	assert_true(worst->ports.is_exact);
	assert_string_equal(worst->ports.source, "127.0.0.1");
	assert_int_equal(worst->ports.sources, 1);
	assert_int_equal(worst->ports.held, 6);
	assert_true(others >= 0);
	assert_true(worst->ports.time_wait <= others);
	const struct sl_snapshot_peer *fine = peer_row(SL_DIRECTION_OUT, one.port);
	assert_int_equal(fine->open, 4);
	assert_int_equal(fine->established, 4);
	assert_true(fine->idle_before_fin_ms_p50 == SL_UNKNOWN);
	const struct sl_snapshot_peer *inbound = peer_row(SL_DIRECTION_IN, two.port);
	assert_string_equal(inbound->address, "127.0.0.1");
	assert_int_equal(inbound->open, 6);
	assert_int_equal(inbound->established, 3);
	assert_true(inbound->ports_left == SL_UNKNOWN);
}

/* A connection that died holds no port any more; one whose peer nobody knows is not lost. */
static void peers_of_the_dead(void **state)
{
	(void)state;
	struct crowd crowd;
	struct tcp_pair unseen;
	crowd_open(&crowd, 3, site(1));
	gather_counted();
	int64_t left = peer_row(SL_DIRECTION_OUT, crowd.port)->ports_left + taken();
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(crowd.servers[0]);
	tcp_reset(crowd.servers[0]);
	sl_fdtable_commit(&forgotten);
	tcp_await_state(crowd.clients[0], TCP_CLOSE);
	tcp_open(&unseen);
	tcp_reset(unseen.server);
	tcp_await_state(unseen.client, TCP_CLOSE);
	await_deadline();
	gather_counted();
	await_deadline();
	gather_counted();
	const struct sl_snapshot_peer *known = peer_row(SL_DIRECTION_OUT, crowd.port);
	assert_int_equal(known->open, 3);
	assert_int_equal(known->stuck, 1);
	assert_int_equal(known->ports_left + taken(), left + 1);
	const struct sl_snapshot_peer *unknown = peer_row(SL_DIRECTION_UNKNOWN, SL_UNKNOWN);
	assert_null(unknown->address);
	assert_int_equal(unknown->open, 1);
	assert_int_equal(unknown->stuck, 1);
	assert_true(unknown->growth_per_min == SL_UNKNOWN);
	assert_int_equal(snapshot.totals.dead, 2);
	assert_int_equal(snapshot.totals.dead_stuck, 2);
}

/* From samples of the sweeps before: so many a minute, and when it will be over. */
static void growth(void **state)
{
	(void)state;
	struct crowd crowd;
	crowd_open(&crowd, 20, site(1));
	crowd_gone(&crowd, 2);
	sl_sweep(DEADLINE_MS, sl_clock_ms());
	sl_growth_sample(sl_clock_ms() - 60000); /* as if that had been a minute ago */
	crowd_gone(&crowd, 14);
	gather();
	const struct sl_snapshot_peer *peer = peer_row(SL_DIRECTION_OUT, crowd.port);
	assert_in_range(peer->growth_per_min, 11, 12);
	assert_int_equal(peer->exhausted_in_ms, peer->ports_left * 60000 / peer->growth_per_min);
	assert_int_equal(peer->ports.earliest_ms,
	                 peer->exhausted_in_ms / 2); /* one step says little */
	assert_true(peer->ports.latest_ms == SL_UNKNOWN);
	assert_int_equal(snapshot.totals.growth_per_min, peer->growth_per_min);
}

static void single_sockets(void **state)
{
	(void)state;
	struct crowd crowd;
	char local[64], peer[64];
	struct sockaddr_in at;
	socklen_t n = sizeof(at);
	sl_options.detail = 1;
	crowd_open(&crowd, 2, site(1));
	int copy = fcntl(crowd.clients[1], F_DUPFD_CLOEXEC, 100);
	assert_true(sl_fdtable_dup(crowd.clients[1], copy));
	assert_int_equal(write(crowd.servers[0], "12345", 5), 5);
	crowd_gone(&crowd, 1);
	assert_true(sl_fdtable_mark_now(crowd.clients[0], SL_FD_EOF, 0));
	gather();
	assert_int_equal(snapshot.socket_count, 6);
	const struct sl_snapshot_socket *s = socket_row(crowd.clients[0]);
	assert_int_equal(getsockname(crowd.clients[0], (struct sockaddr *)&at, &n), 0);
	snprintf(local, sizeof(local), "127.0.0.1:%u", ntohs(at.sin_port));
	snprintf(peer, sizeof(peer), "127.0.0.1:%u", crowd.port);
	assert_string_equal(s->local, local);
	assert_string_equal(s->peer, peer);
	assert_true(s->cookie == sl_kernel_cookie(crowd.clients[0]));
	assert_int_equal(s->state, TCP_CLOSE_WAIT);
	assert_int_equal(s->direction, SL_DIRECTION_OUT);
	assert_int_equal(s->site, site(1));
	assert_int_equal(s->cause, SL_CAUSE_UNREAD_DATA);
	assert_int_equal(s->unread_bytes, 5);
	assert_int_equal(s->unsent_bytes, 0);
	assert_in_range(s->close_wait_ms, 0, 5000);
	assert_in_range(s->quiet_ms, 0, 5000);
	assert_in_range(s->age_ms, 0, 5000);
	assert_true(s->eof_seen);
	assert_false(s->shared);
	assert_string_equal(s->thread, "pool-0");
	s = socket_row(crowd.clients[1]);
	assert_int_equal(s->cause, SL_CAUSE_NONE);
	assert_true(s->close_wait_ms == SL_UNKNOWN && s->quiet_ms == SL_UNKNOWN);
	assert_true(s->unread_bytes == SL_UNKNOWN && s->unsent_bytes == SL_UNKNOWN);
	assert_false(s->eof_seen);
	assert_true(s->shared && socket_row(copy)->shared);
	s = socket_row(crowd.listener);
	assert_int_equal(s->state, TCP_LISTEN);
	assert_null(s->peer);
	assert_null(s->thread);
	assert_string_equal(s->local, peer);
	s = socket_row(crowd.servers[1]);
	assert_int_equal(s->direction, SL_DIRECTION_IN);
}

static void listeners_with_a_backlog(void **state)
{
	(void)state;
	uint16_t ports[3];
	int listeners[3], clients[4];
	char local[64];
	for (int i = 0; i < 3; i++)
		listeners[i] = record(tcp_listen(i == 2, 7 + i, &ports[i]), SL_FD_LISTENING,
		                      SL_SITE_NO_STACK, NULL);
	clients[0] = tcp_connect(false, ports[0]);
	for (int i = 1; i < 4; i++)
		clients[i] = tcp_connect(true, ports[2]);
	gather();
	assert_int_equal(snapshot.totals.backlog, 4);
	assert_int_equal(snapshot.listener_count, 2);
	const struct sl_snapshot_listener *fullest = &snapshot.listeners[0];
	snprintf(local, sizeof(local), "[::]:%u", ports[2]);
	assert_int_equal(fullest->fd, listeners[2]);
	assert_string_equal(fullest->local, local);
	assert_int_equal(fullest->backlog, 3);
	assert_int_equal(fullest->limit, 9);
	assert_int_equal(fullest[1].fd, listeners[0]);
	assert_int_equal(fullest[1].backlog, 1);
	assert_true(clients[3] >= 0);
}

static void pressure(void **state)
{
	(void)state;
	struct sl_endpoint at = {.address = {[10] = 0xff, [11] = 0xff, 172, 21, 191, 100},
	                         .port = 8080};
	struct sl_pressure ports = {EADDRNOTAVAIL, sl_peer_intern(SL_DIRECTION_OUT, &at)};
	struct sl_pressure fds = {EMFILE, 0}, all_fds = {ENFILE, 0};
	gather_for(&ports);
	assert_string_equal(snapshot.pressure, "EADDRNOTAVAIL connecting to 172.21.191.100:8080");
	assert_int_not_equal(snapshot.verdict, SL_VERDICT_OK);
	gather_for(&fds);
	assert_string_equal(snapshot.pressure, "EMFILE");
	assert_int_equal(snapshot.pressure_error, EMFILE);
	gather_for(&all_fds);
	assert_string_equal(snapshot.pressure, "ENFILE");
	gather_for(&(struct sl_pressure){EADDRINUSE, 0}); /* bind()'s word for "no port left" */
	assert_string_equal(snapshot.pressure, "EADDRINUSE");
	gather();
	assert_int_equal(snapshot.pressure_error, 0);
}

/* ---- what was done ---- */

static int to_reclaim = -1;

/* As if the ladder had shut this one down. */
static void reclaim_one(void *context, const struct sl_suspect_view *view)
{
	(void)context;
	const struct sl_due due = {.view = *view};
	if (view->record.fd == to_reclaim)
		sl_reclaim_count_shutdown(&due);
}

static unsigned stops;

static void tell(const struct sl_event *event)
{
	stops += event->kind == SL_EVENT_STOPPED;
}

/* Of a site at which we have ended connections there is still a leak, however few are stuck now. */
static void what_was_ended(void **state)
{
	(void)state;
	struct crowd crowd;
	const uint32_t of = site(31);
	sl_options.detail = 1;
	sl_options.action = SL_ACTION_NEUTRALIZE;
	sl_options.dry_run = 1;
	crowd_open(&crowd, 10, of);
	crowd_gone(&crowd, 10);
	await_deadline();
	gather();
	assert_int_equal(site_row(of)->stuck, 10);
	assert_int_equal(site_row(of)->reclaimed, 0);
	assert_int_equal(snapshot.totals.shutdown, 0);
	assert_int_equal(socket_row(crowd.clients[0])->rung, SL_RUNG_NONE);
	assert_int_equal(snapshot.reclaim.action, SL_ACTION_NEUTRALIZE);
	assert_int_equal(snapshot.reclaim.asked, SL_ACTION_NEUTRALIZE);
	assert_true(snapshot.reclaim.is_dry_run);
	assert_false(snapshot.reclaim.is_stopped);
	for (int i = 0; i < 9; i++) {
		struct sl_fd_record at;
		assert_true(sl_fdtable_get(crowd.clients[i], &at));
		to_reclaim = crowd.clients[i];
		sl_suspects_each(reclaim_one, NULL);
		assert_true(sl_fdtable_mark_held(at.fd, at.generation, SL_MARK_ENDED));
		shutdown(crowd.clients[i], SHUT_RDWR);
		tcp_await_state(crowd.clients[i], TCP_CLOSE);
	}
	sl_options.dry_run = 0;
	gather();
	const struct sl_snapshot_site *row = site_row(of);
	assert_int_equal(row->stuck, 1);
	assert_int_equal(row->close_wait, 1);
	assert_int_equal(row->open, 10);
	assert_int_equal(row->reclaimed, 9);
	assert_int_equal(row->causes[SL_CAUSE_DEAD_BUT_OPEN], 0);
	/* What we ended counts as it would have: ten that lie there. */
	assert_int_equal(row->verdict, SL_SITE_BURST);
	assert_int_equal(snapshot.verdict, SL_VERDICT_BURST);
	assert_int_equal(snapshot.totals.shutdown, 9);
	/* The servers' own ends; what we shut down is not dead by itself. */
	assert_int_equal(snapshot.totals.dead,
	                 site_row(SL_SITE_NO_STACK)->causes[SL_CAUSE_DEAD_BUT_OPEN]);
	assert_int_equal(socket_row(crowd.clients[0])->rung, SL_RUNG_SHUTDOWN);
	assert_int_equal(socket_row(crowd.clients[0])->cause, SL_CAUSE_NONE);
	assert_int_equal(socket_row(crowd.clients[9])->rung, SL_RUNG_NONE);
	assert_int_equal(socket_row(crowd.servers[0])->rung, SL_RUNG_NONE);
	assert_false(snapshot.reclaim.is_dry_run);
	/* The program closes the tenth: nine of ours are left. */
	tcp_close_recorded(crowd.clients[9]);
	gather();
	assert_int_equal(site_row(of)->stuck, 0);
	assert_int_equal(site_row(of)->verdict, SL_SITE_UNKNOWN);
	sl_site_get(of)->reclaimed = 0;
}

static void regrets_and_rescues(void **state)
{
	(void)state;
	struct crowd crowd;
	const uint32_t of = site(32);
	sl_options.action = SL_ACTION_SHUTDOWN;
	crowd_open(&crowd, 3, of);
	sl_rescue_tell(true);
	sl_rescue_tell(false);
	sl_reclaim_absorbed();
	sl_reclaim_absorbed();
	for (int i = 0; i < 2; i++)
		sl_regret_note(crowd.clients[i],
		               atomic_load(&sl_fdtable_slot(crowd.clients[i])->head));
	sl_regret_drain(sl_clock_ms(), tell);
	gather();
	assert_int_equal(snapshot.totals.rescued, 1);
	assert_int_equal(snapshot.totals.regretted, 2);
	assert_int_equal(snapshot.totals.absorbed, 2);
	assert_int_equal(site_row(of)->regretted, 2);
	assert_int_equal(snapshot.reclaim.action, SL_ACTION_SHUTDOWN);
	assert_false(snapshot.reclaim.is_stopped);
	sl_regret_note(crowd.clients[2], atomic_load(&sl_fdtable_slot(crowd.clients[2])->head));
	sl_regret_drain(sl_clock_ms(), tell);
	assert_int_equal(stops, 1);
	gather();
	assert_int_equal(snapshot.totals.regretted, 3);
	assert_true(snapshot.reclaim.is_stopped);
	assert_int_equal(snapshot.reclaim.action, SL_ACTION_REPORT);
	assert_int_equal(snapshot.reclaim.asked, SL_ACTION_SHUTDOWN);
}

static void order(void **state)
{
	(void)state;
	const uint64_t rows[][3] = {{2, 0, 0}, {1, 9, 9}, {1, 9, 8},
	                            {1, 8, 9}, {0, 9, 9}, {0, 0, 0}};
	const size_t n = sizeof(rows) / sizeof(rows[0]);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			int order = sl_gather_worse(rows[i], rows[j]);
			assert_true(i < j ? order < 0 : i > j ? order > 0 : order == 0);
		}
}

/* What finds no memory is left out, and said. */
static void out_of_memory(void **state)
{
	(void)state;
	struct crowd crowd;
	const struct sl_pressure port = {EADDRNOTAVAIL, 1};
	crowd_open(&crowd, 10, site(1));
	sl_options.detail = 1;
	for (size_t limit = 1; limit <= 4u << 20; limit = limit * 3 / 2 + 4096) {
		struct sl_arena small = SL_ARENA(4096, limit);
		sl_gather(&small, SL_TRIGGER_PRESSURE, &port, &snapshot);
		if (snapshot.totals.open == 0)
			assert_true(snapshot.totals.dropped > 0);
		else
			assert_int_equal(snapshot.totals.open, 21);
		for (uint32_t i = 0; i < snapshot.site_count; i++)
			assert_true(snapshot.sites[i].thread_names == 0 ||
			            snapshot.sites[i].threads[0]);
		sl_arena_free(&small);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_at_all), TEST(totals),         TEST(limits),
		TEST(sites),          TEST(peers),          TEST(peers_of_the_dead),
		TEST(growth),         TEST(single_sockets), TEST(listeners_with_a_backlog),
		TEST(pressure),       TEST(what_was_ended), TEST(regrets_and_rescues),
		TEST(order),          TEST(out_of_memory),
	};
	own_net();
	return cmocka_run_group_tests(tests, start, NULL);
}
