#include "control/server.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/process.h"
#include "base/sys.h"
#include "base/thread.h"
#include "base/version.h"
#include "control/orders.h"
#include "control/place.h"
#include "control/power.h"
#include "control/request.h"
#include "report/json.h"
#include "report/json_write.h"
#include "report/self.h"
#include "report/text.h"
#include "watch/worker.h"

#include "base/poison.h"

#define SL_CLOSE_RANGE_UNSHARE 2u /* linux/close_range.h */
/* By which our thread is woken: libc sends it to single threads only, and none of ours is ever cancelled (nptl(7)). It stays pending,
 * blocked, and is seen through a signalfd. */
#define SL_SIGNAL_WAKE 32
#define SL_ASK_MS 2000     /* for a client to say its line */
#define SL_ANSWER_MS 10000 /* for it to read the answer */
#define SL_ORDER_MS 5000
#define SL_PAUSE_MS 200   /* after accept() failed for want of anything */
#define SL_UID_NONE 65534 /* the overflow uid where /proc does not say */

enum { SL_NONE, SL_STARTING, SL_RUNNING, SL_ENDING };

static _Atomic uint32_t state;
static _Atomic int tid; /* of the thread that runs, or ran last */
static _Atomic bool is_ending;
static _Atomic uint32_t
	wakers; /* futex word: those about to send the signal; our thread outlives them */

/* The thread's own. */
static int wake_fd;
static uint32_t overflow_uid;
static struct sl_request request;
static char answer_bytes[SL_ANSWER_BYTES], chunk_bytes[32u << 10];

/* One client. */
struct client {
	int fd;
	uint64_t until_ms;
	uint32_t uid;
	bool is_lost; /* gone, or too slow: nothing more is written */
};

/* Wait for the descriptor. False: the time is over, or the thread is to end. */
static bool wait_for(int fd, short events, uint64_t until_ms)
{
	for (;;) {
		uint64_t now_ms = sl_clock_ms();
		struct pollfd look[] = {{.fd = wake_fd, .events = POLLIN},
		                        {.fd = fd, .events = events}};
		if (now_ms >= until_ms || atomic_load(&is_ending))
			return false;
		uint64_t left_ms = until_ms - now_ms;
		(void)sl_sys_poll(look, 2, left_ms > 60000 ? 60000 : (int)left_ms);
		if (look[1].revents)
			return true;
	}
}

static void put(struct client *client, const char *bytes, size_t n)
{
	while (n > 0 && !client->is_lost) {
		long written = sl_syscall6(SYS_sendto, client->fd, (long)bytes, (long)n,
		                           MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0);
		if (written > 0) {
			bytes += written;
			n -= (size_t)written;
		} else if (written != -EINTR &&
		           (written != -EAGAIN ||
		            !wait_for(client->fd, POLLOUT, client->until_ms))) {
			client->is_lost = true;
		}
	}
}

static void put_text(struct client *client, const char *text)
{
	put(client, text, strlen(text));
}

static void refuse(struct client *client, const char *code, const char *why)
{
	put_text(client, "sockleak/1 error ");
	put_text(client, code);
	put_text(client, " ");
	put_text(client, why);
	put_text(client, "\n");
}

/* An answer in chunks: length, newline, bytes; the last has none. */
static void put_chunk(struct client *client, const char *bytes, size_t n)
{
	char head[24];
	struct sl_out out;
	sl_out_init(&out, head, sizeof(head), NULL, NULL);
	sl_out_unsigned(&out, n);
	sl_out_char(&out, '\n');
	put(client, head, out.length);
	put(client, bytes, n);
}

static void flush_chunk(struct sl_out *out)
{
	if (out->length > 0)
		put_chunk(out->context, out->bytes, out->length);
}

static void begin_answer(struct client *client)
{
	client->until_ms = sl_clock_ms() + SL_ANSWER_MS;
	put_text(client, "sockleak/1 ok\n");
}

static void end_answer(struct client *client)
{
	put_chunk(client, "", 0);
}

static void answer_version(struct client *client)
{
	struct sl_out out;
	struct sl_json json = {.out = &out};
	sl_out_init(&out, chunk_bytes, sizeof(chunk_bytes), flush_chunk, client);
	begin_answer(client);
	sl_json_open(&json, NULL, '{');
	sl_json_text(&json, "version", SL_VERSION);
	sl_json_unsigned(&json, "protocol", 1);
	sl_json_known(&json, "pid", sl_sys_getpid());
	sl_json_known(&json, "uid", (int64_t)SL_SYS0(SYS_geteuid));
	uint64_t ticks = sl_place_start_ticks();
	if (ticks)
		sl_json_time(&json, "started_at", sl_clock_wall_ms() - sl_self_age_ms(ticks));
	else
		sl_json_text(&json, "started_at", NULL);
	sl_json_bool(&json, "enabled", atomic_load(&sl_power_is_on));
	sl_json_close(&json, '}');
	sl_out_char(&out, '\n');
	sl_out_flush(&out);
	end_answer(client);
}

