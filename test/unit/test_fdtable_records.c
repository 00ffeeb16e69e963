/* test_fdtable_records.c - the fd table as one thread sees it: records, their two-phase end, the table's edges. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger/fdtable.h"
#include "ledger/peers.h"
#include "ledger/sites.h"
#include "ledger/threads.h"

/* Each test has chunks of its own: the table is one for the process. */
#define CHUNK(n) ((int)((n)*SL_FD_CHUNK_SLOTS))

static const struct sl_fd_opening tcp = {
	.kind = SL_KIND_TCP,
	.flags = SL_FD_IN,
	.site = 17,
	.dest = 23,
	.thread = 29,
	.opened_at_ms = 123456789012,
};

static void open_at(int fd, const struct sl_fd_opening *opening)
{
	sl_fdtable_prepare();
	assert_true(sl_fdtable_open(fd, opening));
}

static struct sl_fd_record record_at(int fd)
{
	struct sl_fd_record record;
	memset(&record, 0xa5, sizeof(record));
	assert_true(sl_fdtable_get(fd, &record));
	return record;
}

static bool is_open(int fd)
{
	struct sl_fd_record record;
	return sl_fdtable_get(fd, &record);
}

static void a_record_is_what_was_opened(void **state)
{
	(void)state;
	int fd = CHUNK(1) + 5;
	assert_false(is_open(fd));
	uint64_t opened = sl_fdtable_opened(SL_KIND_TCP);
	open_at(fd, &tcp);
	struct sl_fd_record r = record_at(fd);
	assert_int_equal(r.fd, fd);
	assert_int_equal(r.kind, SL_KIND_TCP);
	assert_int_equal(r.flags, SL_FD_IN);
	assert_int_equal(r.site, 17);
	assert_int_equal(r.dest, 23);
	assert_int_equal(r.thread, 29);
	assert_int_equal(r.opened_at_ms, 123456789012);
	assert_int_equal(r.last_io, 0);
	assert_int_equal(r.peer, 0);
	assert_int_equal(r.cookie, 0);
	assert_int_not_equal(r.generation, 0);
	assert_int_equal(sl_fdtable_opened(SL_KIND_TCP), opened + 1);
	assert_true(sl_fdtable_is_used());
	/* The neighbours have nothing. */
	assert_false(is_open(fd - 1));
	assert_false(is_open(fd + 1));
}

/* The largest values that the tables above can give, side by side in one slot. */
static void a_record_holds_the_largest_values(void **state)
{
	(void)state;
	int fd = CHUNK(1) + 6;
	struct sl_fd_opening most = {
		.kind = SL_KIND_OTHER,
		.flags = UINT32_MAX,
		.site = SL_SITES_MAX,
		.dest = SL_PEER_OVERFLOW,
		.thread = SL_THREADS_MAX - 1,
		.opened_at_ms = (1ULL << SL_TIME_BITS) - 1,
	};
	open_at(fd, &most);
	struct sl_fd_record r = record_at(fd);
	assert_int_equal(r.kind, SL_KIND_OTHER);
	assert_int_equal(r.flags, UINT32_MAX);
	assert_int_equal(r.site, SL_SITES_MAX);
	assert_int_equal(r.dest, SL_PEER_OVERFLOW);
	assert_int_equal(r.eof_site, 0);
	assert_int_equal(r.thread, SL_THREADS_MAX - 1);
	assert_int_equal(r.opened_at_ms, (1ULL << SL_TIME_BITS) - 1);
	sl_fdtable_set_eof_site(fd, r.generation, SL_SITES_MAX);
	assert_int_equal(record_at(fd).eof_site, SL_SITES_MAX);
	assert_int_equal(record_at(fd).dest, SL_PEER_OVERFLOW);
	open_at(fd, &tcp);
	assert_int_equal(record_at(fd).site, 17);
	assert_int_equal(record_at(fd).opened_at_ms, 123456789012);
	assert_int_equal(record_at(fd).eof_site, 0);
	/* Of the record before: too late. */
	sl_fdtable_set_eof_site(fd, r.generation, 5);
	assert_int_equal(record_at(fd).eof_site, 0);
	/* Connected anew: that end is no longer its own. */
	sl_fdtable_set_eof_site(fd, record_at(fd).generation, 5);
	sl_fdtable_set_dest(fd, 7);
	assert_int_equal(record_at(fd).eof_site, 0);
	assert_int_equal(record_at(fd).dest, 7);
}

