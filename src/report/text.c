/* text.c - see text.h. */
#include "report/text.h"

#include "report/advice.h"
#include "report/text_elsewhere.h"
#include "report/text_head.h"
#include "report/text_lead.h"
#include "report/text_next.h"
#include "report/text_sites.h"
#include "report/text_tables.h"

#include "base/poison.h"

void sl_text_render(struct sl_out *out, const struct sl_snapshot *s, enum sl_text_form form,
                    bool colour)
{
	if (sl_text_head_is_healthy(s)) {
		sl_text_head_healthy(out, s, colour);
		return;
	}
	sl_text_lead(out, s, colour);
	sl_text_next(out, s, form == SL_TEXT_SHORT ? SL_TEXT_SHORT_ADVICE : SL_ADVICE_MAX, colour);
	sl_text_elsewhere(out, s, colour);
	if (form == SL_TEXT_SHORT) {
		sl_text_sites_short(out, s, colour);
		return;
	}
	sl_text_tables_states(out, s);
	sl_text_tables_peers(out, s);
	sl_text_sites_full(out, s, colour);
	sl_text_tables_listeners(out, s);
	sl_text_tables_totals(out, s);
	sl_out_char(out, '\n');
}
