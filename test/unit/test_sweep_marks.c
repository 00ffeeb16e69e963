/* test_sweep_marks.c - sweeps over numbers that the ladder has been at: shut down, neutralized, and taken anew. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
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
#include "reclaim/dead.h"
#include "suspected.h"
#include "watch/kernel.h"
#include "watch/sweep.h"

#define DEADLINE 60000u

static struct tcp_pair pair;
static struct sl_arena arena = SL_ARENA(1u << 20, 0);
static struct sl_survey survey;

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
	sl_arena_free(&arena);
	alarm(60);
	suspected_open(&pair);
	return 0;
}

static void sweep(void)
{
	sl_sweep(DEADLINE, sl_clock_ms());
}

static void take_survey(void)
{
	sl_arena_free(&arena);
	sl_sweep_survey(DEADLINE, sl_clock_ms(), &arena, &survey);
}

static bool has_row(int fd)
{
	for (uint32_t i = 0; i < survey.count; i++)
		if (survey.rows[i].record.fd == fd)
			return true;
	return false;
}

static void shut_down(void)
{
	sweep(); /* it is identified, and a suspect */
	struct sl_target target = suspected_target(pair.client);
	assert_int_equal(sl_act_shutdown(&target), 0);
}

static void neutralize(void)
{
	shut_down();
	tcp_await_state(pair.client, TCP_CLOSE);
	struct sl_target target = suspected_target(pair.client);
	assert_int_equal(sl_act_neutralize(&target, true, false), 0);
}

struct views {
	struct sl_suspect_view of[8];
	unsigned count;
};

static void note_view(void *context, const struct sl_suspect_view *view)
{
	struct views *views = context;
	views->of[views->count++] = *view;
}

static unsigned suspects(void)
{
	struct views views = {.count = 0};
	sl_suspects_each(note_view, &views);
	return views.count;
}

/* What we ended stays a suspect, whatever state it is in, until the program closes it; it has a row, and is neither stuck nor dead. */
static void shut_down_by_us(void **state)
{
	(void)state;
	tcp_deafen(pair.server);
	shut_down();
	assert_int_equal(tcp_state(pair.client), TCP_LAST_ACK);
	for (int i = 0; i < 2; i++) {
		take_survey();
		assert_true(has_row(pair.client));
		assert_true(survey.rows[0].is_suspect);
		assert_false(survey.rows[0].suspicion.judgement.is_dead);
		assert_false(survey.rows[0].suspicion.judgement.is_stuck);
		assert_int_equal(suspects(), 1);
		sweep();
		assert_int_equal(suspects(), 1);
		if (i == 0) {
			tcp_close_recorded(pair.client);
			suspected_open(&pair);
			shut_down();
			tcp_await_state(pair.client, TCP_CLOSE);
		}
	}
	tcp_close_recorded(pair.client);
	sweep();
	assert_int_equal(suspects(), 0);
	assert_int_equal(sl_suspects_retracted(), 0);
}

/* The number is the program's, the connection is no more: no row, and no open socket to count. */
static void neutralized(void **state)
{
	(void)state;
	uint64_t cookie = sl_kernel_cookie(pair.client);
	neutralize();
	for (int i = 0; i < 3; i++) {
		take_survey();
		assert_false(has_row(pair.client));
		assert_int_equal(survey.count, 0);
		assert_int_equal(survey.by_kind[SL_KIND_TCP], 0);
		sweep();
		struct views views = {.count = 0};
		sl_suspects_each(note_view, &views);
		assert_int_equal(views.count, 1);
		assert_true(views.of[0].cookie == cookie);
		assert_int_equal(views.of[0].record.fd, pair.client);
		assert_int_equal(sl_suspects_stuck() + sl_suspects_close_wait(), 0);
	}
	/* Closed by the program as ever. */
	tcp_close_recorded(pair.client);
	sweep();
	assert_int_equal(suspects(), 0);
}

static bool is_recorded(void)
{
	struct sl_fd_record record;
	return sl_fdtable_get(pair.client, &record);
}

/* Woken past the hooks: found anew as what it is. */
static void revived(void **state)
{
	(void)state;
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(pair.port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	neutralize();
	sweep();
	assert_true(is_recorded());
	assert_int_equal(connect(pair.client, &nobody, sizeof(nobody)), 0);
	assert_int_equal(connect(pair.client, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(tcp_state(pair.client), TCP_ESTABLISHED);
	sweep();
	assert_false(is_recorded());
	assert_int_equal(suspects(), 0);
	assert_int_equal(tcp_state(pair.client), TCP_ESTABLISHED);
}

/* Closed past the hooks, and the number given out again. */
static void taken_by(int fd)
{
	neutralize();
	assert_int_equal(dup2(fd, pair.client), pair.client);
	sweep();
	assert_false(is_recorded());
	assert_int_equal(suspects(), 0);
	take_survey();
	assert_false(has_row(pair.client));
}

static void taken_by_a_fresh_socket(void **state)
{
	(void)state;
	taken_by(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static void taken_by_a_connection(void **state)
{
	(void)state;
	struct tcp_pair other;
	tcp_open(&other);
	taken_by(other.client);
}

static void taken_by_a_listener(void **state)
{
	(void)state;
	uint16_t port;
	taken_by(tcp_listen(false, 1, &port));
}

static void taken_by_a_file(void **state)
{
	(void)state;
	neutralize();
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(dup2(file, pair.client), pair.client);
	/* poll() has nothing to say of it: the survey asks. */
	take_survey();
	assert_false(is_recorded());
	assert_int_equal(suspects(), 0);
}

static void closed_past_the_hooks(void **state)
{
	(void)state;
	neutralize();
	close(pair.client);
	sweep();
	assert_false(is_recorded());
	assert_int_equal(suspects(), 0);
}

/* A dead socket of its own is the program's to do with as it likes: tracked as any other. */
static void one_of_its_own(void **state)
{
	(void)state;
	neutralize();
	assert_int_equal(sl_dead_become_own(pair.client), 0);
	take_survey();
	assert_true(has_row(pair.client));
	assert_int_equal(survey.by_kind[SL_KIND_TCP], 1);
	assert_int_equal(suspects(), 1);
	assert_int_equal(sl_suspects_stuck() + sl_suspects_close_wait(), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(shut_down_by_us),
		TEST(neutralized),
		TEST(revived),
		TEST(taken_by_a_fresh_socket),
		TEST(taken_by_a_connection),
		TEST(taken_by_a_listener),
		TEST(taken_by_a_file),
		TEST(closed_past_the_hooks),
		TEST(one_of_its_own),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
