#include "watch/sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

#include "base/clerk.h"
#include "base/clock.h"
#include "base/sys.h"

#include "base/poison.h"

#define SL_BYTES 32768
#define SL_SLACK_MS 50 /* that the clerk may be late */
#define SL_SOCKETS_MAX 400000u
#define SL_ANSWER_MS 100 /* for each piece of the list; it is there at once */

/* TCP_*: netinet/tcp.h cannot stand beside linux/tcp.h. */
#define SL_TCP_ESTABLISHED 1
#define SL_TCP_TIME_WAIT 6
#define SL_TCP_CLOSE 7
#define SL_TCP_CLOSE_WAIT 8
#define SL_TCP_LISTEN 10
#define SL_TCP_BOUND 13 /* TCP_BOUND_INACTIVE: shown as CLOSE, and only where it is asked for */

#define SL_TIME_WAIT_MS 60000 /* TCP_TIMEWAIT_LEN, a constant of the kernel's */
#define SL_TIME_WAIT_AGED_MS 1000

static bool get_bit(const uint8_t *bits, unsigned at)
{
	return bits[at / 8] >> (at % 8) & 1;
}

static uint32_t hash_of(const struct sl_endpoint *endpoint, uint32_t more)
{
	uint32_t hash = 2166136261u ^ more;
	for (unsigned i = 0; i < sizeof(endpoint->address); i++)
		hash = (hash ^ endpoint->address[i]) * 16777619u;
	return (hash ^ endpoint->port) * 16777619u;
}

static bool is_same(const struct sl_endpoint *a, const struct sl_endpoint *b)
{
	return a->port == b->port && memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

/* Index of the destination; the number of them: none of ours. */
static uint32_t find_dest(const struct sl_sockdiag_tally *tally, const struct sl_endpoint *dest)
{
	for (uint32_t at = hash_of(dest, 0);; at++) {
		uint32_t found = tally->dests[at % SL_SOCKDIAG_HASH];
		if (!found)
			return tally->question->count;
		if (is_same(&tally->question->dests[found - 1], dest))
			return found - 1;
	}
}

/* NULL: no room, and then the answer is none. */
static struct sl_sockdiag_pair *find_pair(struct sl_sockdiag_tally *tally, uint32_t dest,
                                          const struct sl_endpoint *source)
{
	struct sl_sockdiag_answer *answer = tally->answer;
	for (uint32_t at = hash_of(source, dest);; at++) {
		uint16_t *slot = &tally->pairs[at % SL_SOCKDIAG_HASH];
		if (*slot) {
			struct sl_sockdiag_pair *pair = &answer->pairs[*slot - 1];
			if (pair->dest == dest && is_same(&pair->source, source))
				return pair;
			continue;
		}
		if (answer->count == SL_SOCKDIAG_PAIRS)
			return NULL;
		*slot = (uint16_t)(answer->count + 1);
		answer->pairs[answer->count] =
			(struct sl_sockdiag_pair){.source = *source, .dest = dest};
		return &answer->pairs[answer->count++];
	}
}

static struct sl_endpoint endpoint_of(int family, const uint32_t address[4], uint16_t port)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct sl_endpoint endpoint = {.port = ntohs(port)};
	if (family == AF_INET) {
		memcpy(endpoint.address, mapped, sizeof(mapped));
		memcpy(endpoint.address + sizeof(mapped), address, 4);
	} else {
		memcpy(endpoint.address, address, sizeof(endpoint.address));
	}
	return endpoint;
}

static int count_port(struct sl_sockdiag_tally *tally, const struct inet_diag_msg *message)
{
	uint16_t port = ntohs(message->id.idiag_sport);
	if (port < tally->question->low || port > tally->question->high ||
	    get_bit(tally->question->reserved, port))
		return 0;
	if (message->idiag_state == SL_TCP_LISTEN || message->idiag_state == SL_TCP_CLOSE ||
	    message->idiag_state == SL_TCP_BOUND) {
		tally->answer->taken += !get_bit(tally->taken, port);
		tally->taken[port / 8] |= (uint8_t)(1u << (port % 8));
		return 0;
	}
	struct sl_endpoint dest =
		endpoint_of(message->idiag_family, message->id.idiag_dst, message->id.idiag_dport);
	uint32_t index = find_dest(tally, &dest);
	if (index == tally->question->count)
		return 0;
	struct sl_endpoint source = endpoint_of(message->idiag_family, message->id.idiag_src, 0);
	struct sl_sockdiag_pair *pair = find_pair(tally, index, &source);
	if (!pair)
		return -E2BIG;
	pair->ports++;
	if (message->idiag_state == SL_TCP_TIME_WAIT) {
		pair->time_wait++;
		pair->time_wait_aged +=
			message->idiag_expires < SL_TIME_WAIT_MS - SL_TIME_WAIT_AGED_MS;
	}
	return 0;
}