/* Also where nobody saw the old one close. */
static void opening_again_is_a_new_generation(void **state)
{
	(void)state;
	int fd = CHUNK(2);
	open_at(fd, &tcp);
	struct sl_fd_record first = record_at(fd);
	sl_fdtable_identify(fd, first.generation, 99, 5);
	sl_fd_touch(sl_fdtable_slot(fd), SL_IO_READ);
	sl_fdtable_mark(fd, first.generation, SL_FD_EOF, 0);
	struct sl_fd_opening other = {.kind = SL_KIND_UDP, .site = 3};
	open_at(fd, &other);
	struct sl_fd_record second = record_at(fd);
	assert_int_not_equal(second.generation, first.generation);
	assert_int_equal(second.kind, SL_KIND_UDP);
	assert_int_equal(second.flags, 0);
	assert_int_equal(second.dest, 0);
	assert_int_equal(second.last_io, 0);
	assert_int_equal(second.peer, 0);
	assert_int_equal(second.cookie, 0);
}

static void generations_wrap_past_zero(void **state)
{
	(void)state;
	int fd = CHUNK(2) + 1;
	open_at(fd, &tcp);
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	/* As after 4,294,967,294 openings of this number. */
	atomic_store(&slot->head, 0xfffffffeULL << 32);
	atomic_store(&slot->flags, 0xfffffffeULL << 32);
	atomic_store(&slot->origin, 0xfffffffeULL << 32);
	atomic_store(&slot->dest, 0xfffffffeULL << 32);
	atomic_store(&slot->opened_at, 0xfffffeULL << SL_TIME_BITS);
	open_at(fd, &tcp);
	assert_int_equal(record_at(fd).generation, UINT32_MAX);
	assert_int_equal(record_at(fd).site, 17);
	struct sl_fd_opening next = {.kind = SL_KIND_TCP, .site = 4, .opened_at_ms = 44};
	open_at(fd, &next);
	assert_int_equal(record_at(fd).generation, 1);
	assert_int_equal(record_at(fd).site, 4);
	assert_int_equal(record_at(fd).opened_at_ms, 44);
	sl_fdtable_mark(fd, 1, SL_FD_EOF, 0);
	assert_int_equal(record_at(fd).flags, SL_FD_EOF);
}

static void forget_ends_a_record_in_two_phases(void **state)
{
	(void)state;
	int fd = CHUNK(3);
	open_at(fd, &tcp);
	struct sl_fd_record before = record_at(fd);
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
	assert_int_equal(forgotten.fd, fd);
	assert_false(is_open(fd));
	assert_int_equal(sl_fdtable_forget(fd).fd, -1); /* another close of the same number */
	assert_false(sl_fdtable_mark_now(fd, SL_FD_EOF, 0));

	sl_fdtable_put_back(&forgotten);
	struct sl_fd_record after = record_at(fd);
	assert_memory_equal(&before, &after, sizeof(before));

	forgotten = sl_fdtable_forget(fd);
	sl_fdtable_commit(&forgotten);
	assert_false(is_open(fd));
	sl_fdtable_put_back(&forgotten); /* too late */
	assert_false(is_open(fd));
}

