/* fdtable.h - what is known of each open socket, addressed by its fd number.
 *
 * Two levels: an array of pointers to chunks of 1,024 slots, each slot one cache line. Chunks are added and
 * never moved or freed, so a slot's address holds for ever and the data path needs no lock and no hash.
 *
 * An fd number is not an identity: the kernel gives it out again at once. Each slot counts generations, and a
 * record is {fd, generation}. Every word of a record but that of its last I/O carries the generation, so that a
 * late writer cannot soil the next record: not the program, not the worker, not a hook that was overtaken.
 *
 * A record ends in two phases: forget before the program's real close() (else another thread could get the
 * number, record it, and lose it to our late forgetting), then commit, or put back where the close failed.
 *
 * Layer: ledger. Locks: none. Fork: the child keeps all. errno: untouched.
 * Async-signal-safe: everything here; only sl_fdtable_prepare() makes a system call.
 */
#ifndef SL_LEDGER_FDTABLE_H
#define SL_LEDGER_FDTABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger/kinds.h"

#define SL_SITE_BITS 20 /* the other 12 are the thread's */
#define SL_PEER_BITS 16 /* ... and the other 16 of a destination another site's */
#define SL_TIME_BITS 40 /* 34 years of milliseconds since boot */

#define SL_FD_CHUNK_SLOTS 1024u
#define SL_FD_CHUNKS 16384u /* fds up to 16,777,215; beyond: dropped, and counted */

enum sl_fd_state {
	SL_FD_FREE,
	SL_FD_OPENING, /* its words are being written: nobody reads them */
	SL_FD_OPEN,
	SL_FD_CLOSING, /* forgotten: the program's close is under way */
};

/* What happened to the socket since it was opened. */
enum sl_fd_flag {
	SL_FD_CONNECTING = 1 << 0, /* connect() is under way */
	SL_FD_CONNECTED = 1 << 1,  /* was ESTABLISHED at some time */
	SL_FD_OUT = 1 << 2,        /* connect() was called */
	SL_FD_IN = 1 << 3,         /* came from accept() */
	SL_FD_LISTENING = 1 << 4,
	SL_FD_EOF = 1 << 5,       /* a read of non-zero length returned 0 */
	SL_FD_SHUT_READ = 1 << 6, /* the program shut it down */
	SL_FD_SHUT_WRITE = 1 << 7,
	SL_FD_DUPED = 1 << 8,          /* another fd has, or had, the same description */
	SL_FD_ADOPTED = 1 << 9,        /* nobody saw it open */
	SL_FD_STDIO = 1 << 10,         /* fdopen() was called: I/O may pass the hooks */
	SL_FD_EPOLL = 1 << 11,         /* is, or was, in an epoll set */
	SL_FD_BOUND = 1 << 12,         /* bind() gave it a port of its own before it connected */
	SL_FD_PASSED = 1 << 13,        /* was sent to somebody with SCM_RIGHTS */
	SL_FD_KEEPALIVE = 1 << 14,     /* keepalive= is set on it */
	SL_FD_OWN_KEEPALIVE = 1 << 15, /* the program sets keepalive itself */
	SL_FD_FIXED_PORT =
		1
		<< 17, /* bind() gave it the port that the program wants: it keeps that until it is closed */
	SL_FD_INTENDED = 1 << 18, /* the program says that it is to stay as it is */
	SL_FD_UNDATED = 1 << 19,  /* adopted, and perhaps opened long before it was found */
	SL_FD_OWN_DEAD = 1 << 16, /* was neutralized, and has a dead socket of its own */
};

/* What the worker has done about the socket: the third byte of the head, so that the data path sees it in the line that it
 * reads anyway. A program's write to a marked socket takes the guarded way (hooks/guarded.c). */
