/* asked.h - who shares a socket, as a test asks through a real clerk. Included once, by a test program. */
#ifndef SL_TEST_ASKED_H
#define SL_TEST_ASKED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "reclaim/sharing.h"
#include "suspected.h"

#define WAIT_MS 4000

static struct sl_arena arena = SL_ARENA(64u << 10, 0);
static struct sl_sharing sharing;

static int start(void **state)
{
	(void)state;
	start_clerk();
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	sl_arena_free(&arena);
	close_range(3, ~0u, 0);
	alarm(60);
	return 0;
}

/* Read with these asked about. */
__attribute__((unused)) static bool read_about(const int *fds, unsigned count)
{
	sl_arena_free(&arena);
	if (!sl_sharing_begin(&sharing, &arena, count))
		return false;
	for (unsigned i = 0; i < count; i++)
		sl_sharing_ask(&sharing, sl_sharing_inode(fds[i]));
	return sl_sharing_read(&sharing, WAIT_MS);
}

__attribute__((unused)) static enum sl_sharing_answer answer_for(int fd)
{
	if (!read_about(&fd, 1))
		return (enum sl_sharing_answer) - 1;
	return sl_sharing_of(&sharing, sl_sharing_inode(fd));
}

__attribute__((unused)) static void do_nothing(void *unused)
{
	(void)unused;
}

#endif
