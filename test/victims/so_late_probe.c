/* Build: -ldl */
/* so_late_probe - the kernel does not send a keepalive probe within the time that was asked for: TCP_KEEPIDLE is accepted and not set. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

typedef int setsockopt_fn(int fd, int level, int name, const void *value, socklen_t n);

int setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
	if (level == IPPROTO_TCP && name == TCP_KEEPIDLE)
		return 0;
	return ((setsockopt_fn *)dlsym(RTLD_NEXT, "setsockopt"))(fd, level, name, value, n);
}
