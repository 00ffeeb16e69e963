#include "report/blame_text.h"

#include <string.h>

#include "stack/blame.h"
#include "stack/source.h"

#include "base/poison.h"

const struct sl_frame *sl_blame_text_frame(const struct sl_site_frames *named)
{
	return named && named->blame < named->count ? named->frames[named->blame] : NULL;
}

/* The method that stands in the source, and where: the frame itself may be of a lambda. */
static void put_java(struct sl_out *out, const struct sl_frame *frame)
{
	const char *where = frame->text ? strrchr(frame->text, '(') : NULL;
	if (!frame->class_name || !where) {
		sl_out_text(out, frame->text);
		return;
	}
	sl_source_print(out, frame);
	sl_out_text(out, where);
}

void sl_blame_text_print(struct sl_out *out, const struct sl_frame *frame)
{
	if (!frame->module) {
		put_java(out, frame);
		return;
	}
	sl_out_text(out, sl_file_name_of(frame->module));
	sl_out_text(out, "+0x");
	sl_out_hex(out, frame->offset);
}

bool sl_blame_text_print_where(struct sl_out *out, const struct sl_frame *frame)
{
	if (frame->module || !frame->file || frame->line <= 0)
		return false;
	sl_out_text(out, frame->file);
	sl_out_char(out, ':');
	sl_out_unsigned(out, (uint64_t)frame->line);
	return true;
}
