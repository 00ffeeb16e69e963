/* unit.h - the systemd unit of a process, by its control group.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_UNIT_H
#define SL_CLI_UNIT_H

#include <stdbool.h>
#include <stddef.h>

#define SL_UNIT_BYTES 256 /* a unit's name has fewer */

/* The innermost service or scope in the text of /proc/PID/cgroup: "app.service" of "0::/system.slice/app.service/worker". Pure.
 * False: none. */
bool sl_unit_of_groups(const char *groups, char unit[SL_UNIT_BYTES]);

/* The same of a process. */
bool sl_unit_of(int pid, char unit[SL_UNIT_BYTES]);

#endif
