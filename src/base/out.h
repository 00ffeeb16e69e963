/* out.h - text into a bounded buffer, without stdio.
 *
 * A writer appends to a buffer of the caller's and hands it to a flush function when it is full. Without
 * a flush function what does not fit is cut, and is_cut says so; nothing more is taken then.
 *
 * Layer: base. Locks: none; one writer, one thread. Fork: no state. errno: untouched.
 * Async-signal-safe: everything here, if the flush function is.
 */
#ifndef SL_BASE_OUT_H
#define SL_BASE_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_out;

/* Takes out->length bytes at out->bytes; the writer then starts the buffer anew. */
typedef void sl_out_flush_fn(struct sl_out *out);

struct sl_out {
	char *bytes;
	size_t capacity;
	size_t length;
	sl_out_flush_fn *flush; /* NULL: a plain bounded buffer */
	void *context;          /* the flush function's own */
	bool is_cut;
};

void sl_out_init(struct sl_out *out, char *bytes, size_t capacity, sl_out_flush_fn *flush,
                 void *context);
void sl_out_bytes(struct sl_out *out, const char *bytes, size_t n);
void sl_out_text(struct sl_out *out, const char *text); /* NULL writes nothing */
void sl_out_char(struct sl_out *out, char c);
void sl_out_unsigned(struct sl_out *out, uint64_t value);
void sl_out_signed(struct sl_out *out, int64_t value);
void sl_out_hex(struct sl_out *out, uint64_t value); /* without 0x */
void sl_out_padded(struct sl_out *out, const char *text,
                   unsigned width); /* text, then spaces to width */
void sl_out_right(struct sl_out *out, uint64_t value,
                  unsigned width); /* spaces to width, then value */

/* A duration in two units at most: "850ms", "15.0s", "8min", "1h58m", "3d4h". */
void sl_out_duration(struct sl_out *out, uint64_t ms);

/* RFC 3339 in UTC: "2026-11-22T06:03:07Z". */
void sl_out_rfc3339(struct sl_out *out, uint64_t wall_ms);

/* Strings from outside, never cut inside a character or an escape. For a terminal: control characters (C0, DEL, C1, line
 * separators, changes of direction) and bytes that are not valid UTF-8 as \xHH, so that nothing in a name can move
 * the cursor; doing it twice changes nothing. For JSON: the string with its quotes, RFC 8259, the same control
 * characters as \uHHHH; invalid UTF-8 bytes become U+FFFD. */
void sl_out_terminal(struct sl_out *out, const char *text);
void sl_out_json(struct sl_out *out, const char *text); /* NULL writes null */

void sl_out_flush(struct sl_out *out);

#endif
