/* text_unblamed.c - see text_unblamed.h. */
#include "report/text_unblamed.h"

#include <string.h>

#include "stack/owner.h"

#include "base/poison.h"

bool sl_text_is_unblamed(const struct sl_snapshot_site *site)
{
	return !site->blame && site->frame_count;
}

/* What gives way, one after the other, where there is no room. */
enum detail { NO_DETAIL, WITH_COUNT, WITH_PEER };

static void put_threads(struct sl_out *out, const struct sl_snapshot_site *site, enum detail detail)
{
	if (!site->thread_names)
		return;
	sl_out_text(out, ": thread \"");
	sl_out_text(out, site->threads[0]);
	sl_out_char(out, '"');
	if (site->thread_count > 1 && detail >= WITH_COUNT) {
		sl_out_text(out, " and ");
		sl_out_unsigned(out, site->thread_count - 1);
		sl_out_text(out, " more");
	}
}

static void print(char text[SL_TEXT_UNBLAMED_BYTES], const struct sl_snapshot_site *site,
                  const char *owner, enum detail detail)
{
	struct sl_out out;
	sl_out_init(&out, text, SL_TEXT_UNBLAMED_BYTES - 1, NULL, NULL);
	sl_out_text(&out, "no frame of the application");
	put_threads(&out, site, detail);
	if (owner) {
		sl_out_text(&out, site->thread_names ? " of " : ", only of ");
		sl_out_text(&out, owner);
	}
	if (site->peer && detail >= WITH_PEER) {
		sl_out_text(&out, site->direction == SL_DIRECTION_IN ? ", from " : ", to ");
		sl_out_text(&out, site->peer);
	}
	text[out.length] = '\0';
}

void sl_text_unblamed(char text[SL_TEXT_UNBLAMED_BYTES], const struct sl_snapshot_site *site,
                      unsigned columns)
{
	const struct sl_owner owner = sl_owner_of(site->frames, site->frame_count);
	for (int detail = WITH_PEER; detail >= NO_DETAIL; detail--) {
		print(text, site, owner.name, (enum detail)detail);
		if (sl_text_name_columns(text) <= columns)
			return;
	}
}

const char *sl_text_blame(char text[SL_TEXT_UNBLAMED_BYTES], const struct sl_snapshot_site *site,
                          unsigned columns, const char *none)
{
	if (!sl_text_is_unblamed(site))
		return site->blame ? site->blame : none;
	sl_text_unblamed(text, site, columns);
	return text;
}

/* Where the interpreter can tell where its code is, the command finds the names. */
static const char *how_to_see(const char *interpreter)
{
	if (strcmp(interpreter, "Python") == 0)
		return "; Python 3.12 or later names its functions with -X perf";
	if (strcmp(interpreter, "Node.js") == 0)
		return "; JavaScript has names with node --perf-basic-prof";
	return NULL;
}

/* Node.js opens its connections on a later tick. */
static const char *why_not_seen(const char *interpreter)
{
	return strcmp(interpreter, "Node.js") == 0
	               ? ": Node.js connects on a later tick, without its caller"
	               : ": the stack has frames of packages only";
}

static void put_interpreter(struct sl_text_line *line, const struct sl_snapshot_site *site,
                            const struct sl_owner *owner)
{
	const bool is_in = site->direction == SL_DIRECTION_IN;
	struct sl_text_line tail;
	sl_text_line_start(&tail, line->has_colour);
	sl_out_text(&tail.out, owner->is_script_seen ? why_not_seen(owner->interpreter)
	                                             : how_to_see(owner->interpreter));
	sl_out_text(&line->out, is_in ? "look for what serves " : "look for what calls ");
	sl_text_line_name(line, site->peer ? site->peer : "these peers",
	                  sl_text_line_left(line, &tail));
	sl_text_line_append(line, &tail);
}

static void put_library(struct sl_text_line *line, const struct sl_snapshot_site *site,
                        const char *library)
{
	struct sl_text_line tail;
	const bool is_in = site->direction == SL_DIRECTION_IN;
	sl_text_line_start(&tail, line->has_colour);
	sl_out_text(&tail.out, is_in ? " accepts is handled and closed" : " is created and closed");
	sl_out_text(&line->out, is_in ? "look where what " : "look where the client of ");
	sl_text_line_name(line, library, sl_text_line_left(line, &tail));
	sl_text_line_append(line, &tail);
	sl_text_line_start(&tail, line->has_colour);
	sl_out_text(&tail.out, site->kind == SL_STACK_JAVA ? "; app= names your packages"
	                                                   : "; app= names your modules");
	(void)sl_text_line_append_if_fits(line, &tail);
}

void sl_text_unblamed_fix(struct sl_text_line *line, const struct sl_snapshot_site *site)
{
	const struct sl_owner owner = sl_owner_of(site->frames, site->frame_count);
	if (owner.interpreter)
		put_interpreter(line, site, &owner);
	else if (site->frames_cut)
		sl_out_text(&line->out, "raise depth=: the stack was cut before any frame of the "
		                        "application");
	else if (owner.name)
		put_library(line, site, owner.name);
	else if (owner.is_lineless)
		sl_out_text(&line->out, "not known: inlined into code of libraries; debug "
		                        "information (-g) would tell");
	else
		sl_out_text(&line->out, "not known: name the application's packages or modules "
		                        "with app=");
}
