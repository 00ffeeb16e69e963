/* sharing_epoll.h - the epoll sets of this process, as their fdinfo shows them.
 *
 * Layer: reclaim. Context: the clerk. Source: proc(5). errno: untouched.
 */
#ifndef SL_RECLAIM_SHARING_EPOLL_H
#define SL_RECLAIM_SHARING_EPOLL_H

#include <stdbool.h>
#include <stdint.h>

#include "reclaim/sharing.h"

/* Notes in which sets the sockets are that were asked about. What cannot be read is noted too. */
void sl_sharing_read_epoll(struct sl_sharing *sharing);

/* The inode and the events of one line of a set's fdinfo ("tfd: 7 events: 2001 data: ... ino:1234 sdev:8"). False: it is
 * another line. Pure. */
bool sl_sharing_parse_epoll(const char *line, uint64_t *inode, uint32_t *events);

#endif
