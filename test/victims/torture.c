/* torture - live connections at full speed, every byte and every number verified, while others leak beside them.
 *
 * `torture SECONDS late|never` prints "ready", then one line: "ok rounds N leaked N late N excused N", or "wrong N ..." with
 * the first thing that was not as it should be; then it waits for the end of input. Live threads connect to servers in
 * this same program, in four ways, and copy descriptors onto other numbers, leaked ones too; a thread opens and closes
 * files among them; leakers leave connections open that the servers have closed, and close most of them late (some sit in
 * an epoll set, change there, and leave it late), or with
 * `never` touch none of them again (where the ladder gives numbers back, a late close is the program's own danger).
 *
 * SIGPIPE is at its default: one that is raised is a failure. A connection on which its own thread was kept from the
 * processor for EXCUSED_MS was quiet for as long; what happens to it then is no fault, and is counted.
 */
#include "victim.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define SERVERS 12
#define LIVES 6
#define LEAKERS 2
#define AMBUSHERS 2
#define CLIENTS (LIVES + LEAKERS + AMBUSHERS)
#define EXCUSED_MS 70 /* of the 100 that the deadline has */
#define LEAKS_MAX 256
#define AMBUSH_LEAKS 40
#define AMBUSH_S 3.0
#define GRACE_MS 100 /* of the ladder, as whoever runs this sets it */
#define KEPT_MAX 100 /* leaks of a thread that it never closes */
#define BYTES_MAX 20000
#define ADDRESSES 64

enum kind {
	KIND_ECHO,        /* asks, is answered, closes first or second */
	KIND_HALF,        /* closes its half, then is answered */
	KIND_LATE_UPLOAD, /* goes on sending, in pieces, when the server has closed its half */
	KIND_LEAK,        /* the server closes, and nobody else does */
	KIND_QUIT,
};

/* The first bytes of each connection. */
struct request {
	uint32_t kind, seed, up, down;
	uint64_t thread; /* whose answer an upload is */
};

struct leak {
	int fd;
	uint64_t cookie;
	bool is_hung_up; /* as it was last looked at */
	bool is_in_set;
	double end_at_s;
};

struct self {
	uint32_t random;
	unsigned number;
	unsigned leak_count;
	unsigned kept;
	int set; /* a leaker's epoll set */
	struct leak leaks[LEAKS_MAX];
};

/* One live connection, as its own thread knows it. */
struct live {
	int fd;
	uint64_t cookie;
	double used_at_s;
	double longest_pause_s;
};

static unsigned port;
static int listener;
static bool closes_late;
static atomic_bool is_over;
static atomic_ulong rounds, leaked, ended_late, excused, wrong;
static _Atomic(const char *) first_wrong;
static atomic_int first_error;
static atomic_uint uploaded[CLIENTS]; /* bytes, all right, plus one; 0: not known yet */

static void is_wrong(const char *what)
{
	int error = errno;
	const char *none = NULL;
	if (atomic_compare_exchange_strong(&first_wrong, &none, what))
		atomic_store(&first_error, error);
	atomic_fetch_add(&wrong, 1);
}

static uint32_t any(struct self *self, uint32_t below)
{
	self->random ^= self->random << 13;
	self->random ^= self->random >> 17;
	self->random ^= self->random << 5;
	return self->random % below;
}

static void pause_us(unsigned us)
{
	struct timespec wait = {0, us * 1000L};
	nanosleep(&wait, NULL);
}

static unsigned char byte_at(uint32_t seed, uint32_t i)
{
	return (unsigned char)((seed + i) * 2654435761u >> 24);
}

static void fill(unsigned char *bytes, uint32_t seed, uint32_t from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		bytes[i] = byte_at(seed, from + i);
}

static bool is_as_filled(const unsigned char *bytes, uint32_t seed, uint32_t from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (bytes[i] != byte_at(seed, from + i))
			return false;
	return true;
}

/* The kernel's name for it: the same for as long as nobody puts another socket there. 0: there is none. */
static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t n = sizeof(cookie);
	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) == 0 ? cookie : 0;
}

static void used(struct live *live)
{
	double now = now_s();
	if (now - live->used_at_s > live->longest_pause_s)
		live->longest_pause_s = now - live->used_at_s;
	live->used_at_s = now;
}