enum sl_fd_mark {
	SL_MARK_GUARDED = 1 << 16,   /* an action may come: writes announce themselves */
	SL_MARK_PROBED = 1 << 17,    /* a probe of ours may have ended it */
	SL_MARK_ENDED = 1 << 18,     /* we shut it down */
	SL_MARK_DEAD = 1 << 19,      /* neutralized: a dead socket is behind the number */
	SL_MARK_HELD = 1 << 20,      /* an action is under way: who ends the record waits */
	SL_MARK_REGRETTED = 1 << 21, /* the program tried to send after we ended it */
	SL_MARK_LATE =
		1
		<< 22, /* of the number: we closed it once, and the program's own close() is still to come. With
		       * SL_MARK_DEAD: nothing was there since */
	SL_MARK_BUSY =
		1
		<< 23, /* since the last sweep a call began that no action may overtake: it copies the number, passes it
	                         * on, changes an epoll set. last_io does not show a second call in one tick */
};
#define SL_MARKS 0xff0000u

/* The last I/O call, in the low bits of last_io. */
enum sl_io {
	SL_IO_NONE,
	SL_IO_READ,
	SL_IO_WRITE,
};
#define SL_IO_BITS 2
#define SL_IO_ANY UINT32_MAX         /* no last_io is this */
#define SL_IO_IDLE (UINT32_MAX - 4u) /* nor this: any will do, if no call is under way */

#define SL_WRITER_BITS 16

/* One fd. 64 bytes: one cache line, shared with no other fd. */
struct sl_fd_slot {
	_Atomic uint64_t head;   /* generation << 32 | sl_fd_mark bits | kind << 8 | state */
	_Atomic uint64_t flags;  /* generation << 32 | sl_fd_flag bits */
	_Atomic uint64_t origin; /* generation << 32 | thread << SL_SITE_BITS | site */
	/* generation << 32 | site of the read that met the end of file << SL_PEER_BITS | peer id that connect() named; 0: none */
	_Atomic uint64_t dest;
	_Atomic uint64_t opened_at; /* low bits of the generation << SL_TIME_BITS | ms */
	_Atomic uint64_t peer_tag;  /* generation << 32 | peer id; written by the worker */
	_Atomic uint64_t cookie;  /* SO_COOKIE; the worker's, true if peer_tag has the generation */
	_Atomic uint32_t last_io; /* tick << SL_IO_BITS | enum sl_io; 0: none yet */
	_Atomic uint32_t writers; /* low bits of the generation << SL_WRITER_BITS | calls under way
	                           * on the guarded path */
};
_Static_assert(sizeof(struct sl_fd_slot) == 64, "a slot is one cache line");

/* A record to open. */
struct sl_fd_opening {
	enum sl_kind kind;
	uint32_t flags;
	uint32_t site;
	uint32_t dest;   /* peer id; 0: none */
	uint32_t thread; /* name id of the thread that opened it; 0: unknown */
	uint64_t opened_at_ms;
};

/* A consistent copy of one record. */
struct sl_fd_record {
	int fd;
	uint32_t generation;
	enum sl_kind kind;
	uint32_t flags;
	uint32_t marks; /* sl_fd_mark bits */
	uint32_t site;
	uint32_t dest;
	uint32_t eof_site; /* where a read met the end of file; 0: not known */
	uint32_t thread;
	uint32_t last_io;
	uint32_t peer; /* 0: not identified yet; then cookie is 0 too */
	uint64_t cookie;
	uint64_t opened_at_ms;
};

/* A record between forget and commit. */
struct sl_fd_forgotten {
	int fd; /* -1: there was none */
	uint64_t head;
};

/* Where the chunks are: their distances from the slots here, modulo 2^64. Of one that is not there yet it is 0, which leads to those
 * slots, always free: so the data path need not ask. Hidden: it is reached without a look into the object's table of addresses. */
extern struct sl_fd_directory {
	_Atomic uintptr_t distances[SL_FD_CHUNKS];
	struct sl_fd_slot nowhere[SL_FD_CHUNK_SLOTS]; /* never written, and so hardly memory */
} sl_fd_directory __attribute__((visibility("hidden")));

