/* sort.h - heapsort: in place, never slow, no memory. (qsort() of glibc may call malloc.)
 *
 * Layer: base. No state. Async-signal-safe, if the comparison is.
 */
#ifndef SL_BASE_SORT_H
#define SL_BASE_SORT_H

#include <stddef.h>

/* Negative: a stands before b. */
typedef int sl_sort_fn(const void *a, const void *b);

/* Sorts n elements of `size` bytes. Equal elements end up in any order. */
void sl_sort(void *elements, size_t n, size_t size, sl_sort_fn *compare);

#endif
