/* nearest.c - see nearest.h. */
#include "cli/nearest.h"

#include <string.h>

#define SL_NEAREST_MAX 32 /* bytes of a word that is compared */

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Edits from one to the other: letters put in, left out, exchanged (Levenshtein). */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[SL_NEAREST_MAX + 1];
	size_t n = strlen(b);
	for (size_t j = 0; j <= n; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= n; j++) {
			unsigned above = row[j];
			row[j] = least(least(above, row[j - 1]) + 1,
			               diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[n];
}

const char *sl_nearest(const char *word, const char *const *words, size_t n)
{
	const char *best = NULL;
	size_t length = strlen(word);
	unsigned best_edits = 3; /* more is another word */
	if (length == 0 || length > SL_NEAREST_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (strlen(words[i]) > SL_NEAREST_MAX)
			continue;
		unsigned edits =
			strncmp(words[i], word, length) == 0 ? 1 : distance(word, words[i]);
		if (edits < best_edits && edits < length) {
			best_edits = edits;
			best = words[i];
		}
	}
	return best;
}