/* Advanced by the worker once a sweep: the data path's only clock. Never 0. */
extern _Atomic uint32_t sl_fd_tick __attribute__((visibility("hidden")));

/* Has any record been guarded yet? Before that no action comes. */
extern _Atomic bool sl_fd_is_guarding __attribute__((visibility("hidden")));

/* NULL: not there. chunk < SL_FD_CHUNKS. */
static inline struct sl_fd_slot *sl_fdtable_chunk(unsigned chunk)
{
	uintptr_t distance =
		atomic_load_explicit(&sl_fd_directory.distances[chunk], memory_order_acquire);
	return distance ? (struct sl_fd_slot *)((uintptr_t)sl_fd_directory.nowhere + distance)
	                : NULL;
}

/* The slot of this number, or NULL where no socket was ever seen near it. Any int will do. */
static inline struct sl_fd_slot *sl_fdtable_slot(int fd)
{
	unsigned chunk = (unsigned)fd / SL_FD_CHUNK_SLOTS;
	struct sl_fd_slot *slots = chunk < SL_FD_CHUNKS ? sl_fdtable_chunk(chunk) : NULL;
	return slots ? &slots[(unsigned)fd % SL_FD_CHUNK_SLOTS] : NULL;
}

/* The same for the data path, in as few instructions as there can be: where the slot is, which may be one that is always free and not to
 * be written. The compiler is not to see what the words are made of: it would make one address of them, or two, before they are asked
 * for, where the instruction that looks at a slot adds them up by itself. */
struct sl_fd_place {
	struct sl_fd_directory *directory;
	uintptr_t distance;
};

/* One that no argument comes in: left to itself gcc takes one of those, and puts the argument aside and back. */
#if defined(__x86_64__)
#define SL_SPARE_REGISTER __asm__("r11")
#else
#define SL_SPARE_REGISTER
#endif

/* False: no number of a slot. */
static inline bool sl_fdtable_locate(int fd, struct sl_fd_place *place)
{
	unsigned chunk = (unsigned)fd / SL_FD_CHUNK_SLOTS;
	if (chunk >= SL_FD_CHUNKS)
		return false;
	register struct sl_fd_directory *directory SL_SPARE_REGISTER = &sl_fd_directory;
	__asm__("" : "+r"(directory));
	place->directory = directory;
	place->distance =
		atomic_load_explicit(&place->directory->distances[chunk], memory_order_acquire) +
		(uintptr_t)((unsigned)fd % SL_FD_CHUNK_SLOTS) * sizeof(struct sl_fd_slot);
	return true;
}

/* To look at its head. */
static inline const struct sl_fd_slot *sl_fdtable_at(const struct sl_fd_place *place)
{
	return (const struct sl_fd_slot *)((uintptr_t)place->directory->nowhere + place->distance);
}

/* What is not free may be written. */
static inline struct sl_fd_slot *sl_fdtable_found(struct sl_fd_place place)
{
	__asm__("" : "+r"(place.distance), "+r"(place.directory));
	struct sl_fd_slot *slot =
		(struct sl_fd_slot *)((uintptr_t)place.directory->nowhere + place.distance);
	if (!slot)
		__builtin_unreachable();
	return slot;
}

static inline enum sl_fd_state sl_fd_state_of(uint64_t head)
{
	return (enum sl_fd_state)(head & 0xff);
}

static inline enum sl_kind sl_fd_kind_of(uint64_t head)
{
	return (enum sl_kind)(head >> 8 & 0xff);
}

static inline uint32_t sl_fd_generation_of(uint64_t head)
{
	return (uint32_t)(head >> 32);
}

static inline uint32_t sl_fd_marks_of(uint64_t head)
{
	return (uint32_t)head & SL_MARKS;
}

/* The data path: note one I/O call. Writes only when the tick or the kind of call changed, so a busy socket's
 * line stays clean in its reader's cache. */
