/* Build: -luv */
/* uv_late - a libuv program that keeps sockets open after their end, and shuts them down and closes them late.
 *
 * It prints "ready" and obeys the commands of the table at the end of this file; connections have numbers, from 0.
 * libuv calls abort() where epoll_ctl() fails in a way that it does not expect.
 */
#include "commands.h"

#include <uv.h>

#define CONNECTIONS_MAX 64

struct connection {
	uv_tcp_t stream;
	uv_poll_t poll; /* of a descriptor that is not libuv's own */
	bool is_polled;
	int fd; /* of the poll handle */
	uv_connect_t connect;
	uv_shutdown_t shutdown;
	uv_write_t write;
	char events[256];
};

static struct connection connections[CONNECTIONS_MAX];
static int connection_count;
static uv_pipe_t input;
static uv_prepare_t turn;
static unsigned long turns;

static void note(struct connection *c, const char *what, int status)
{
	size_t used = strlen(c->events);
	snprintf(c->events + used, sizeof(c->events) - used, " %s:%s", what,
	         status < 0 ? uv_err_name(status) : "0");
}

static void give(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
	static char bytes[65536];
	(void)handle;
	(void)size;
	*buffer = uv_buf_init(bytes, sizeof(bytes));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	(void)buffer;
	if (n != 0)
		note(stream->data, n > 0 ? "data" : "read", n > 0 ? 0 : (int)n);
}

static void on_connect(uv_connect_t *request, int status)
{
	struct connection *c = request->data;
	if (status != 0)
		die("connect");
	say("ok %td", c - connections);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
	note(request->data, "shutdown", status);
}

static void on_write(uv_write_t *request, int status)
{
	note(request->data, "write", status);
}

static void on_close(uv_handle_t *handle)
{
	note(handle->data, "close", 0);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)events;
	note(poll->data, "poll", status);
	uv_poll_stop(poll);
}

static void must(int status, const char *what)
{
	if (status != 0) {
		fprintf(stderr, "uv_late: %s: %s\n", what, uv_strerror(status));
		exit(3);
	}
}

static struct connection *add(void)
{
	struct connection *c = &connections[connection_count++];
	if (connection_count == CONNECTIONS_MAX)
		die("too many");
	c->stream.data = c->connect.data = c->shutdown.data = c->write.data = c->poll.data = c;
	return c;
}

static struct connection *of(const struct words *w)
{
	return &connections[number(w, 1, 0)];
}

/* open PORT: a uv_tcp_t, which reads nothing; its number. */
static void do_open(const struct words *w)
{
	struct connection *c = add();
	struct sockaddr_in to = address4("127.0.0.1", (unsigned)number(w, 1, 0));
	must(uv_tcp_init(uv_default_loop(), &c->stream), "init");
	must(uv_tcp_connect(&c->connect, &c->stream, (struct sockaddr *)&to, on_connect),
	     "connect");
}

/* poll PORT WHAT: a descriptor of the program's own that libuv only watches; its number. */
static void do_poll(const struct words *w)
{
	struct connection *c = add();
	struct sockaddr_in to = address4("127.0.0.1", (unsigned)number(w, 1, 0));
	c->is_polled = true;
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("connect");
	must(uv_poll_init(uv_default_loop(), &c->poll, c->fd), "poll");
	must(uv_poll_start(&c->poll, number(w, 2, UV_READABLE), on_poll), "poll_start");
	say("ok %td", c - connections);
}

/* watch N WHAT: another interest. */
static void do_watch(const struct words *w)
{
	must(uv_poll_start(&of(w)->poll, number(w, 2, UV_READABLE), on_poll), "poll_start");
	say("ok");
}

static void do_start(const struct words *w)
{
	must(uv_read_start((uv_stream_t *)&of(w)->stream, give, on_read), "read_start");
	say("ok");
}

static void do_stop(const struct words *w)
{
	must(uv_read_stop((uv_stream_t *)&of(w)->stream), "read_stop");
	say("ok");
}

static void do_shut(const struct words *w)
{
	struct connection *c = of(w);
	int status = uv_shutdown(&c->shutdown, (uv_stream_t *)&c->stream, on_shutdown);
	if (status != 0)
		note(c, "shutdown", status);
	say("ok");
}

static void do_send(const struct words *w)
{
	struct connection *c = of(w);
	uv_buf_t byte = uv_buf_init((char[]){'x'}, 1);
	must(uv_write(&c->write, (uv_stream_t *)&c->stream, &byte, 1, on_write), "write");
	say("ok");
}

static void do_end(const struct words *w)
{
	struct connection *c = of(w);
	if (!c->is_polled)
		uv_close((uv_handle_t *)&c->stream, on_close);
	else
		uv_close((uv_handle_t *)&c->poll, on_close);
	if (c->is_polled && close(c->fd) != 0)
		die("close");
	say("ok");
}

static void do_events(const struct words *w)
{
	say("ok%s", of(w)->events);
}

/* block PATH: the loop stands still until somebody has written to this fifo. */
static void do_block(const struct words *w)
{
	char byte;
	int fd = open(text(w, 1), O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &byte, 1) != 1 || close(fd) != 0)
		die("block");
	say("ok");
}

/* turns: how often the loop went round. */
static void do_turns(const struct words *w)
{
	(void)w;
	say("ok %lu", turns);
}

static const struct command commands[] = {
	{"open", do_open},     {"poll", do_poll},   {"watch", do_watch}, {"start", do_start},
	{"stop", do_stop},     {"shut", do_shut},   {"send", do_send},   {"end", do_end},
	{"events", do_events}, {"turns", do_turns}, {"block", do_block}, {"nop", do_nop},
};

static void count_turn(uv_prepare_t *unused)
{
	(void)unused;
	turns++;
}

/* The test waits for each answer: a line comes alone and whole. */
static void on_command(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	char line[256];
	if (n < 0) {
		uv_close((uv_handle_t *)stream, NULL);
		uv_stop(uv_default_loop());
		return;
	}
	if (n == 0)
		return;
	if ((size_t)n >= sizeof(line) || buffer->base[n - 1] != '\n')
		die("command");
	memcpy(line, buffer->base, (size_t)n - 1);
	line[n - 1] = '\0';
	obey_one(commands, sizeof(commands) / sizeof(commands[0]), line);
}

int main(void)
{
	uv_loop_t *loop = uv_default_loop();
	must(uv_prepare_init(loop, &turn), "prepare");
	must(uv_prepare_start(&turn, count_turn), "prepare");
	must(uv_pipe_init(loop, &input, 0), "input");
	must(uv_pipe_open(&input, 0), "input");
	must(uv_read_start((uv_stream_t *)&input, give, on_command), "input");
	say("ready");
	uv_run(loop, UV_RUN_DEFAULT);
	return 0;
}
