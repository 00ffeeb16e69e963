#include "hooks/passing.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/process.h"
#include "base/sys.h"
#include "ledger/fdtable.h"

#include "base/poison.h"

#define SL_CONTROL_MOST 4096u /* more than SCM_MAX_FD take; two pages at most */

static _Atomic uint32_t passes; /* calls that have passed something on */

/* Calls `each` for every socket that goes with the message. */
typedef void passed_fn(void *context, int fd);
static void for_each_passed(const struct msghdr *message, passed_fn *each, void *context)
{
	struct msghdr copy = *message;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c; c = CMSG_NXTHDR(&copy, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		/* Not every kind of socket looks at what it is given: the length may be any. */
		size_t left = copy.msg_controllen -
		              (size_t)((const char *)c - (const char *)copy.msg_control);
		size_t end = c->cmsg_len < left ? c->cmsg_len : left;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= end; at += sizeof(int)) {
			int fd;
			memcpy(&fd, (const char *)c + at, sizeof(fd));
			each(context, fd);
		}
	}
}

static const struct msghdr *message_at(const struct sl_messages *messages, unsigned i)
{
	return (const struct msghdr *)((const char *)messages->first + i * messages->stride);
}

static bool is_readable(const struct msghdr *message)
{
	return sl_sys_is_readable(message, sizeof(*message)) &&
	       (message->msg_controllen == 0 ||
	        (message->msg_controllen <= SL_CONTROL_MOST &&
	         sl_sys_is_readable(message->msg_control, message->msg_controllen)));
}

struct walk {
	struct sl_passing *passing;
	unsigned at; /* how many came before */
};

static void announce(void *context, int fd)
{
	struct walk *walk = context;
	struct sl_fd_record record;
	unsigned at = walk->at++;
	if (!sl_fdtable_get(fd, &record))
		return;
	if (!(record.flags & SL_FD_PASSED) && at < SL_PASSING_NOTED)
		walk->passing->fresh[at / 32] |= 1u << at % 32;
	/* In this order: an action that does not see the one sees the other. */
	sl_fdtable_mark_all_of(fd, SL_FD_PASSED, 0);
	sl_fdtable_copying(fd);
}

void sl_passing_begin(struct sl_passing *passing, const struct sl_messages *messages)
{
	struct walk walk = {.passing = passing};
	memset(passing, 0, sizeof(*passing));
	passing->passes = atomic_load(&passes);
	/* In a sandbox nothing can be asked (seccomp(2)). */
	while (passing->readable < messages->count && !sl_process_is_sandboxed()) {
		const struct msghdr *message = message_at(messages, passing->readable);
		if (!is_readable(message))
			return;
		for_each_passed(message, announce, &walk);
		passing->readable++;
	}
}

static void note(void *context, int fd)
{
	bool *has_any = context;
	*has_any = true;
	sl_fdtable_mark_all_of(fd, SL_FD_PASSED, 0);
}

void sl_passing_note(const struct msghdr *message)
{
	bool has_any = false;
	for_each_passed(message, note, &has_any);
	if (has_any)
		atomic_fetch_add(&passes, 1);
}

static void take_back(void *context, int fd)
{
	struct walk *walk = context;
	unsigned at = walk->at++;
	if (at < SL_PASSING_NOTED && (walk->passing->fresh[at / 32] & 1u << at % 32))
		sl_fdtable_mark_all_of(fd, 0, SL_FD_PASSED);
}

static bool has_fresh(const struct sl_passing *passing)
{
	uint32_t any = 0;
	for (unsigned i = 0; i < SL_PASSING_NOTED / 32; i++)
		any |= passing->fresh[i];
	return any != 0;
}

void sl_passing_end(struct sl_passing *passing, const struct sl_messages *messages, int sent)
{
	struct walk walk = {.passing = passing};
	for (int i = 0; i < sent; i++)
		if (message_at(messages, (unsigned)i)->msg_controllen > 0)
			sl_passing_note(message_at(messages, (unsigned)i));
	/* Where another call has passed on something meanwhile it may have been the same socket. */
	if (sent >= 0 || !has_fresh(passing) || atomic_load(&passes) != passing->passes)
		return;
	for (unsigned i = 0; i < passing->readable; i++)
		for_each_passed(message_at(messages, i), take_back, &walk);
}
