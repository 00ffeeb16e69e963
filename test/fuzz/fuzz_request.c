/* fuzz_request.c - a line of the control socket, and the options that it sets: never out of bounds, and what is refused changes
 * nothing.
 *
 * libFuzzer: clang -fsanitize=fuzzer,address,undefined. With -DSL_FUZZ_MAIN: replays the files named as arguments. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "control/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sl_request request;
	static char line[SL_REQUEST_BYTES];
	struct sl_options options, before;
	const char *code;
	uint64_t changed;
	if (size >= sizeof(line))
		size = sizeof(line) - 1;
	memcpy(line, data, size);
	line[size] = 0;
	if (sl_request_read(line, &request, &code) || request.kind != SL_REQUEST_SET)
		return 0;
	if (strlen(request.pairs) >= sizeof(line))
		abort();
	sl_options_defaults(&options);
	before = options;
	if (sl_options_change(&options, request.pairs, &changed, NULL) > 0 &&
	    memcmp(&options, &before, sizeof(options)) != 0)
		abort();
	return 0;
}

#include "replay.h"
