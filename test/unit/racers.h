/* racers.h - threads that start at once, and meet again between rounds.
 *
 * An assertion of cmocka leaves by longjmp and so belongs to the main thread: a racer counts what is wrong, and
 * the test asserts the count.
 */
#ifndef SL_TEST_RACERS_H
#define SL_TEST_RACERS_H

#include <stdint.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RACE_IS_WATCHED 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define RACE_IS_WATCHED 1
#endif
#ifndef RACE_IS_WATCHED
#define RACE_IS_WATCHED 0
#endif

/* ThreadSanitizer sees a race without the threads meeting in time, and makes them slow. */
#define RACE_ROUNDS(n) (RACE_IS_WATCHED ? (n) / 8u : (n))

typedef void racer_fn(unsigned index, void *context);

/* Runs `run` in n threads (32 at most) at once, with index 0..n-1. Returns when all have. */
void race(unsigned n, racer_fn *run, void *context);

/* Where n threads wait for each other, as often as they like. Zeroed is ready. */
struct meeting {
	_Atomic unsigned waiting;
	_Atomic unsigned round;
};

void meet(struct meeting *meeting, unsigned n);

/* A hundred chances for other threads to do what they must not; fewer on a busy machine: 50 ms at most. */
void give_way(void);

#endif
