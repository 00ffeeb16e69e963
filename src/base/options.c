#include "base/options.h"

#include <string.h>

#include "base/option.h"

#include "base/poison.h"

#define SL_INTERVAL_LEAST_MS 250
#define SL_INTERVAL_MOST_MS 5000

#define SL_SHOWN_BYTES 64 /* of a key or value, in a complaint */
#define SL_COMPLAINTS_SHOWN 16
#define SL_HELP_COLUMNS 100
#define SL_HELP_INDENT 24

/* Options that bear on actions: a value that was meant to hold them back must not be lost in silence. */
static const char bearing_on_actions[] =
	"enabled programs children deadline action side deadline_in probe grace "
	"dry_run rescue rescue_after only never max_rate";

void sl_options_defaults(struct sl_options *options)
{
	memcpy(options, &sl_option_defaults, sizeof(*options));
}

/* Text from outside, n bytes of it: escaped and bounded. */
static void put_clipped(struct sl_out *out, const char *text, size_t n)
{
	char raw[SL_SHOWN_BYTES + 8];
	if (n > sizeof(raw) - 1)
		n = sizeof(raw) - 1;
	memcpy(raw, text, n);
	raw[n] = '\0';
	char shown[SL_SHOWN_BYTES];
	struct sl_out clip;
	sl_out_init(&clip, shown, sizeof(shown), NULL, NULL);
	sl_out_terminal(&clip, raw);
	sl_out_bytes(out, shown, clip.length);
	sl_out_text(out, clip.is_cut ? "..." : "");
}

struct complaints {
	sl_options_complain_fn *tell; /* NULL: only count */
	unsigned count;
	bool is_in_doubt; /* what actions may do was perhaps not understood */
	struct sl_out out;
	char line[600];
};

static struct sl_out *complaint_begin(struct complaints *complaints)
{
	sl_out_init(&complaints->out, complaints->line, sizeof(complaints->line) - 1, NULL, NULL);
	return &complaints->out;
}

static void complaint_tell(struct complaints *complaints)
{
	complaints->line[complaints->out.length] = '\0';
	if (complaints->tell)
		complaints->tell(complaints->line);
}

/* Counts one; true where it is to be told: a variable full of nonsense must not fill a log. */
static bool complaint_counts(struct complaints *complaints)
{
	return ++complaints->count <= SL_COMPLAINTS_SHOWN;
}

static void complain_of_value(struct complaints *complaints, const struct sl_option *option,
                              const char *value, size_t length, const char *refusal,
                              const struct sl_options *options)
{
	if (!complaint_counts(complaints))
		return;
	struct sl_out *out = complaint_begin(complaints);
	sl_out_text(out, option->key);
	sl_out_char(out, '=');
	put_clipped(out, value, length);
	sl_out_text(out, ": ");
	sl_out_text(out, refusal);
	sl_out_text(out, "; allowed: ");
	sl_option_write_allowed_with_example(out, option);
	sl_out_text(out, "; keeping ");
	char kept[SL_OPTION_TEXT_MAX];
	struct sl_out keep;
	sl_out_init(&keep, kept, sizeof(kept), NULL, NULL);
	sl_option_write(&keep, option, options);
	put_clipped(out, kept, keep.length);
	sl_out_text(out, keep.length ? "" : "none");
	complaint_tell(complaints);
}

static void complain_of_pair(struct complaints *complaints, const char *before, const char *text,
                             size_t length, const char *after)
{
	if (!complaint_counts(complaints))
		return;
	struct sl_out *out = complaint_begin(complaints);
	sl_out_text(out, before);
	put_clipped(out, text, length);
	sl_out_text(out, after);
	complaint_tell(complaints);
}

static void complain_of_rest(struct complaints *complaints)
{
	if (complaints->count <= SL_COMPLAINTS_SHOWN)
		return;
	struct sl_out *out = complaint_begin(complaints);
	sl_out_unsigned(out, complaints->count - SL_COMPLAINTS_SHOWN);
	sl_out_text(out, " more options were not understood; see help=1");
	complaint_tell(complaints);
}

static bool bears_on_actions(const struct sl_option *option)
{
	size_t length;
	const char *key = sl_option_piece(bearing_on_actions, " ", &length);
	while (length > 0 && sl_option_find(key, length) != option)
		key = sl_option_piece(key + length, " ", &length);
	return length > 0;
}

