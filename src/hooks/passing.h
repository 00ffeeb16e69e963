/* passing.h - sockets that are sent to somebody: SCM_RIGHTS (unix(7)).
 *
 * Whoever receives one has it from then on, and no hook and no /proc says who that is, so it counts as shared for good. That is noted
 * before the real call, so that no action comes between the two, and taken back where the call fails.
 *
 * Layer: hooks. Locks: none; waits for an action's few system calls. Async-signal-safe: everything here. errno: untouched.
 */
#ifndef SL_HOOKS_PASSING_H
#define SL_HOOKS_PASSING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Messages that may carry sockets: one, or those of a sendmmsg(). */
struct sl_messages {
	const void *first;
	size_t stride;
	unsigned count;
};

#define SL_PASSING_NOTED 256u /* the kernel takes no more with one message (SCM_MAX_FD) */

/* One call on its way. */
struct sl_passing {
	uint32_t passes;                       /* as it began */
	unsigned readable;                     /* messages that were looked at */
	uint32_t fresh[SL_PASSING_NOTED / 32]; /* which of them were not passed on before */
};

/* Before the real call, whose pointers may lead anywhere: what cannot be read is left to the kernel. */
void sl_passing_begin(struct sl_passing *passing, const struct sl_messages *messages);
/* After it: `sent` messages have gone; < 0: the call failed. */
void sl_passing_end(struct sl_passing *passing, const struct sl_messages *messages, int sent);

/* After a call that was not begun here. */
void sl_passing_note(const struct msghdr *message);

#endif
