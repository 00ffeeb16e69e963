/* reap_sharing.h - which sockets another process holds as well: shutdown() would end them there too.
 *
 * Known only from /proc/PID/fd of all processes. Where one of the same user cannot be read, every socket may be shared.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_REAP_SHARING_H
#define SL_CLI_REAP_SHARING_H

#include <stdbool.h>
#include <stdint.h>

struct sl_reap_sharing;

/* NULL: no memory. `pid` is the process itself. */
struct sl_reap_sharing *sl_reap_sharing_start(int pid);
void sl_reap_sharing_add(struct sl_reap_sharing *sharing, uint64_t inode);
/* Look through all other processes, once. */
void sl_reap_sharing_look(struct sl_reap_sharing *sharing);
/* Has another process this one, or may it have? */
bool sl_reap_sharing_has(const struct sl_reap_sharing *sharing, uint64_t inode);
void sl_reap_sharing_free(struct sl_reap_sharing *sharing);

#endif
