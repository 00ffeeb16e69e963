/* fdmarks.c - the marks of fdtable.h, and the hold that serializes an action with the program's own close(). */
#include <errno.h>
#include <stddef.h>

#include "base/process.h"
#include "base/sys.h"
#include "ledger/fdtable.h"

#include "base/poison.h"

#define SL_AWAIT_LOOK_NS 1000000u
#define SL_SANDBOX_LOOKS \
	1000000000u /* there a system call may end the program, and has perhaps ended the worker */

/* Marks change by these only. False: not this generation, or not open. */
static bool change_marks(int fd, uint32_t generation, uint64_t set, uint64_t clear)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = slot ? atomic_load(&slot->head) : 0;
	do {
		if (sl_fd_state_of(head) != SL_FD_OPEN || sl_fd_generation_of(head) != generation)
			return false;
		if (((head & ~clear) | set) == head)
			return true;
	} while (!atomic_compare_exchange_weak(&slot->head, &head, (head & ~clear) | set));
	return true;
}

_Atomic bool sl_fd_is_guarding;

bool sl_fdtable_guard(int fd, uint32_t generation)
{
	atomic_store_explicit(&sl_fd_is_guarding, true, memory_order_relaxed);
	return change_marks(fd, generation, SL_MARK_GUARDED, 0);
}

/* What is held: the worker's, and a forked child's. */
static struct sl_fd_slot *held[SL_HELD_MAX];
static _Atomic uint32_t releases; /* futex word */

static void note_held(struct sl_fd_slot *slot, const struct sl_fd_slot *instead_of)
{
	for (unsigned i = 0; i < SL_HELD_MAX; i++) {
		if (held[i] != instead_of)
			continue;
		held[i] = slot;
		return;
	}
}

void sl_fdtable_release(int fd, uint32_t generation)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	(void)change_marks(fd, generation, 0, SL_MARK_HELD);
	note_held(NULL, slot);
	atomic_fetch_add(&releases, 1);
	sl_sys_futex_wake(&releases);
}

int sl_fdtable_hold(int fd, uint32_t generation, uint32_t last_io)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	if (!slot)
		return -ESTALE;
	note_held(slot, NULL);
	if (!change_marks(fd, generation, SL_MARK_HELD, 0)) {
		note_held(NULL, slot);
		return -ESTALE;
	}
	/* A guarded call counts itself first and then looks at the mark; here it is the other way round. */
	bool is_same = last_io == SL_IO_IDLE || (atomic_load(&slot->last_io) == last_io &&
	                                         !(atomic_load(&slot->head) & SL_MARK_BUSY));
	if (last_io == SL_IO_ANY || (sl_fdtable_writers(slot, generation) == 0 && is_same))
		return 0;
	sl_fdtable_release(fd, generation);
	return -EBUSY;
}

bool sl_fdtable_mark_held(int fd, uint32_t generation, uint32_t marks)
{
	return change_marks(fd, generation, marks, 0);
}

void sl_fdtable_clear_held(int fd, uint32_t generation, uint32_t marks)
{
	(void)change_marks(fd, generation, 0, marks);
}

void sl_fdtable_unmark(int fd, uint32_t generation)
{
	(void)change_marks(fd, generation, 0,
	                   SL_MARKS & ~(uint64_t)(SL_MARK_HELD | SL_MARK_LATE | SL_MARK_DEAD));
}

void sl_fdtable_become_own(int fd, uint32_t generation)
{
	sl_fdtable_mark(fd, generation, SL_FD_OWN_DEAD, 0);
	(void)change_marks(fd, generation, 0, SL_MARK_DEAD);
}

void sl_fdtable_release_closed(int fd, uint32_t generation)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = atomic_load(&slot->head);
	while (sl_fd_state_of(head) == SL_FD_OPEN && sl_fd_generation_of(head) == generation &&
	       !atomic_compare_exchange_weak(&slot->head, &head,
	                                     (uint64_t)generation << 32 | SL_MARK_LATE |
	                                             SL_MARK_DEAD))
		;
	note_held(NULL, slot);
	atomic_fetch_add(&releases, 1);
	sl_sys_futex_wake(&releases);
}

