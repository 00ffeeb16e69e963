/* test_fdmarks.c - the marks of a record, and the hold: while the worker acts nobody ends the record, and no write is under way. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/process.h"
#include "base/sys.h"
#include "child.h"
#include "ledger/fdtable.h"
#include "racers.h"
#include "tcp.h"

/* Each test has a chunk of its own: the table is one for the process. */
#define CHUNK(n) ((int)((n)*SL_FD_CHUNK_SLOTS))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct sl_fd_opening tcp = {.kind = SL_KIND_TCP, .site = 17, .opened_at_ms = 1};

static uint32_t open_at(int fd)
{
	struct sl_fd_record record;
	sl_fdtable_prepare();
	assert_true(sl_fdtable_open(fd, &tcp));
	assert_true(sl_fdtable_get(fd, &record));
	return record.generation;
}

static uint32_t marks_at(int fd)
{
	struct sl_fd_record record;
	assert_true(sl_fdtable_get(fd, &record));
	return record.marks;
}

static uint64_t head_at(int fd)
{
	return atomic_load(&sl_fdtable_slot(fd)->head);
}

static uint32_t writers_at(int fd)
{
	return sl_fdtable_writers(sl_fdtable_slot(fd), sl_fd_generation_of(head_at(fd)));
}

static void end(int fd)
{
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
	assert_int_equal(forgotten.fd, fd);
	sl_fdtable_commit(&forgotten);
}

/* ---- marks ---- */

static void a_new_record_has_no_marks(void **state)
{
	(void)state;
	int fd = CHUNK(1);
	uint32_t generation = open_at(fd);
	assert_int_equal(marks_at(fd), 0);
	assert_true(sl_fdtable_guard(fd, generation));
	assert_true(sl_fdtable_guard(fd, generation)); /* again: nothing to do */
	assert_int_equal(marks_at(fd), SL_MARK_GUARDED);
	uint32_t next = open_at(fd); /* closed past the hooks, and opened */
	assert_int_equal(marks_at(fd), 0);
	assert_false(sl_fdtable_guard(fd, generation));
	assert_int_equal(marks_at(fd), 0);
	assert_true(sl_fdtable_guard(fd, next));
	end(fd);
	assert_int_equal(head_at(fd) & SL_MARKS, 0);
	(void)open_at(fd);
	assert_int_equal(marks_at(fd), 0);
}

/* The other words of the head stay as they are, and the record is none the worse. */
static void marks_leave_the_record_alone(void **state)
{
	(void)state;
	int fd = CHUNK(1) + 1;
	uint32_t generation = open_at(fd);
	sl_fdtable_mark(fd, generation, SL_FD_OUT | SL_FD_OWN_KEEPALIVE, 0);
	assert_true(sl_fdtable_mark_held(fd, generation, SL_MARKS & ~(uint32_t)SL_MARK_HELD));
	struct sl_fd_record record;
	assert_true(sl_fdtable_get(fd, &record));
	assert_int_equal(record.kind, SL_KIND_TCP);
	assert_int_equal(record.generation, generation);
	assert_int_equal(record.flags, SL_FD_OUT | SL_FD_OWN_KEEPALIVE);
	assert_int_equal(record.site, 17);
	assert_int_equal(record.marks, SL_MARKS & ~(uint32_t)SL_MARK_HELD);
}

static void marks_are_for_an_open_record_of_that_generation(void **state)
{
	(void)state;
	static const int nowhere[] = {CHUNK(2) + 9, CHUNK(900), CHUNK(SL_FD_CHUNKS), -1, INT_MIN};
	int fd = CHUNK(2);
	uint32_t generation = open_at(fd);
	assert_false(sl_fdtable_guard(fd, generation + 1));
	assert_false(sl_fdtable_mark_held(fd, generation - 1, SL_MARK_ENDED));
	sl_fdtable_unmark(fd, generation + 1);
	sl_fdtable_become_own(fd, generation + 1);
	sl_fdtable_release(fd, generation + 1);
	assert_int_equal(marks_at(fd), 0);
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
	assert_false(sl_fdtable_guard(fd, generation)); /* its close is under way */
	sl_fdtable_commit(&forgotten);
	assert_false(sl_fdtable_guard(fd, generation));
	assert_int_equal(head_at(fd) & SL_MARKS, 0);
	for (size_t i = 0; i < COUNT_OF(nowhere); i++) {
		assert_false(sl_fdtable_guard(nowhere[i], 1));
		assert_false(sl_fdtable_mark_held(nowhere[i], 1, SL_MARK_ENDED));
		assert_int_equal(sl_fdtable_hold(nowhere[i], 1, SL_IO_ANY), -ESTALE);
		assert_false(sl_fdtable_regret(nowhere[i], 1ULL << 32));
		assert_false(sl_fdtable_absorb(nowhere[i]));
		sl_fdtable_unmark(nowhere[i], 1);
		sl_fdtable_become_own(nowhere[i], 1);
	}
}