/* Something is not as it should be with this connection. False, for the caller to pass on. */
static bool failed(const struct live *live, const char *what)
{
	if (live->longest_pause_s * 1000 < EXCUSED_MS)
		is_wrong(what);
	else
		atomic_fetch_add(&excused, 1);
	return false;
}

static ssize_t send_some(struct self *self, int fd, void *bytes, size_t n)
{
	struct iovec iov[2] = {{bytes, n / 2}, {(char *)bytes + n / 2, n - n / 2}};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
	switch (any(self, 4)) {
	case 0:
		return write(fd, bytes, n);
	case 1:
		return send(fd, bytes, n, 0);
	case 2:
		return writev(fd, iov, 2);
	default:
		return sendmsg(fd, &message, 0);
	}
}

static ssize_t receive_some(struct self *self, int fd, void *bytes, size_t n)
{
	struct iovec iov = {bytes, n};
	switch (any(self, 3)) {
	case 0:
		return read(fd, bytes, n);
	case 1:
		return recv(fd, bytes, n, 0);
	default:
		return readv(fd, &iov, 1);
	}
}

static bool send_filled(struct self *self, struct live *live, uint32_t seed, uint32_t n,
                        bool slowly)
{
	unsigned char bytes[BYTES_MAX];
	for (uint32_t done = 0; done < n;) {
		uint32_t piece = 1 + any(self, slowly ? n / 30 + 1 : n);
		if (piece > n - done)
			piece = n - done;
		fill(bytes, seed, done, piece);
		if (slowly)
			pause_us(any(self, 15000));
		ssize_t sent = send_some(self, live->fd, bytes, piece);
		used(live);
		if (sent <= 0)
			return failed(live, "send");
		done += (uint32_t)sent;
	}
	return true;
}

static bool receive_filled(struct self *self, struct live *live, uint32_t seed, uint32_t n)
{
	unsigned char bytes[BYTES_MAX];
	for (uint32_t done = 0; done < n;) {
		ssize_t got = receive_some(self, live->fd, bytes, 1 + any(self, n - done));
		used(live);
		if (got < 0)
			return failed(live, "receive");
		if (got == 0)
			return failed(live, "bytes lost");
		if (!is_as_filled(bytes, seed, done, (uint32_t)got))
			return failed(live, "wrong bytes");
		done += (uint32_t)got;
	}
	return true;
}

static bool receive_end(struct self *self, struct live *live)
{
	char byte;
	ssize_t got = receive_some(self, live->fd, &byte, 1);
	used(live);
	return got == 0 || failed(live, got < 0 ? "receive the end" : "more than was sent");
}

/* ---- servers: their ends are inbound, and none of the ladder's business here ---- */

static bool receive_all(int fd, void *bytes, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t got = read(fd, (char *)bytes + done, n - done);
		if (got <= 0)
			return false;
		done += (size_t)got;
	}
	return true;
}

/* How much of an upload came, as it should be, and its end with it. */
static uint32_t receive_upload(int fd, const struct request *request)
{
	unsigned char bytes[BYTES_MAX];
	uint32_t done = 0;
	for (;;) {
		ssize_t got = read(fd, bytes, sizeof(bytes));
		if (got <= 0)
			return got == 0 ? done : 0;
		if (!is_as_filled(bytes, request->seed, done, (uint32_t)got))
			return 0;
		done += (uint32_t)got;
	}
}

static void answer(int fd, const struct request *request)
{
	unsigned char bytes[BYTES_MAX];
	fill(bytes, ~request->seed, 0, request->down);
	for (uint32_t done = 0; done < request->down;) {
		ssize_t sent = send(fd, bytes + done, request->down - done, MSG_NOSIGNAL);
		if (sent <= 0)
			return; /* the client knows what it misses */
		done += (uint32_t)sent;
	}
}

static void *serve(void *unused)
{
	for (;;) {
		struct request request = {.kind = KIND_LEAK};
		unsigned char bytes[BYTES_MAX];
		char end;
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			die("accept");
		bool is_whole = receive_all(fd, &request, sizeof(request));
		if (is_whole && (request.kind == KIND_ECHO || request.kind == KIND_HALF))
			is_whole = receive_all(fd, bytes, request.up) &&
			           is_as_filled(bytes, request.seed, 0, request.up);
		if (is_whole && request.kind == KIND_HALF)
			is_whole = read(fd, &end, 1) == 0;
		if (is_whole)
			answer(fd, &request);
		if (is_whole && request.kind == KIND_LATE_UPLOAD) {
			shutdown(fd, SHUT_WR);
			atomic_store(&uploaded[request.thread], receive_upload(fd, &request) + 1);
		} else if (is_whole && request.kind == KIND_ECHO && request.seed % 2) {
			(void)!read(fd, &end, 1); /* the client closes first */
		}
		close(fd);
		if (request.kind == KIND_QUIT)
			return unused;
	}
}

