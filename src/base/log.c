#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/out.h"
#include "base/sys.h"

#include "base/poison.h"

#define SL_LINE_BYTES 1000
#define SL_BUDGET_PERIOD_MS 3600000u
#define SL_BUDGET_USED_BITS 40 /* of the packed word; max_output ends far below */
#define SL_BUDGET_USED_MASK ((UINT64_C(1) << SL_BUDGET_USED_BITS) - 1)
#define SL_RWF_NOWAIT 8          /* linux/fs.h */
#define SL_KERNEL_SIGSET_BYTES 8 /* of the kernel's sigset_t, on every architecture we know */

/* Constant after start. */
static bool is_stderr_known;
static dev_t stderr_device;
static ino_t stderr_inode;

static _Atomic uint64_t budget; /* which hour, counted from boot, above what it has used */
static _Atomic uint64_t held_back_bytes;

/* The kernel's struct stat is libc's on the 64-bit architectures of sys.h. */
static int stat_fd(int fd, struct stat *st)
{
	return (int)SL_SYS2(SYS_fstat, fd, st);
}

void sl_log_start(void)
{
	struct stat st;
	is_stderr_known = stat_fd(2, &st) == 0;
	if (!is_stderr_known)
		return;
	stderr_device = st.st_dev;
	stderr_inode = st.st_ino;
}

bool sl_log_stderr_is_ours(void)
{
	struct stat st;
	return is_stderr_known && stat_fd(2, &st) == 0 && st.st_dev == stderr_device &&
	       st.st_ino == stderr_inode;
}

/* How a descriptor is written to without waiting for its reader. */
enum door {
	DOOR_SOCKET, /* MSG_DONTWAIT */
	DOOR_FILE,   /* a disk: poll() always says ready, so there is nothing to wait for */
	DOOR_STREAM, /* RWF_NOWAIT, else poll() and a piece that fits: pipes, FIFOs, devices */
	DOOR_TTY,
};

static enum door door_of(const struct stat *st)
{
	if (S_ISSOCK(st->st_mode))
		return DOOR_SOCKET;
	if (S_ISCHR(st->st_mode))
		return DOOR_TTY;
	return S_ISREG(st->st_mode) || S_ISBLK(st->st_mode) ? DOOR_FILE : DOOR_STREAM;
}

/* What a write may do to the thread: SIGPIPE where the reader is gone, SIGXFSZ at RLIMIT_FSIZE, SIGTTOU
 * in the background of a terminal with TOSTOP (a blocked SIGTTOU lets the write pass). The program must
 * see none. */
#define SL_SIGNAL_BIT(signal) (UINT64_C(1) << ((signal)-1))
#define SL_WRITE_SIGNALS (SL_SIGNAL_BIT(SIGPIPE) | SL_SIGNAL_BIT(SIGXFSZ) | SL_SIGNAL_BIT(SIGTTOU))

struct mask {
	uint64_t before;
	uint64_t pending; /* not ours: stays */
};

static void signals_hold(struct mask *mask)
{
	uint64_t block = SL_WRITE_SIGNALS;
	*mask = (struct mask){0};
	(void)SL_SYS4(SYS_rt_sigprocmask, SIG_BLOCK, &block, &mask->before, SL_KERNEL_SIGSET_BYTES);
	(void)SL_SYS2(SYS_rt_sigpending, &mask->pending, SL_KERNEL_SIGSET_BYTES);
}

static void signals_release(const struct mask *mask, long result)
{
	uint64_t raised = result == -EPIPE   ? SL_SIGNAL_BIT(SIGPIPE)
	                  : result == -EFBIG ? SL_SIGNAL_BIT(SIGXFSZ)
	                                     : 0;
	raised &= ~mask->pending;
	struct timespec at_once = {0, 0};
	if (raised)
		(void)SL_SYS4(SYS_rt_sigtimedwait, &raised, NULL, &at_once, SL_KERNEL_SIGSET_BYTES);
	(void)SL_SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &mask->before, NULL, SL_KERNEL_SIGSET_BYTES);
}

static int wait_writable(int fd, unsigned wait_ms)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	int n = sl_sys_poll(&ready, 1, (int)wait_ms);
	if (n == 0)
		return -EAGAIN;
	if (n < 0)
		return n;
	return (ready.revents & POLLNVAL) ? -EBADF : 0;
}

/* The most that a ready descriptor takes at once. A pipe that is ready has a page free. A pseudo-terminal
 * that nobody reads says ready however little room is left, and sleeps in the middle of a write that a
 * newline splits: there a control byte goes alone, and text in small pieces. */