static void a_close_that_fails_keeps_the_marks(void **state)
{
	(void)state;
	const uint32_t marks = SL_MARK_GUARDED | SL_MARK_PROBED | SL_MARK_ENDED;
	int fd = CHUNK(2) + 1;
	uint32_t generation = open_at(fd);
	assert_true(sl_fdtable_mark_held(fd, generation, marks));
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
	assert_int_equal(forgotten.head & SL_MARKS, marks); /* a write under way still sees them */
	sl_fdtable_put_back(&forgotten);
	assert_int_equal(marks_at(fd), marks);
	sl_fdtable_forget_range((unsigned)fd, (unsigned)fd);
	sl_fdtable_settle_range((unsigned)fd, (unsigned)fd, false);
	assert_int_equal(marks_at(fd), marks);
	sl_fdtable_forget_range((unsigned)fd, (unsigned)fd);
	sl_fdtable_settle_range((unsigned)fd, (unsigned)fd, true);
	assert_int_equal(head_at(fd) & SL_MARKS, 0);
}

static void a_duplicate_has_the_marks_of_its_socket(void **state)
{
	(void)state;
	const uint32_t marks = SL_MARK_GUARDED | SL_MARK_ENDED | SL_MARK_DEAD | SL_MARK_REGRETTED;
	int from = CHUNK(3), to = CHUNK(3) + 1;
	uint32_t generation = open_at(from);
	(void)open_at(to); /* what was there goes, marks and all */
	assert_true(sl_fdtable_mark_now(to, SL_FD_OUT, 0));
	assert_true(sl_fdtable_mark_held(from, generation, marks));
	assert_int_equal(sl_fdtable_hold(from, generation, SL_IO_ANY), 0);
	assert_true(sl_fdtable_dup(from, to));
	assert_int_equal(marks_at(to), marks); /* not held: the worker knows nothing of it */
	assert_int_equal(marks_at(from), marks | SL_MARK_HELD);
	sl_fdtable_release(from, generation);
	end(from);
	assert_int_equal(marks_at(to), marks);
}

static void a_socket_that_begins_anew_loses_its_marks(void **state)
{
	(void)state;
	int fd = CHUNK(3) + 2;
	uint32_t generation = open_at(fd);
	assert_true(sl_fdtable_mark_held(fd, generation, SL_MARK_GUARDED | SL_MARK_DEAD));
	sl_fdtable_become_own(fd, generation);
	assert_int_equal(marks_at(fd), SL_MARK_GUARDED);
	assert_true(sl_fdtable_mark_held(fd, generation, SL_MARK_ENDED | SL_MARK_REGRETTED));
	assert_int_equal(sl_fdtable_hold(fd, generation, SL_IO_ANY), 0);
	sl_fdtable_unmark(fd, generation);
	assert_int_equal(marks_at(fd), SL_MARK_HELD); /* the worker's own business */
	sl_fdtable_release(fd, generation);
	assert_int_equal(marks_at(fd), 0);
}

static void regret_is_told_once_for_each_socket(void **state)
{
	(void)state;
	int fd = CHUNK(3) + 3;
	uint32_t generation = open_at(fd);
	uint64_t head = head_at(fd); /* as a write saw it before the worker marked it */
	assert_true(sl_fdtable_mark_held(fd, generation, SL_MARK_GUARDED | SL_MARK_ENDED));
	assert_true(sl_fdtable_regret(fd, head));
	assert_int_equal(marks_at(fd), SL_MARK_GUARDED | SL_MARK_ENDED | SL_MARK_REGRETTED);
	assert_false(sl_fdtable_regret(fd, head));
	assert_false(sl_fdtable_regret(fd, head_at(fd)));
	(void)open_at(fd); /* the next one at that number has nothing to do with it */
	assert_false(sl_fdtable_regret(fd, head));
	assert_int_equal(marks_at(fd), 0);
	assert_true(sl_fdtable_regret(fd, head_at(fd)));
}

/* A write that fails while another thread closes the number: the close must still end the record. */
static void regret_does_not_stop_a_close(void **state)
{
	(void)state;
	int fd = CHUNK(3) + 4;
	uint32_t generation = open_at(fd);
	assert_true(sl_fdtable_mark_held(fd, generation, SL_MARK_ENDED));
	uint64_t head = head_at(fd);
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
	(void)sl_fdtable_regret(fd, head);
	sl_fdtable_commit(&forgotten);
	assert_int_equal(sl_fd_state_of(head_at(fd)), SL_FD_FREE);
	assert_int_equal(head_at(fd) & SL_MARKS, 0);
	(void)sl_fdtable_regret(fd, head);
	assert_int_equal(head_at(fd) & SL_MARKS, 0);
}

/* ---- holding ---- */

