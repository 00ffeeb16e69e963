#include "watch/adopt.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "base/clerk.h"
#include "base/directory.h"
#include "base/out.h"
#include "base/ownfd.h"
#include "base/sys.h"
#include "ledger/fdtable.h"
#include "ledger/sites.h"
#include "watch/doubts.h"
#include "watch/kernel.h"

#include "base/poison.h"

#define SL_CLOSES 64
#define SL_CLOSE_LOST_MS 3000
#define SL_SETTLE_NS 1000000
#define SL_LISTED_LOW (1u << 19) /* numbers below this are looked at, */
#define SL_LISTED_HIGH 256u      /* and so many above; others are only counted */
#define SL_WORD_BITS 64u
#define SL_LIST_WAIT_MS 1000

/* Sockets that nobody recorded, until they are looked at again. */
#define SL_CANDIDATES 256

struct candidate {
	int fd;
	enum sl_kind kind;
	uint64_t cookie;
};

struct scan {
	uint64_t now_ms;
	uint32_t flags; /* of what is found */
	bool is_alone;  /* no other thread can be about to record what is found */
	int tcp_found;
	unsigned count;
	struct candidate candidates[SL_CANDIDATES];
};

static uint32_t flags_of(int fd, enum sl_kind kind)
{
	struct sl_kernel_tcp tcp;
	if (kind != SL_KIND_TCP || sl_kernel_tcp(fd, &tcp) < 0)
		return SL_FD_ADOPTED;
	if (tcp.state == TCP_LISTEN)
		return SL_FD_ADOPTED | SL_FD_LISTENING;
	if (tcp.state == TCP_SYN_SENT)
		return SL_FD_ADOPTED | SL_FD_OUT | SL_FD_CONNECTING;
	return SL_FD_ADOPTED |
	       (tcp.state != TCP_CLOSE || tcp.was_established ? SL_FD_CONNECTED : 0);
}

static uint64_t head_at(int fd)
{
	const struct sl_fd_slot *slot = sl_fdtable_slot(fd);
	return slot ? atomic_load(&slot->head) : 0;
}

static bool is_recorded(int fd)
{
	return sl_fd_state_of(head_at(fd)) != SL_FD_FREE;
}

/* Closes that had begun when they were met, and records that were being written; the worker's. */
static struct {
	int fd;
	uint64_t head;
	uint64_t met_at_ms;
} closes[SL_CLOSES];

/* A close that has begun, of a number that is open all the same. It is under way; or, if it stays so, it never came to the
 * kernel: the thread was cancelled on the way, or it is not in this process, which was forked then. Then the record comes back. The
 * same of one that was being written: it is made anew. */
static void look_at_unfinished(const struct scan *scan, int fd)
{
	const struct sl_fd_forgotten forgotten = {fd, head_at(fd)};
	unsigned place = (unsigned)fd % SL_CLOSES;
	bool is_closing = sl_fd_state_of(forgotten.head) == SL_FD_CLOSING;
	if (!is_closing && sl_fd_state_of(forgotten.head) != SL_FD_OPENING)
		return;
	if (closes[place].fd != fd || closes[place].head != forgotten.head) {
		closes[place].fd = fd;
		closes[place].head = forgotten.head;
		closes[place].met_at_ms = scan->now_ms;
	} else if (scan->now_ms - closes[place].met_at_ms >= SL_CLOSE_LOST_MS) {
		if (is_closing)
			sl_fdtable_put_back(&forgotten);
		else
			sl_fdtable_give_up(&forgotten);
	}
}

/* An earlier candidate that is the same socket under another number; NULL: none. */
static const struct candidate *twin_of(const struct scan *scan, const struct candidate *of)
{
	for (const struct candidate *c = scan->candidates; c < of; c++)
		if (c->cookie == of->cookie)
			return c;
	return NULL;
}

static void adopt(struct scan *scan, const struct candidate *found)
{
	const struct candidate *twin = twin_of(scan, found);
	if (twin && sl_fdtable_dup(twin->fd, found->fd))
		return;
	struct sl_fd_opening opening = {
		.kind = found->kind,
		.flags = flags_of(found->fd, found->kind) | scan->flags,
		.site = SL_SITE_ADOPTED,
		.opened_at_ms = scan->now_ms,
	};
	if (!sl_fdtable_adopt(found->fd, &opening))
		return;
	/* Between the last look and now its hook may have recorded it, and the program closed it. */
	if (sl_kernel_cookie(found->fd) != found->cookie && sl_fdtable_unadopt(found->fd))
		return;
	if (found->kind != SL_KIND_TCP)
		return;
	sl_site_count_opened(SL_SITE_ADOPTED, 0);
	scan->tcp_found++;
}

/* Adopt those that are still not recorded, and are of no call that is under way. */
static void settle(struct scan *scan)
{
	static const _Atomic uint32_t never;
	static struct sl_openings under_way;
	if (scan->count > 0 && !scan->is_alone) {
		sl_openings_look(&under_way);
		sl_sys_futex_wait(&never, 0, SL_SETTLE_NS);
	}
	for (unsigned i = 0; i < scan->count; i++) {
		const struct candidate *found = &scan->candidates[i];
		/* In this order: a call that is back has made its record. */
		if (!scan->is_alone && sl_doubts_remain(&under_way, found->fd, found->kind,
		                                        found->cookie, scan->now_ms))
			continue;
		if (is_recorded(found->fd) || sl_kernel_cookie(found->fd) != found->cookie)
			continue;
		sl_fdtable_prepare();
		adopt(scan, found);
	}
	scan->count = 0;
}

