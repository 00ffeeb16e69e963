#include "control/request.h"

#include <stddef.h>
#include <string.h>

#include "base/option.h"

#include "base/poison.h"

#define SL_PROTOCOL "sockleak/1"
#define SL_FOR_MOST_MS (366LL * 24 * 3600 * 1000)

static bool is_word(const char *word, size_t n, const char *wanted)
{
	return strlen(wanted) == n && memcmp(word, wanted, n) == 0;
}

/* "90s", "2h", "forever": as an option of this type is read. */
static const char *read_for(const char *value, size_t n, struct sl_request *request)
{
	static const struct sl_option row = {.key = "for",
	                                     .words = "",
	                                     .low = 100,
	                                     .high = SL_FOR_MOST_MS,
	                                     .type = SL_OPTION_DURATION};
	struct sl_options read = {0};
	char text[32];
	if (is_word(value, n, "forever")) {
		request->for_ms = SL_FOR_EVER;
		return NULL;
	}
	if (n >= sizeof(text))
		return "for: not a duration";
	memcpy(text, value, n);
	text[n] = 0;
	if (sl_option_read(&row, text, &read))
		return "for: not a duration; allowed: 100ms..366d as ms, s, m, h, or forever";
	memcpy(&request->for_ms, &read, sizeof(request->for_ms)); /* the row's offset is 0 */
	return NULL;
}

static const char *read_set(const char *words, struct sl_request *request)
{
	size_t used = 0, n;
	const char *refusal = NULL;
	for (const char *word = sl_option_piece(words, " ", &n); n > 0 && !refusal;
	     word = sl_option_piece(word + n, " ", &n)) {
		if (n >= 4 && memcmp(word, "for=", 4) == 0) {
			refusal = read_for(word + 4, n - 4, request);
		} else if (is_word(word, n, "dry=1")) {
			request->is_dry = true;
		} else {
			memcpy(request->pairs + used, word, n); /* no longer than the line */
			used += n;
			request->pairs[used++] = ' ';
		}
	}
	request->pairs[used ? used - 1 : 0] = 0;
	return !refusal && used == 0 ? "set: key=value, at least one" : refusal;
}

static const char *read_snapshot(const char *words, struct sl_request *request)
{
	size_t n;
	const char *word = sl_option_piece(words, " ", &n);
	if (is_word(word, n, "json"))
		request->kind = SL_REQUEST_SNAPSHOT_JSON;
	else if (is_word(word, n, "text"))
		request->kind = SL_REQUEST_SNAPSHOT_TEXT;
	else if (is_word(word, n, "short"))
		request->kind = SL_REQUEST_SNAPSHOT_SHORT;
	else
		return "snapshot: json, text or short";
	return NULL;
}

const char *sl_request_read(const char *line, struct sl_request *request, const char **code)
{
	size_t n;
	*request = (struct sl_request){.for_ms = SL_FOR_UNSAID};
	*code = "usage";
	const char *word = sl_option_piece(line, " ", &n);
	if (!is_word(word, n, SL_PROTOCOL)) {
		*code = "version";
		return "this process speaks " SL_PROTOCOL;
	}
	word = sl_option_piece(word + n, " ", &n);
	if (is_word(word, n, "version")) {
		request->kind = SL_REQUEST_VERSION;
		return NULL;
	}
	if (is_word(word, n, "snapshot"))
		return read_snapshot(word + n, request);
	request->kind = SL_REQUEST_SET;
	if (is_word(word, n, "off")) {
		memcpy(request->pairs, "enabled=0", sizeof("enabled=0"));
		return NULL;
	}
	if (is_word(word, n, "set")) {
		const char *refusal = read_set(word + n, request);
		*code = "value";
		return refusal;
	}
	return "no such request: version, snapshot, set, off";
}