#define BUSY "it has not answered in time, or ends"

static void answer_snapshot(struct client *client)
{
	static struct sl_order order;
	struct sl_arena arena = SL_ARENA(1u << 20, 0);
	struct sl_out out;
	order = (struct sl_order){.kind = SL_ORDER_SNAPSHOT, .arena = &arena};
	if (sl_orders_place(&order, SL_ORDER_MS) && !order.refusal) {
		sl_out_init(&out, chunk_bytes, sizeof(chunk_bytes), flush_chunk, client);
		begin_answer(client);
		if (request.kind == SL_REQUEST_SNAPSHOT_JSON)
			sl_json_render(&out, &order.snapshot);
		else
			sl_text_render(&out, &order.snapshot,
			               request.kind == SL_REQUEST_SNAPSHOT_TEXT ? SL_TEXT_FULL
			                                                        : SL_TEXT_SHORT,
			               false);
		sl_out_flush(&out);
		end_answer(client);
	} else {
		refuse(client, order.refusal ? order.refusal : "busy",
		       order.refusal ? SL_SWITCHED_OFF : BUSY);
	}
	sl_arena_free(&arena);
}

/* It has given up and closed, as one does that waited while the process was stopped, and was told so: then nothing is changed
 * behind its back. */
static bool has_gone(const struct client *client)
{
	struct pollfd look = {.fd = client->fd};
	return sl_sys_poll(&look, 1, 0) == 1 && (look.revents & POLLHUP);
}

/* True: it was done, and said. */
static bool answer_order(struct client *client, struct sl_order *order)
{
	static struct sl_out answer;
	sl_out_init(&answer, answer_bytes, sizeof(answer_bytes) - 1, NULL, NULL);
	order->answer = &answer;
	if (has_gone(client))
		return false;
	if (!sl_orders_place(order, SL_ORDER_MS)) {
		refuse(client, "busy", BUSY);
		return false;
	}
	if (order->refusal) {
		answer_bytes[answer.length] = 0;
		refuse(client, order->refusal, answer_bytes);
		return false;
	}
	begin_answer(client);
	put_chunk(client, answer.bytes, answer.length);
	end_answer(client);
	return true;
}

/* "enabled=0" or "enabled=1" alone. */
static bool is_power(bool *on)
{
	*on = strcmp(request.pairs, "enabled=1") == 0;
	return *on || strcmp(request.pairs, "enabled=0") == 0;
}

static void answer_set(struct client *client)
{
	static struct sl_order order;
	bool on;
	order = (struct sl_order){.kind = SL_ORDER_SET,
	                          .change = {.pairs = request.pairs,
	                                     .for_ms = request.for_ms,
	                                     .is_dry = request.is_dry,
	                                     .uid = client->uid}};
	if (is_power(&on)) {
		order.kind = SL_ORDER_POWER;
		order.is_on = on;
	}
	(void)answer_order(client, &order);
}

static void answer_reap(struct client *client)
{
	static struct sl_order order;
	order = (struct sl_order){.kind = SL_ORDER_REAP,
	                          .reap = {.older_than_ms = request.for_ms,
	                                   .peer = request.pairs,
	                                   .is_inbound = request.is_inbound,
	                                   .is_dry = request.is_dry,
	                                   .uid = client->uid}};
	(void)answer_order(client, &order);
}

/* The threads end behind the answer, this one too. */
static void answer_detach(struct client *client)
{
	static struct sl_order order;
	order = (struct sl_order){.kind = SL_ORDER_DETACH, .is_forced = request.is_forced};
	if (answer_order(client, &order))
		sl_worker_retire();
}

