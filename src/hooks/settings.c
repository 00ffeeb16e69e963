/* settings.c - setsockopt: the program's own keepalive wins over ours. */
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "hooks/entry.h"
#include "hooks/real.h"
#include "reclaim/keepalive.h"

#include "base/poison.h"

static bool is_keepalive(int level, int name)
{
	return level == SOL_SOCKET
	               ? name == SO_KEEPALIVE
	               : level == IPPROTO_TCP && (name == TCP_KEEPIDLE || name == TCP_KEEPINTVL ||
	                                          name == TCP_KEEPCNT);
}

int sl_hook_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	struct sl_fd_record record;
	if (is_keepalive(level, name) && sl_fdtable_get(fd, &record) &&
	    record.kind == SL_KIND_TCP && sl_entry_is_ours())
		sl_keepalive_yield(&record);
	return sl_real.setsockopt(fd, level, name, value, length);
}
