#include "hooks/walker.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/ownfd.h"
#include "base/sys.h"
#include "stack/native.h"

#include "base/poison.h"

/* Its numbers, the end that is read in the low half: in one word, for two threads may open one each. */
#define SL_NO_PIPE UINT64_MAX
static _Atomic uint64_t pipe_numbers = SL_NO_PIPE;
static _Atomic bool is_reserved; /* and not asked for yet */

static int in_of(uint64_t numbers)
{
	return (int)(uint32_t)numbers;
}

static int out_of(uint64_t numbers)
{
	return (int)(numbers >> 32);
}

static int hide(int fds[2])
{
	int in = sl_ownfd_take(fds[0]);
	int out = sl_ownfd_take(fds[1]);
	if (in >= 0 && out >= 0) {
		fds[0] = in;
		fds[1] = out;
		return 0;
	}
	if (in >= 0)
		sl_ownfd_close(in);
	if (out >= 0)
		sl_ownfd_close(out);
	/* The walker looks at the numbers, not at the result: those it had are the program's next. */
	fds[0] = fds[1] = -1;
	errno = EMFILE;
	return -1;
}

static int keep(int fds[2])
{
	int result = hide(fds);
	atomic_store(&pipe_numbers, (uint64_t)(uint32_t)fds[1] << 32 | (uint32_t)fds[0]);
	return result;
}

/* Are both ends what was put there? */
static bool is_there(uint64_t numbers)
{
	return sl_ownfd_is_true(in_of(numbers)) && sl_ownfd_is_true(out_of(numbers));
}

void sl_walker_reserve(void)
{
	int fds[2], saved_errno = errno;
	if (atomic_load(&pipe_numbers) != SL_NO_PIPE ||
	    SL_SYS2(SYS_pipe2, fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	atomic_store(&is_reserved, keep(fds) == 0);
	errno = saved_errno;
}

bool sl_walker_gets(int fds[2])
{
	uint64_t numbers = atomic_load(&pipe_numbers);
	if (!sl_native_is_walking() || !atomic_exchange(&is_reserved, false) || !is_there(numbers))
		return false;
	fds[0] = in_of(numbers);
	fds[1] = out_of(numbers);
	return true;
}

int sl_walker_opened(int fds[2])
{
	return sl_native_is_walking() ? keep(fds) : 0;
}

bool sl_walker_has_lost(int fd)
{
	uint64_t numbers = atomic_load(&pipe_numbers);
	if (!sl_native_is_walking() || fd != in_of(numbers) || is_there(numbers))
		return false;
	errno = EBADF;
	return true;
}

bool sl_walker_closes(int fd)
{
	uint64_t numbers = atomic_load(&pipe_numbers);
	if (!sl_native_is_walking() || (fd != in_of(numbers) && fd != out_of(numbers)))
		return false;
	sl_ownfd_close(fd); /* nothing, if the program has taken it */
	return true;
}
