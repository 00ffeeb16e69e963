#include "watch/listeners.h"

#include <netinet/tcp.h>
#include <string.h>

#include "watch/kernel.h"

#include "base/poison.h"

struct waiting {
	int fd;
	uint32_t generation;
	uint32_t last_io; /* of the listener: its last accept() */
	bool is_known;
	uint64_t since_ms;
	uint64_t met_at_ms;
};

static struct waiting known[SL_LISTENERS_MAX];

static struct waiting *find(const struct sl_fd_record *record)
{
	for (unsigned i = 0; i < SL_LISTENERS_MAX; i++)
		if (known[i].is_known && known[i].fd == record->fd &&
		    known[i].generation == record->generation)
			return &known[i];
	return NULL;
}

/* A free one, or the one that was not met for longest: it may be closed. */
static struct waiting *take(void)
{
	struct waiting *oldest = &known[0];
	for (unsigned i = 0; i < SL_LISTENERS_MAX; i++) {
		if (!known[i].is_known)
			return &known[i];
		if (known[i].met_at_ms < oldest->met_at_ms)
			oldest = &known[i];
	}
	return oldest;
}

void sl_listeners_meet(const struct sl_fd_record *record, uint64_t now_ms)
{
	struct sl_kernel_tcp tcp;
	struct waiting *waiting = find(record);
	if (sl_kernel_tcp(record->fd, &tcp) < 0 || tcp.state != TCP_LISTEN || !tcp.backlog) {
		if (waiting)
			waiting->is_known = false;
		return;
	}
	if (!waiting || waiting->last_io != record->last_io) {
		if (!waiting)
			waiting = take();
		*waiting = (struct waiting){.fd = record->fd,
		                            .generation = record->generation,
		                            .last_io = record->last_io,
		                            .is_known = true,
		                            .since_ms = now_ms};
	}
	waiting->met_at_ms = now_ms;
}

uint64_t sl_listeners_waited_ms(const struct sl_fd_record *record, uint64_t now_ms)
{
	const struct waiting *waiting = find(record);
	if (!waiting || waiting->last_io != record->last_io || now_ms < waiting->since_ms)
		return 0;
	return now_ms - waiting->since_ms;
}

bool sl_listeners_longest(uint64_t now_ms, int *fd, uint64_t *waited_ms)
{
	const struct waiting *longest = NULL;
	for (unsigned i = 0; i < SL_LISTENERS_MAX; i++)
		if (known[i].is_known && (!longest || known[i].since_ms < longest->since_ms))
			longest = &known[i];
	if (!longest || now_ms < longest->since_ms)
		return false;
	*fd = longest->fd;
	*waited_ms = now_ms - longest->since_ms;
	return true;
}

void sl_listeners_forked(void)
{
	memset(known, 0, sizeof(known));
}