static void a_late_end_does_not_touch_the_next_record(void **state)
{
	(void)state;
	int fd = CHUNK(3) + 1;
	struct sl_fd_opening second = {.kind = SL_KIND_TCP, .site = 2};
	open_at(fd, &tcp);
	uint32_t generation = record_at(fd).generation;
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
	open_at(fd, &second);
	sl_fdtable_commit(&forgotten);
	assert_int_equal(record_at(fd).site, 2);
	sl_fdtable_put_back(&forgotten);
	assert_int_equal(record_at(fd).site, 2);
	sl_fdtable_drop(fd, generation);
	assert_int_equal(record_at(fd).site, 2);
	sl_fdtable_mark(fd, generation, SL_FD_EOF, 0);
	sl_fdtable_identify(fd, generation, 77, 7);
	assert_int_equal(record_at(fd).flags, 0);
	assert_int_equal(record_at(fd).peer, 0);
	assert_int_equal(record_at(fd).cookie, 0);
	sl_fdtable_drop(fd, record_at(fd).generation);
	assert_false(is_open(fd));
}

static void nothing_recorded_is_fine(void **state)
{
	(void)state;
	static const int fds[] = {CHUNK(4), CHUNK(4) + 1, CHUNK(SL_FD_CHUNKS),
	                          -1,       INT_MIN,      INT_MAX};
	struct sl_fd_record record;
	open_at(CHUNK(4) + 2, &tcp); /* one chunk that is there */
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		int fd = fds[i];
		struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
		assert_int_equal(forgotten.fd, -1);
		sl_fdtable_commit(&forgotten);
		sl_fdtable_put_back(&forgotten);
		sl_fdtable_drop(fd, 1);
		sl_fdtable_mark(fd, 1, SL_FD_EOF, 0);
		assert_false(sl_fdtable_mark_now(fd, SL_FD_EOF, 0));
		sl_fdtable_set_dest(fd, 3);
		sl_fdtable_identify(fd, 1, 3, 3);
		assert_false(sl_fdtable_dup(fd, CHUNK(4) + 9));
		assert_false(is_open(CHUNK(4) + 9));
		assert_false(sl_fdtable_get(fd, &record));
		assert_true(!sl_fdtable_slot(fd) || i < 2);
	}
	assert_false(sl_fdtable_next(-1, &record));
	assert_false(sl_fdtable_next(CHUNK(SL_FD_CHUNKS), &record));
	assert_false(sl_fdtable_next(INT_MAX, &record));
}

static void numbers_far_beyond_have_their_place(void **state)
{
	(void)state;
	static const int fds[] = {0, 1023, 1 << 20, (1 << 20) - 1, CHUNK(SL_FD_CHUNKS) - 1};
	uint64_t dropped = sl_fdtable_dropped();
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		struct sl_fd_opening o = {.kind = SL_KIND_TCP, .site = i + 1};
		open_at(fds[i], &o);
	}
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		assert_int_equal(record_at(fds[i]).site, i + 1);
		sl_fdtable_drop(fds[i], record_at(fds[i]).generation);
	}
	assert_int_equal(sl_fdtable_dropped(), dropped);
}

static void what_finds_no_room_is_counted(void **state)
{
	(void)state;
	uint64_t dropped = sl_fdtable_dropped(), opened = sl_fdtable_opened(SL_KIND_TCP);
	uint64_t adopted = sl_fdtable_adopted();
	sl_fdtable_prepare();
	assert_false(sl_fdtable_open(CHUNK(SL_FD_CHUNKS), &tcp));
	assert_false(sl_fdtable_open(INT_MAX, &tcp));
	assert_false(sl_fdtable_adopt(INT_MAX, &tcp));
	open_at(CHUNK(5), &tcp);
	assert_false(sl_fdtable_dup(CHUNK(5), INT_MAX));
	assert_int_equal(sl_fdtable_dropped(), dropped + 4);
	assert_int_equal(sl_fdtable_opened(SL_KIND_TCP), opened + 1);
	assert_int_equal(sl_fdtable_adopted(), adopted);
	/* No descriptor, so nothing to be dropped. */
	assert_false(sl_fdtable_open(-1, &tcp));
	assert_false(sl_fdtable_adopt(INT_MIN, &tcp));
	assert_int_equal(sl_fdtable_dropped(), dropped + 4);
}