bool sl_fdtable_await_release(const struct sl_fd_slot *slot)
{
	/* As long as it takes: to go on before would let the action hit what has the number next. Its thread is alive if this
	 * process is its own; in a child that nobody told us of the question itself sets that right. */
	for (uint32_t looks = 0; looks < SL_SANDBOX_LOOKS; looks++) {
		uint32_t seen = atomic_load(&releases);
		if (!(atomic_load(&slot->head) & SL_MARK_HELD))
			return true;
		if (!sl_process_is_ours())
			return !(atomic_load(&slot->head) & SL_MARK_HELD);
		if (!sl_process_is_sandboxed()) {
			sl_sys_futex_wait(&releases, seen, SL_AWAIT_LOOK_NS);
			looks = 0;
		}
	}
	return false;
}

/* Calls under way belong to a generation. What a thread left behind that never came back from its call ends with the record, at
 * the next one's first call. */
#define SL_WRITERS_MOST ((1u << SL_WRITER_BITS) - 1) /* stays: some have been left behind */

static bool is_counted_for(uint32_t writers, uint32_t generation)
{
	return writers >> SL_WRITER_BITS == (generation & (UINT32_MAX >> SL_WRITER_BITS));
}

uint32_t sl_fdtable_writers(const struct sl_fd_slot *slot, uint32_t generation)
{
	uint32_t writers = atomic_load(&slot->writers);
	return is_counted_for(writers, generation) ? writers & SL_WRITERS_MOST : 0;
}

/* False: the record is another by now. The head is looked at after the count that is replaced: that of a later record, made by who
 * saw it, is left alone. */
static bool count_writer(struct sl_fd_slot *slot, uint32_t generation)
{
	uint32_t writers = atomic_load(&slot->writers), next;
	do {
		bool is_of_it = is_counted_for(writers, generation);
		if (!is_of_it && sl_fd_generation_of(atomic_load(&slot->head)) != generation)
			return false;
		next = is_of_it ? writers : generation << SL_WRITER_BITS;
		next += (next & SL_WRITERS_MOST) != SL_WRITERS_MOST;
	} while (!atomic_compare_exchange_weak(&slot->writers, &writers, next));
	return true;
}

/* A handler may have forked meanwhile: in the child nothing is counted any more. */
static void uncount_writer(struct sl_fd_slot *slot, uint32_t generation)
{
	uint32_t writers = atomic_load(&slot->writers), count;
	do {
		count = writers & SL_WRITERS_MOST;
		if (!is_counted_for(writers, generation) || count == 0 || count == SL_WRITERS_MOST)
			return;
	} while (!atomic_compare_exchange_weak(&slot->writers, &writers, writers - 1));
}

uint64_t sl_fdtable_write_begin(struct sl_fd_slot *slot)
{
	uint64_t head = atomic_load(&slot->head);
	for (;;) {
		uint32_t generation = sl_fd_generation_of(head);
		/* Counted first, then looked at: the worker does it the other way round. */
		bool is_counted = count_writer(slot, generation);
		head = atomic_load(&slot->head);
		if (is_counted && (head & SL_MARK_HELD)) {
			(void)sl_fdtable_await_release(slot);
			head = atomic_load(&slot->head);
		}
		if (is_counted && sl_fd_generation_of(head) == generation)
			return head;
		if (is_counted)
			uncount_writer(slot, generation);
	}
}

void sl_fdtable_write_end(struct sl_fd_slot *slot, uint64_t head)
{
	uncount_writer(slot, sl_fd_generation_of(head));
}

/* What no action finds as it was is not acted on. The kind of the last call stays. */
void sl_fdtable_touch_again(struct sl_fd_slot *slot)
{
	enum sl_io last = (enum sl_io)(atomic_load(&slot->last_io) & ((1u << SL_IO_BITS) - 1));
	sl_fd_touch(slot, last);
}