static void take_value(struct sl_options *options, const struct sl_option *option, const char *text,
                       size_t length, struct complaints *complaints)
{
	char value[SL_OPTION_TEXT_MAX];
	const char *refusal = "too long";
	if (length < sizeof(value)) {
		memcpy(value, text, length);
		value[length] = '\0';
		refusal = sl_option_read(option, value, options);
	}
	if (!refusal)
		return;
	complain_of_value(complaints, option, text, length, refusal, options);
	complaints->is_in_doubt |= bears_on_actions(option);
}

/* One piece of text between separators. `list`: the list that a value without a key goes on, or NULL. Returns the
 * list that the next one may go on. */
static const struct sl_option *take_piece(struct sl_options *options, const char *piece,
                                          size_t length, const struct sl_option *list,
                                          struct complaints *complaints)
{
	const char *equals = memchr(piece, '=', length);
	if (!equals && list) {
		take_value(options, list, piece, length, complaints);
		return list;
	}
	if (!equals) {
		complain_of_pair(complaints, "'", piece, length, "' is not key=value; see help=1");
		complaints->is_in_doubt = true; /* perhaps never:10.0.0.0/8 */
		return NULL;
	}
	size_t key_length = (size_t)(equals - piece);
	const struct sl_option *option = sl_option_find(piece, key_length);
	if (!option) {
		complain_of_pair(complaints, "unknown option '", piece, key_length,
		                 "'; see help=1");
		complaints->is_in_doubt = true; /* perhaps dryrun=1 */
		return NULL;
	}
	take_value(options, option, equals + 1, length - key_length - 1, complaints);
	return sl_option_is_list(option) ? option : NULL;
}

/* Who was to be spared is not known: nobody is touched then. */
static void disarm(struct sl_options *options, const struct complaints *complaints)
{
	if (options->action == SL_ACTION_REPORT && !sl_options_want_rescue(options))
		return;
	options->action = SL_ACTION_REPORT;
	options->rescue = SL_RESCUE_OFF;
	if (complaints->tell)
		complaints->tell("an option was not understood: nothing will be touched "
		                 "(action=report, rescue=off)");
}

unsigned sl_options_parse(struct sl_options *options, const char *text,
                          sl_options_complain_fn *complain)
{
	static const char separators[] = " ,\t\r\n";
	struct complaints complaints = {.tell = complain};
	const struct sl_option *list = NULL;
	const char *end = text ? text : "";
	size_t length;
	const char *piece = sl_option_piece(end, separators, &length);
	while (length > 0) {
		bool is_behind_comma = memchr(end, ',', (size_t)(piece - end));
		list = take_piece(options, piece, length, is_behind_comma ? list : NULL,
		                  &complaints);
		end = piece + length;
		piece = sl_option_piece(end, separators, &length);
	}
	complain_of_rest(&complaints);
	if (complaints.is_in_doubt)
		disarm(options, &complaints);
	return complaints.count;
}

/* What is settled when the process starts, or is no option of one process. */
static const char fixed_at_start[] =
	"enabled programs children signal argv stacks depth app mode control dir help";

static bool is_among(const char *words, const char *key, size_t n)
{
	size_t length;
	const char *word = sl_option_piece(words, " ", &length);
	while (length > 0 && (length != n || memcmp(word, key, n) != 0))
		word = sl_option_piece(word + length, " ", &length);
	return length > 0;
}

bool sl_options_is_live(const char *key)
{
	return !is_among(fixed_at_start, key, strlen(key));
}

static size_t row_of(const struct sl_option *option)
{
	return (size_t)(option - sl_option_rows);
}

/* One "key=": may it be changed? A list begins anew. True: it is a list. */
static bool begin_change(struct sl_options *options, const char *key, size_t n, uint64_t *changed,
                         struct complaints *complaints)
{
	const struct sl_option *option = sl_option_find(key, n);
	if (!option)
		return false; /* the parser says so */
	if (is_among(fixed_at_start, key, n))
		complain_of_pair(complaints, "", key, n,
		                 ": cannot be changed while the program runs");
	uint64_t bit = UINT64_C(1) << row_of(option);
	if (sl_option_is_list(option) && !(*changed & bit))
		*((char *)options + option->offset) = '\0';
	*changed |= bit;
	return sl_option_is_list(option);
}