/* A connection that is nobody's: made by the kernel, and not accepted yet. */
static void count_waiting(struct sl_sockdiag_tally *tally, const struct nlmsghdr *head)
{
	const struct inet_diag_msg *message = NLMSG_DATA(head);
	if (message->idiag_inode != 0)
		return;
	unsigned left = head->nlmsg_len - (unsigned)NLMSG_LENGTH(sizeof(*message));
	const struct rtattr *attribute = (const struct rtattr *)(message + 1);
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		struct tcp_info info = {0};
		size_t n = RTA_PAYLOAD(attribute);
		if (attribute->rta_type != INET_DIAG_INFO)
			continue;
		memcpy(&info, RTA_DATA(attribute), n < sizeof(info) ? n : sizeof(info));
		tally->has_waiting = true;
		if (info.tcpi_last_ack_recv > tally->waited_ms)
			tally->waited_ms = info.tcpi_last_ack_recv;
	}
}

int sl_sockdiag_take(struct sl_sockdiag_tally *tally, const void *bytes, uint64_t n)
{
	unsigned left = (unsigned)n;
	for (const struct nlmsghdr *head = bytes; NLMSG_OK(head, left);
	     head = NLMSG_NEXT(head, left)) {
		if (head->nlmsg_type == NLMSG_DONE)
			return 1;
		if (head->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *error = NLMSG_DATA(head);
			return head->nlmsg_len >= NLMSG_LENGTH(sizeof(*error)) && error->error < 0
			               ? error->error
			               : -EPROTO;
		}
		if (head->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		    head->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
			continue;
		tally->sockets++;
		int error = 0;
		if (tally->question)
			error = count_port(tally, NLMSG_DATA(head));
		else
			count_waiting(tally, head);
		if (error)
			return error;
	}
	return 0;
}

void sl_sockdiag_tally(struct sl_sockdiag_tally *tally, const struct sl_sockdiag_question *question,
                       struct sl_sockdiag_answer *answer)
{
	memset(tally, 0, sizeof(*tally));
	memset(answer, 0, sizeof(*answer));
	tally->question = question;
	tally->answer = answer;
	for (uint32_t i = 0; i < question->count; i++) {
		uint32_t at = hash_of(&question->dests[i], 0);
		while (tally->dests[at % SL_SOCKDIAG_HASH])
			at++;
		tally->dests[at % SL_SOCKDIAG_HASH] = (uint16_t)(i + 1);
	}
}

/* One question, and all that the clerk needs for it. Not on the worker's stack: an answer that comes too late must hit nothing else. Asked
 * for when it is first used: a process that opens no connection has no need of it. */
static struct asking {
	_Alignas(NLMSG_ALIGNTO) char bytes[SL_BYTES];
	struct sl_sockdiag_question question;
	struct sl_sockdiag_answer answer;
	struct sl_sockdiag_tally tally;
	uint64_t limit_ms;
	uint16_t port; /* whose backlog is asked about */
	int error;
} * asking;

/* What is asked of the kernel: only sockets whose local port lies between these. */
struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
	struct rtattr attribute;
	struct inet_diag_bc_op filter[4];
};

