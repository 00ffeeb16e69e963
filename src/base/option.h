/* option.h - one row of options.def: reading its value from text, and writing it as text.
 *
 * Behind options.h, which is what the rest of the library uses.
 *
 * Layer: base. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_BASE_OPTION_H
#define SL_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/options.h"
#include "base/out.h"

enum sl_option_type {
	SL_OPTION_BOOL,
	SL_OPTION_DURATION,
	SL_OPTION_COUNT,
	SL_OPTION_BYTES,
	SL_OPTION_OCTAL,
	SL_OPTION_SIGNAL,
	SL_OPTION_ENUM,
	SL_OPTION_LIST,
	SL_OPTION_RULES,
	SL_OPTION_PATH,
};

/* The columns of options.def. */
struct sl_option {
	const char *key;
	const char *words;
	const char *help;
	int64_t low;
	int64_t high;
	size_t offset; /* of the member in struct sl_options */
	enum sl_option_type type;
};

extern const struct sl_option sl_option_rows[];
extern const size_t sl_option_row_count;
extern const struct sl_options sl_option_defaults;

/* Where the first piece of `list` between separators begins, and its length: 0 at the end. */
const char *sl_option_piece(const char *list, const char *separators, size_t *length);

/* The row of the key, n bytes of it, or NULL. */
const struct sl_option *sl_option_find(const char *key, size_t n);

/* Does it hold several values, joined by commas? */
bool sl_option_is_list(const struct sl_option *option);

/* Reads `value`, shorter than SL_OPTION_TEXT_MAX, into the row's member. Returns NULL, or why not: then the
 * member is as it was. */
const char *sl_option_read(const struct sl_option *option, const char *value,
                           struct sl_options *options);

/* The member as a user would write it: "60s", "10m", "0600", "USR1", "auto". An empty list writes nothing. */
void sl_option_write(struct sl_out *out, const struct sl_option *option,
                     const struct sl_options *options);

/* What the row takes: "auto, 50ms..1h"; "100ms..24h, such as 60s" where the default is a number. */
void sl_option_write_allowed(struct sl_out *out, const struct sl_option *option);
void sl_option_write_allowed_with_example(struct sl_out *out, const struct sl_option *option);

#endif
