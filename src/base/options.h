/* options.h - what the user asked for, parsed from one string against one table (options.def).
 *
 * Layer: base. Locks: none: written once by sl_options_start(), before any other thread can look; constant
 * after. Fork: the child keeps all. errno: untouched. Async-signal-safe: everything here.
 */
#ifndef SL_BASE_OPTIONS_H
#define SL_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/out.h"

#define SL_OPTION_TEXT_MAX 512 /* bytes of one value, its NUL too */

#define SL_OPTIONS_CHANGE_MAX 4096

#define SL_AUTO (-1) /* a duration, count or signal left to us */
#define SL_OFF (-2)  /* ... or switched off */

enum sl_stacks { SL_STACKS_AUTO, SL_STACKS_NATIVE, SL_STACKS_NONE };
enum sl_action { SL_ACTION_REPORT, SL_ACTION_SHUTDOWN, SL_ACTION_NEUTRALIZE, SL_ACTION_CLOSE };
enum sl_side { SL_SIDE_OUT, SL_SIDE_IN, SL_SIDE_BOTH };
enum sl_probe { SL_PROBE_AUTO, SL_PROBE_ON, SL_PROBE_OFF };
enum sl_rescue { SL_RESCUE_AUTO, SL_RESCUE_ON, SL_RESCUE_OFF };
enum sl_control { SL_CONTROL_ON, SL_CONTROL_OFF };
enum sl_children { SL_CHILDREN_ON, SL_CHILDREN_OFF };
enum sl_argv { SL_ARGV_SHORT, SL_ARGV_FULL };

#define SL_OPTION_MEMBER_BOOL(member) int64_t member;
#define SL_OPTION_MEMBER_DURATION(member) int64_t member; /* ms, SL_AUTO or SL_OFF */
#define SL_OPTION_MEMBER_COUNT(member) int64_t member;    /* or SL_AUTO or SL_OFF */
#define SL_OPTION_MEMBER_BYTES(member) int64_t member;
#define SL_OPTION_MEMBER_OCTAL(member) int64_t member;
#define SL_OPTION_MEMBER_SIGNAL(member) int64_t member; /* a signal number, SL_AUTO or SL_OFF */
#define SL_OPTION_MEMBER_ENUM(member) int64_t member;   /* place among the words of its row */
#define SL_OPTION_MEMBER_LIST(member) \
	char member[SL_OPTION_TEXT_MAX]; /* joined by commas; "": none */
#define SL_OPTION_MEMBER_RULES(member) \
	char member[SL_OPTION_TEXT_MAX]; /* of base/rule.h, joined by commas; "": none */
#define SL_OPTION_MEMBER_PATH(member) char member[SL_OPTION_TEXT_MAX]; /* "": off */

/* One member for each row of options.def, in its order. */
struct sl_options {
#define SL_OPTION_ROW(type, key, member, words, low, high, standard, help) \
	SL_OPTION_MEMBER_##type(member)
#include "base/options.def"
#undef SL_OPTION_ROW
};

/* Says one line about a bad key or value; `line` has no newline. */
typedef void sl_options_complain_fn(const char *line);

/* Every option at its default. */
void sl_options_defaults(struct sl_options *options);

/* Take what `text` says ("key=value key=value", spaces or commas between; so no value has either, but a list key may be
 * given again, or its values have commas between: app=a,b is app=a app=b). NULL is "". A bad pair is told to
 * `complain`, keeps its default, and the rest is still read. Returns the number of bad pairs: the first 16 are told one
 * by one, the rest as a number. Where one of them may have been meant to hold actions back (a key that bears on
 * them, an unknown one, a word without '=') they are off: action=report, rescue=off, in one line more. */
unsigned sl_options_parse(struct sl_options *options, const char *text,
                          sl_options_complain_fn *complain);

/* The same for the process's own set, from its defaults. Called once at start. */
unsigned sl_options_start(const char *text, sl_options_complain_fn *complain);

/* The same for a running process: each key may be one that can be changed, a list is replaced, and unless all is understood nothing
 * is changed; "key=none" empties a list. Up to SL_OPTIONS_CHANGE_MAX bytes. `changed` gets a bit for each row that was named, by its place in the table. Returns the number of bad pairs; "for" is
 * not known here. */
unsigned sl_options_change(struct sl_options *options, const char *text, uint64_t *changed,
                           sl_options_complain_fn *complain);

/* Can this option be changed while the program runs? */
bool sl_options_is_live(const char *key);

/* Copy the rows of these bits. */
void sl_options_copy(struct sl_options *to, const struct sl_options *from, uint64_t rows);

/* The table, as help=1 prints it: key, default, what is allowed, meaning; at most 100 columns. */
void sl_options_print_help(struct sl_out *out);

/* The effective set as JSON object members would be: calls `each` for every option, value as text. */
typedef void sl_options_each_fn(void *context, const char *key, const char *value);
void sl_options_each(const struct sl_options *options, sl_options_each_fn *each, void *context);

/* rescue=, with auto resolved. */
bool sl_options_want_rescue(const struct sl_options *options);

/* interval=, with auto resolved: a quarter of deadline, or of rescue_after where that counts, within 250 ms .. 5 s. */
uint64_t sl_options_interval_ms(const struct sl_options *options);

/* The process's own set: defaults until sl_options_start(). Constant after start. */
extern struct sl_options sl_options;

#endif
