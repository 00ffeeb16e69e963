#include "base/sort.h"

#include "base/poison.h"

static void swap(char *a, char *b, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		char kept = a[i];
		a[i] = b[i];
		b[i] = kept;
	}
}

/* Let the element at `root` sink until the heap of n elements is one again. */
static void sink(char *elements, size_t root, size_t n, size_t size, sl_sort_fn *compare)
{
	for (size_t child; (child = 2 * root + 1) < n; root = child) {
		if (child + 1 < n &&
		    compare(elements + child * size, elements + (child + 1) * size) < 0)
			child++;
		if (compare(elements + root * size, elements + child * size) >= 0)
			return;
		swap(elements + root * size, elements + child * size, size);
	}
}

void sl_sort(void *elements, size_t n, size_t size, sl_sort_fn *compare)
{
	char *bytes = elements;
	for (size_t root = n / 2; root > 0; root--)
		sink(bytes, root - 1, n, size, compare);
	for (size_t end = n; end > 1; end--) {
		swap(bytes, bytes + (end - 1) * size, size);
		sink(bytes, 0, end - 1, size, compare);
	}
}