void sl_fdtable_busy(int fd, uint64_t head)
{
	(void)change_marks(fd, sl_fd_generation_of(head), SL_MARK_BUSY, 0);
}

void sl_fdtable_met(int fd, uint32_t generation)
{
	(void)change_marks(fd, generation, 0, SL_MARK_BUSY);
}

void sl_fdtable_copying(int fd)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = slot ? atomic_load(&slot->head) : 0;
	if (sl_fd_state_of(head) != SL_FD_OPEN || !sl_fd_marks_of(head))
		return;
	sl_fdtable_touch_again(slot);
	sl_fdtable_busy(fd, head);
	sl_fdtable_await_release(slot);
}

void sl_fdtable_mark_all_of(int fd, uint32_t set, uint32_t clear)
{
	struct sl_fd_record of, record;
	if (!sl_fdtable_get(fd, &of))
		return;
	sl_fdtable_mark(fd, of.generation, set, clear);
	if (!(of.flags & SL_FD_DUPED))
		return;
	/* A copy has what its original had. */
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1)
		if (record.kind == of.kind && (record.flags & SL_FD_DUPED) &&
		    record.opened_at_ms == of.opened_at_ms && record.site == of.site)
			sl_fdtable_mark(record.fd, record.generation, set, clear);
}

bool sl_fdtable_absorb(int fd)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t head = slot ? atomic_load(&slot->head) : 0;
	uint64_t late;
	do {
		late = SL_MARK_LATE;
		if (!(head & SL_MARK_LATE))
			return false;
		/* Of a number that is in use it is the only mark of ours. */
		if (sl_fd_state_of(head) == SL_FD_FREE)
			late |= SL_MARK_DEAD | SL_MARK_REGRETTED;
	} while (!atomic_compare_exchange_weak(&slot->head, &head, head & ~late));
	return true;
}

bool sl_fdtable_regret_closed(int fd, uint64_t head)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	return slot && sl_fd_is_closed_by_us(head) && !(head & SL_MARK_REGRETTED) &&
	       atomic_compare_exchange_strong(&slot->head, &head, head | SL_MARK_REGRETTED);
}

bool sl_fdtable_regret(int fd, uint64_t head)
{
	struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	uint64_t now = slot ? atomic_load(&slot->head) : 0;
	do {
		if (sl_fd_state_of(now) != SL_FD_OPEN ||
		    sl_fd_generation_of(now) != sl_fd_generation_of(head) ||
		    (now & SL_MARK_REGRETTED))
			return false;
	} while (!atomic_compare_exchange_weak(&slot->head, &now, now | SL_MARK_REGRETTED));
	return true;
}

/* The threads that were in a call are the parent's. */
static void forget_writers(struct sl_fd_slot *slots)
{
	for (unsigned i = 0; slots && i < SL_FD_CHUNK_SLOTS; i++)
		if (atomic_load_explicit(&slots[i].writers, memory_order_relaxed))
			atomic_store(&slots[i].writers, 0);
}

void sl_fdtable_forked(void)
{
	for (unsigned i = 0; i < SL_HELD_MAX; i++) {
		if (held[i])
			atomic_fetch_and(&held[i]->head, ~(uint64_t)SL_MARK_HELD);
		held[i] = NULL;
	}
	for (unsigned chunk = 0; chunk < SL_FD_CHUNKS; chunk++)
		forget_writers(sl_fdtable_chunk(chunk));
}

uint32_t sl_fdtable_count_marked(uint32_t marks)
{
	uint32_t count = 0;
	for (unsigned chunk = 0; chunk < SL_FD_CHUNKS; chunk++) {
		const struct sl_fd_slot *slots = sl_fdtable_chunk(chunk);
		for (unsigned i = 0; slots && i < SL_FD_CHUNK_SLOTS; i++)
			count += (sl_fd_marks_of(atomic_load(&slots[i].head)) & marks) != 0;
	}
	return count;
}
