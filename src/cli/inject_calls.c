/* inject_calls.c - see inject_calls.h. */
#include "cli/inject_calls.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define SL_FUTEX_FLAGS (FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)
#define SL_FUTEX_ANYBODY 0xffffffffu

struct row {
	int16_t call;
	uint8_t use;
	bool is_cut;
};

/* Sources: signal(7) for what is begun again; the kernel for epoll_wait() and its kin. */
static const struct row rows[] = {
#ifdef SYS_epoll_wait
	{SYS_epoll_wait, SL_CALL_WAITING, true},
	{SYS_poll, SL_CALL_WAITING, false},
	{SYS_select, SL_CALL_WAITING, false},
	{SYS_pause, SL_CALL_WAITING, false},
#endif
	{SYS_epoll_pwait, SL_CALL_WAITING, true},
#ifdef SYS_epoll_pwait2
	{SYS_epoll_pwait2, SL_CALL_WAITING, true},
#endif
	{SYS_ppoll, SL_CALL_WAITING, false},
	{SYS_pselect6, SL_CALL_WAITING, false},
	{SYS_accept, SL_CALL_WAITING,
         true}, /* with SO_RCVTIMEO, as the others that wait for a socket */
	{SYS_accept4, SL_CALL_WAITING, true},
	{SYS_nanosleep, SL_CALL_WAITING, false},
	{SYS_clock_nanosleep, SL_CALL_WAITING, false},
	{SYS_wait4, SL_CALL_WAITING, false},
	{SYS_waitid, SL_CALL_WAITING, false},
	{SYS_rt_sigtimedwait, SL_CALL_WAITING, true},
	{SYS_rt_sigsuspend, SL_CALL_WAITING, false},
	{SYS_read, SL_CALL_WAITING, true},
	{SYS_recvfrom, SL_CALL_WAITING, true},
	{SYS_recvmsg, SL_CALL_WAITING, true},
	{SYS_futex, SL_CALL_LAST, false},
	{SYS_readv, SL_CALL_WAITING, true},
	{SYS_recvmmsg, SL_CALL_BEHIND, false},
	{SYS_write, SL_CALL_BEHIND, false},
	{SYS_writev, SL_CALL_BEHIND, false},
	{SYS_pread64, SL_CALL_BEHIND, false},
	{SYS_pwrite64, SL_CALL_BEHIND, false},
	{SYS_sendto, SL_CALL_BEHIND, false},
	{SYS_sendmsg, SL_CALL_BEHIND, false},
	{SYS_sendmmsg, SL_CALL_BEHIND, false},
	{SYS_sendfile, SL_CALL_BEHIND, false},
};

static const struct row *find(int64_t call)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].call == call)
			return &rows[i];
	return NULL;
}

/* A mutex, glibc's or an allocator's, is waited for with FUTEX_WAIT. With a bit set and nobody meant in particular waits who
 * waits for a condition, a semaphore, a thread's end: between two pieces of work. */
static bool is_condition(const uint64_t arguments[6])
{
	return ((unsigned)arguments[1] & ~(unsigned)SL_FUTEX_FLAGS) == FUTEX_WAIT_BITSET &&
	       (uint32_t)arguments[5] == SL_FUTEX_ANYBODY;
}

enum sl_call_use sl_call_use(int64_t call, const uint64_t arguments[6])
{
	const struct row *row = find(call);
	if (!row)
		return SL_CALL_NO;
	if (call == SYS_futex)
		return is_condition(arguments) ? SL_CALL_LAST : SL_CALL_NO;
	/* Cut short, it comes back with the part that is there. */
	if ((call == SYS_recvfrom && (arguments[3] & MSG_WAITALL)) ||
	    (call == SYS_recvmsg && (arguments[2] & MSG_WAITALL)))
		return SL_CALL_BEHIND;
	return row->use;
}

bool sl_call_is_cut_by_stop(int64_t call)
{
	const struct row *row = find(call);
	return row && row->is_cut;
}
