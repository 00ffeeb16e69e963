/* doctor_network.c - ports and their users, and the timeouts of the kernel that bear on leaks. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/out.h"
#include "cli/diag.h"
#include "cli/doctor.h"

#define SL_NEARLY_PERCENT 50

/* Connections that hold a port of the range, by destination. */
struct users {
	long low, high;
	uint64_t time_wait, close_wait, all;
	struct sl_endpoint *to;
	size_t count, room;
};

static void count_one(void *context, const struct sl_diag_socket *socket)
{
	struct users *users = context;
	if (socket->local.port < users->low || socket->local.port > users->high ||
	    socket->state == TCP_LISTEN)
		return;
	users->all++;
	users->time_wait += socket->state == TCP_TIME_WAIT;
	users->close_wait += socket->state == TCP_CLOSE_WAIT;
	if (users->count == users->room) {
		size_t room = users->room ? users->room * 2 : 1024;
		struct sl_endpoint *more = realloc(users->to, room * sizeof(*more));
		if (!more)
			return;
		users->to = more;
		users->room = room;
	}
	users->to[users->count++] = socket->peer;
}

static int by_endpoint(const void *a, const void *b)
{
	const struct sl_endpoint *x = a, *y = b;
	int order = memcmp(x->address, y->address, sizeof(x->address));
	return order ? order : (int)x->port - (int)y->port;
}

/* The destination with most of them, and how many. */
static size_t most_used(struct users *users, struct sl_endpoint *to)
{
	size_t most = 0;
	if (users->count)
		qsort(users->to, users->count, sizeof(*users->to), by_endpoint);
	for (size_t from = 0, at; from < users->count; from = at) {
		for (at = from + 1;
		     at < users->count && by_endpoint(&users->to[from], &users->to[at]) == 0;)
			at++;
		if (at - from > most) {
			most = at - from;
			*to = users->to[from];
		}
	}
	return most;
}

static void look_at_ports(struct sl_doctor *doctor, int pid)
{
	long range[2];
	char text[80] = "-";
	struct sl_endpoint to = {0};
	int got = sl_diag_setting(pid, "/proc/sys/net/ipv4/ip_local_port_range", range);
	struct users users = {.low = range[0], .high = range[1]};
	int error = got == 2  ? sl_diag_each(pid, SL_DIAG_ALL, count_one, &users)
	            : got < 0 ? got
	                      : -EPROTO;
	if (error) {
		sl_doctor_find(doctor, SL_DOCTOR_NOTE, "ports", "look from inside, or as root",
		               "not to be seen: %s", strerror(-error));
		return;
	}
	size_t most = most_used(&users, &to);
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
	sl_endpoint_print(&out, &to);
	text[out.length] = 0;
	long ports = range[1] - range[0] + 1;
	sl_doctor_find(doctor, SL_DOCTOR_OK, "ports", NULL,
	               "%ld to %ld, %ld to each destination; %llu connections of the host hold one "
	               "(CLOSE_WAIT %llu, "
	               "TIME_WAIT %llu)",
	               range[0], range[1], ports, (unsigned long long)users.all,
	               (unsigned long long)users.close_wait, (unsigned long long)users.time_wait);
	if (most * 100 >= (size_t)ports * SL_NEARLY_PERCENT)
		sl_doctor_find(doctor, SL_DOCTOR_BAD, "ports",
		               "find who holds them: sockleak list --all; more ports: sysctl "
		               "net.ipv4.ip_local_port_range",
		               "%zu of %ld are used for %s", most, ports, text);
	else if (most)
		sl_doctor_find(doctor, SL_DOCTOR_OK, "ports", NULL, "most for %s: %zu of %ld", text,
		               most, ports);
	free(users.to);
}

static void look_at_setting(struct sl_doctor *doctor, int pid, const char *name,
                            const char *meaning)
{
	char path[128];
	long values[2];
	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	if (sl_diag_setting(pid, path, values) >= 1)
		sl_doctor_find(doctor, SL_DOCTOR_OK, "setting", NULL, "net.ipv4.%s = %ld: %s", name,
		               values[0], meaning);
}

void sl_doctor_network(struct sl_doctor *doctor, int pid)
{
	look_at_ports(doctor, pid);
	look_at_setting(doctor, pid, "tcp_fin_timeout",
	                "seconds that a peer which has closed still knows the connection "
	                "(FIN_WAIT2); CLOSE_WAIT has no "
	                "timeout");
	look_at_setting(doctor, pid, "tcp_keepalive_time",
	                "seconds of idleness before a keepalive probe, only where a program asks "
	                "for it (option "
	                "keepalive=)");
	look_at_setting(doctor, pid, "tcp_keepalive_intvl", "seconds between two probes");
	look_at_setting(doctor, pid, "tcp_keepalive_probes",
	                "probes without an answer that end the connection");
	look_at_setting(doctor, pid, "tcp_tw_reuse",
	                "0: ports in TIME_WAIT are not used again for 60 s; 2: on loopback only");
}
