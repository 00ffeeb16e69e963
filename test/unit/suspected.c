#define _GNU_SOURCE
#include "suspected.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/options.h"
#include "ledger/sites.h"
#include "reclaim/reclaim.h"
#include "reclaim/sharing.h"
#include "watch/kernel.h"
#include "watch/sweep.h"

#include "watch/table.h"

#define FORGET_S 1

struct sl_event told[TOLD_MAX];
unsigned told_count;

void told_note(const struct sl_event *event)
{
	assert_true(told_count < TOLD_MAX);
	told[told_count++] = *event;
}

void told_forget(void)
{
	told_count = 0;
}

unsigned told_of(enum sl_event_kind kind)
{
	unsigned count = 0;
	for (unsigned i = 0; i < told_count; i++)
		count += told[i].kind == kind;
	return count;
}

const struct sl_event *told_last(enum sl_event_kind kind)
{
	for (unsigned i = told_count; i > 0; i--)
		if (told[i - 1].kind == kind)
			return &told[i - 1];
	fail_msg("event %d was not told", kind);
	return NULL;
}

void suspected_reset(void)
{
	struct sl_fd_record record;
	for (int at = 0; sl_fdtable_next(at, &record); at = record.fd + 1)
		sl_fdtable_drop(record.fd, record.generation);
	close_range(3, ~0u, 0);
	sl_options_defaults(&sl_options);
	sl_pool_reset(&sl_worker_pool);
	sl_suspects_forked();
	sl_reclaim_forked();
	for (uint32_t id = 0; id <= sl_site_last(); id++) {
		struct sl_site *site = sl_site_get(id);
		if (site)
			site->regretted = site->reclaimed = site->retracted = 0;
	}
	told_forget();
}

void suspected_open_at(struct tcp_pair *pair, uint32_t site)
{
	tcp_open(pair);
	tcp_record(pair->client, SUSPECTED_OUT, site);
	assert_int_equal(shutdown(pair->server, SHUT_WR), 0);
	tcp_await_state(pair->client, TCP_CLOSE_WAIT);
}

void suspected_open(struct tcp_pair *pair)
{
	suspected_open_at(pair, SL_SITE_NO_STACK);
}

void suspected_open_inbound(struct tcp_pair *pair)
{
	char byte;
	tcp_open(pair);
	tcp_record(pair->server, SUSPECTED_IN, SL_SITE_NO_STACK);
	assert_int_equal(shutdown(pair->client, SHUT_WR), 0);
	tcp_await_state(pair->server, TCP_CLOSE_WAIT);
	assert_int_equal(read(pair->server, &byte, 1), 0);
	suspected_touch(pair->server, SL_IO_READ);
	assert_true(sl_fdtable_mark_now(pair->server, SL_FD_EOF, 0));
}

static uint16_t port_of(int fd)
{
	struct sl_endpoint local;
	assert_true(sl_kernel_local(fd, &local));
	return local.port;
}

struct ends {
	uint16_t local, remote;
};

/* Is there no end of the connection in FIN_WAIT2 (05) any more? */
static bool is_forgotten(void *context)
{
	const struct ends *ends = context;
	char line[256];
	unsigned local, remote, state;
	bool is_there = false;
	FILE *file = fopen("/proc/net/tcp", "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " %*u: %*x:%x %*x:%x %x", &local, &remote, &state) == 3 &&
		    local == ends->local && remote == ends->remote && state == 5)
			is_there = true;
	fclose(file);
	return !is_there;
}

static void forget(int *fd, uint16_t local, uint16_t remote)
{
	int seconds = FORGET_S;
	struct ends ends = {local, remote};
	assert_int_equal(setsockopt(*fd, IPPROTO_TCP, TCP_LINGER2, &seconds, sizeof(seconds)), 0);
	tcp_await_state(*fd, TCP_FIN_WAIT2);
	assert_int_equal(close(*fd), 0);
	*fd = -1;
	await(is_forgotten, &ends, "a peer that forgets");
}

void suspected_forget_peer(struct tcp_pair *pair)
{
	struct sl_fd_record record;
	uint16_t client = port_of(pair->client);
	if (sl_fdtable_get(pair->client, &record))
		forget(&pair->server, pair->port, client);
	else
		forget(&pair->client, client, pair->port);
}

void need_readable_proc(void)
{
	struct sl_arena arena = SL_ARENA(64u << 10, 0);
	struct sl_sharing sharing;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t inode = sl_sharing_inode(fd);
	assert_true(sl_sharing_begin(&sharing, &arena, 1));
	sl_sharing_ask(&sharing, inode);
	assert_true(sl_sharing_read(&sharing, PATIENCE_MS));
	bool is_known = sl_sharing_of(&sharing, inode) == SL_SHARING_NONE;
	sl_arena_free(&arena);
	close(fd);
	if (is_known)
		return;
	print_message("skipped: a process of this user cannot be read here\n");
	skip();
}

struct sl_fd_record suspected_record(int fd)
{
	struct sl_fd_record record;
	assert_true(sl_fdtable_get(fd, &record));
	return record;
}

uint32_t suspected_marks(int fd)
{
	return suspected_record(fd).marks;
}

struct sl_target suspected_target(int fd)
{
	struct sl_fd_record record = suspected_record(fd);
	struct sl_kernel_tcp tcp;
	assert_int_equal(sl_kernel_tcp(fd, &tcp), 0);
	return (struct sl_target){
		.cookie = sl_kernel_cookie(fd),
		.bytes_sent = tcp.bytes_sent,
		.count = 1,
		.numbers = {{fd, record.generation, record.last_io}},
	};
}

void suspected_touch(int fd, enum sl_io io)
{
	sl_fd_touch(sl_fdtable_slot(fd), io);
}

uint64_t suspected_turn(uint64_t now_ms)
{
	sl_sweep((uint64_t)sl_options.deadline_ms, now_ms);
	return sl_reclaim_turn(now_ms, false);
}
