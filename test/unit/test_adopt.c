/* test_adopt.c - sockets that nobody saw open are found among the fds, and nothing else is touched. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/ownfd.h"
#include "between.h"
#include "ledger/fdtable.h"
#include "ledger/sites.h"
#include "tcp.h"
#include "watch/adopt.h"
#include "watch/kernel.h"

static uint64_t adopted_before, opened_before, of_site_before;

static int start(void **state)
{
	(void)state;
	sl_sites_start();
	sl_clerk_start();
	return 0;
}

static uint64_t opened_of_site(void)
{
	return atomic_load(&sl_site_get(SL_SITE_ADOPTED)->opened);
}

/* Nothing is recorded, no number above stderr's is taken. */
static int set_up(void **state)
{
	(void)state;
	struct sl_fd_record record;
	int own;
	while ((own = sl_ownfd_first_in(0, INT32_MAX)) >= 0)
		sl_ownfd_close(own);
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1)
		sl_fdtable_drop(record.fd, record.generation);
	close_range(3, ~0u, 0);
	adopted_before = sl_fdtable_adopted();
	opened_before = sl_fdtable_opened(SL_KIND_TCP);
	of_site_before = opened_of_site();
	return 0;
}

static void assert_adopted(unsigned all, unsigned tcp)
{
	assert_int_equal(sl_fdtable_adopted() - adopted_before, all);
	assert_int_equal(sl_fdtable_opened(SL_KIND_TCP) - opened_before, tcp);
	assert_int_equal(opened_of_site() - of_site_before, tcp);
}

static uint32_t flags_of(int fd)
{
	struct sl_fd_record record;
	assert_true(sl_fdtable_get(fd, &record));
	assert_int_equal(record.site, SL_SITE_ADOPTED);
	return record.flags & ~(uint32_t)SL_FD_UNDATED;
}

static bool is_undated(int fd)
{
	struct sl_fd_record record;
	assert_true(sl_fdtable_get(fd, &record));
	return record.flags & SL_FD_UNDATED;
}

static bool is_recorded(int fd)
{
	struct sl_fd_record record;
	return sl_fdtable_get(fd, &record);
}

/* The fds of this process as readdir() lists them, without the one that lists. */
static int64_t count_fds(void)
{
	int64_t n = 0;
	const struct dirent *entry;
	DIR *directory = opendir("/proc/self/fd");
	assert_non_null(directory);
	while ((entry = readdir(directory)))
		n += entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(directory) &&
		     !sl_ownfd_is(atoi(entry->d_name));
	closedir(directory);
	return n;
}

/* Since when a socket is open is known where the fds were listed a short time before. */
static void found_after_a_gap(void **state)
{
	(void)state;
	const uint64_t first_ms = sl_clock_ms() + 2 * SL_ADOPT_GAP_MS;
	const uint64_t at_ms[] = {first_ms, first_ms + SL_ADOPT_GAP_MS, first_ms,
	                          first_ms + 2 * SL_ADOPT_GAP_MS + 1};
	const bool is_old[] = {true, false, false, true};
	for (size_t i = 0; i < sizeof(is_old) / sizeof(*is_old); i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(sl_adopt_scan(at_ms[i]) > 0);
		assert_int_equal(is_undated(fd), is_old[i]);
	}
}

static void every_state(void **state)
{
	(void)state;
	struct tcp_pair pair, dead;
	uint16_t port;
	tcp_open(&pair);
	tcp_open(&dead);
	tcp_reset(dead.server);
	tcp_await_state(dead.client, TCP_CLOSE);
	int fresh = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* The backlog is full: nobody answers the SYN. */
	int full = tcp_listen(false, 0, &port);
	int waiting = tcp_connect(false, port);
	int connecting = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(connecting, (struct sockaddr *)&to, sizeof(to)), -1);
	assert_int_equal(errno, EINPROGRESS);
	assert_int_equal(tcp_state(connecting), TCP_SYN_SENT);

	errno = 4711;
	assert_int_equal(sl_adopt_scan(sl_clock_ms()), count_fds());
	assert_int_equal(flags_of(pair.listener), SL_FD_ADOPTED | SL_FD_LISTENING);
	assert_int_equal(flags_of(pair.client), SL_FD_ADOPTED | SL_FD_CONNECTED);
	assert_int_equal(flags_of(pair.server), SL_FD_ADOPTED | SL_FD_CONNECTED);
	assert_int_equal(flags_of(dead.client), SL_FD_ADOPTED | SL_FD_CONNECTED);
	assert_int_equal(flags_of(waiting), SL_FD_ADOPTED | SL_FD_CONNECTED);
	assert_int_equal(flags_of(fresh), SL_FD_ADOPTED);
	assert_int_equal(flags_of(full), SL_FD_ADOPTED | SL_FD_LISTENING);
	assert_int_equal(flags_of(connecting), SL_FD_ADOPTED | SL_FD_OUT | SL_FD_CONNECTING);
	assert_adopted(9, 9);
}

