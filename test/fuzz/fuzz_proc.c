/* fuzz_proc.c - any bytes as what /proc says: reserved ports, the fdinfo of an epoll set, a command line. Nothing is read past them,
 * and counts stay within what there can be.
 *
 * A libFuzzer entry; with -DSL_FUZZ_MAIN a program that replays the files named as arguments.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reclaim/sharing_epoll.h"
#include "report/self.h"
#include "watch/limits.h"

#define SL_FUZZ_PROC_MAX 4096
#define SL_FUZZ_ARGS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static void check_ports(const char *list)
{
	int32_t all = sl_limits_count_reserved(list, 32768, 60999);
	require(all >= 0);
	int32_t one = sl_limits_count_reserved(list, 40000, 40000);
	require(one >= 0 && one <= all);
	require(sl_limits_count_reserved(list, 2, 1) == 0);
}

static void check_epoll(const char *line)
{
	uint64_t inode = 0;
	uint32_t events = 0;
	if (sl_sharing_parse_epoll(line, &inode, &events))
		require(strncmp(line, "tfd:", 4) == 0 && strstr(line, "ino:"));
}

/* The arguments as the kernel gives them: each ends with a NUL. */
static void check_arguments(const char *text, size_t size)
{
	const char *argv[SL_FUZZ_ARGS + 1];
	unsigned n = 0;
	for (size_t at = 0; at < size && n < SL_FUZZ_ARGS; at += strlen(text + at) + 1)
		argv[n++] = text + at;
	argv[n] = NULL;
	const char *main_class = sl_self_java_main(argv);
	require(!main_class || (main_class >= text && main_class <= text + size));
	require(!sl_self_java_main(NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > SL_FUZZ_PROC_MAX)
		return 0;
	/* A block of its own, so that a byte read past it is seen. */
	char *text = malloc(size + 1);
	require(text);
	memcpy(text, data, size);
	text[size] = 0;
	check_ports(text);
	check_epoll(text);
	check_arguments(text, size);
	free(text);
	return 0;
}

#include "replay.h"
