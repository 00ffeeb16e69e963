/* late_filter - sets a seccomp filter by syscall(2), as libseccomp does, which kills the process for every
 * call but those few that it makes from there on. Then it connects to itself and talks.
 *
 * `late_filter first|later`: whether the filter comes before its first socket. Says "ok"; with
 * `bite` it asks for its pid instead, and dies of SIGSYS.
 */
#include "victim.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* bind, listen, getsockname: for `first`, which makes its listener inside. */
static const unsigned allowed[] = {
	SYS_socket, SYS_bind,     SYS_listen, SYS_getsockname, SYS_connect,    SYS_accept,
	SYS_sendto, SYS_recvfrom, SYS_close,  SYS_write,       SYS_exit_group,
};
#define ALLOWED (sizeof(allowed) / sizeof(allowed[0]))

static void set_filter(void)
{
	struct sock_filter filter[2 * ALLOWED + 2] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	unsigned short n = 1;
	for (size_t i = 0; i < ALLOWED; i++) {
		filter[n++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
		filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	struct sock_fprog program = {n, filter};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		die("seccomp");
}

static void talk(int listener, unsigned port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	char byte = 0;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		_exit(5);
	int other = accept(listener, NULL, NULL);
	if (other < 0 || send(fd, "x", 1, 0) != 1 || recv(other, &byte, 1, 0) != 1 || byte != 'x')
		_exit(6);
	if (close(fd) != 0 || close(other) != 0)
		_exit(7);
}

int main(int argc, char **argv)
{
	unsigned port = 0;
	int listener = -1;
	if (argc != 2)
		return 2;
	bool is_first = strcmp(argv[1], "first") == 0;
	if (!is_first)
		listener = listen_on("127.0.0.1", 8, &port);
	set_filter();
	if (strcmp(argv[1], "bite") == 0)
		(void)getpid();
	if (is_first)
		listener = listen_on("127.0.0.1", 8, &port);
	for (int i = 0; i < 3; i++)
		talk(listener, port);
	_exit(write(1, "ok\n", 3) == 3 ? 0 : 8);
}
