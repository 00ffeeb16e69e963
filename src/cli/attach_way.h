/* attach_way.h - how an attempt to attach went, whichever way in was taken.
 *
 * Layer: cli.
 */
#ifndef SL_CLI_ATTACH_WAY_H
#define SL_CLI_ATTACH_WAY_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/exit.h"

#define SL_ATTACH_WHY_BYTES 1024

struct sl_attach_refusal {
	enum sl_exit code; /* SL_EXIT_FINE: nothing speaks against it */
	char why[SL_ATTACH_WHY_BYTES];
};

struct sl_attach_outcome {
	struct sl_attach_refusal refusal; /* where it did not come to a result */
	int result;                       /* enum sl_attach_result, base/attach.h */
	bool is_held;                     /* one of its threads was held meanwhile, for so long */
	uint64_t held_us;
	int tid;
};

void sl_attach_refuse(struct sl_attach_refusal *refusal, enum sl_exit code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
