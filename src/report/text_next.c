/* text_next.c - see text_next.h. */
#include "report/text_next.h"

#include "report/advice.h"
#include "report/text_line.h"

#include "base/poison.h"

void sl_text_next(struct sl_out *out, const struct sl_snapshot *s, unsigned most, bool colour)
{
	struct sl_advice advice[SL_ADVICE_MAX];
	unsigned count = sl_advice_of(s, advice);
	for (unsigned i = 0; i < count && i < most; i++) {
		struct sl_text_line line, after;
		sl_text_line_start(&line, colour);
		sl_text_line_start(&after, colour);
		sl_text_line_label(&line, i == 0 ? "NEXT" : "");
		sl_out_text(&line.out, advice[i].before);
		sl_out_text(&after.out, advice[i].after);
		if (advice[i].name)
			sl_text_line_name(&line, advice[i].name, sl_text_line_left(&line, &after));
		sl_text_line_append(&line, &after);
		sl_text_line_end(&line, out);
	}
}