static void other_kinds_and_no_sockets(void **state)
{
	(void)state;
	int unix_pair[2], pipe_fds[2];
	struct sl_fd_record record;
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, unix_pair), 0);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(sl_adopt_scan(sl_clock_ms()), count_fds());
	assert_true(sl_fdtable_get(udp, &record));
	assert_int_equal(record.kind, SL_KIND_UDP);
	assert_true(sl_fdtable_get(unix_pair[1], &record));
	assert_int_equal(record.kind, SL_KIND_UNIX);
	assert_false(is_recorded(file));
	assert_false(is_recorded(pipe_fds[0]));
	assert_adopted(3, 0);
}

static void what_is_recorded_stays(void **state)
{
	(void)state;
	struct tcp_pair pair;
	struct sl_fd_record before, after;
	tcp_open(&pair);
	tcp_record(pair.client, SL_FD_OUT | SL_FD_CONNECTED, SL_SITE_NO_STACK);
	tcp_record(pair.server, SL_FD_IN | SL_FD_CONNECTED, SL_SITE_NO_STACK);
	assert_true(sl_fdtable_get(pair.client, &before));
	struct sl_fd_forgotten closing = sl_fdtable_forget(pair.server); /* a close is under way */
	(void)sl_adopt_scan(sl_clock_ms());
	(void)sl_adopt_scan(sl_clock_ms());
	assert_true(sl_fdtable_get(pair.client, &after));
	assert_int_equal(after.generation, before.generation);
	assert_int_equal(after.flags, before.flags);
	assert_int_equal(after.site, SL_SITE_NO_STACK);
	assert_false(is_recorded(pair.server));
	sl_fdtable_put_back(&closing);
	assert_true(is_recorded(pair.server));
}

/* A number that was closed and given out again past the hooks is another socket: what was known of the first is over. */
static void a_number_that_is_another_socket_by_now(void **state)
{
	(void)state;
	int kept = socket(AF_INET, SOCK_STREAM, 0), gone = socket(AF_INET, SOCK_STREAM, 0);
	struct sl_fd_record record, after;
	for (int i = 0; i < 2; i++) {
		int fd = i ? gone : kept;
		tcp_record(fd, SL_FD_OUT, SL_SITE_NO_STACK);
		assert_true(sl_fdtable_get(fd, &record));
		sl_fdtable_identify(fd, record.generation, sl_kernel_cookie(fd), 1);
	}
	opened_before = sl_fdtable_opened(SL_KIND_TCP);
	assert_int_equal(close(gone), 0);
	assert_int_equal(socket(AF_INET, SOCK_STREAM, 0), gone);
	assert_true(sl_adopt_scan(sl_clock_ms()) > 0);
	assert_adopted(1, 1);
	assert_int_equal(flags_of(gone), SL_FD_ADOPTED);
	assert_true(sl_fdtable_get(gone, &after));
	assert_true(after.generation != record.generation && after.cookie == 0);
	assert_true(sl_fdtable_get(kept, &record));
	assert_int_equal(record.flags, SL_FD_OUT);
}

/* But not one that a hook has given a dead socket of its own: what is known of it holds its signal back. */
static void a_dead_socket_of_its_own_is_none(void **state)
{
	(void)state;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sl_fd_record record, after;
	tcp_record(fd, SL_FD_OUT, SL_SITE_NO_STACK);
	assert_true(sl_fdtable_get(fd, &record));
	sl_fdtable_identify(fd, record.generation, sl_kernel_cookie(fd), 1);
	assert_true(sl_fdtable_mark_held(fd, record.generation, SL_MARK_ENDED | SL_MARK_DEAD));
	assert_int_equal(close(fd), 0);
	assert_int_equal(socket(AF_INET, SOCK_STREAM, 0), fd);
	sl_fdtable_become_own(fd, record.generation);
	(void)sl_adopt_scan(sl_clock_ms());
	assert_true(sl_fdtable_get(fd, &after));
	assert_int_equal(after.generation, record.generation);
	assert_int_equal(after.marks, SL_MARK_ENDED);
}