static size_t piece_of(enum door door, const char *bytes, size_t n)
{
	size_t most = door == DOOR_TTY ? 128 : 4096;
	if (n > most)
		n = most;
	for (size_t i = 0; door == DOOR_TTY && i < n; i++) {
		if ((unsigned char)bytes[i] < ' ')
			return i ? i : 1;
	}
	return n;
}

/* One write that does not wait: how many bytes went, or -errno. */
static long write_once(int fd, enum door door, const char *bytes, size_t n)
{
	if (door == DOOR_SOCKET)
		return sl_syscall6(SYS_sendto, fd, (long)bytes, (long)n,
		                   MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
	if (door == DOOR_FILE)
		return sl_sys_write(fd, bytes, n);
	struct iovec piece = {(void *)(uintptr_t)bytes, n};
	long result = sl_syscall6(SYS_pwritev2, fd, (long)&piece, 1, -1, -1, SL_RWF_NOWAIT);
	bool is_refused =
		result == -EOPNOTSUPP || result == -ENOSYS || result == -EINVAL || result == -EPERM;
	if (!is_refused)
		return result;
	int ready = wait_writable(fd, 0);
	return ready < 0 ? ready : sl_sys_write(fd, bytes, piece_of(door, bytes, n));
}

static long write_quietly(int fd, enum door door, const char *bytes, size_t n)
{
	struct mask mask;
	signals_hold(&mask);
	long result = write_once(fd, door, bytes, n);
	signals_release(&mask, result);
	return result;
}

static unsigned left_ms(uint64_t until_ms)
{
	uint64_t now_ms = sl_clock_ms();
	uint64_t left = until_ms > now_ms ? until_ms - now_ms : 0;
	return left < INT32_MAX ? (unsigned)left : INT32_MAX;
}

/* *written says how far it came, whatever is returned. */
static int write_all(int fd, const char *bytes, size_t n, unsigned wait_ms, size_t *written)
{
	*written = 0;
	struct stat st;
	int error = stat_fd(fd, &st);
	if (error < 0)
		return error;
	enum door door = door_of(&st);
	uint64_t until_ms = sl_clock_ms() + wait_ms;
	while (*written < n) {
		long result = write_quietly(fd, door, bytes + *written, n - *written);
		if (result > 0) {
			*written += (size_t)result;
			continue;
		}
		if (result == 0)
			return -EIO; /* would go on for ever */
		if (result != -EAGAIN && result != -EINTR)
			return (int)result;
		unsigned left = left_ms(until_ms);
		if (left == 0)
			return -EAGAIN;
		error = wait_writable(fd, left);
		if (error < 0 && error != -EINTR)
			return error;
	}
	return 0;
}

int sl_log_write(int fd, const char *bytes, size_t n, unsigned wait_ms)
{
	size_t written;
	return write_all(fd, bytes, n, wait_ms, &written);
}

static void hold_back(size_t n)
{
	atomic_fetch_add_explicit(&held_back_bytes, n, memory_order_relaxed);
}

bool sl_log_budget_take(size_t n)
{
	uint64_t hour = sl_clock_ms() / SL_BUDGET_PERIOD_MS;
	uint64_t most = (uint64_t)sl_options.max_output_bytes;
	uint64_t seen = atomic_load_explicit(&budget, memory_order_relaxed);
	uint64_t next;
	do {
		/* A thread that read the clock before the hour turned stays in the new hour. */
		uint64_t of = seen >> SL_BUDGET_USED_BITS;
		uint64_t used = of >= hour ? seen & SL_BUDGET_USED_MASK : 0;
		if (n > most || used > most - n) {
			hold_back(n);
			return false;
		}
		next = (of > hour ? of : hour) << SL_BUDGET_USED_BITS | (used + n);
	} while (!atomic_compare_exchange_weak_explicit(&budget, &seen, next, memory_order_relaxed,
	                                                memory_order_relaxed));
	return true;
}

uint64_t sl_log_held_back_bytes(void)
{
	return atomic_load_explicit(&held_back_bytes, memory_order_relaxed);
}

void sl_log(const char *part, ...)
{
	if (!sl_log_stderr_is_ours())
		return;
	char line[SL_LINE_BYTES];
	struct sl_out out;
	sl_out_init(&out, line, sizeof(line) - 1, NULL, NULL);
	sl_out_text(&out, "sockleak: ");
	va_list parts;
	va_start(parts, part);
	for (; part; part = va_arg(parts, const char *))
		sl_out_terminal(&out, part);
	va_end(parts);
	line[out.length++] = '\n';
	if (!sl_log_budget_take(out.length))
		return;
	size_t written;
	(void)write_all(2, line, out.length, 0, &written);
	if (written < out.length)
		hold_back(out.length - written);
}
