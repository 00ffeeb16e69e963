/* protobuf.h - writing the wire format of protocol buffers: what a flat message with nested ones needs.
 *
 * A message is built in a buffer of its own and then put into its parent. As in proto3 a scalar of value 0 is
 * not written.
 *
 * Layer: cli. Locks: none. Owner: the buffer is the struct's; free it with sl_protobuf_free(). Fork: no state.
 * Errors: out of memory ends the command.
 */
#ifndef SL_CLI_PROTOBUF_H
#define SL_CLI_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>

/* All zero is an empty message. */
struct sl_protobuf {
	uint8_t *bytes;
	size_t length;
	size_t capacity;
};

void sl_protobuf_integer(struct sl_protobuf *to, unsigned field, uint64_t value);
void sl_protobuf_bytes(struct sl_protobuf *to, unsigned field, const void *bytes, size_t n);
/* A repeated integer, packed; zeroes count. */
void sl_protobuf_packed(struct sl_protobuf *to, unsigned field, const uint64_t *values, size_t n);
/* Puts `inner` into `to` and empties it for the next one; its memory is kept. */
void sl_protobuf_message(struct sl_protobuf *to, unsigned field, struct sl_protobuf *inner);
void sl_protobuf_free(struct sl_protobuf *message);

#endif
