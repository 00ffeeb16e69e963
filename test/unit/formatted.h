/* formatted.h - what a function writes to a stream, as a string. */
#ifndef SL_TEST_FORMATTED_H
#define SL_TEST_FORMATTED_H

#include <stddef.h>
#include <stdio.h>

struct formatted {
	FILE *to;
	char *text; /* NUL-terminated, once ended */
	size_t length;
};

void formatted_start(struct formatted *formatted);
void formatted_end(struct formatted *formatted); /* the text can be read from now on */
void formatted_free(struct formatted *formatted);

/* Occurrences of `part` in the text. */
unsigned formatted_count(const struct formatted *formatted, const char *part);

#endif
