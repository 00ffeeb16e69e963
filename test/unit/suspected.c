#define _GNU_SOURCE
#include "suspected.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clerk.h"
#include "base/options.h"
#include "base/ownfd.h"
#include "ledger/sites.h"
#include "reclaim/reclaim.h"
#include "reclaim/sharing.h"
#include "watch/kernel.h"
#include "watch/sweep.h"

#include "watch/table.h"

#define FORGET_S 1
#define NO_PROC 77

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
	/* No close() of an earlier test is still to come. */
	for (int fd = 0; fd < 4096; fd++)
		(void)sl_fdtable_absorb(fd);
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

void suspected_check_free(int fd)
{
	struct sl_fd_record record;
	if (sl_fdtable_get(fd, &record))
		assert_false(record.marks & SL_MARK_HELD);
	assert_int_equal(atomic_load(&sl_ownfd_lent), -1);
}

static void do_no_task(void *unused)
{
	(void)unused;
}

void start_clerk(void)
{
	bool is_begun;
	sl_clerk_start();
	assert_true(sl_clerk_do(do_no_task, NULL, PATIENCE_MS, &is_begun));
	assert_true(sl_clerk_ask(do_no_task, NULL, PATIENCE_MS, &is_begun));
}

/* A process that ends just now may be in the way for a moment. */
static bool is_proc_readable(void *unused)
{
	struct sl_arena arena = SL_ARENA(64u << 10, 0);
	struct sl_sharing sharing;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t inode = sl_sharing_inode(fd);
	(void)unused;
	bool is_known = sl_sharing_begin(&sharing, &arena, 1);
	if (is_known) {
		sl_sharing_ask(&sharing, inode);
		is_known = sl_sharing_read(&sharing, PATIENCE_MS) &&
		           sl_sharing_of(&sharing, inode) == SL_SHARING_NONE;
	}
	sl_arena_free(&arena);
	close(fd);
	return is_known;
}

static bool is_readable_soon(void)
{
	for (int i = 0; i < 20; i++) {
		if (is_proc_readable(NULL))
			return true;
		usleep(50000);
	}
	return false;
}

void need_readable_proc(void)
{
	if (is_readable_soon())
		return;
	print_message("skipped: a process of this user cannot be read here\n");
	skip();
}

/* A new /proc, and processes of its own to list there. */
static bool is_apart(void)
{
	int flags = CLONE_NEWPID | CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER);
	return unshare(flags) == 0;
}

/* In the first process of that space; all others end with it. */
static int run_in_own_proc(int (*run)(void))
{
	int status = 1;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) != 0)
		return NO_PROC;
	pid_t runner = fork();
	if (runner == 0)
		exit(run());
	for (pid_t ended; (ended = wait(&status)) != runner && ended >= 0;)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int status_of(pid_t child)
{
	int status;
	return child >= 0 && waitpid(child, &status, 0) == child && WIFEXITED(status)
	               ? WEXITSTATUS(status)
	               : 1;
}

int run_alone(int (*run)(void))
{
	fflush(NULL);
	pid_t outer = fork();
	if (outer == 0) {
		if (!is_apart())
			_exit(NO_PROC);
		pid_t first = fork();
		if (first == 0)
			_exit(run_in_own_proc(run));
		_exit(status_of(first));
	}
	int status = status_of(outer);
	return status == NO_PROC ? run() : status;
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
