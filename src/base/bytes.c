/* bytes.c - memcpy(), memmove(), memset(), memcmp() and strlen() of our own, seen by nobody else.
 *
 * What the compiler makes calls of would otherwise be libc's, and with them those of whoever stands before it. A
 * race detector's check them: what is published by an atomic here looks like a race of the program there.
 *
 * Layer: base. Locks: none. Async-signal-safe: everything. Left out where the object itself is built with a sanitizer.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/poison.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
	!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)

#define SL_OWN __attribute__((visibility("hidden")))
/* Keeps the compiler from seeing the function itself in its own loop. */
#define SL_OPAQUE() __asm__ volatile("" ::: "memory")

SL_OWN void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	void *result = to;
#if defined(__x86_64__)
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
#else
	for (size_t i = 0; i < n; i++) {
		((char *)to)[i] = ((const char *)from)[i];
		SL_OPAQUE();
	}
#endif
	return result;
}

SL_OWN void *memmove(void *to, const void *from, size_t n)
{
	if ((char *)to <= (const char *)from || (char *)to >= (const char *)from + n)
		return memcpy(to, from, n);
	for (size_t i = n; i > 0; i--) {
		((char *)to)[i - 1] = ((const char *)from)[i - 1];
		SL_OPAQUE();
	}
	return to;
}

SL_OWN void *memset(void *to, int byte, size_t n)
{
	void *result = to;
#if defined(__x86_64__)
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
#else
	for (size_t i = 0; i < n; i++) {
		((char *)to)[i] = (char)byte;
		SL_OPAQUE();
	}
#endif
	return result;
}

SL_OWN int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *left = a, *right = b;
	size_t i = 0;
	for (uint64_t l, r; i + sizeof(l) <= n; i += sizeof(l)) {
		__builtin_memcpy(&l, left + i, sizeof(l));
		__builtin_memcpy(&r, right + i, sizeof(r));
		if (l != r)
			break;
	}
	for (; i < n; i++) {
		if (left[i] != right[i])
			return left[i] < right[i] ? -1 : 1;
		SL_OPAQUE();
	}
	return 0;
}

SL_OWN size_t strlen(const char *text)
{
	size_t n = 0;
	while (text[n]) {
		n++;
		SL_OPAQUE();
	}
	return n;
}

#endif
