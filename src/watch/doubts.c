#include "watch/doubts.h"

#include "watch/kernel.h"

#include "base/poison.h"

/* Sockets in doubt, by cookie. Where two share a place the second's time begins after the first's. */
#define SL_DOUBTED_MAX 256
static struct {
	uint64_t cookie;
	uint64_t since_ms;
} doubted[SL_DOUBTED_MAX];

static bool may_be_of(const struct sl_opening_under_way *opening, int fd, enum sl_kind kind)
{
	struct sl_endpoint local, door;
	if (kind != opening->kind)
		return false;
	if (opening->listener < 0)
		return true;
	if (sl_kernel_is_listener(fd))
		return false;
	/* Where the listener is gone, nothing tells. */
	return kind != SL_KIND_TCP || !sl_kernel_local(fd, &local) ||
	       !sl_kernel_local(opening->listener, &door) || local.port == door.port;
}

static bool is_doubtful(const struct sl_openings *seen, int fd, enum sl_kind kind)
{
	struct sl_opening_under_way opening;
	unsigned at = 0;
	while (sl_openings_next(seen, &at, &opening))
		if (may_be_of(&opening, fd, kind))
			return true;
	return false;
}

bool sl_doubts_remain(const struct sl_openings *seen, int fd, enum sl_kind kind, uint64_t cookie,
                      uint64_t now_ms)
{
	unsigned place = (unsigned)fd % SL_DOUBTED_MAX;
	if (!is_doubtful(seen, fd, kind))
		return false;
	if (doubted[place].cookie == cookie)
		return now_ms - doubted[place].since_ms < SL_DOUBTS_MS;
	if (!doubted[place].cookie || now_ms - doubted[place].since_ms >= 2 * SL_DOUBTS_MS) {
		doubted[place].cookie = cookie;
		doubted[place].since_ms = now_ms;
	}
	return true;
}
