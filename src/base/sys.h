/* sys.h - system calls made directly, past libc.
 *
 * Everything below the hooks talks to the kernel through here. A direct call is never a cancellation
 * point, never passes another preloaded library or a hook of ours, never touches errno, and needs no
 * symbol of libc: what comes back is the result or -errno.
 *
 * Layer: base. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything.
 * Source: the system call conventions in syscall(2).
 */
#ifndef SL_BASE_SYS_H
#define SL_BASE_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>

#if defined(__x86_64__)
static inline long sl_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
static inline long sl_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0"
	                 : "+r"(x0)
	                 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
	                 : "memory");
	return x0;
}
#else
#error "sockleak knows the system call convention of x86-64 and aarch64 only"
#endif

#define SL_SYS_ARG(x) ((long)(x))
#define SL_SYS0(nr) sl_syscall6(nr, 0, 0, 0, 0, 0, 0)
#define SL_SYS1(nr, a) sl_syscall6(nr, SL_SYS_ARG(a), 0, 0, 0, 0, 0)
#define SL_SYS2(nr, a, b) sl_syscall6(nr, SL_SYS_ARG(a), SL_SYS_ARG(b), 0, 0, 0, 0)
#define SL_SYS3(nr, a, b, c) sl_syscall6(nr, SL_SYS_ARG(a), SL_SYS_ARG(b), SL_SYS_ARG(c), 0, 0, 0)
#define SL_SYS4(nr, a, b, c, d) \
	sl_syscall6(nr, SL_SYS_ARG(a), SL_SYS_ARG(b), SL_SYS_ARG(c), SL_SYS_ARG(d), 0, 0)
#define SL_SYS5(nr, a, b, c, d, e)                                                                 \
	sl_syscall6(nr, SL_SYS_ARG(a), SL_SYS_ARG(b), SL_SYS_ARG(c), SL_SYS_ARG(d), SL_SYS_ARG(e), \
	            0)

static inline int sl_sys_getpid(void)
{
	return (int)SL_SYS0(SYS_getpid);
}

static inline int sl_sys_gettid(void)
{
	return (int)SL_SYS0(SYS_gettid);
}

static inline int sl_sys_open(const char *path, int flags, unsigned mode)
{
	return (int)SL_SYS4(SYS_openat, AT_FDCWD, path, flags, mode);
}

static inline int sl_sys_close(int fd)
{
	return (int)SL_SYS1(SYS_close, fd);
}

static inline long sl_sys_read(int fd, void *buf, size_t n)
{
	return SL_SYS3(SYS_read, fd, buf, n);
}

static inline long sl_sys_write(int fd, const void *buf, size_t n)
{
	return SL_SYS3(SYS_write, fd, buf, n);
}

static inline int sl_sys_fcntl(int fd, int cmd, long arg)
{
	return (int)SL_SYS3(SYS_fcntl, fd, cmd, arg);
}

static inline int sl_sys_ioctl(int fd, unsigned long request, void *arg)
{
	return (int)SL_SYS3(SYS_ioctl, fd, request, arg);
}

static inline int sl_sys_getsockopt(int fd, int level, int name, void *value, unsigned *len)
{
	return (int)SL_SYS5(SYS_getsockopt, fd, level, name, value, len);
}

static inline int sl_sys_getsockname(int fd, void *addr, unsigned *len)
{
	return (int)SL_SYS3(SYS_getsockname, fd, addr, len);
}

static inline int sl_sys_getpeername(int fd, void *addr, unsigned *len)
{
	return (int)SL_SYS3(SYS_getpeername, fd, addr, len);
}

/* timeout_ms as poll(2): -1 waits for ever. */
static inline int sl_sys_poll(struct pollfd *fds, unsigned n, int timeout_ms)
{
	struct timespec ts = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
	return (int)SL_SYS5(SYS_ppoll, fds, n, timeout_ms < 0 ? NULL : &ts, NULL, 0);
}

/* Pages of zeroes, or NULL. */
static inline void *sl_sys_map(size_t bytes)
{
	long r = sl_syscall6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE,
	                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return r < 0 && r > -4096 ? NULL : (void *)r;
}

static inline void sl_sys_unmap(void *at, size_t bytes)
{
	(void)SL_SYS2(SYS_munmap, at, bytes);
}

/* Waits while *word == expected, timeout_ns at most (0: for ever). Returns on a wake, a change, a signal
 * or the timeout: the caller looks again. */
static inline void sl_sys_futex_wait(const _Atomic uint32_t *word, uint32_t expected,
                                     uint64_t timeout_ns)
{
	struct timespec ts = {(time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u)};
	(void)SL_SYS4(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns ? &ts : NULL);
}

static inline void sl_sys_futex_wake(const _Atomic uint32_t *word)
{
	(void)SL_SYS3(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX);
}

#define SL_SYS_PAGE_BYTES 4096u /* the smallest there is */

/* Do these few bytes lie in the page of `there`? No system call. */
static inline bool sl_sys_is_in_page_of(const void *there, const void *at, size_t n)
{
	uintptr_t page = (uintptr_t)there / SL_SYS_PAGE_BYTES;
	return n > 0 && (uintptr_t)at / SL_SYS_PAGE_BYTES == page &&
	       ((uintptr_t)at + n - 1) / SL_SYS_PAGE_BYTES == page;
}

/* Can these few bytes be read, by the program too? The kernel reads a set of signals before it finds that there is no such `how`
 * (rt_sigprocmask(2)): nothing faults, and nothing is changed. An aligned word lies in one page. */
static inline bool sl_sys_is_readable(const void *at, size_t n)
{
	const uintptr_t none = 0x7fffffff, page = SL_SYS_PAGE_BYTES;
	uintptr_t first = (uintptr_t)at, last = first + n - 1;
	if (n == 0 || last < first || first < page || /* NULL would be no set at all */
	    SL_SYS4(SYS_rt_sigprocmask, none, first & ~7UL, NULL, 8) == -EFAULT)
		return false;
	return first / page == last / page ||
	       SL_SYS4(SYS_rt_sigprocmask, none, last & ~7UL, NULL, 8) != -EFAULT;
}

/* In a signal handler on a stack of its own (sigaltstack(2))? */
static inline bool sl_sys_is_on_alternate_stack(void)
{
	stack_t stack = {0};
	return SL_SYS2(SYS_sigaltstack, NULL, &stack) == 0 && (stack.ss_flags & SS_ONSTACK);
}

/* Block every signal for this thread, but for those that an instruction raises: blocked, they would end the process, and the
 * Java VM lives by them. And but for libc's own by which setuid() reaches each thread (nptl(7)): the caller of setuid() holds
 * the lock that pthread_create() wants. What was blocked before, for sl_sys_unblock_signals() (rt_sigprocmask(2): the
 * kernel's set is one word). */
static inline uint64_t sl_sys_block_signals(void)
{
	const int left_out[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, 33 /* SIGSETXID */};
	uint64_t blocked = ~0ULL, before = 0;
	for (unsigned i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		blocked &= ~(1ULL << (left_out[i] - 1));
	(void)SL_SYS4(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, &blocked, &before, sizeof(blocked));
	return before;
}

static inline void sl_sys_unblock_signals(uint64_t before)
{
	(void)SL_SYS4(SYS_rt_sigprocmask, 2, &before, NULL, sizeof(before));
}

#endif