static void a_record_is_held_until_its_release(void **state)
{
	(void)state;
	int fd = CHUNK(4);
	uint32_t generation = open_at(fd);
	assert_int_equal(sl_fdtable_hold(fd, generation + 1, SL_IO_ANY), -ESTALE);
	assert_int_equal(marks_at(fd), 0);
	assert_int_equal(sl_fdtable_hold(fd, generation, SL_IO_ANY), 0);
	assert_int_equal(marks_at(fd), SL_MARK_HELD);
	assert_true(sl_fdtable_mark_held(fd, generation, SL_MARK_ENDED));
	sl_fdtable_release(fd, generation);
	assert_int_equal(marks_at(fd), SL_MARK_ENDED);
	end(fd);
	assert_int_equal(sl_fdtable_hold(fd, generation, SL_IO_ANY), -ESTALE);
	assert_int_equal(head_at(fd) & SL_MARKS, 0);
}

/* Of a record that was written anew, past the hooks, nothing is marked and nothing stays held. */
static void a_held_number_may_be_recorded_anew(void **state)
{
	(void)state;
	int fd = CHUNK(4) + 1;
	uint32_t generation = open_at(fd);
	assert_int_equal(sl_fdtable_hold(fd, generation, SL_IO_ANY), 0);
	uint32_t next = open_at(fd);
	assert_int_not_equal(next, generation);
	assert_false(sl_fdtable_mark_held(fd, generation, SL_MARK_ENDED));
	sl_fdtable_release(fd, generation);
	assert_int_equal(marks_at(fd), 0);
	assert_int_equal(sl_fdtable_hold(fd, next, SL_IO_ANY), 0);
	sl_fdtable_release(fd, next);
}

static void a_call_under_way_or_since_forbids_it(void **state)
{
	(void)state;
	int fd = CHUNK(4) + 2;
	uint32_t generation = open_at(fd);
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	sl_fd_touch(slot, SL_IO_READ);
	uint32_t seen = atomic_load(&slot->last_io);
	assert_int_equal(sl_fdtable_hold(fd, generation, seen), 0);
	sl_fdtable_release(fd, generation);

	uint64_t head = sl_fdtable_write_begin(slot);
	assert_int_equal(sl_fdtable_hold(fd, generation, seen), -EBUSY);
	assert_int_equal(marks_at(fd), 0);
	assert_int_equal(sl_fdtable_hold(fd, generation, SL_IO_ANY), 0);
	sl_fdtable_release(fd, generation);
	sl_fdtable_write_end(slot, head);

	sl_fd_touch(slot, SL_IO_WRITE);
	assert_int_equal(sl_fdtable_hold(fd, generation, seen), -EBUSY);
	assert_int_equal(marks_at(fd), 0);
	assert_int_equal(sl_fdtable_hold(fd, generation, SL_IO_ANY), 0);
	sl_fdtable_release(fd, generation);
	assert_int_equal(sl_fdtable_hold(fd, generation, atomic_load(&slot->last_io)), 0);
	sl_fdtable_release(fd, generation);
	uint64_t before_ms = sl_clock_ms(); /* what failed has left nothing to wait for */
	end(fd);
	assert_true(sl_clock_ms() - before_ms < 500);
}

/* A thread that never came back from its write is counted until the number is recorded anew, and no longer. */
static void what_was_left_behind_ends_with_the_record(void **state)
{
	(void)state;
	int fd = CHUNK(4) + 5;
	uint32_t generation = open_at(fd);
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t left = sl_fdtable_write_begin(slot);
	sl_fdtable_write_end(slot, sl_fdtable_write_begin(slot));
	assert_int_equal(writers_at(fd), 1);
	assert_int_equal(sl_fdtable_hold(fd, generation, 0), -EBUSY);
	end(fd);
	uint32_t next = open_at(fd);
	assert_int_equal(writers_at(fd), 0);
	assert_int_equal(sl_fdtable_hold(fd, next, 0), 0);
	sl_fdtable_release(fd, next);
	uint64_t head = sl_fdtable_write_begin(slot);
	assert_int_equal(sl_fd_generation_of(head), next);
	sl_fdtable_write_end(slot, left); /* it comes back after all: no other's count is its own */
	assert_int_equal(writers_at(fd), 1);
	assert_int_equal(sl_fdtable_hold(fd, next, 0), -EBUSY);
	sl_fdtable_write_end(slot, head);
	assert_int_equal(writers_at(fd), 0);
	end(fd);
}

/* However many are left behind, they are of this record alone, and of no other word of it. */
static void any_number_may_be_left_behind(void **state)
{
	(void)state;
	int fd = CHUNK(4) + 6;
	uint32_t generation = open_at(fd);
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = head_at(fd);
	for (unsigned i = 0; i < 3u << SL_WRITER_BITS; i++)
		head = sl_fdtable_write_begin(slot);
	for (unsigned i = 0; i < 3u << SL_WRITER_BITS; i++)
		sl_fdtable_write_end(slot, head);
	assert_true(writers_at(fd) > 0);
	assert_int_equal(sl_fdtable_hold(fd, generation, 0), -EBUSY);
	assert_int_equal(head_at(fd), head);
	generation = open_at(fd);
	assert_int_equal(sl_fdtable_hold(fd, generation, 0), 0);
	sl_fdtable_release(fd, generation);
	end(fd);
}

