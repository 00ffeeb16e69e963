/* protobuf.c - see protobuf.h. */
#include "cli/protobuf.h"

#include <stdlib.h>
#include <string.h>

#include "cli/heap.h"

enum wire_type { WIRE_VARINT = 0, WIRE_LENGTH = 2 };

static void put(struct sl_protobuf *to, const void *bytes, size_t n)
{
	if (to->capacity - to->length < n) {
		to->capacity = (to->length + n) * 2;
		to->bytes = sl_heap_grow(to->bytes, to->capacity);
	}
	if (n)
		memcpy(to->bytes + to->length, bytes, n);
	to->length += n;
}

/* Seven bits a byte, the lowest first; the top bit says that more follow. */
static void put_varint(struct sl_protobuf *to, uint64_t value)
{
	uint8_t bytes[10];
	size_t n = 0;
	do {
		bytes[n] = (uint8_t)(value & 0x7f);
		value >>= 7;
		bytes[n++] |= value ? 0x80 : 0;
	} while (value);
	put(to, bytes, n);
}

static void put_tag(struct sl_protobuf *to, unsigned field, enum wire_type type)
{
	put_varint(to, (uint64_t)field << 3 | type);
}

void sl_protobuf_integer(struct sl_protobuf *to, unsigned field, uint64_t value)
{
	if (!value)
		return;
	put_tag(to, field, WIRE_VARINT);
	put_varint(to, value);
}

void sl_protobuf_bytes(struct sl_protobuf *to, unsigned field, const void *bytes, size_t n)
{
	put_tag(to, field, WIRE_LENGTH);
	put_varint(to, n);
	put(to, bytes, n);
}

void sl_protobuf_packed(struct sl_protobuf *to, unsigned field, const uint64_t *values, size_t n)
{
	struct sl_protobuf packed = {0};
	for (size_t i = 0; i < n; i++)
		put_varint(&packed, values[i]);
	if (n)
		sl_protobuf_bytes(to, field, packed.bytes, packed.length);
	sl_protobuf_free(&packed);
}

void sl_protobuf_message(struct sl_protobuf *to, unsigned field, struct sl_protobuf *inner)
{
	sl_protobuf_bytes(to, field, inner->bytes, inner->length);
	inner->length = 0;
}

void sl_protobuf_free(struct sl_protobuf *message)
{
	free(message->bytes);
	*message = (struct sl_protobuf){0};
}