/* A number that was closed past the hooks, and is another socket by now: what is recorded there is over. */
static bool is_replaced(int fd)
{
	struct sl_fd_record record;
	/* A dead socket of the number's own is of our making. */
	if (!sl_fdtable_get(fd, &record) || !record.cookie || (record.marks & SL_MARK_DEAD) ||
	    (record.flags & SL_FD_OWN_DEAD))
		return false;
	uint64_t cookie = sl_kernel_cookie(fd);
	if (cookie == record.cookie || cookie == 0)
		return false; /* no socket at all is the sweep's to find */
	sl_fdtable_drop(fd, record.generation);
	return true;
}

static void look_at(struct scan *scan, int fd)
{
	look_at_unfinished(scan, fd);
	if (is_recorded(fd) && !is_replaced(fd))
		return;
	/* Identity first: what the number is given to next has another cookie, and what is none has none. */
	uint64_t cookie = sl_kernel_cookie(fd);
	enum sl_kind kind = cookie ? sl_kernel_kind(fd) : SL_KIND_NONE;
	if (kind == SL_KIND_NONE)
		return;
	scan->candidates[scan->count++] = (struct candidate){fd, kind, cookie};
	if (scan->count == SL_CANDIDATES)
		settle(scan);
}

/* The numbers of one listing. Filled by the clerk, or at start by the only thread; then the worker's. */
static struct {
	char path[64];
	int64_t count; /* of all; -errno: it could not be listed */
	uint32_t words, high_count;
	uint64_t low[SL_LISTED_LOW / SL_WORD_BITS]; /* a bit for each number; the first `words` */
	int high[SL_LISTED_HIGH];
} listing;

static void keep(int fd)
{
	uint32_t word = (uint32_t)fd / SL_WORD_BITS;
	if ((uint32_t)fd < SL_LISTED_LOW) {
		while (listing.words <= word)
			listing.low[listing.words++] = 0;
		listing.low[word] |= 1ULL << (uint32_t)fd % SL_WORD_BITS;
	} else if (listing.high_count < SL_LISTED_HIGH) {
		listing.high[listing.high_count++] = fd;
	}
}

static bool list_entry(void *unused, int directory, const char *name)
{
	(void)unused, (void)directory;
	int fd = (int)sl_directory_number(name);
	if (fd >= 0) {
		listing.count++;
		keep(fd);
	}
	return true;
}

static void list(const char *path)
{
	int directory = sl_directory_open(AT_FDCWD, path);
	listing.count = listing.words = listing.high_count = 0;
	long error = directory < 0 ? directory : sl_directory_each(directory, list_entry, NULL);
	if (directory >= 0)
		(void)sl_sys_close(directory);
	if (error)
		listing.count = error;
}

static void list_task(void *unused)
{
	(void)unused;
	list(listing.path);
}

static uint64_t scanned_at_ms; /* 0: never; the worker's, but at start */
static bool has_gap;           /* the worker's */

/* False: it is ours. */
static bool take_in_one(struct scan *scan, int fd)
{
	if (sl_ownfd_is(fd))
		return false;
	look_at(scan, fd);
	return true;
}

/* Adopts what is new among the listed. Returns how many fds of the program there are. */
static int64_t take_in(struct scan *scan)
{
	int64_t ours = 0;
	if (scanned_at_ms == 0 || scan->now_ms > scanned_at_ms + SL_ADOPT_GAP_MS)
		scan->flags = SL_FD_UNDATED;
	scanned_at_ms = scan->now_ms;
	for (uint32_t word = 0; word < listing.words; word++)
		for (uint64_t left = listing.low[word]; left; left &= left - 1)
			ours += !take_in_one(
				scan, (int)(word * SL_WORD_BITS + (uint32_t)__builtin_ctzll(left)));
	for (uint32_t i = 0; i < listing.high_count; i++)
		ours += !take_in_one(scan, listing.high[i]);
	settle(scan);
	return listing.count - ours;
}

int64_t sl_adopt_scan(uint64_t now_ms)
{
	struct scan scan = {.now_ms = now_ms};
	struct sl_out out;
	bool is_begun;
	if (sl_clerk_is_asked())
		return -EAGAIN;
	/* The worker's table is the program's; the clerk's own is another. */
	sl_out_init(&out, listing.path, sizeof(listing.path) - 1, NULL, NULL);
	sl_out_text(&out, "/proc/self/task/");
	sl_out_unsigned(&out, (uint64_t)sl_sys_gettid());
	sl_out_text(&out, "/fd");
	listing.path[out.length] = 0;
	if (!sl_clerk_ask(list_task, NULL, SL_LIST_WAIT_MS, &is_begun))
		return -EAGAIN;
	return listing.count < 0 ? listing.count : take_in(&scan);
}

int sl_adopt_at_start(uint64_t now_ms)
{
	struct scan scan = {.now_ms = now_ms, .is_alone = true};
	list("/proc/self/fd");
	if (listing.count < 0)
		return 0;
	(void)take_in(&scan); /* the directory itself is no socket */
	return scan.tcp_found;
}

void sl_adopt_begin_gap(void)
{
	has_gap = true;
}

void sl_adopt_end_gap(void)
{
	struct sl_fd_record record;
	if (!has_gap)
		return;
	has_gap = false;
	scanned_at_ms = 0;
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1)
		if (!record.cookie || sl_kernel_cookie(record.fd) != record.cookie)
			sl_fdtable_drop(record.fd, record.generation);
}
