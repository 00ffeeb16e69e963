/* client.c - see client.h. */
#include "cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/client_find.h"

#define SL_PROTOCOL "sockleak/1"
#define SL_LINE_BYTES 1024

/* A connection with what was read ahead. */
struct stream {
	int fd;
	uint64_t until_ms;
	size_t at, n;
	char bytes[65536];
};

/* 0 when it is ready, or -ETIMEDOUT. */
static int wait_for(const struct stream *stream, short events)
{
	struct pollfd poll_fd = {.fd = stream->fd, .events = events};
	for (;;) {
		uint64_t now_ms = sl_clock_ms();
		if (now_ms >= stream->until_ms)
			return -ETIMEDOUT;
		int ready = poll(&poll_fd, 1, (int)(stream->until_ms - now_ms));
		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return -errno;
	}
}

static int send_all(struct stream *stream, const char *bytes, size_t n)
{
	while (n > 0) {
		int error = wait_for(stream, POLLOUT);
		if (error)
			return error;
		ssize_t sent = send(stream->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return -EPROTO;
		bytes += sent > 0 ? sent : 0;
		n -= sent > 0 ? (size_t)sent : 0;
	}
	return 0;
}

/* More bytes behind those at hand; -EPROTO: the server has closed. */
static int fill(struct stream *stream)
{
	int error = wait_for(stream, POLLIN);
	if (error)
		return error;
	ssize_t got = recv(stream->fd, stream->bytes, sizeof(stream->bytes), MSG_DONTWAIT);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		return -EPROTO;
	stream->at = 0;
	stream->n = got > 0 ? (size_t)got : 0;
	return 0;
}

static int read_line(struct stream *stream, char line[SL_LINE_BYTES])
{
	for (size_t length = 0; length < SL_LINE_BYTES;) {
		while (stream->at == stream->n) {
			int error = fill(stream);
			if (error)
				return error;
		}
		line[length] = stream->bytes[stream->at++];
		if (line[length] == '\n') {
			line[length] = 0;
			return 0;
		}
		length++;
	}
	return -EPROTO;
}

static int read_bytes(struct stream *stream, char *to, size_t n)
{
	while (n > 0) {
		while (stream->at == stream->n) {
			int error = fill(stream);
			if (error)
				return error;
		}
		size_t part = stream->n - stream->at < n ? stream->n - stream->at : n;
		memcpy(to, stream->bytes + stream->at, part);
		stream->at += part;
		to += part;
		n -= part;
	}
	return 0;
}

/* "LENGTH\n" and the bytes, up to "0\n". */
static int read_chunks(struct stream *stream, struct sl_client_reply *reply)
{
	for (;;) {
		char line[SL_LINE_BYTES], *end;
		int error = read_line(stream, line);
		if (error)
			return error;
		unsigned long length = strtoul(line, &end, 10);
		if (line[0] < '0' || line[0] > '9' || *end)
			return -EPROTO;
		if (length > SL_CLIENT_REPLY_BYTES_MAX - reply->n)
			return -EFBIG;
		char *more = realloc(reply->bytes, reply->n + length + 1);
		if (!more)
			return -ENOMEM;
		reply->bytes = more;
		error = read_bytes(stream, more + reply->n, length);
		if (error)
			return error;
		reply->n += length;
		more[reply->n] = 0;
		if (length == 0)
			return 0;
	}
}

static int read_reply(struct stream *stream, struct sl_client_reply *reply)
{
	static const char refusal[] = SL_PROTOCOL " error ";
	char line[SL_LINE_BYTES];
	int error = read_line(stream, line);
	if (error)
		return error;
	if (strcmp(line, SL_PROTOCOL " ok") == 0)
		return read_chunks(stream, reply);
	if (strncmp(line, refusal, sizeof(refusal) - 1) != 0)
		return -EPROTO;
	const char *code = line + sizeof(refusal) - 1;
	size_t n = strcspn(code, " ");
	(void)snprintf(reply->code, sizeof(reply->code), "%.*s", (int)n, code);
	(void)snprintf(reply->message, sizeof(reply->message), "%.500s",
	               code[n] ? code + n + 1 : code);
	return -EREMOTEIO;
}

/* The kernel says who listens: the process that was asked for, still. */
static bool is_it(int fd, const struct sl_proc *proc)
{
	struct ucred who;
	socklen_t n = sizeof(who);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.pid == proc->pid &&
	       (who.uid == proc->euid || who.uid == proc->uid) && sl_proc_is_same(proc);
}

int sl_client_ask(const struct sl_proc *proc, const char *request, unsigned patience_ms,
                  struct sl_client_reply *reply)
{
	static struct stream stream;
	char line[SL_CLIENT_REQUEST_BYTES];
	*reply = (struct sl_client_reply){0};
	int n = snprintf(line, sizeof(line), SL_PROTOCOL " %s\n", request);
	if (n >= (int)sizeof(line) || strchr(request, '\n'))
		return -EINVAL;
	const uint64_t until_ms = sl_clock_ms() + patience_ms;
	int fd = sl_client_connect(proc, patience_ms);
	if (fd < 0)
		return fd;
	stream = (struct stream){.fd = fd, .until_ms = until_ms};
	int error = is_it(fd, proc) ? send_all(&stream, line, (size_t)n) : -EPERM;
	if (!error || error == -EPROTO) /* a refusal may be there even so */
		error = read_reply(&stream, reply);
	(void)close(fd);
	if (error)
		sl_client_free(reply);
	return error;
}

void sl_client_free(struct sl_client_reply *reply)
{
	free(reply->bytes);
	reply->bytes = NULL;
	reply->n = 0;
}

const char *sl_client_why(int error, const struct sl_client_reply *reply)
{
	switch (error) {
	case -ENOENT:
		return "it has no control socket (no TCP socket yet, control=off, left out by "
		       "programs= or "
		       "children=, or an older library)";
	case -EACCES:
		return "not permitted";
	case -EREMOTEIO:
		return reply->message;
	case -ETIMEDOUT:
		return "its control socket does not answer in time";
	case -EPERM:
		return "another process answers at its control socket";
	case -EFBIG:
		return "its answer is too large";
	case -EINVAL:
		return "the request is too long";
	default:
		return "its control socket does not answer as it should";
	}
}