static inline void sl_fd_touch(struct sl_fd_slot *slot, enum sl_io io)
{
	uint32_t now = atomic_load_explicit(&sl_fd_tick, memory_order_relaxed) << SL_IO_BITS | io;
	if (atomic_load_explicit(&slot->last_io, memory_order_relaxed) != now)
		atomic_store_explicit(&slot->last_io, now, memory_order_relaxed);
}

/* Before the real call that may open an fd: see to it that memory for its chunk is at hand. */
void sl_fdtable_prepare(void);

/* After the real call: record fd, whatever was there before. False: no room, counted as dropped (or fd is
 * negative). */
bool sl_fdtable_open(int fd, const struct sl_fd_opening *opening);

/* Record fd only if nothing is there: for sockets that nobody saw open. False: something is, or came while
 * this was under way, or no room. */
bool sl_fdtable_adopt(int fd, const struct sl_fd_opening *opening);
/* Take an adoption back, the count too: the socket had been closed by the time that it was recorded. False: something else is
 * recorded there by now. */
bool sl_fdtable_unadopt(int fd);

/* Record that `to` now is the same description as `from`; both are marked SL_FD_DUPED. False: from is not
 * recorded, nothing was done. */
bool sl_fdtable_dup(int from, int to);

/* Two phases. Forget returns what commit or put back need; nothing recorded is fine. */
struct sl_fd_forgotten sl_fdtable_forget(int fd);
void sl_fdtable_commit(const struct sl_fd_forgotten *forgotten);
void sl_fdtable_put_back(const struct sl_fd_forgotten *forgotten);
/* A record that nobody goes on writing: its thread is in the process that this one was forked from. */
void sl_fdtable_give_up(const struct sl_fd_forgotten *opening);

/* The two phases for all of first..last at once. Settling commits what is between the phases there, or puts it back: another
 * thread's close of one of these numbers too, which the worker's next sweep sets right. */
void sl_fdtable_forget_range(unsigned first, unsigned last);
void sl_fdtable_settle_range(unsigned first, unsigned last, bool is_closed);

/* Worker: the record of a number that the kernel says is not open; ends it, if it is still this generation. */
void sl_fdtable_drop(int fd, uint32_t generation);

/* Set flags, if fd still has this generation; clear some in the same step. */
void sl_fdtable_mark(int fd, uint32_t generation, uint32_t set, uint32_t clear);
/* The same for whatever is recorded at fd now, if it is open. Returns false if nothing is. */
bool sl_fdtable_mark_now(int fd, uint32_t set, uint32_t clear);
/* The destination of a connect(), for whatever is open at fd now. */
void sl_fdtable_set_dest(int fd, uint32_t peer);
/* A read met the end of file there. Unless the record is another by now. */
void sl_fdtable_set_eof_site(int fd, uint32_t generation, uint32_t site);
/* Worker: the identity of the socket. */
void sl_fdtable_identify(int fd, uint32_t generation, uint64_t cookie, uint32_t peer);

/* Worker: from now on writes to it take the guarded way. False: it is not this generation any more. */
bool sl_fdtable_guard(int fd, uint32_t generation);

/* From a hook: a guarded call begins, of whatever is open at the slot now; it waits for an action that is under way. Returns the
 * head as it is then, for the end. A call whose end never comes is counted until the number is recorded anew. */
uint64_t sl_fdtable_write_begin(struct sl_fd_slot *slot);
void sl_fdtable_write_end(struct sl_fd_slot *slot, uint64_t head);
/* How many are under way, of the record of this generation. */
uint32_t sl_fdtable_writers(const struct sl_fd_slot *slot, uint32_t generation);

/* Worker: hold the record: until the release nobody ends it, and no guarded call is under way. 0, -ESTALE: another generation;
 * -EBUSY: a call is under way, or the last one was not `last_io`, or SL_MARK_BUSY (SL_IO_ANY: all that does not matter; SL_IO_IDLE: only what
 * is under way does). At most SL_HELD_MAX at a time.
 * The program waits in sl_fdtable_forget() meanwhile: hold for a few system calls only. */
