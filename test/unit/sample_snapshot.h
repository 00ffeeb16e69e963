/* sample_snapshot.h - fabricated snapshots for the tests of the renderers.
 *
 * Each call returns a fresh copy of the struct; what it points to is shared and constant.
 */
#ifndef SL_TEST_SAMPLE_SNAPSHOT_H
#define SL_TEST_SAMPLE_SNAPSHOT_H

#include "report/snapshot.h"

/* The incident: a JVM with 12,719 CLOSE_WAIT of 14,786 connections, and two listeners. Every sum
 * over its peers, sites and states is right. Names of threads, frames, hosts and arguments are as
 * hostile as they can be. */
struct sl_snapshot sample_rich(void);

/* A native process with nothing to tell. */
struct sl_snapshot sample_healthy(void);

/* The rich one a day later, with action=neutralize: nothing is stuck any more, for the ladder has ended it all.
 * sites[] and sockets[] lie in static memory that the next call fills anew: a test may change them. */
struct sl_snapshot sample_reclaimed(void);

/* As much as a process can have: n peers, sites and listeners, at most SAMPLE_MANY, each the worst
 * of the rich sample with every cause. They lie in static memory that the next call fills anew: a
 * test may change them. */
#define SAMPLE_MANY 300
struct sl_snapshot sample_many(uint32_t n);

#endif
