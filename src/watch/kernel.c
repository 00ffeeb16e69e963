#include "watch/kernel.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/sys.h"

#include "base/poison.h"

void sl_kernel_tcp_of(const struct tcp_info *info, struct sl_kernel_tcp *tcp)
{
	*tcp = (struct sl_kernel_tcp){
		.state = info->tcpi_state,
		.retransmits = info->tcpi_retransmits,
		.probes = info->tcpi_probes,
		.backlog = info->tcpi_unacked,
		.backlog_limit = info->tcpi_sacked,
		.last_data_sent_ms = info->tcpi_last_data_sent,
		.last_data_recv_ms = info->tcpi_last_data_recv,
		.last_ack_recv_ms = info->tcpi_last_ack_recv,
		.bytes_sent = info->tcpi_bytes_sent - info->tcpi_bytes_retrans,
		.bytes_acked = info->tcpi_bytes_acked,
		.was_established = info->tcpi_bytes_acked > 0 || info->tcpi_bytes_received > 0,
		.has_unsent = info->tcpi_notsent_bytes > 0 || info->tcpi_unacked > 0,
	};
}

int sl_kernel_tcp(int fd, struct sl_kernel_tcp *tcp)
{
	struct tcp_info info;
	unsigned n = sizeof(info);
	memset(&info, 0, sizeof(info));
	int error = sl_sys_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n);
	if (error < 0)
		return error;
	sl_kernel_tcp_of(&info, tcp);
	return 0;
}

static uint32_t ask_queue(int fd, unsigned long request)
{
	int bytes = 0;
	return sl_sys_ioctl(fd, request, &bytes) < 0 || bytes < 0 ? 0 : (uint32_t)bytes;
}

uint32_t sl_kernel_unread_bytes(int fd)
{
	return ask_queue(fd, SIOCINQ);
}

uint32_t sl_kernel_unsent_bytes(int fd)
{
	return ask_queue(fd, SIOCOUTQ);
}

bool sl_kernel_is_close_notify(int fd, uint32_t unread_bytes)
{
	static const uint8_t tls12[] = {0x15, 0x03, 0x03, 0x00, 0x1a};
	static const uint8_t tls13[] = {0x17, 0x03, 0x03, 0x00, 0x13};
	uint8_t record[sizeof(tls12)];
	if (unread_bytes != 31 && unread_bytes != 24)
		return false;
	long got = sl_syscall6(SYS_recvfrom, fd, (long)record, sizeof(record),
	                       MSG_PEEK | MSG_DONTWAIT, 0, 0);
	return got == (long)sizeof(record) &&
	       memcmp(record, unread_bytes == 31 ? tls12 : tls13, sizeof(record)) == 0;
}

static int ask_int(int fd, int name)
{
	int value = -1;
	unsigned n = sizeof(value);
	return sl_sys_getsockopt(fd, SOL_SOCKET, name, &value, &n) < 0 ? -1 : value;
}

uint64_t sl_kernel_cookie(int fd)
{
	uint64_t cookie = 0;
	unsigned n = sizeof(cookie);
	return sl_sys_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) < 0 ? 0 : cookie;
}

bool sl_kernel_local(int fd, struct sl_endpoint *endpoint)
{
	struct sockaddr_storage address;
	unsigned n = sizeof(address);
	return sl_sys_getsockname(fd, &address, &n) == 0 &&
	       sl_endpoint_of((const struct sockaddr *)&address, n, endpoint);
}

bool sl_kernel_peer(int fd, struct sl_endpoint *endpoint)
{
	struct sockaddr_storage address;
	unsigned n = sizeof(address);
	return sl_sys_getpeername(fd, &address, &n) == 0 &&
	       sl_endpoint_of((const struct sockaddr *)&address, n, endpoint);
}

enum sl_kind sl_kernel_kind_of(int domain, int type, int protocol)
{
	int plain_type = type & 0xf; /* without SOCK_NONBLOCK and SOCK_CLOEXEC */
	if (domain == AF_UNIX)
		return SL_KIND_UNIX;
	if (domain == AF_NETLINK)
		return SL_KIND_NETLINK;
	if (domain != AF_INET && domain != AF_INET6)
		return SL_KIND_OTHER;
	if (plain_type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP))
		return SL_KIND_TCP;
	if (plain_type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP))
		return SL_KIND_UDP;
	return SL_KIND_OTHER;
}

enum sl_kind sl_kernel_kind(int fd)
{
	int domain = ask_int(fd, SO_DOMAIN);
	if (domain < 0)
		return SL_KIND_NONE;
	return sl_kernel_kind_of(domain, ask_int(fd, SO_TYPE), ask_int(fd, SO_PROTOCOL));
}

bool sl_kernel_is_listener(int fd)
{
	return ask_int(fd, SO_ACCEPTCONN) == 1;
}
