/* netns.h - a moment in the network namespace of another process.
 *
 * What is opened meanwhile belongs there for good: a socket, a file of /proc/sys/net.
 *
 * Layer: cli. Context: the command's only thread. Source: setns(2): needs CAP_SYS_ADMIN over that namespace.
 */
#ifndef SL_CLI_NETNS_H
#define SL_CLI_NETNS_H

/* 0, or -errno. *home is for sl_netns_leave(); -1: it is our own, and nothing was done. */
int sl_netns_enter(int pid, int *home);
void sl_netns_leave(int home);

#endif
