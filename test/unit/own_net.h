/* own_net.h - a network namespace for one test program: what it counts of the kernel's sockets are its own. */
#ifndef SL_TEST_OWN_NET_H
#define SL_TEST_OWN_NET_H

/* Give the process a network of its own with a loopback, where that is allowed: else it stays in the machine's, where others open and
 * close connections meanwhile. Call it first in main(): it takes a process of one thread. */
void own_net(void);

#endif