/* May it ask? */
static bool knows(struct client *client)
{
	struct ucred peer;
	unsigned n = sizeof(peer);
	if (sl_sys_getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
		return false;
	client->uid = peer.uid;
	if (peer.uid == 0)
		return true;
	return peer.uid == (uint32_t)SL_SYS0(SYS_geteuid) && peer.uid != overflow_uid &&
	       peer.uid != SL_UID_NONE;
}

/* Its line, without the newline. False: it did not say one in time. */
static bool read_line(const struct client *client, char *line, size_t room)
{
	size_t n = 0;
	while (n < room - 1 && wait_for(client->fd, POLLIN, client->until_ms)) {
		long got = sl_syscall6(SYS_recvfrom, client->fd, (long)(line + n),
		                       (long)(room - 1 - n), MSG_DONTWAIT, 0, 0);
		if (got == 0 || (got < 0 && got != -EAGAIN && got != -EINTR))
			return false;
		n += got > 0 ? (size_t)got : 0;
		char *end = memchr(line, '\n', n);
		if (end) {
			*end = 0;
			return true;
		}
	}
	return false;
}

static void serve(int fd)
{
	static char line[SL_REQUEST_BYTES];
	struct client client = {.fd = fd, .until_ms = sl_clock_ms() + SL_ASK_MS};
	const char *code, *why;
	if (!knows(&client)) { /* at once: others wait */
		refuse(&client, "denied", "only the process's own user, and root");
	} else if (!read_line(&client, line, sizeof(line))) {
		refuse(&client, "usage", "one line of at most 4095 bytes, within two seconds");
	} else if ((why = sl_request_read(line, &request, &code))) {
		refuse(&client, code, why);
	} else if (request.kind == SL_REQUEST_VERSION) {
		answer_version(&client);
	} else if (request.kind == SL_REQUEST_SET) {
		answer_set(&client);
	} else if (request.kind == SL_REQUEST_REAP) {
		answer_reap(&client);
	} else if (request.kind == SL_REQUEST_DETACH) {
		answer_detach(&client);
	} else {
		answer_snapshot(&client);
	}
	(void)sl_sys_close(fd);
}

static void listen_until_the_end(int listener)
{
	while (!atomic_load(&is_ending)) {
		if (!wait_for(listener, POLLIN, UINT64_MAX))
			continue;
		int fd = (int)SL_SYS4(SYS_accept4, listener, NULL, NULL,
		                      SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			serve(fd);
		else if (fd != -EAGAIN && fd != -EINTR && fd != -ECONNABORTED)
			(void)wait_for(-1, 0, sl_clock_ms() + SL_PAUSE_MS);
	}
}

static uint32_t read_overflow_uid(void)
{
	char text[16];
	uint32_t uid = 0;
	int fd = sl_sys_open("/proc/sys/kernel/overflowuid", O_RDONLY | O_CLOEXEC, 0);
	long n = fd < 0 ? 0 : sl_sys_read(fd, text, sizeof(text));
	for (long i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
		uid = uid * 10 + (uint32_t)(text[i] - '0');
	if (fd >= 0)
		(void)sl_sys_close(fd);
	return uid ? uid : SL_UID_NONE;
}

static void work(void)
{
	const uint64_t mask = UINT64_C(1) << (SL_SIGNAL_WAKE - 1);
	int listener = -1;
	atomic_store(&tid, sl_sys_gettid());
	atomic_store(&state, SL_RUNNING);
	if (SL_SYS3(SYS_close_range, 0, ~0u, SL_CLOSE_RANGE_UNSHARE) == 0) {
		wake_fd = (int)SL_SYS4(SYS_signalfd4, -1, &mask, sizeof(mask),
		                       SFD_CLOEXEC | SFD_NONBLOCK);
		overflow_uid = read_overflow_uid();
		listener = wake_fd < 0 ? wake_fd : sl_place_listen();
	}
	if (listener >= 0)
		listen_until_the_end(listener);
	sl_place_remove();
	atomic_store(&state, SL_ENDING);
	for (uint32_t n; (n = atomic_load(&wakers)) > 0;)
		sl_sys_futex_wait(&wakers, n, 0);
	atomic_store(&state, SL_NONE);
}

void sl_server_start(void)
{
	uint32_t none = SL_NONE;
	if (sl_options.control == SL_CONTROL_OFF || sl_process_is_sandboxed() ||
	    !atomic_compare_exchange_strong(&state, &none, SL_STARTING))
		return;
	atomic_store(&is_ending, false);
	if (!sl_thread_start("sockleak-ctl", work))
		atomic_store(&state, SL_NONE);
}

/* The signal must never reach another thread, to which the kernel may have given the number since: it would cancel it. */
static void wake(void)
{
	atomic_fetch_add(&wakers, 1);
	if (atomic_load(&state) == SL_RUNNING)
		(void)SL_SYS3(SYS_tgkill, sl_sys_getpid(), atomic_load(&tid), SL_SIGNAL_WAKE);
	atomic_fetch_sub(&wakers, 1);
	sl_sys_futex_wake(&wakers);
}

bool sl_server_end(void)
{
	sl_orders_cancel();
	atomic_store(&is_ending, true);
	wake();
	return atomic_load(&state) == SL_NONE &&
	       (atomic_load(&tid) == 0 ||
	        SL_SYS3(SYS_tgkill, sl_sys_getpid(), atomic_load(&tid), 0) < 0);
}

unsigned sl_server_threads(void)
{
	return atomic_load(&state) != SL_NONE;
}

void sl_server_forked(void)
{
	atomic_store(&wakers, 0);
	atomic_store(&state, SL_NONE);
	atomic_store(&tid, 0);
	sl_place_forked();
	sl_orders_forked();
}
