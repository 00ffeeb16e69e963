#include "report/json_advice.h"

#include "report/advice.h"

#include "base/poison.h"

#define SL_ADVICE_TEXT_BYTES 1024

void sl_json_advice(struct sl_json *json, const struct sl_snapshot *s)
{
	struct sl_advice advice[SL_ADVICE_MAX];
	unsigned count = sl_advice_of(s, advice);
	sl_json_open(json, "advice", '[');
	for (unsigned i = 0; i < count; i++) {
		char text[SL_ADVICE_TEXT_BYTES];
		struct sl_out out;
		sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
		sl_out_text(&out, advice[i].before);
		sl_out_text(&out, advice[i].name ? advice[i].name : "");
		sl_out_text(&out, advice[i].after);
		text[out.length] = '\0';
		sl_json_open(json, NULL, '{');
		sl_json_text(json, "about", advice[i].about);
		sl_json_text(json, "text", text);
		sl_json_close(json, '}');
	}
	sl_json_close(json, ']');
}