#define SL_HELD_MAX 16
int sl_fdtable_hold(int fd, uint32_t generation, uint32_t last_io);
/* Worker: set marks on a record that is held. False: it was recorded anew all the same, by a close past the hooks. */
bool sl_fdtable_mark_held(int fd, uint32_t generation, uint32_t marks);
void sl_fdtable_clear_held(int fd, uint32_t generation, uint32_t marks);
void sl_fdtable_release(int fd, uint32_t generation);
/* Worker: end a held record whose number we have closed: a late close() of it is absorbed. */
void sl_fdtable_release_closed(int fd, uint32_t generation);

/* From a hook: a call that is neither a read nor a write. */
void sl_fdtable_touch_again(struct sl_fd_slot *slot);
/* From a hook: no action until a sweep has met it again; one that is under way is not awaited. `head`: of the record that is meant. */
void sl_fdtable_busy(int fd, uint64_t head);
/* Worker: a sweep has met it. */
void sl_fdtable_met(int fd, uint32_t generation);

/* From a hook: the program has given its peer up, and the socket is as new. */
void sl_fdtable_unmark(int fd, uint32_t generation);

/* From a hook: the neutralized number has a dead socket of its own by now. */
void sl_fdtable_become_own(int fd, uint32_t generation);

/* From a hook, before the real call that copies this number: an action that is under way is awaited, and none begins before
 * the copy can be known of. */
void sl_fdtable_copying(int fd);

/* From a hook: set flags on every record of the same description as fd, and perhaps a few more; clear some. */
void sl_fdtable_mark_all_of(int fd, uint32_t set, uint32_t clear);

/* Wait while the record is held: as long as the action's few system calls take. False: it still is, in memory that is not ours. Not
 * after the program's real call. */
bool sl_fdtable_await_release(const struct sl_fd_slot *slot);

/* Is this a number that we closed, and that was not given out since? Then the slot still says what was there. */
static inline bool sl_fd_is_closed_by_us(uint64_t head)
{
	const uint64_t marks = SL_MARK_LATE | SL_MARK_DEAD;
	return sl_fd_state_of(head) == SL_FD_FREE && (head & marks) == marks;
}
/* From a hook: the program tried to send there. True the first time. */
bool sl_fdtable_regret_closed(int fd, uint64_t head);

/* From a hook, after a close() of this number that found nothing: true, once, if we had closed it. */
bool sl_fdtable_absorb(int fd);

/* From a hook: the program tried to send although we had ended it. True the first time for each socket. */
bool sl_fdtable_regret(int fd, uint64_t head);

/* How many numbers have one of these marks. */
uint32_t sl_fdtable_count_marked(uint32_t marks);

/* In a forked child: actions and guarded calls that were under way go on in the parent only. */
void sl_fdtable_forked(void);

/* A consistent copy. False: nothing is open there. */
bool sl_fdtable_get(int fd, struct sl_fd_record *record);

/* The same of what was at a free number whose head still is this one. */
bool sl_fdtable_get_closed(int fd, uint64_t head, struct sl_fd_record *record);

/* The first open record at `fd` or above; false: no more. For walks: start at 0, go on at record->fd + 1. */
bool sl_fdtable_next(int fd, struct sl_fd_record *record);
/* The first that has one of these flags; the others cost a load each. */
bool sl_fdtable_next_with(int fd, uint32_t flags, struct sl_fd_record *record);

/* Sockets recorded since start, of each kind; descriptors that found no room. */
uint64_t sl_fdtable_opened(enum sl_kind kind);
uint64_t sl_fdtable_adopted(void);
uint64_t sl_fdtable_dropped(void);
/* Has any socket been recorded yet? */
bool sl_fdtable_is_used(void);

#endif
