/* external.h - mode "external": a snapshot of a process without the library, from what the kernel and /proc tell.
 *
 * States, peers, ports and fds are known; sites are not, nor what was opened and closed before: every socket counts as adopted.
 * What died has no time of death, so only CLOSE_WAIT is ever stuck. The verdict is that of one site with all connections.
 *
 * Layer: cli. Context: one thread. Owner: everything lies in the arena given.
 */
#ifndef SL_CLI_EXTERNAL_H
#define SL_CLI_EXTERNAL_H

#include "base/arena.h"
#include "cli/outside.h"
#include "cli/proc.h"
#include "report/snapshot.h"

#define SL_EXTERNAL_DEADLINE_MS 60000 /* as the default of the option */

/* 0, or as sl_outside_look(). `why`: why the library is not asked, constant text. */
int sl_external_take(struct sl_arena *arena, const struct sl_proc *proc, const char *why,
                     struct sl_snapshot *snapshot);

/* For how long a connection in CLOSE_WAIT is quiet: since its FIN, or since the program sent last. */
uint64_t sl_external_quiet_ms(const struct sl_outside_socket *socket);

/* Fill in who the process is. A part of the above. */
void sl_external_describe(struct sl_arena *arena, const struct sl_proc *proc,
                          struct sl_snapshot *snapshot);
/* Sum its connections by peer. A part of the above. */
/* Count the ports of its namespace: what is left to each outbound peer, and since when connections wait to be accepted. Parts of the
 * above, after the peers and the listeners. */
void sl_external_count_ports(struct sl_arena *arena, int pid, const struct sl_outside *outside,
                             struct sl_snapshot *snapshot);
void sl_external_elsewhere(struct sl_arena *arena, int pid, const struct sl_outside *outside,
                           struct sl_snapshot *snapshot);
void sl_external_sum_peers(struct sl_arena *arena, const struct sl_outside *outside,
                           struct sl_snapshot *snapshot);

#endif
