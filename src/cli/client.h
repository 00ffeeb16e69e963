/* client.h - asks the library in a process, through its control socket.
 *
 * The socket is looked for below the process's own root (/proc/PID/root), so that a process in a container is reached from the
 * host, and no link there leads out of it. It is trusted only where its folder belongs to the user of the process and to nobody
 * else, and where the kernel says that the server is that very process (SO_PEERCRED).
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_CLIENT_H
#define SL_CLI_CLIENT_H

#include <stddef.h>

#include "cli/proc.h"

#define SL_CLIENT_REQUEST_BYTES 4096 /* of the line, its newline too */
#define SL_CLIENT_REPLY_BYTES_MAX (64u << 20)
#define SL_CLIENT_PATIENCE_MS 5000

struct sl_client_reply {
	char *bytes; /* a NUL behind; to be freed */
	size_t n;
	char code[16]; /* of an error that the server told: usage, value, busy, version, denied */
	char message[512];
};

/* Ask "VERB ARG...". 0: the reply is whole. -ENOENT: there is no control socket. -EACCES: not ours to see. -EREMOTEIO: the server
 * refused, code and message say why. -ETIMEDOUT, -EPROTO, -EFBIG: it does not answer as it should; -EPERM: it is not
 * the process that was asked for. Blocks: patience_ms at most. */
int sl_client_ask(const struct sl_proc *proc, const char *request, unsigned patience_ms,
                  struct sl_client_reply *reply);
void sl_client_free(struct sl_client_reply *reply);

/* Why it was in vain, in words: "no control socket (control=off?)". */
const char *sl_client_why(int error, const struct sl_client_reply *reply);

#endif
