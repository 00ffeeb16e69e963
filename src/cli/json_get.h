/* json_get.h - members of JSON objects, into memory of ours; what is of the wrong type is an error with its place.
 *
 * A member that is missing or null gives what "not known" is: NULL, 0, SL_UNKNOWN. The first error is kept; later calls go on and
 * give the same.
 *
 * Layer: cli. Locks: none. Context: one thread.
 */
#ifndef SL_CLI_JSON_GET_H
#define SL_CLI_JSON_GET_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

struct sl_json_get {
	struct sl_arena *arena;
	char *error; /* "": none so far */
	size_t error_bytes;
	const char *place; /* of the object at hand, for the error: "totals", "peers" */
};

void sl_json_get_fail(struct sl_json_get *get, const char *name, const char *what);

/* NULL: missing or null. */
json_t *sl_json_get_object(struct sl_json_get *get, json_t *of, const char *name);
json_t *sl_json_get_array(struct sl_json_get *get, json_t *of, const char *name);

uint64_t sl_json_get_count(struct sl_json_get *get, json_t *of, const char *name);
/* The same, at most `most`. */
uint64_t sl_json_get_count_to(struct sl_json_get *get, json_t *of, const char *name, uint64_t most);
int64_t sl_json_get_known(struct sl_json_get *get, json_t *of, const char *name);
bool sl_json_get_bool(struct sl_json_get *get, json_t *of, const char *name);
/* A string of decimal digits: 64 bits. */
uint64_t sl_json_get_identity(struct sl_json_get *get, json_t *of, const char *name);
/* RFC 3339; 0: not known. */
uint64_t sl_json_get_wall_ms(struct sl_json_get *get, json_t *of, const char *name);
const char *sl_json_get_text(struct sl_json_get *get, json_t *of, const char *name);
/* The strings of an array, NULL-terminated, and how many. */
const char *const *sl_json_get_texts(struct sl_json_get *get, json_t *of, const char *name,
                                     uint32_t *n);

/* n zeroed items; NULL for n = 0, and, with an error, where there is no memory. */
void *sl_json_get_room(struct sl_json_get *get, size_t n, size_t item_bytes);

/* The value of 0 .. n-1 whose word it is; -1: none, or null. */
#define SL_JSON_GET_WORD(get, of, name, words_fn, n)                          \
	({                                                                    \
		const char *word_ = sl_json_get_text(get, of, name);          \
		int found_ = -1;                                              \
		for (int i_ = 0; word_ && i_ < (int)(n); i_++)                \
			if (words_fn(i_) && strcmp(words_fn(i_), word_) == 0) \
				found_ = i_;                                  \
		found_;                                                       \
	})

#endif