/* Without sl_fdtable_prepare() the chunks at hand run out: counted, and over once there is memory again. */
static void a_chunk_needs_preparation(void **state)
{
	(void)state;
	uint64_t dropped = sl_fdtable_dropped();
	int chunk = 100;
	while (chunk < 200 && sl_fdtable_open(CHUNK(chunk), &tcp))
		chunk++;
	assert_in_range(chunk, 101, 199);
	assert_int_equal(sl_fdtable_dropped(), dropped + 1);
	assert_null(sl_fdtable_slot(CHUNK(chunk)));
	assert_true(sl_fdtable_open(CHUNK(100) + 1023, &tcp)); /* this chunk is there */
	open_at(CHUNK(chunk), &tcp);
	assert_true(is_open(CHUNK(chunk)));
}

/* In a child, whose limit ends with it. */
static void no_memory_is_no_crash(void **state)
{
	(void)state;
	pid_t child = fork();
	if (child == 0) {
		const struct rlimit none = {0, 0};
		uint64_t dropped = sl_fdtable_dropped();
		if (setrlimit(RLIMIT_AS, &none) != 0)
			_exit(2);
		int chunk = 300;
		for (; chunk < 400; chunk++) {
			sl_fdtable_prepare();
			if (!sl_fdtable_open(CHUNK(chunk), &tcp))
				break;
		}
		_exit(chunk < 400 && sl_fdtable_dropped() == dropped + 1 ? 0 : 1);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void adopting_never_replaces(void **state)
{
	(void)state;
	int fd = CHUNK(6);
	struct sl_fd_opening found = {
		.kind = SL_KIND_TCP, .flags = SL_FD_ADOPTED, .site = SL_SITE_ADOPTED};
	uint64_t adopted = sl_fdtable_adopted(), opened = sl_fdtable_opened(SL_KIND_TCP);
	open_at(fd, &tcp);
	assert_false(sl_fdtable_adopt(fd, &found));
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
	assert_false(sl_fdtable_adopt(fd, &found)); /* its close is under way */
	sl_fdtable_commit(&forgotten);
	assert_int_equal(sl_fdtable_adopted(), adopted);
	assert_true(sl_fdtable_adopt(fd, &found));
	assert_false(sl_fdtable_adopt(fd, &found));
	assert_int_equal(record_at(fd).site, SL_SITE_ADOPTED);
	assert_int_equal(sl_fdtable_adopted(), adopted + 1);
	assert_int_equal(sl_fdtable_opened(SL_KIND_TCP), opened + 2);
}

/* The worker found the number in /proc after the hook's real call, and was first to record it. */
static void an_adoption_of_a_hooks_own_socket_is_retracted(void **state)
{
	(void)state;
	static const struct {
		uint64_t adopted_ms, opened_ms;
		bool is_closed, is_same;
	} rows[] = {
		{50000, 50001, false, true},
		{50001, 50000, false, true}, /* the hook had read the clock already */
		{50000, 60000, false, true},
		{50000, 60001, false, false}, /* long ago: closed past the hooks */
		{60001, 50000, false, false},
		{50000, 50001, true, false},
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = CHUNK(6) + 10 + (int)i;
		struct sl_fd_opening found = {.kind = SL_KIND_TCP,
		                              .flags = SL_FD_ADOPTED,
		                              .site = SL_SITE_ADOPTED,
		                              .opened_at_ms = rows[i].adopted_ms};
		struct sl_fd_opening seen = {
			.kind = SL_KIND_UDP, .site = 9, .opened_at_ms = rows[i].opened_ms};
		uint64_t adopted = sl_fdtable_adopted(),
			 tcp_opened = sl_fdtable_opened(SL_KIND_TCP);
		uint64_t udp_opened = sl_fdtable_opened(SL_KIND_UDP);
		uint64_t site_opened = sl_site_get(SL_SITE_ADOPTED)->opened;
		assert_true(sl_fdtable_adopt(fd, &found));
		sl_site_count_opened(SL_SITE_ADOPTED, 0);
		if (rows[i].is_closed) {
			struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
			sl_fdtable_commit(&forgotten);
		}
		open_at(fd, &seen);
		unsigned stays = rows[i].is_same ? 0 : 1;
		assert_int_equal(sl_fdtable_adopted(), adopted + stays);
		assert_int_equal(sl_fdtable_opened(SL_KIND_TCP), tcp_opened + stays);
		assert_int_equal(sl_fdtable_opened(SL_KIND_UDP), udp_opened + 1);
		assert_int_equal(sl_site_get(SL_SITE_ADOPTED)->opened, site_opened + stays);
		assert_int_equal(record_at(fd).site, 9);
		/* Of a record that is not an adoption nothing is taken back. */
		open_at(fd, &seen);
		assert_int_equal(sl_fdtable_opened(SL_KIND_UDP), udp_opened + 2);
	}
}

static void a_duplicate_is_the_same_socket(void **state)
{
	(void)state;
	int from = CHUNK(7), to = CHUNK(8) + 1023;
	open_at(from, &tcp);
	uint64_t opened = sl_fdtable_opened(SL_KIND_TCP);
	sl_fdtable_mark_now(from, SL_FD_CONNECTED, SL_FD_IN);
	sl_fdtable_set_dest(from, 4711);
	sl_fdtable_set_eof_site(from, record_at(from).generation, 5);
	sl_fdtable_prepare();
	assert_true(sl_fdtable_dup(from, to));
	struct sl_fd_record copy = record_at(to), original = record_at(from);
	assert_int_equal(original.flags, SL_FD_CONNECTED | SL_FD_DUPED);
	assert_int_equal(copy.flags, original.flags);
	assert_int_equal(copy.kind, original.kind);
	assert_int_equal(copy.site, original.site);
	assert_int_equal(copy.dest, 4711);
	assert_int_equal(copy.eof_site, 5);
	assert_int_equal(copy.thread, original.thread);
	assert_int_equal(copy.opened_at_ms, original.opened_at_ms);
	assert_int_equal(sl_fdtable_opened(SL_KIND_TCP), opened);
	/* From here on each has its own life. */
	sl_fdtable_drop(from, original.generation);
	assert_false(is_open(from));
	assert_true(is_open(to));
}

static void marks_set_and_clear(void **state)
{
	(void)state;
	int fd = CHUNK(9);
	open_at(fd, &tcp);
	uint32_t generation = record_at(fd).generation;
	sl_fdtable_mark(fd, generation, SL_FD_OUT | SL_FD_CONNECTING, SL_FD_IN);
	assert_int_equal(record_at(fd).flags, SL_FD_OUT | SL_FD_CONNECTING);
	assert_true(sl_fdtable_mark_now(fd, SL_FD_CONNECTED, SL_FD_CONNECTING));
	assert_int_equal(record_at(fd).flags, SL_FD_OUT | SL_FD_CONNECTED);
	sl_fdtable_set_dest(fd, 8);
	assert_int_equal(record_at(fd).dest, 8);
	sl_fdtable_identify(fd, generation, 0x123456789abcdef0, 12);
	assert_int_equal(record_at(fd).cookie, 0x123456789abcdef0);
	assert_int_equal(record_at(fd).peer, 12);
	assert_int_equal(record_at(fd).generation, generation);
}

static void touching_notes_the_tick_and_the_call(void **state)
{
	(void)state;
	int fd = CHUNK(9) + 1;
	open_at(fd, &tcp);
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint32_t tick = sl_fd_tick;
	sl_fd_touch(slot, SL_IO_READ);
	assert_int_equal(record_at(fd).last_io, tick << SL_IO_BITS | SL_IO_READ);
	sl_fd_touch(slot, SL_IO_WRITE);
	assert_int_equal(record_at(fd).last_io, tick << SL_IO_BITS | SL_IO_WRITE);
	sl_fd_tick++;
	sl_fd_touch(slot, SL_IO_WRITE);
	assert_int_equal(record_at(fd).last_io, (tick + 1) << SL_IO_BITS | SL_IO_WRITE);
}

/* Chunks 20, 21 and 23; none at 22. */
static void ranges_reach_over_chunks(void **state)
{
	(void)state;
	static const int fds[] = {CHUNK(20) + 3, CHUNK(20) + 4, CHUNK(21),    CHUNK(21) + 1023,
	                          CHUNK(23),     CHUNK(23) + 1, CHUNK(23) + 2};
	for (int i = 0; i < 7; i++)
		open_at(fds[i], &tcp);
	sl_fdtable_forget_range((unsigned)fds[1], (unsigned)fds[5]);
	for (int i = 0; i < 7; i++)
		assert_int_equal(is_open(fds[i]), i == 0 || i == 6);
	sl_fdtable_settle_range((unsigned)fds[1], (unsigned)fds[5], false);
	for (int i = 0; i < 7; i++)
		assert_int_equal(record_at(fds[i]).site, 17);

	sl_fdtable_forget_range((unsigned)fds[2], UINT_MAX);
	sl_fdtable_settle_range((unsigned)fds[2], UINT_MAX, true);
	for (int i = 0; i < 7; i++)
		assert_int_equal(is_open(fds[i]), i < 2);
	assert_true(sl_fdtable_adopt(fds[3], &tcp)); /* free indeed */

	sl_fdtable_forget_range((unsigned)fds[1],
	                        (unsigned)fds[0]); /* the wrong way round: nothing */
	sl_fdtable_forget_range(UINT_MAX, UINT_MAX);
	assert_true(is_open(fds[0]) && is_open(fds[1]));
}

static void a_walk_meets_each_open_record_once(void **state)
{
	(void)state;
	static const int fds[] = {CHUNK(30), CHUNK(30) + 1, CHUNK(30) + 1023, CHUNK(31),
	                          CHUNK(35) + 7};
	struct sl_fd_record record;
	for (int i = 0; i < 5; i++)
		open_at(fds[i], &tcp);
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(fds[1]);
	int met[5] = {0}, n = 0;
	for (int at = CHUNK(30); sl_fdtable_next(at, &record) && record.fd < CHUNK(36);
	     at = record.fd + 1)
		met[n++ % 5] = record.fd;
	sl_fdtable_commit(&forgotten);
	const int wanted[5] = {fds[0], fds[2], fds[3], fds[4], 0};
	assert_int_equal(n, 4);
	assert_memory_equal(met, wanted, sizeof(met));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_what_was_opened),
		cmocka_unit_test(a_record_holds_the_largest_values),
		cmocka_unit_test(opening_again_is_a_new_generation),
		cmocka_unit_test(generations_wrap_past_zero),
		cmocka_unit_test(forget_ends_a_record_in_two_phases),
		cmocka_unit_test(a_late_end_does_not_touch_the_next_record),
		cmocka_unit_test(nothing_recorded_is_fine),
		cmocka_unit_test(numbers_far_beyond_have_their_place),
		cmocka_unit_test(what_finds_no_room_is_counted),
		cmocka_unit_test(a_chunk_needs_preparation),
		cmocka_unit_test(no_memory_is_no_crash),
		cmocka_unit_test(adopting_never_replaces),
		cmocka_unit_test(an_adoption_of_a_hooks_own_socket_is_retracted),
		cmocka_unit_test(a_duplicate_is_the_same_socket),
		cmocka_unit_test(marks_set_and_clear),
		cmocka_unit_test(touching_notes_the_tick_and_the_call),
		cmocka_unit_test(ranges_reach_over_chunks),
		cmocka_unit_test(a_walk_meets_each_open_record_once),
	};
	sl_sites_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
