/* cfi_bytes.h - reading unwind information, which may be broken: no further than it goes.
 *
 * Source: DWARF 5, 7.6 (LEB128). Layer: stack. No state. Async-signal-safe: everything.
 */
#ifndef SL_STACK_CFI_BYTES_H
#define SL_STACK_CFI_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What is left to read. */
struct sl_cfi_bytes {
	const uint8_t *at, *end;
	bool is_bad; /* it ended too soon, or held what is not known here */
};

static inline void sl_cfi_take(struct sl_cfi_bytes *bytes, void *value, size_t n)
{
	memset(value, 0, n);
	if ((size_t)(bytes->end - bytes->at) < n) {
		bytes->is_bad = true;
		bytes->at = bytes->end;
		return;
	}
	memcpy(value, bytes->at, n);
	bytes->at += n;
}

static inline void sl_cfi_skip(struct sl_cfi_bytes *bytes, uint64_t n)
{
	if ((uint64_t)(bytes->end - bytes->at) < n) {
		bytes->is_bad = true;
		n = (uint64_t)(bytes->end - bytes->at);
	}
	bytes->at += n;
}

static inline uint8_t sl_cfi_take_byte(struct sl_cfi_bytes *bytes)
{
	uint8_t value;
	sl_cfi_take(bytes, &value, sizeof(value));
	return value;
}

static inline uint16_t sl_cfi_take_2(struct sl_cfi_bytes *bytes)
{
	uint16_t value;
	sl_cfi_take(bytes, &value, sizeof(value));
	return value;
}

static inline uint32_t sl_cfi_take_4(struct sl_cfi_bytes *bytes)
{
	uint32_t value;
	sl_cfi_take(bytes, &value, sizeof(value));
	return value;
}

static inline uint64_t sl_cfi_take_8(struct sl_cfi_bytes *bytes)
{
	uint64_t value;
	sl_cfi_take(bytes, &value, sizeof(value));
	return value;
}

/* LEB128: seven bits a byte, the lowest first. */
static inline uint64_t sl_cfi_take_unsigned(struct sl_cfi_bytes *bytes)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = sl_cfi_take_byte(bytes);
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	bytes->is_bad = true;
	return 0;
}

static inline int64_t sl_cfi_take_signed(struct sl_cfi_bytes *bytes)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64;) {
		uint8_t byte = sl_cfi_take_byte(bytes);
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (byte & 0x80)
			continue;
		if ((byte & 0x40) && shift < 64)
			value |= ~0ULL << shift;
		return (int64_t)value;
	}
	bytes->is_bad = true;
	return 0;
}

#endif