unsigned sl_options_change(struct sl_options *options, const char *text, uint64_t *changed,
                           sl_options_complain_fn *complain)
{
	static const char separators[] = " ,\t\r\n";
	struct complaints complaints = {.tell = complain};
	struct sl_options wanted = *options;
	char left[SL_OPTIONS_CHANGE_MAX]; /* what is for the parser */
	size_t used = 0, length;
	*changed = 0;
	for (const char *piece = sl_option_piece(text, separators, &length); length > 0;
	     piece = sl_option_piece(piece + length, separators, &length)) {
		const char *equals = memchr(piece, '=', length);
		size_t key_length = equals ? (size_t)(equals - piece) : length;
		bool is_empty = equals &&
		                begin_change(&wanted, piece, key_length, changed, &complaints) &&
		                length == key_length + 5 && memcmp(equals, "=none", 5) == 0;
		if (is_empty)
			continue;
		if (length + 1 >= sizeof(left) - used) {
			complain_of_pair(&complaints, "'", piece, length, "': too much at once");
			break;
		}
		memcpy(left + used, piece, length);
		used += length;
		left[used++] = *(piece + length) == ',' ? ',' : ' ';
	}
	left[used] = '\0';
	unsigned bad = complaints.count;
	if (bad == 0)
		bad = sl_options_parse(&wanted, left, complain);
	if (bad == 0)
		*options = wanted;
	return bad;
}

void sl_options_copy(struct sl_options *to, const struct sl_options *from, uint64_t rows)
{
	for (size_t i = 0; i < sl_option_row_count; i++) {
		size_t at = sl_option_rows[i].offset;
		size_t end = i + 1 < sl_option_row_count ? sl_option_rows[i + 1].offset
		                                         : sizeof(struct sl_options);
		if (rows & UINT64_C(1) << i)
			memcpy((char *)to + at, (const char *)from + at, end - at);
	}
}

unsigned sl_options_start(const char *text, sl_options_complain_fn *complain)
{
	sl_options_defaults(&sl_options);
	return sl_options_parse(&sl_options, text, complain);
}

/* The words of `text` on lines that begin at the indent. */
static void put_wrapped(struct sl_out *out, const char *text)
{
	size_t column = SL_HELP_COLUMNS;
	size_t length;
	const char *word = sl_option_piece(text, " ", &length);
	while (length > 0) {
		if (column + 1 + length > SL_HELP_COLUMNS) {
			sl_out_char(out, '\n');
			sl_out_padded(out, "", SL_HELP_INDENT);
			column = SL_HELP_INDENT;
		} else {
			sl_out_char(out, ' ');
			column++;
		}
		sl_out_bytes(out, word, length);
		column += length;
		word = sl_option_piece(word + length, " ", &length);
	}
	sl_out_char(out, '\n');
}

void sl_options_print_help(struct sl_out *out)
{
	sl_out_text(out,
	            "SOCKLEAK_OPTIONS=\"key=value key=value\", separated by spaces or commas:\n"
	            "  key          default  allowed, meaning\n");
	for (size_t i = 0; i < sl_option_row_count; i++) {
		char value[32]; /* defaults are short */
		struct sl_out text;
		sl_out_init(&text, value, sizeof(value) - 1, NULL, NULL);
		sl_option_write(&text, &sl_option_rows[i], &sl_option_defaults);
		value[text.length] = '\0';
		sl_out_text(out, "  ");
		sl_out_padded(out, sl_option_rows[i].key, 13);
		sl_out_padded(out, text.length ? value : "(none)", 9);
		sl_option_write_allowed(out, &sl_option_rows[i]);
		put_wrapped(out, sl_option_rows[i].help);
	}
}

void sl_options_each(const struct sl_options *options, sl_options_each_fn *each, void *context)
{
	for (size_t i = 0; i < sl_option_row_count; i++) {
		char value[SL_OPTION_TEXT_MAX];
		struct sl_out text;
		sl_out_init(&text, value, sizeof(value) - 1, NULL, NULL);
		sl_option_write(&text, &sl_option_rows[i], options);
		value[text.length] = '\0';
		each(context, sl_option_rows[i].key, value);
	}
}

bool sl_options_want_rescue(const struct sl_options *options)
{
	return options->rescue == SL_RESCUE_ON ||
	       (options->rescue == SL_RESCUE_AUTO && options->action != SL_ACTION_REPORT);
}

uint64_t sl_options_interval_ms(const struct sl_options *options)
{
	if (options->interval_ms != SL_AUTO)
		return (uint64_t)options->interval_ms;
	int64_t quarter = options->deadline_ms / 4;
	if (sl_options_want_rescue(options) && options->rescue_after_ms / 4 < quarter)
		quarter = options->rescue_after_ms / 4;
	if (quarter < SL_INTERVAL_LEAST_MS)
		quarter = SL_INTERVAL_LEAST_MS;
	return (uint64_t)(quarter > SL_INTERVAL_MOST_MS ? SL_INTERVAL_MOST_MS : quarter);
}
