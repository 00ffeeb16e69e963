#include "racers.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define RACERS_MAX 32

struct racer {
	pthread_t thread;
	unsigned index;
	unsigned n;
	racer_fn *run;
	void *context;
	struct meeting *start;
};

void meet(struct meeting *meeting, unsigned n)
{
	unsigned round = meeting->round;
	if (++meeting->waiting == n) {
		meeting->waiting = 0;
		meeting->round++;
		return;
	}
	while (meeting->round == round)
		sched_yield();
}

void give_way(void)
{
	uint64_t until_ms = sl_clock_ms() + 50;
	for (int i = 0; i < 100 && sl_clock_ms() < until_ms; i++)
		sched_yield();
}

static void *run_racer(void *context)
{
	struct racer *racer = context;
	meet(racer->start, racer->n);
	racer->run(racer->index, racer->context);
	return NULL;
}

void race(unsigned n, racer_fn *run, void *context)
{
	struct racer racers[RACERS_MAX];
	struct meeting start = {0};
	for (unsigned i = 0; i < n; i++) {
		racers[i] = (struct racer){
			.index = i, .n = n, .run = run, .context = context, .start = &start};
		if (pthread_create(&racers[i].thread, NULL, run_racer, &racers[i]) != 0) {
			fprintf(stderr, "racers: no thread to be had\n");
			abort(); /* the others would wait for ever */
		}
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(racers[i].thread, NULL);
}
