/* json_write.c - see json_write.h. */
#include "report/json_write.h"

#include "report/snapshot.h"

#include "base/poison.h"

/* What stands before a value: a comma where one is due, and the member's name. */
static void put_name(struct sl_json *json, const char *name)
{
	if (json->needs_comma)
		sl_out_char(json->out, ',');
	json->needs_comma = true;
	if (name) {
		sl_out_json(json->out, name);
		sl_out_char(json->out, ':');
	}
}

void sl_json_open(struct sl_json *json, const char *name, char bracket)
{
	put_name(json, name);
	sl_out_char(json->out, bracket);
	json->needs_comma = false;
}

void sl_json_close(struct sl_json *json, char bracket)
{
	sl_out_char(json->out, bracket);
	json->needs_comma = true;
}

void sl_json_break(struct sl_json *json)
{
	if (json->needs_comma)
		sl_out_char(json->out, ',');
	json->needs_comma = false;
	sl_out_char(json->out, '\n');
}

void sl_json_text(struct sl_json *json, const char *name, const char *value)
{
	put_name(json, name);
	sl_out_json(json->out, value);
}

void sl_json_unsigned(struct sl_json *json, const char *name, uint64_t value)
{
	put_name(json, name);
	sl_out_unsigned(json->out, value);
}

void sl_json_null(struct sl_json *json, const char *name)
{
	put_name(json, name);
	sl_out_text(json->out, "null");
}

void sl_json_known(struct sl_json *json, const char *name, int64_t value)
{
	if (value == SL_UNKNOWN) {
		sl_json_null(json, name);
		return;
	}
	put_name(json, name);
	sl_out_signed(json->out, value);
}

void sl_json_bool(struct sl_json *json, const char *name, bool value)
{
	put_name(json, name);
	sl_out_text(json->out, value ? "true" : "false");
}

void sl_json_time(struct sl_json *json, const char *name, uint64_t wall_ms)
{
	put_name(json, name);
	sl_out_char(json->out, '"');
	sl_out_rfc3339(json->out, wall_ms);
	sl_out_char(json->out, '"');
}

void sl_json_moment(struct sl_json *json, const char *name, uint64_t wall_ms)
{
	char text[48];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	sl_out_rfc3339(&out, wall_ms);
	put_name(json, name);
	sl_out_char(json->out, '"');
	sl_out_bytes(json->out, text, out.length - 1); /* without its Z */
	const char fraction[] = {'.', (char)('0' + wall_ms / 100 % 10),
	                         (char)('0' + wall_ms / 10 % 10), (char)('0' + wall_ms % 10)};
	sl_out_bytes(json->out, fraction, sizeof(fraction));
	sl_out_text(json->out, "Z\"");
}

void sl_json_identity(struct sl_json *json, const char *name, uint64_t value)
{
	put_name(json, name);
	sl_out_char(json->out, '"');
	sl_out_unsigned(json->out, value);
	sl_out_char(json->out, '"');
}