/* ---- clients ---- */

/* A new connection to a server, with its request on the way. -1: there is none. */
static int connect_for(struct self *self, const struct request *request)
{
	char host[32];
	snprintf(host, sizeof(host), "127.0.0.%u", 1 + any(self, ADDRESSES));
	struct sockaddr_in to = address4(host, port);
	const int on = 1; /* else small pieces wait for acknowledgements that are delayed */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
	    write(fd, request, sizeof(*request)) != sizeof(*request)) {
		is_wrong("connect");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* Leaves a connection open that the server closes: untouched, read to its end, or with bytes unread. */
static void leak_one(struct self *self)
{
	uint32_t how = any(self, 8);
	struct request request = {.kind = KIND_LEAK, .down = how == 0 && closes_late ? 100 : 0};
	char byte;
	int fd = connect_for(self, &request);
	if (fd < 0)
		return;
	if (how == 1 && read(fd, &byte, 1) != 0)
		is_wrong("end of a leak");
	atomic_fetch_add(&leaked, 1);
	if (!closes_late || (self->kept < KEPT_MAX && any(self, 16) == 0)) {
		self->kept++;
		return;
	}
	struct leak *leak = &self->leaks[self->leak_count++];
	*leak = (struct leak){.fd = fd, .cookie = cookie_of(fd)};
	leak->end_at_s = now_s() + any(self, 500) / 1000.0;
}

static int take_leak(struct self *self, unsigned i)
{
	int fd = self->leaks[i].fd;
	if (self->leaks[i].is_in_set && epoll_ctl(self->set, EPOLL_CTL_DEL, fd, NULL) != 0)
		is_wrong("late EPOLL_CTL_DEL");
	self->leaks[i] = self->leaks[--self->leak_count];
	atomic_fetch_add(&ended_late, 1);
	return fd;
}

/* The number of a leak whose time has come, or -1. At the end, or where there is no more room, any one's. */
static int due_leak(struct self *self, bool at_once)
{
	for (unsigned i = 0; i < self->leak_count; i++)
		if (at_once || self->leaks[i].end_at_s <= now_s())
			return take_leak(self, i);
	return -1;
}

/* A leak's number, closed, and taken for the connection before anybody else has it: whatever still happens to the number
 * happens to the connection. */
static int closed_and_taken(int fd, const struct live *live)
{
	if (fd < 0)
		return -1;
	if (close(fd) != 0)
		is_wrong("late close");
	return fcntl(live->fd, F_DUPFD_CLOEXEC, fd);
}

static bool move_to(struct live *live, int to)
{
	if (dup2(live->fd, to) != to)
		return failed(live, "dup2");
	if (close(live->fd) != 0)
		return failed(live, "close of the number that was left");
	live->fd = to;
	used(live);
	return cookie_of(to) == live->cookie || failed(live, "another socket after dup2");
}

/* Give the connection another number: a free one, one that held a file, or that of a leak, which ends it. */
static bool move_number(struct self *self, struct live *live)
{
	int to = -1;
	switch (any(self, 6)) {
	case 0:
		to = dup(live->fd);
		break;
	case 1:
		to = open("/dev/null", O_RDONLY | O_CLOEXEC);
		break;
	case 2:
		to = due_leak(self, false);
		break;
	case 3:
		to = closed_and_taken(due_leak(self, false), live);
		break;
	default:
		return true;
	}
	return to < 0 || move_to(live, to);
}

static bool transfer(struct self *self, struct live *live, const struct request *request)
{
	bool uploads_late = request->kind == KIND_LATE_UPLOAD;
	if (!uploads_late && !send_filled(self, live, request->seed, request->up, false))
		return false;
	if (request->kind == KIND_HALF && shutdown(live->fd, SHUT_WR) != 0)
		return failed(live, "shutdown");
	if (!move_number(self, live))
		return false;
	if (!receive_filled(self, live, ~request->seed, request->down))
		return false;
	if (request->kind == KIND_HALF && !receive_end(self, live))
		return false;
	return !uploads_late || ((self->random % 2 || receive_end(self, live)) &&
	                         send_filled(self, live, request->seed, request->up, true));
}

static void live_begin(struct self *self, struct live *live, struct request *request, uint32_t kind)
{
	*request = (struct request){
		.kind = kind,
		.seed = any(self, UINT32_MAX),
		.up = 1 + any(self, BYTES_MAX),
		.down = 1 + any(self, BYTES_MAX),
		.thread = self->number,
	};
	*live = (struct live){.used_at_s = now_s()};
	atomic_store(&uploaded[self->number], 0);
	live->fd = connect_for(self, request);
	live->cookie = cookie_of(live->fd);
}

static void live_end(struct live *live, const struct request *request, bool is_good)
{
	used(live);
	if (cookie_of(live->fd) != live->cookie)
		is_good = failed(live, "another socket at the end");
	if (close(live->fd) != 0)
		is_good = failed(live, "close");
	if (request->kind == KIND_LATE_UPLOAD) {
		while (atomic_load(&uploaded[request->thread]) == 0)
			pause_us(100);
		if (is_good && atomic_load(&uploaded[request->thread]) != request->up + 1)
			failed(live, "upload cut");
	}
	atomic_fetch_add(&rounds, 1);
}

static void live_once(struct self *self)
{
	struct request request;
	struct live live;
	live_begin(self, &live, &request,
	           any(self, 64) == 0  ? KIND_LATE_UPLOAD
	           : any(self, 4) == 0 ? KIND_HALF
	                               : KIND_ECHO);
	if (live.fd >= 0)
		live_end(&live, &request,
		         move_number(self, &live) && transfer(self, &live, &request));
}

static void *run_live(void *context)
{
	struct self *self = context;
	while (!atomic_load(&is_over)) {
		live_once(self);
		/* Numbers to move to; an end of their own they never have. */
		if (closes_late && self->leak_count < 16 && any(self, 8) == 0)
			leak_one(self);
	}
	return NULL;
}

/* Into the set, level-triggered or not: what is shut down there wakes the loop below, while the ladder is at it. */
static void watch_last(struct self *self)
{
	struct leak *leak = &self->leaks[self->leak_count - 1];
	struct epoll_event event = {.events = any(self, 2) ? EPOLLPRI : EPOLLIN | EPOLLET,
	                            .data.fd = leak->fd};
	leak->is_in_set = epoll_ctl(self->set, EPOLL_CTL_ADD, leak->fd, &event) == 0;
	if (!leak->is_in_set)
		is_wrong("EPOLL_CTL_ADD");
}

/* As an event loop does: whoever says something is asked for something else. */
static void turn_loop(struct self *self)
{
	struct epoll_event events[8];
	int n = epoll_wait(self->set, events, 8, 0);
	for (int i = 0; i < n; i++) {
		struct epoll_event event = {.events = any(self, 2) ? EPOLLPRI : 0,
		                            .data = events[i].data};
		if (epoll_ctl(self->set, EPOLL_CTL_MOD, event.data.fd, &event) != 0)
			is_wrong("late EPOLL_CTL_MOD");
	}
}

static void *run_leaker(void *context)
{
	struct self *self = context;
	self->set = epoll_create1(EPOLL_CLOEXEC);
	while (!atomic_load(&is_over)) {
		unsigned before = self->leak_count;
		leak_one(self);
		if (self->leak_count > before && any(self, 2))
			watch_last(self);
		turn_loop(self);
		pause_us(2000);
		int fd = due_leak(self, self->leak_count == LEAKS_MAX);
		if (fd >= 0 && close(fd) != 0)
			is_wrong("late close");
	}
	return NULL;
}

/* Has the ladder just been at this one: shut it down, or put another socket there? */
static bool is_struck(struct leak *leak)
{
	struct pollfd look = {.fd = leak->fd};
	uint64_t cookie = cookie_of(leak->fd);
	bool is_hung_up = poll(&look, 1, 0) == 1 && (look.revents & POLLHUP);
	bool is_news = cookie != leak->cookie || is_hung_up != leak->is_hung_up;
	leak->cookie = cookie;
	leak->is_hung_up = is_hung_up;
	return is_news;
}

/* Is the ladder at work on them, just now? */
static bool is_any_struck(struct self *self, double until_s)
{
	while (now_s() < until_s && !atomic_load(&is_over))
		for (unsigned i = 0; i < self->leak_count; i++)
			if (is_struck(&self->leaks[i]))
				return true;
	return false;
}

/* Ends all leaks at the very moment when the ladder is at one of them, and gives their numbers to a live connection. */
static void ambush(struct self *self, double until_s)
{
	struct request request;
	struct live live;
	int copies[AMBUSH_LEAKS];
	unsigned count = 0;
	live_begin(self, &live, &request, KIND_ECHO);
	if (live.fd < 0)
		return;
	if (is_any_struck(self, until_s))
		while (self->leak_count > 0)
			copies[count++] = closed_and_taken(take_leak(self, 0), &live);
	live.used_at_s = now_s(); /* until now its peer had nothing to close */
	bool is_good = transfer(self, &live, &request);
	for (unsigned i = 0; i < count; i++) {
		if (cookie_of(copies[i]) != live.cookie)
			is_good = failed(&live, "another socket on a leak's old number");
		if (close(copies[i]) != 0)
			is_good = failed(&live, "close of a leak's old number");
	}
	live_end(&live, &request, is_good);
}

/* Leaks many at once and lies in wait: for the shutdown, or for what follows it. */
static void *run_ambusher(void *context)
{
	struct self *self = context;
	while (closes_late && !atomic_load(&is_over)) {
		double until_s = now_s() + AMBUSH_S;
		for (unsigned i = 0; i < AMBUSH_LEAKS; i++)
			leak_one(self);
		if (any(self, 4) != 0 && is_any_struck(self, until_s))
			pause_us(GRACE_MS * 800);
		ambush(self, until_s);
		for (int fd; (fd = due_leak(self, true)) >= 0;)
			if (close(fd) != 0)
				is_wrong("late close of the rest");
	}
	return NULL;
}

/* Files whose numbers come and go among those of the sockets. */
static void *run_files(void *unused)
{
	while (!atomic_load(&is_over)) {
		char zeroes[16] = "not yet", none[16] = {0};
		int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		pause_us(500);
		if (fd < 0 || read(fd, zeroes, sizeof(zeroes)) != sizeof(zeroes) ||
		    memcmp(zeroes, none, sizeof(none)) != 0 || close(fd) != 0)
			is_wrong("a file");
	}
	return unused;
}

static pthread_t start(void *(*run)(void *), void *context)
{
	pthread_t thread;
	if ((errno = pthread_create(&thread, NULL, run, context)) != 0)
		die("pthread_create");
	return thread;
}

static void end_servers(pthread_t servers[SERVERS])
{
	struct self main_thread = {.random = 1};
	struct request quit = {.kind = KIND_QUIT};
	for (unsigned i = 0; i < SERVERS; i++) {
		int fd = connect_for(&main_thread, &quit);
		if (fd >= 0)
			close(fd);
	}
	for (unsigned i = 0; i < SERVERS; i++)
		pthread_join(servers[i], NULL);
}

int main(int argc, char **argv)
{
	static struct self selves[CLIENTS];
	pthread_t servers[SERVERS], clients[CLIENTS];
	char line[64];
	if (argc < 3)
		return 2;
	closes_late = strcmp(argv[2], "late") == 0;
	listener = listen_on("0.0.0.0", 1024, &port);
	say("ready");
	for (unsigned i = 0; i < SERVERS; i++)
		servers[i] = start(serve, NULL);
	for (unsigned i = 0; i < CLIENTS; i++) {
		selves[i].random = 88172645u + i * 7919;
		selves[i].number = i;
		clients[i] = start(i < LIVES             ? run_live
		                   : i < LIVES + LEAKERS ? run_leaker
		                                         : run_ambusher,
		                   &selves[i]);
	}
	pthread_t files = start(run_files, NULL);
	sleep((unsigned)atoi(argv[1]));
	atomic_store(&is_over, true);
	pthread_join(files, NULL);
	for (unsigned i = 0; i < CLIENTS; i++) {
		pthread_join(clients[i], NULL);
		for (int fd; (fd = due_leak(&selves[i], true)) >= 0;)
			if (close(fd) != 0)
				is_wrong("late close at the end");
	}
	end_servers(servers);
	if (wrong)
		say("wrong %lu rounds %lu: %s: %s", wrong, rounds, first_wrong,
		    strerror(first_error));
	else
		say("ok rounds %lu leaked %lu late %lu excused %lu", rounds, leaked, ended_late,
		    excused);
	while (next_command(line, sizeof(line)))
		say("ok");
	return wrong != 0;
}
