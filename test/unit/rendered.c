#include "rendered.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void take(struct sl_out *out)
{
	struct rendered *to = out->context;
	assert_true(out->length <= out->capacity);
	assert_true(to->length + out->length < RENDERED_BYTES);
	memcpy(to->text + to->length, out->bytes, out->length);
	to->length += out->length;
	to->flushes++;
}

/* The buffer comes from malloc: a sanitizer sees the first byte past it. */
static struct sl_out begin(struct rendered *to, size_t buffer_bytes)
{
	struct sl_out out;
	char *buffer = malloc(buffer_bytes);
	assert_non_null(buffer);
	to->length = 0;
	to->flushes = 0;
	sl_out_init(&out, buffer, buffer_bytes, take, to);
	return out;
}

static void end(struct sl_out *out)
{
	struct rendered *to = out->context;
	sl_out_flush(out);
	assert_false(out->is_cut);
	free(out->bytes);
	to->text[to->length] = '\0';
	assert_int_equal(strlen(to->text), to->length);
}

void render_text(struct rendered *to, const struct sl_snapshot *s, enum sl_text_form form,
                 bool colour, size_t buffer_bytes)
{
	struct sl_out out = begin(to, buffer_bytes);
	sl_text_render(&out, s, form, colour);
	end(&out);
}

void render_json(struct rendered *to, const struct sl_snapshot *s, size_t buffer_bytes)
{
	struct sl_out out = begin(to, buffer_bytes);
	sl_json_render(&out, s);
	end(&out);
}

unsigned rendered_lines(const char *text)
{
	unsigned lines = 0;
	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

unsigned rendered_widest(const char *text, unsigned lines)
{
	unsigned most = 0;
	for (unsigned columns = 0; *text && lines; text++) {
		if (*text == '\n') {
			columns = 0;
			lines--;
		} else if (((unsigned char)*text & 0xc0) != 0x80) {
			columns += (unsigned char)*text >= 0xe1 ? 2 : 1;
		}
		most = columns > most ? columns : most;
	}
	return most;
}

const char *rendered_line(struct rendered *to, const struct sl_snapshot *s, const char *label)
{
	static char line[4096];
	char needle[64];
	render_text(to, s, SL_TEXT_SHORT, false, 4096);
	const char *at = to->text;
	if (strncmp(at, label, strlen(label))) {
		snprintf(needle, sizeof(needle), "\n%s", label);
		at = strstr(to->text, needle);
		assert_non_null(at);
		at++;
	}
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
	assert_true(rendered_widest(line, 1) <= 100);
	return line;
}