/* As inetd starts its servers: one connection as stdin, stdout and stderr. */
static void one_socket_under_three_numbers(void **state)
{
	(void)state;
	struct tcp_pair pair;
	tcp_open(&pair);
	int copies[] = {fcntl(pair.server, F_DUPFD_CLOEXEC, 50),
	                fcntl(pair.server, F_DUPFD_CLOEXEC, 60)};
	(void)sl_adopt_scan(sl_clock_ms());
	assert_true(flags_of(pair.server) & SL_FD_DUPED);
	for (int i = 0; i < 2; i++)
		assert_int_equal(flags_of(copies[i]),
		                 SL_FD_ADOPTED | SL_FD_CONNECTED | SL_FD_DUPED);
	assert_adopted(3, 3); /* listener, client, server */
}

/* More than are looked at in one go. */
static void many(void **state)
{
	(void)state;
	enum { SOCKETS = 700 };
	static int fds[SOCKETS];
	for (int i = 0; i < SOCKETS; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fds[SOCKETS - 1] > 0);
	assert_int_equal(sl_adopt_scan(sl_clock_ms()), count_fds());
	for (int i = 0; i < SOCKETS; i++)
		assert_true(is_recorded(fds[i]));
	assert_adopted(SOCKETS, SOCKETS);
}

static void at_start(void **state)
{
	(void)state;
	struct tcp_pair pair;
	assert_int_equal(sl_adopt_at_start(sl_clock_ms()), 0);
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(sl_adopt_at_start(sl_clock_ms()), 0);
	tcp_open(&pair);
	assert_int_equal(sl_adopt_at_start(sl_clock_ms()), 3);
	assert_int_equal(sl_adopt_at_start(sl_clock_ms()), 0);
	assert_adopted(4, 3);
	/* It leaves nothing open. */
	int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(next, pair.server + 1);
	assert_true(udp >= 0);
}

static void our_own_are_not_counted(void **state)
{
	(void)state;
	int64_t before = count_fds();
	assert_true(sl_ownfd_take(dup(0)) >= SL_OWN_FD_FLOOR);
	assert_int_equal(sl_adopt_scan(sl_clock_ms()), before);
	assert_int_equal(sl_adopt_scan(sl_clock_ms()), before);
	assert_int_equal(count_fds(), before);
}