static int send_request(int fd, int family, uint16_t low, uint16_t high, uint32_t states,
                        bool with_info)
{
	const unsigned op = sizeof(struct inet_diag_bc_op);
	struct request request = {
		.head = {.nlmsg_len = sizeof(request),
	                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
	                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.body = {.sdiag_family = (uint8_t)family,
	                 .sdiag_protocol = IPPROTO_TCP,
	                 .idiag_ext = with_info ? 1 << (INET_DIAG_INFO - 1) : 0,
	                 .idiag_states = states},
		.attribute = {.rta_len = sizeof(request.attribute) + sizeof(request.filter),
	                      .rta_type = INET_DIAG_REQ_BYTECODE},
		/* "yes" goes on behind the port, "no" just past the end, which refuses. */
		.filter = {{.code = INET_DIAG_BC_S_GE, .yes = 2 * op, .no = 5 * op},
	                   {.no = low},
	                   {.code = INET_DIAG_BC_S_LE, .yes = 2 * op, .no = 3 * op},
	                   {.no = high}},
	};
	long sent = sl_syscall6(SYS_sendto, fd, (long)&request, sizeof(request), 0, 0, 0);
	return sent < 0 ? (int)sent : 0;
}

static int receive(int fd, struct sl_sockdiag_tally *tally, uint64_t until_ms)
{
	char *bytes = asking->bytes;
	for (;;) {
		long got = sl_syscall6(SYS_recvfrom, fd, (long)bytes, SL_BYTES, MSG_DONTWAIT, 0, 0);
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		if (got == -EINTR || (got == -EAGAIN && sl_sys_poll(&wait, 1, SL_ANSWER_MS) == 1))
			continue;
		if (got <= 0)
			return got < 0 ? (int)got : -EPROTO;
		int taken = sl_sockdiag_take(tally, bytes, (uint64_t)got);
		if (taken != 0)
			return taken < 0 ? taken : 0;
		if (tally->sockets > SL_SOCKETS_MAX)
			return -E2BIG;
		if (sl_clock_ms() > until_ms)
			return -ETIMEDOUT;
	}
}

static int read_list(struct sl_sockdiag_tally *tally, uint16_t low, uint16_t high, uint32_t states)
{
	static const int families[] = {AF_INET, AF_INET6};
	uint64_t until_ms = sl_clock_ms() + asking->limit_ms;
	int error = 0;
	for (unsigned i = 0; !error && i < 2; i++) {
		/* One for each: what an error left unread must not be taken for the next answer. */
		int fd = (int)SL_SYS3(SYS_socket, AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC,
		                      NETLINK_SOCK_DIAG);
		if (fd < 0)
			return fd;
		error = send_request(fd, families[i], low, high, states, !tally->question);
		if (!error)
			error = receive(fd, tally, until_ms);
		(void)sl_sys_close(fd);
		if (families[i] == AF_INET6 && (error == -ENOENT || error == -EAFNOSUPPORT))
			error = 0; /* a kernel without IPv6 */
	}
	return error;
}

static uint64_t now_us(void)
{
	struct timespec now = sl_clock_read(CLOCK_MONOTONIC);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void ports_task(void *unused)
{
	(void)unused;
	uint64_t began_us = now_us();
	sl_sockdiag_tally(&asking->tally, &asking->question, &asking->answer);
	asking->error = read_list(&asking->tally, asking->question.low, asking->question.high, ~0u);
	asking->answer.sockets = asking->tally.sockets;
	asking->answer.spent_us = now_us() - began_us;
}

static void backlog_task(void *unused)
{
	(void)unused;
	memset(&asking->tally, 0, sizeof(asking->tally));
	asking->error = read_list(&asking->tally, asking->port, asking->port,
	                          1u << SL_TCP_ESTABLISHED | 1u << SL_TCP_CLOSE_WAIT);
}

static int hand(sl_clerk_fn *task, uint64_t limit_ms)
{
	bool is_begun;
	asking->limit_ms = limit_ms;
	if (sl_clerk_ask(task, NULL, limit_ms + SL_SLACK_MS, &is_begun))
		return asking->error;
	return is_begun ? -ETIMEDOUT : -EAGAIN;
}

static bool is_ready(void)
{
	if (!sl_clerk_is_there() || sl_clerk_is_asked())
		return false;
	if (!asking)
		asking = sl_sys_map(sizeof(*asking));
	return asking != NULL;
}

struct sl_sockdiag_question *sl_sockdiag_question(void)
{
	return is_ready() ? &asking->question : NULL;
}

int sl_sockdiag_ask(uint64_t limit_ms, const struct sl_sockdiag_answer **answer)
{
	*answer = &asking->answer;
	return hand(ports_task, limit_ms);
}

int sl_sockdiag_backlog(uint16_t port, uint64_t *waited_ms)
{
	*waited_ms = 0;
	if (!is_ready())
		return -EAGAIN;
	asking->port = port;
	int error = hand(backlog_task, SL_SOCKDIAG_GLANCE_MS);
	if (!error && !asking->tally.has_waiting)
		return -ENOENT;
	*waited_ms = error ? 0 : asking->tally.waited_ms;
	return error;
}
