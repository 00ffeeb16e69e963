/* hash.h - one hash function, for keys that are arrays of 64-bit words.
 *
 * Layer: base. No state.
 */
#ifndef SL_BASE_HASH_H
#define SL_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Multiply and fold, one step a word: quick, and good enough for addresses. */
static inline uint64_t sl_hash_words(const uint64_t *words, size_t n)
{
	uint64_t h = 0x9e3779b97f4a7c15ULL ^ n;
	for (size_t i = 0; i < n; i++) {
		h = (h ^ words[i]) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
	}
	return h;
}

#endif