/* ---- copies ---- */

static uint32_t last_io_at(int fd)
{
	struct sl_fd_record record;
	assert_true(sl_fdtable_get(fd, &record));
	return record.last_io;
}

/* Whoever is about to act has not seen the copy: what he looked at is not as it was. */
static void a_copy_under_way_forbids_it(void **state)
{
	(void)state;
	int fd = CHUNK(4) + 10;
	uint32_t generation = open_at(fd);
	for (enum sl_io io = SL_IO_NONE; io <= SL_IO_WRITE; io++) {
		if (io != SL_IO_NONE)
			sl_fd_touch(sl_fdtable_slot(fd), io);
		uint32_t seen = last_io_at(fd);
		atomic_fetch_add(&sl_fd_tick, 1);
		sl_fdtable_copying(fd);
		if (io == SL_IO_NONE) { /* nothing is about to be done to it */
			assert_int_equal(last_io_at(fd), seen);
			assert_true(sl_fdtable_guard(fd, generation));
			sl_fdtable_copying(fd);
		}
		assert_int_equal(last_io_at(fd),
		                 sl_fd_tick << SL_IO_BITS | io); /* what was last stays known */
		assert_int_equal(sl_fdtable_hold(fd, generation, seen), -EBUSY);
		/* last_io says so as well, but it would not say it of a second one. */
		assert_int_equal(sl_fdtable_hold(fd, generation, last_io_at(fd)), -EBUSY);
		sl_fdtable_met(fd, generation);
		assert_int_equal(sl_fdtable_hold(fd, generation, last_io_at(fd)), 0);
		sl_fdtable_release(fd, generation);
	}
	end(fd);
	sl_fdtable_copying(fd);
	sl_fdtable_copying(-1);
	sl_fdtable_copying(INT_MAX);
	assert_int_equal(head_at(fd) & SL_MARKS, 0);
}

/* Flags that belong to the description reach all its numbers, and no other's. */
static void flags_reach_all_copies(void **state)
{
	(void)state;
	int fd = CHUNK(4) + 20;
	(void)open_at(fd);
	sl_fdtable_mark_all_of(fd, SL_FD_STDIO, 0);
	struct sl_fd_opening other = tcp;
	other.site = 18;
	assert_true(sl_fdtable_open(fd + 1, &other));
	assert_true(sl_fdtable_dup(fd + 1, fd + 2));
	(void)open_at(fd + 3); /* of the same site and time, but no copy */
	assert_true(sl_fdtable_dup(fd, CHUNK(5) + 900));
	assert_true(sl_fdtable_dup(CHUNK(5) + 900, fd + 4));
	sl_fdtable_mark_all_of(fd + 4, SL_FD_PASSED, 0);
	static const struct {
		int fd;
		bool is_of_it;
	} numbers[] = {{CHUNK(4) + 20, true},  {CHUNK(4) + 21, false}, {CHUNK(4) + 22, false},
	               {CHUNK(4) + 23, false}, {CHUNK(4) + 24, true},  {CHUNK(5) + 900, true}};
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		struct sl_fd_record record;
		assert_true(sl_fdtable_get(numbers[i].fd, &record));
		assert_int_equal(record.flags & (SL_FD_PASSED | SL_FD_STDIO),
		                 numbers[i].is_of_it ? SL_FD_PASSED | SL_FD_STDIO : 0);
		assert_int_equal(record.marks, 0);
	}
	sl_fdtable_mark_all_of(fd + 9, SL_FD_PASSED, 0);
	sl_fdtable_mark_all_of(-1, SL_FD_PASSED, 0);
}

/* ---- a number that we closed ---- */

static void a_late_close_is_absorbed_once(void **state)
{
	(void)state;
	int fd = CHUNK(5);
	struct sl_fd_record record;
	uint32_t generation = open_at(fd);
	assert_false(sl_fdtable_absorb(fd));
	assert_true(sl_fdtable_mark_held(fd, generation, SL_MARK_ENDED | SL_MARK_DEAD));
	assert_int_equal(sl_fdtable_hold(fd, generation, SL_IO_ANY), 0);
	sl_fdtable_release_closed(fd, generation);
	assert_false(sl_fdtable_get(fd, &record));
	assert_int_equal(head_at(fd) & SL_MARKS, SL_MARK_LATE | SL_MARK_DEAD);
	assert_int_equal(sl_fdtable_forget(fd).fd, -1);
	assert_true(sl_fdtable_absorb(fd));
	assert_false(sl_fdtable_absorb(fd));
	assert_int_equal(head_at(fd) & SL_MARKS, 0);
}

