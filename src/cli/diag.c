/* diag.c - see diag.h. */
#include "cli/diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "cli/netns.h"

#define SL_DIAG_BYTES 65536
#define SL_DIAG_PATIENCE_S 5
#define SL_TIMER_KEEPALIVE 2 /* idiag_timer: sock_diag(7) */
#define SL_TIMER_TIME_WAIT 3
#define SL_AGED_EXPIRES_MS 59000 /* of the minute that TIME_WAIT lasts */
#define SL_TCP_CLOSE_WAIT 8      /* TCP_CLOSE_WAIT: netinet/tcp.h cannot stand beside linux/tcp.h */

static int ask(int family, uint32_t states)
{
	const struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 request;
	} message = {
		.head = {.nlmsg_len = sizeof(message),
	                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
	                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.request = {.sdiag_family = (uint8_t)family,
	                    .sdiag_protocol = IPPROTO_TCP,
	                    .idiag_ext = 1 << (INET_DIAG_INFO - 1),
	                    .idiag_states = states},
	};
	const struct timeval patience = {.tv_sec = SL_DIAG_PATIENCE_S};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(fd, &message, sizeof(message), 0) == (ssize_t)sizeof(message))
		return fd;
	int error = -errno;
	(void)close(fd);
	return error;
}

static struct sl_endpoint endpoint_of(int family, const uint32_t address[4], uint16_t port)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct sl_endpoint endpoint = {.port = ntohs(port)};
	if (family == AF_INET) {
		memcpy(endpoint.address, mapped, sizeof(mapped));
		memcpy(endpoint.address + 12, address, 4);
	} else {
		memcpy(endpoint.address, address, 16);
	}
	return endpoint;
}

static void take(const struct nlmsghdr *head, sl_diag_fn *each, void *context)
{
	const struct inet_diag_msg *message = NLMSG_DATA(head);
	if (head->nlmsg_len < NLMSG_LENGTH(sizeof(*message)))
		return;
	struct sl_diag_socket found = {
		.inode = message->idiag_inode,
		.cookie = (uint64_t)message->id.idiag_cookie[1] << 32 | message->id.idiag_cookie[0],
		.state = message->idiag_state,
		.local = endpoint_of(message->idiag_family, message->id.idiag_src,
	                             message->id.idiag_sport),
		.peer = endpoint_of(message->idiag_family, message->id.idiag_dst,
	                            message->id.idiag_dport),
		.unread = message->idiag_rqueue,
		.has_keepalive = message->idiag_timer == SL_TIMER_KEEPALIVE,
		.is_aged = message->idiag_timer == SL_TIMER_TIME_WAIT &&
	                   message->idiag_expires < SL_AGED_EXPIRES_MS,
		.unsent = message->idiag_wqueue,
	};
	/* The FIN takes a place in the sequence, until the program has read the end (tcp_diag_get_info(), tcp_recvmsg()). */
	if (found.state == SL_TCP_CLOSE_WAIT) {
		found.has_read_eof = found.unread == 0;
		found.unread -= found.unread > 0;
	}
	unsigned left = head->nlmsg_len - (unsigned)NLMSG_LENGTH(sizeof(*message));
	const struct rtattr *attribute = (const struct rtattr *)(message + 1);
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		struct tcp_info info = {0};
		size_t n = RTA_PAYLOAD(attribute);
		if (attribute->rta_type != INET_DIAG_INFO)
			continue;
		memcpy(&info, RTA_DATA(attribute), n < sizeof(info) ? n : sizeof(info));
		sl_kernel_tcp_of(&info, &found.tcp);
		found.has_tcp = true;
	}
	each(context, &found);
}

static int receive(int fd, sl_diag_fn *each, void *context)
{
	static char bytes[SL_DIAG_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	for (;;) {
		ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
		if (got <= 0)
			return got < 0 ? -errno : -EPROTO;
		unsigned left = (unsigned)got;
		for (const struct nlmsghdr *head = (const void *)bytes; NLMSG_OK(head, left);
		     head = NLMSG_NEXT(head, left)) {
			if (head->nlmsg_type == NLMSG_DONE)
				return 0;
			if (head->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(head))->error;
			if (head->nlmsg_type == SOCK_DIAG_BY_FAMILY)
				take(head, each, context);
		}
	}
}

int sl_diag_each(int pid, uint32_t states, sl_diag_fn *each, void *context)
{
	static const int families[] = {AF_INET, AF_INET6};
	int home, error = sl_netns_enter(pid, &home);
	for (size_t i = 0; !error && i < sizeof(families) / sizeof(families[0]); i++) {
		int fd = ask(families[i], states);
		error = fd < 0 ? fd : receive(fd, each, context);
		if (fd >= 0)
			(void)close(fd);
		if (families[i] == AF_INET6 && (error == -ENOENT || error == -EAFNOSUPPORT))
			error = 0; /* a kernel without IPv6 */
	}
	sl_netns_leave(home);
	return error;
}

int sl_diag_setting(int pid, const char *path, long values[2])
{
	int home, error = sl_netns_enter(pid, &home);
	if (error)
		return error;
	FILE *file = fopen(path, "re");
	int n = file ? fscanf(file, "%ld %ld", &values[0], &values[1]) : -errno;
	if (file)
		(void)fclose(file);
	sl_netns_leave(home);
	return n;
}