static void out_of_fds(void **state)
{
	(void)state;
	struct rlimit before, limit;
	assert_true(sl_adopt_scan(sl_clock_ms()) > 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int64_t fds = count_fds();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	int64_t found = sl_adopt_scan(sl_clock_ms());
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(found, fds);
	assert_true(is_recorded(fd));
}

static void a_child_looks_at_its_own(void **state)
{
	(void)state;
	int status;
	for (int i = 0; i < 20; i++)
		assert_true(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
	int64_t fds = sl_adopt_scan(sl_clock_ms());
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		sl_clerk_forked();
		sl_clerk_start();
		close_range(3, 12, 0);
		_exit(sl_adopt_scan(sl_clock_ms()) == fds - 10 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(sl_adopt_scan(sl_clock_ms()), fds);
}

/* A thread that is cancelled between the two phases leaves its socket open, and the record must come back. */
static void a_close_that_never_came(void **state)
{
	(void)state;
	struct sl_fd_record record;
	struct sl_fd_opening opening = {.kind = SL_KIND_TCP, .site = 7};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	sl_fdtable_prepare();
	assert_true(sl_fdtable_open(fd, &opening));
	(void)sl_fdtable_forget(fd);
	uint64_t now_ms = sl_clock_ms();
	(void)sl_adopt_scan(now_ms);
	(void)sl_adopt_scan(now_ms + 1000);
	assert_false(is_recorded(fd));
	(void)sl_adopt_scan(now_ms + 10000);
	assert_true(sl_fdtable_get(fd, &record));
	assert_int_equal(record.site, 7);
	assert_int_equal(sl_fdtable_adopted(), adopted_before);
}

/* A fork comes while another thread writes a record: in the child nobody goes on. */
static void a_record_that_is_never_finished(void **state)
{
	(void)state;
	struct sl_fd_record record;
	struct sl_fd_opening opening = {.kind = SL_KIND_TCP, .site = 7};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), other = dup(0);
	sl_fdtable_prepare();
	assert_true(sl_fdtable_open(fd, &opening));
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = atomic_load(&slot->head) - SL_FD_OPEN + SL_FD_OPENING;
	atomic_store(&slot->head, head);
	uint64_t now_ms = sl_clock_ms();
	(void)sl_adopt_scan(now_ms);
	(void)sl_adopt_scan(now_ms + 1000);
	assert_int_equal(atomic_load(&slot->head), head); /* perhaps it goes on */
	(void)sl_adopt_scan(now_ms + 10000);
	assert_true(sl_fdtable_get(fd, &record));
	assert_int_equal(record.site, SL_SITE_ADOPTED);
	assert_int_equal(sl_fdtable_adopted(), adopted_before + 1);
	/* What was finished meanwhile is not given up. */
	sl_fdtable_give_up(&(struct sl_fd_forgotten){fd, atomic_load(&slot->head)});
	sl_fdtable_give_up(&(struct sl_fd_forgotten){fd, head});
	sl_fdtable_give_up(&(struct sl_fd_forgotten){other, head});
	assert_true(is_recorded(fd));
	close(other);
}

/* What becomes of a number while the worker looks at it. */
enum fate {
	CLOSED,
	RECORDED,            /* its hook comes to its record */
	RECORDED_AND_CLOSED, /* ... and the program is quick */
	ANOTHER,             /* closed, and given out again past the hooks */
	FATES,
};

struct met {
	int fd;
	enum fate fate;
};

static void meet_fate(void *at)
{
	const struct met *met = at;
	struct sl_fd_opening opening = {
		.kind = SL_KIND_TCP, .site = 7, .opened_at_ms = sl_clock_ms()};
	struct sl_fd_forgotten closing = {.fd = -1};
	if (met->fate == RECORDED || met->fate == RECORDED_AND_CLOSED)
		(void)sl_fdtable_open(met->fd, &opening);
	if (met->fate == RECORDED_AND_CLOSED)
		closing = sl_fdtable_forget(met->fd);
	if (met->fate != RECORDED)
		close(met->fd);
	sl_fdtable_commit(&closing);
	if (met->fate == ANOTHER)
		(void)!socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC,
		              0); /* the lowest number: the same */
}

/* Are all counts as if each look had met what was there last? */
static bool is_counted_right(const struct met *met)
{
	struct sl_fd_record record;
	bool is_there = sl_fdtable_get(met->fd, &record);
	uint64_t adopted = sl_fdtable_adopted() - adopted_before;
	switch (met->fate) {
	case RECORDED:
		return is_there && record.site == 7 && adopted == 0;
	case ANOTHER:
		return is_there ? record.kind == SL_KIND_UDP && adopted == 1 : adopted == 0;
	default:
		return !is_there && adopted == 0;
	}
}

/* A fate at each place of a scan: 0, or 1 + the fate that was met badly. */
static int meet_each_fate(void)
{
	sl_clerk_forked();
	sl_clerk_start();
	sl_fdtable_prepare();
	if (!between_start())
		return 0;
	for (int fate = 0; fate < FATES; fate++) {
		bool has_run = true;
		for (unsigned n = 0; has_run; n++) {
			struct met met = {socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fate};
			adopted_before = sl_fdtable_adopted();
			between_set(n, meet_fate, &met);
			(void)sl_adopt_scan(sl_clock_ms());
			has_run = between_has_run();
			if (has_run && !is_counted_right(&met))
				return 1 + fate;
			if (!has_run && n < 4)
				return 1 + FATES; /* nothing was met */
			set_up(NULL);
		}
	}
	return 0;
}

static void a_number_changes_while_it_is_looked_at(void **state)
{
	(void)state;
	int status;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(meet_each_fate());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status >> 8, 0);
	assert_int_equal(status, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_state),
		TEST(found_after_a_gap),
		TEST(other_kinds_and_no_sockets),
		TEST(what_is_recorded_stays),
		TEST(a_number_that_is_another_socket_by_now),
		TEST(a_dead_socket_of_its_own_is_none),
		TEST(one_socket_under_three_numbers),
		TEST(many),
		TEST(at_start),
		TEST(our_own_are_not_counted),
		TEST(out_of_fds),
		TEST(a_child_looks_at_its_own),
		TEST(a_close_that_never_came),
		TEST(a_record_that_is_never_finished),
		TEST(a_number_changes_while_it_is_looked_at),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