/* Whatever lives at the number meanwhile: the program's own close() of what we closed is still to come. */
static void a_late_close_stays_late_when_the_number_is_used_again(void **state)
{
	(void)state;
	for (int how = 0; how < 4; how++) {
		int fd = CHUNK(5) + 10 + how;
		uint32_t generation = open_at(fd);
		assert_int_equal(sl_fdtable_hold(fd, generation, SL_IO_ANY), 0);
		sl_fdtable_release_closed(fd, generation);
		if (how == 0) {
			uint32_t next = open_at(fd);
			sl_fdtable_unmark(fd, next);
			assert_int_equal(marks_at(fd), SL_MARK_LATE);
			end(fd);
		} else if (how == 1) {
			assert_true(sl_fdtable_adopt(fd, &tcp));
			sl_fdtable_drop(fd, generation + 1);
		} else if (how == 2) {
			(void)open_at(fd - 5);
			assert_true(sl_fdtable_dup(fd - 5, fd));
			assert_true(sl_fdtable_dup(fd, fd - 4)); /* that is another number */
			assert_false(sl_fdtable_absorb(fd - 4));
			end(fd);
		} else {
			(void)open_at(fd);
			sl_fdtable_forget_range((unsigned)fd, (unsigned)fd);
			sl_fdtable_settle_range((unsigned)fd, (unsigned)fd, true);
		}
		assert_int_equal(head_at(fd) & SL_MARKS, SL_MARK_LATE);
		assert_true(sl_fdtable_absorb(fd));
		assert_false(sl_fdtable_absorb(fd));
		assert_int_equal(head_at(fd) & SL_MARKS, 0);
	}
}

/* Two threads close the number at once: one ends what lives there now, the other was late. */
static void a_late_close_does_not_stop_another(void **state)
{
	(void)state;
	int fd = CHUNK(5) + 19;
	uint32_t generation = open_at(fd);
	assert_int_equal(sl_fdtable_hold(fd, generation, SL_IO_ANY), 0);
	sl_fdtable_release_closed(fd, generation);
	(void)open_at(fd);
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
	assert_int_equal(forgotten.fd, fd);
	assert_true(sl_fdtable_absorb(fd));
	sl_fdtable_commit(&forgotten);
	assert_int_equal(sl_fd_state_of(head_at(fd)), SL_FD_FREE);
	assert_true(sl_fdtable_adopt(fd, &tcp));
}

/* Between our close() and the note of it the number may have been given out again. */
static void a_close_of_ours_that_was_overtaken_leaves_the_next_alone(void **state)
{
	(void)state;
	int fd = CHUNK(5) + 20;
	uint32_t generation = open_at(fd);
	assert_int_equal(sl_fdtable_hold(fd, generation, SL_IO_ANY), 0);
	uint32_t next = open_at(fd);
	sl_fdtable_release_closed(fd, generation);
	struct sl_fd_record record;
	assert_true(sl_fdtable_get(fd, &record) && record.generation == next);
	assert_int_equal(record.marks & ~(uint32_t)SL_MARK_LATE, 0);
	assert_int_equal(sl_fdtable_hold(fd, next, SL_IO_ANY), 0);
	sl_fdtable_release(fd, next);
	end(fd);
}

/* ---- who waits ---- */

struct waiting {
	int fd;
	_Atomic bool has_begun;
	_Atomic bool is_over;
	struct sl_fd_forgotten forgotten;
};

static void *forget(void *context)
{
	struct waiting *waiting = context;
	atomic_store(&waiting->has_begun, true);
	waiting->forgotten = sl_fdtable_forget(waiting->fd);
	atomic_store(&waiting->is_over, true);
	return NULL;
}

static bool has_begun(void *context)
{
	return atomic_load(&((struct waiting *)context)->has_begun);
}

/* Hold, let another thread forget, release: what it got. */
static struct sl_fd_forgotten forget_while_held(int fd, bool is_closed)
{
	struct waiting waiting = {.fd = fd};
	pthread_t thread;
	uint32_t generation = open_at(fd);
	assert_int_equal(sl_fdtable_hold(fd, generation, SL_IO_ANY), 0);
	assert_int_equal(pthread_create(&thread, NULL, forget, &waiting), 0);
	await(has_begun, &waiting, "a thread to start");
	give_way();
	assert_false(atomic_load(&waiting.is_over));
	assert_true(sl_fdtable_mark_held(fd, generation, SL_MARK_ENDED));
	uint64_t before_ms = sl_clock_ms();
	if (is_closed)
		sl_fdtable_release_closed(fd, generation);
	else
		sl_fdtable_release(fd, generation);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(sl_clock_ms() - before_ms < 500);
	return waiting.forgotten;
}

static void who_ends_the_record_waits_for_the_release(void **state)
{
	(void)state;
	int fd = CHUNK(6);
	struct sl_fd_forgotten forgotten = forget_while_held(fd, false);
	assert_int_equal(forgotten.fd, fd);
	assert_int_equal(forgotten.head & SL_MARKS, SL_MARK_ENDED);
	sl_fdtable_commit(&forgotten);
	assert_int_equal(sl_fd_state_of(head_at(fd)), SL_FD_FREE);
	forgotten =
		forget_while_held(fd, true); /* we have closed it: there is no record any more */
	assert_int_equal(forgotten.fd, -1);
	assert_true(sl_fdtable_absorb(fd));
}

