/* fuzz_snapshot.c - any bytes as a snapshot: what is refused is refused in words; what is taken can be rendered in every format and
 * compared, and its JSON is taken again and rendered the same.
 *
 * A libFuzzer entry; with -DSL_FUZZ_MAIN a program that replays the files named as arguments.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/diff.h"
#include "cli/diff_print.h"
#include "cli/formats.h"
#include "cli/snapshot_read.h"
#include "cli/symbols.h"
#include "report/json.h"
#include "report/text.h"

#define SL_FUZZ_SNAPSHOT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		__builtin_trap();
}

/* What was rendered, in memory. */
struct rendered {
	char *bytes;
	size_t n;
	char buffer[4096];
	struct sl_out out;
};

static void keep(struct sl_out *out)
{
	struct rendered *to = out->context;
	to->bytes = realloc(to->bytes, to->n + out->length + 1);
	require(to->bytes);
	memcpy(to->bytes + to->n, out->bytes, out->length);
	to->n += out->length;
	to->bytes[to->n] = 0;
}

static void start(struct rendered *to)
{
	to->bytes = NULL;
	to->n = 0;
	sl_out_init(&to->out, to->buffer, sizeof(to->buffer), keep, to);
}

static void check_text(const struct sl_snapshot *s, enum sl_text_form form, bool colour)
{
	struct rendered text;
	start(&text);
	sl_text_render(&text.out, s, form, colour);
	sl_out_flush(&text.out);
	require(text.n > 0 && text.bytes[text.n - 1] == '\n');
	for (size_t i = 0; i < text.n; i++)
		require((uint8_t)text.bytes[i] >= ' ' || text.bytes[i] == '\n' ||
		        (colour && text.bytes[i] == '\x1b'));
	free(text.bytes);
}

static void check_json(const struct sl_snapshot *s)
{
	struct sl_arena arena = SL_ARENA(1 << 16, 0);
	struct sl_snapshot again;
	struct sl_snapshot_said said;
	struct rendered first, second;
	start(&first);
	sl_json_render(&first.out, s);
	sl_out_flush(&first.out);
	require(sl_snapshot_read_memory(&arena, first.bytes, first.n, &again, &said) == 0);
	start(&second);
	sl_json_render(&second.out, &again);
	sl_out_flush(&second.out);
	require(first.n == second.n && memcmp(first.bytes, second.bytes, first.n) == 0);
	free(first.bytes);
	free(second.bytes);
	sl_arena_free(&arena);
}

/* Every format: on the page no name makes an element, a control character or what is not UTF-8. */
static void check_formats(const struct sl_snapshot *s)
{
	for (size_t i = 0; i < sl_format_count; i++) {
		char *bytes = NULL;
		size_t n = 0;
		FILE *file = open_memstream(&bytes, &n);
		require(file);
		sl_formats[i].render(file, s, SL_MEASURE_AUTO);
		require(fclose(file) == 0);
		for (size_t at = 0; at < n && !sl_formats[i].is_binary; at++)
			require((uint8_t)bytes[at] >= ' ' || bytes[at] == '\n' ||
			        bytes[at] == '\t');
		if (strcmp(sl_formats[i].name, "html") == 0) {
			const char *script = strstr(bytes, "</script");
			require(script && !strstr(script + 1, "</script") &&
			        !strstr(bytes, "<img"));
		}
		free(bytes);
	}
}

static void check_diff(const struct sl_snapshot *s)
{
	struct sl_snapshot empty = {.process = {.hostname = "other"}};
	const struct sl_snapshot *pairs[][2] = {{s, s}, {&empty, s}, {s, &empty}};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char *bytes = NULL;
		size_t n = 0;
		struct sl_diff diff;
		FILE *file = open_memstream(&bytes, &n);
		require(file);
		sl_diff_make(&diff, pairs[i][0], pairs[i][1]);
		sl_diff_print_text(file, &diff);
		sl_diff_print_json(file, &diff);
		sl_diff_free(&diff);
		require(fclose(file) == 0 && n > 0);
		free(bytes);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_arena arena = SL_ARENA(1 << 16, 0);
	struct sl_snapshot snapshot;
	struct sl_snapshot_said said;
	if (size > SL_FUZZ_SNAPSHOT_MAX)
		return 0;
	/* A block of its own, so that a byte read past it is seen. */
	char *bytes = malloc(size ? size : 1);
	require(bytes);
	memcpy(bytes, data, size);
	int error = sl_snapshot_read_memory(&arena, bytes, size, &snapshot, &said);
	free(bytes);
	if (error) {
		require(said.error[0] && strlen(said.error) < sizeof(said.error) &&
		        !strchr(said.error, '\n'));
	} else {
		check_text(&snapshot, SL_TEXT_FULL, false);
		check_text(&snapshot, SL_TEXT_SHORT, true);
		check_json(&snapshot);
		sl_symbols_apply(&arena, &snapshot, 0);
		check_formats(&snapshot);
		check_diff(&snapshot);
	}
	sl_arena_free(&arena);
	return 0;
}

#include "replay.h"