/* There the waiting thread may make no system call, and has to wait all the same. */
static void wait_in_a_sandbox(void)
{
	int fd = CHUNK(6) + 1;
	sl_process_sandboxed();
	for (int i = 0; i < 20; i++) {
		struct waiting waiting = {.fd = fd};
		struct sl_fd_record record;
		pthread_t thread;
		sl_fdtable_prepare();
		CHECK(sl_fdtable_open(fd, &tcp) && sl_fdtable_get(fd, &record));
		CHECK(sl_fdtable_hold(fd, record.generation, SL_IO_ANY) == 0);
		CHECK(pthread_create(&thread, NULL, forget, &waiting) == 0);
		while (!has_begun(&waiting))
			sched_yield();
		give_way();
		CHECK(!atomic_load(&waiting.is_over));
		sl_fdtable_release(fd, record.generation);
		CHECK(pthread_join(thread, NULL) == 0 && waiting.forgotten.fd == fd);
	}
}

static void in_a_sandbox_it_waits_too(void **state)
{
	(void)state;
	in_child(wait_in_a_sandbox);
}

/* An action may be held up for long, on a busy machine or by a signal: to close before it ends would let it hit what comes next. */
static void it_waits_as_long_as_it_takes(void **state)
{
	(void)state;
	struct waiting waiting = {.fd = CHUNK(6) + 49};
	pthread_t thread;
	uint32_t generation = open_at(waiting.fd);
	assert_int_equal(sl_fdtable_hold(waiting.fd, generation, SL_IO_ANY), 0);
	assert_int_equal(pthread_create(&thread, NULL, forget, &waiting), 0);
	await(has_begun, &waiting, "a thread to start");
	for (uint64_t until_ms = sl_clock_ms() + 1200; sl_clock_ms() < until_ms;)
		give_way();
	assert_false(atomic_load(&waiting.is_over));
	sl_fdtable_release(waiting.fd, generation);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(waiting.forgotten.fd, waiting.fd);
}

/* In a sandbox the filter may have ended the worker: nobody waits for ever, nor a second time. */
static void pass_in_a_sandbox(void)
{
	int fd = CHUNK(6) + 50;
	struct sl_fd_record record;
	sl_fdtable_prepare();
	CHECK(sl_fdtable_open(fd, &tcp) && sl_fdtable_get(fd, &record));
	CHECK(sl_fdtable_hold(fd, record.generation, SL_IO_ANY) == 0);
	sl_process_sandboxed();
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
	CHECK(forgotten.fd == fd);
	sl_fdtable_put_back(&forgotten);
	CHECK(sl_fdtable_get(fd, &record) && record.marks == 0);
	uint64_t before_ms = sl_clock_ms();
	CHECK(sl_fdtable_forget(fd).fd == fd);
	CHECK(sl_clock_ms() - before_ms < 500);
	sl_fdtable_release(fd, record.generation); /* it was only slow */
	CHECK((head_at(fd) & SL_MARKS) == 0);
}

static void in_a_sandbox_a_hold_without_end_is_passed(void **state)
{
	(void)state;
	if (RACE_IS_WATCHED) {
		print_message("a long spin, too slow under ThreadSanitizer: left out\n");
		skip();
	}
	in_child(pass_in_a_sandbox);
}

/* A child that no fork handler told of learns it by asking: the action is its parent's. A child of vfork has no worker to wait for
 * either, for as long as the memory is its parent's. */
static void children_do_not_wait(void)
{
	int fd = CHUNK(6) + 51, status = -1;
	struct sl_fd_record record;
	sl_process_start(sl_fdtable_forked);
	sl_fdtable_prepare();
	CHECK(sl_fdtable_open(fd, &tcp) && sl_fdtable_get(fd, &record));
	CHECK(sl_fdtable_hold(fd, record.generation, SL_IO_ANY) == 0);
	long child = SL_SYS5(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (child == 0)
		(void)SL_SYS1(SYS_exit_group, sl_fdtable_forget(fd).fd == fd ? 0 : 1);
	CHECK(SL_SYS4(SYS_wait4, child, &status, 0, NULL) == child && status == 0);
	if (!RACE_IS_WATCHED) {         /* ThreadSanitizer makes a fork() of it */
		pid_t sharer = vfork(); /* NOLINT: what it shares is what is tested */
		if (sharer == 0)
			_exit(sl_fdtable_await_release(sl_fdtable_slot(fd)) ? 1 : 0);
		CHECK(SL_SYS4(SYS_wait4, sharer, &status, 0, NULL) == sharer && status == 0);
	}
	CHECK(sl_fdtable_get(fd, &record) && record.marks == SL_MARK_HELD);
	sl_fdtable_release(fd, record.generation);
	CHECK(sl_fdtable_await_release(sl_fdtable_slot(fd)));
}

static void a_child_does_not_wait_for_its_parents_action(void **state)
{
	(void)state;
	in_child(children_do_not_wait);
}

/* ---- fork ---- */

#define HELD_FIRST (CHUNK(7) + 1000) /* over two chunks */

static uint32_t held_generations[SL_HELD_MAX];

static void child_goes_on(void)
{
	uint64_t start_ms = sl_clock_ms();
	sl_fdtable_forked();
	for (int i = 0; i < SL_HELD_MAX; i++) {
		int fd = HELD_FIRST + 3 * i;
		struct sl_fd_record record;
		CHECK(sl_fdtable_get(fd, &record) && record.generation == held_generations[i]);
		CHECK(record.marks == SL_MARK_GUARDED);
		CHECK(sl_fdtable_hold(fd, record.generation, record.last_io) ==
		      0); /* its own worker */
		sl_fdtable_release(fd, record.generation);
		CHECK(sl_fdtable_forget(fd).fd == fd);
	}
	CHECK(sl_clock_ms() - start_ms < 500);
}

static void in_a_forked_child_nothing_is_held(void **state)
{
	(void)state;
	for (int i = 0; i < SL_HELD_MAX; i++) {
		int fd = HELD_FIRST + 3 * i;
		held_generations[i] = open_at(fd);
		assert_true(sl_fdtable_guard(fd, held_generations[i]));
		/* A thread that the child has not is in a write. */
		if (i % 2)
			(void)sl_fdtable_write_begin(sl_fdtable_slot(fd));
		assert_int_equal(sl_fdtable_hold(fd, held_generations[i], SL_IO_ANY), 0);
	}
	in_child(child_goes_on);
	for (int i = 0; i < SL_HELD_MAX; i++) {
		int fd = HELD_FIRST + 3 * i;
		assert_int_equal(marks_at(fd), SL_MARK_GUARDED | SL_MARK_HELD);
		assert_int_equal(writers_at(fd), (unsigned)i % 2);
		atomic_store(&sl_fdtable_slot(fd)->writers, 0);
		sl_fdtable_release(fd, held_generations[i]);
		assert_int_equal(marks_at(fd), SL_MARK_GUARDED);
	}
}

/* ---- the worker against closers, dup2() and writers ---- */

#define RACE_FDS 4
#define RACE_CLOSERS \
	2 /* index 1, 2; then the writers. Each has numbers of its own: the kernel gives none out twice */
#define RACE_WRITERS 2
#define RACE_THREADS (1 + RACE_CLOSERS + RACE_WRITERS)
#define RACE_HOLDS RACE_ROUNDS(60000u)
#define RACE_MS 3000 /* on a busy machine */

struct action {
	int first;
	_Atomic bool is_done;
	_Atomic uint32_t acting[RACE_FDS]; /* the generation that the worker acts on; 0: none */
	_Atomic uint32_t
		inside[RACE_FDS][RACE_WRITERS]; /* the generation that each writes to; 0: none */
	_Atomic unsigned ended_while_held;
	_Atomic unsigned written_while_held;
	unsigned held, lost_marks;
};

/* A write that began at an earlier record of the number is that one's. */
static unsigned count_writes(struct action *action, unsigned at, uint32_t generation)
{
	unsigned writes = 0;
	for (unsigned i = 0; i < RACE_WRITERS; i++)
		writes += atomic_load(&action->inside[at][i]) == generation;
	return writes;
}

/* As the worker does: look, hold, act, mark, release. */
static void act_on(struct action *action, unsigned at)
{
	struct sl_fd_record record, after;
	int fd = action->first + (int)at;
	atomic_fetch_add(&sl_fd_tick, 1);
	if (!sl_fdtable_get(fd, &record) || !sl_fdtable_guard(fd, record.generation) ||
	    sl_fdtable_hold(fd, record.generation, record.last_io) != 0)
		return;
	atomic_store(&action->acting[at], record.generation);
	action->written_while_held += count_writes(action, at, record.generation);
	bool is_marked = sl_fdtable_mark_held(fd, record.generation, SL_MARK_ENDED);
	bool is_closing = action->held++ % 8 == 0;
	sched_yield();
	action->written_while_held += count_writes(action, at, record.generation);
	atomic_store(&action->acting[at], 0);
	if (is_closing)
		sl_fdtable_release_closed(fd, record.generation);
	else
		sl_fdtable_release(fd, record.generation);
	if (sl_fdtable_get(fd, &after) && after.generation == record.generation)
		action->lost_marks += is_closing || (is_marked && !(after.marks & SL_MARK_ENDED)) ||
		                      (after.marks & SL_MARK_HELD);
}

/* close(), then a new socket; or dup2() over the number. */
static void close_and_open(struct action *action, unsigned index, unsigned i)
{
	unsigned at = (i * RACE_CLOSERS + index) % RACE_FDS;
	int fd = action->first + (int)at;
	struct sl_fd_forgotten forgotten = sl_fdtable_forget(fd);
	if (forgotten.fd >= 0) /* else the worker has closed it */
		action->ended_while_held +=
			atomic_load(&action->acting[at]) == sl_fd_generation_of(forgotten.head);
	if (i % 5 == 0) {
		sl_fdtable_put_back(&forgotten);
		return;
	}
	if (i % 2 && sl_fdtable_dup(action->first + (int)((i + 1) % RACE_FDS), fd))
		return;
	sl_fdtable_commit(&forgotten);
	(void)sl_fdtable_absorb(fd);
	if (i % 3 == 0)
		sched_yield();
	sl_fdtable_prepare();
	(void)sl_fdtable_open(fd, &tcp);
}

/* As hooks/guarded.c does. */
static void write_guarded(struct action *action, unsigned writer, unsigned i)
{
	unsigned at = i % RACE_FDS;
	int fd = action->first + (int)at;
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = sl_fdtable_write_begin(slot);
	uint32_t generation = sl_fd_generation_of(head);
	atomic_store(&action->inside[at][writer], generation);
	action->written_while_held += atomic_load(&action->acting[at]) == generation;
	if (sl_fd_state_of(head) == SL_FD_OPEN && i % 64 == 0)
		sl_fd_touch(slot, SL_IO_WRITE);
	if (head & SL_MARK_ENDED)
		(void)sl_fdtable_regret(fd, head);
	atomic_store(&action->inside[at][writer], 0);
	if (i % 509 == 0) /* and sometimes it never comes back */
		return;
	sl_fdtable_write_end(slot, head);
	if (i % 16 == 0)
		sched_yield();
}

static void action_racer(unsigned index, void *context)
{
	struct action *action = context;
	uint64_t until_ms = sl_clock_ms() + RACE_MS;
	for (unsigned i = 0; index == 0 && i < RACE_HOLDS && sl_clock_ms() < until_ms; i++)
		act_on(action, i % RACE_FDS);
	if (index == 0)
		atomic_store(&action->is_done, true);
	for (unsigned i = index; !atomic_load(&action->is_done); i++)
		if (index <= RACE_CLOSERS)
			close_and_open(action, index, i);
		else
			write_guarded(action, index - RACE_CLOSERS - 1, i);
}

static void while_the_worker_acts_nobody_closes_or_writes(void **state)
{
	(void)state;
	struct action action = {.first = CHUNK(10)};
	for (int i = 0; i < RACE_FDS; i++)
		(void)open_at(action.first + i);
	race(RACE_THREADS, action_racer, &action);
	assert_int_equal(action.ended_while_held, 0);
	assert_int_equal(action.written_while_held, 0);
	assert_int_equal(action.lost_marks, 0);
	assert_true(action.held > 10); /* or nothing was tried */
	for (int i = 0; i < RACE_FDS; i++) {
		struct sl_fd_slot *slot = sl_fdtable_slot(action.first + i);
		assert_int_equal(sl_fdtable_writers(slot, open_at(action.first + i)), 0);
		assert_false(head_at(action.first + i) & SL_MARK_HELD);
		assert_int_not_equal(sl_fd_state_of(head_at(action.first + i)), SL_FD_CLOSING);
	}
}

static int set_up(void **state)
{
	(void)state;
	alarm(120);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_record_has_no_marks),
		cmocka_unit_test(marks_leave_the_record_alone),
		cmocka_unit_test(marks_are_for_an_open_record_of_that_generation),
		cmocka_unit_test(a_close_that_fails_keeps_the_marks),
		cmocka_unit_test(a_duplicate_has_the_marks_of_its_socket),
		cmocka_unit_test(a_socket_that_begins_anew_loses_its_marks),
		cmocka_unit_test(regret_is_told_once_for_each_socket),
		cmocka_unit_test(regret_does_not_stop_a_close),
		cmocka_unit_test(a_record_is_held_until_its_release),
		cmocka_unit_test(a_held_number_may_be_recorded_anew),
		cmocka_unit_test(a_call_under_way_or_since_forbids_it),
		cmocka_unit_test(what_was_left_behind_ends_with_the_record),
		cmocka_unit_test(any_number_may_be_left_behind),
		cmocka_unit_test(a_copy_under_way_forbids_it),
		cmocka_unit_test(flags_reach_all_copies),
		cmocka_unit_test(a_late_close_is_absorbed_once),
		cmocka_unit_test(a_late_close_stays_late_when_the_number_is_used_again),
		cmocka_unit_test(a_late_close_does_not_stop_another),
		cmocka_unit_test(a_close_of_ours_that_was_overtaken_leaves_the_next_alone),
		cmocka_unit_test(who_ends_the_record_waits_for_the_release),
		cmocka_unit_test(in_a_sandbox_it_waits_too),
		cmocka_unit_test(it_waits_as_long_as_it_takes),
		cmocka_unit_test(in_a_sandbox_a_hold_without_end_is_passed),
		cmocka_unit_test(a_child_does_not_wait_for_its_parents_action),
		cmocka_unit_test(in_a_forked_child_nothing_is_held),
		cmocka_unit_test(while_the_worker_acts_nobody_closes_or_writes),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
