/* set_reply.c - see set_reply.h. */
#include "cli/set_reply.h"

#include <stdlib.h>
#include <string.h>

#include "base/option.h"
#include "base/options.h"
#include "cli/client.h"
#include "cli/print.h"

static const char *text_of(json_t *change, const char *name)
{
	const char *text = json_string_value(json_object_get(change, name));
	return text ? text : "";
}

bool sl_set_reply_read(const char *bytes, size_t n, struct sl_set_reply *reply)
{
	json_t *root = json_loadb(bytes ? bytes : "", n, 0, NULL);
	json_t *for_ms = json_object_get(root, "for_ms");
	*reply = (struct sl_set_reply){
		.root = root,
		.changed = json_object_get(root, "changed"),
		.for_ms = json_is_integer(for_ms) ? json_integer_value(for_ms) : -1,
	};
	bool is_good = json_is_array(reply->changed);
	for (size_t i = 0; is_good && i < json_array_size(reply->changed); i++)
		is_good = *text_of(json_array_get(reply->changed, i), "key") != 0;
	if (!is_good)
		json_decref(root);
	return is_good;
}

void sl_set_reply_free(struct sl_set_reply *reply)
{
	json_decref(reply->root);
}

static bool is_changed(const struct sl_set_reply *reply, const char *word)
{
	for (size_t i = 0; i < json_array_size(reply->changed); i++) {
		const char *key = text_of(json_array_get(reply->changed, i), "key");
		size_t n = strlen(key);
		if (strncmp(word, key, n) == 0 && word[n] == '=')
			return true;
	}
	return false;
}

/* The old words, without those that are changed. What stands behind a comma without a key belongs to the word before. */
static void keep_others(FILE *to, char *before, const struct sl_set_reply *reply)
{
	char *rest;
	bool is_kept = true;
	for (char *word = strtok_r(before, " ,\t\r\n", &rest); word;
	     word = strtok_r(NULL, " ,\t\r\n", &rest)) {
		if (strchr(word, '='))
			is_kept = !is_changed(reply, word);
		if (is_kept)
			(void)fprintf(to, "%s%s",
			              ftell(to) > 0 ? (strchr(word, '=') ? " " : ",") : "", word);
	}
}

char *sl_set_reply_lasting(const char *before, const struct sl_set_reply *reply)
{
	char *lasting = NULL, *words = strdup(before ? before : "");
	size_t n;
	FILE *to = open_memstream(&lasting, &n);
	if (to && words)
		keep_others(to, words, reply);
	for (size_t i = 0; to && i < json_array_size(reply->changed); i++) {
		json_t *change = json_array_get(reply->changed, i);
		const char *value = text_of(change, "new");
		if (*value && strcmp(value, "none") != 0) /* an empty list is the default */
			(void)fprintf(to, "%s%s=%s", ftell(to) > 0 ? " " : "",
			              text_of(change, "key"), text_of(change, "new"));
	}
	if (to)
		(void)fclose(to);
	free(words);
	return lasting;
}

struct effective {
	json_t *options;
	FILE *to;
};

static void put_if_chosen(void *context, const char *key, const char *standard)
{
	struct effective *effective = context;
	const char *value = text_of(effective->options, key);
	if (*value && strcmp(value, standard) != 0)
		(void)fprintf(effective->to, "%s%s=%s", ftell(effective->to) > 0 ? " " : "", key,
		              value);
}

/* What is in force there and is no default, as the variable would say it; to be freed, NULL: not to be had. */
static char *ask_for_options(const struct sl_proc *proc)
{
	struct sl_client_reply reply;
	char *text = NULL;
	size_t n;
	if (sl_client_ask(proc, "snapshot json", SL_CLIENT_PATIENCE_MS, &reply) != 0)
		return NULL;
	json_t *root = json_loadb(reply.bytes, reply.n, 0, NULL);
	struct effective effective = {.options = json_object_get(root, "options"),
	                              .to = open_memstream(&text, &n)};
	if (effective.to) {
		sl_options_each(&sl_option_defaults, put_if_chosen, &effective);
		(void)fclose(effective.to);
	}
	json_decref(root);
	sl_client_free(&reply);
	return text;
}

static void put_duration(struct sl_out *out, int64_t ms)
{
	if (ms < 0) {
		sl_out_text(out, "until the process ends");
		return;
	}
	sl_out_text(out, "for ");
	sl_out_duration(out, (uint64_t)ms);
	sl_out_text(out, ", then as before");
}

void sl_set_reply_print(FILE *to, const struct sl_proc *proc, bool is_dry,
                        const struct sl_set_reply *reply)
{
	struct sl_print print;
	struct sl_out *out = &print.out;
	sl_print_start(&print, to);
	size_t n = json_array_size(reply->changed);
	sl_out_text(out, "process ");
	sl_out_signed(out, proc->pid);
	sl_out_text(out, " (");
	sl_out_terminal(out, proc->name);
	sl_out_text(out, n == 0   ? "): nothing to change"
	                 : is_dry ? "): would change "
	                          : "): changed ");
	for (size_t i = 0; i < n; i++) {
		json_t *change = json_array_get(reply->changed, i);
		sl_out_text(out, i ? ", " : "");
		sl_out_terminal(out, text_of(change, "key"));
		sl_out_text(out, " from ");
		sl_out_terminal(out, *text_of(change, "old") ? text_of(change, "old") : "none");
		sl_out_text(out, " to ");
		sl_out_terminal(out, *text_of(change, "new") ? text_of(change, "new") : "none");
	}
	if (n) {
		sl_out_text(out, "; ");
		put_duration(out, reply->for_ms);
	}
	sl_out_char(out, '\n');
	if (n && !is_dry) {
		/* nginx, PostgreSQL and their kin write their title over their environment. */
		char *before = sl_proc_variable(proc->pid, "SOCKLEAK_OPTIONS");
		before = before ? before : ask_for_options(proc);
		char *lasting = sl_set_reply_lasting(before, reply);
		sl_out_text(out, "A restart forgets it. To make it last, start the program with:\n"
		                 "  SOCKLEAK_OPTIONS=\"");
		sl_out_terminal(out, lasting ? lasting : "");
		sl_out_text(out, "\"\n");
		free(lasting);
		free(before);
	}
	(void)sl_print_end(&print);
}

void sl_set_reply_json(struct sl_json *json, int pid, bool is_dry, const struct sl_set_reply *reply)
{
	sl_json_break(json);
	sl_json_open(json, NULL, '{');
	sl_json_unsigned(json, "pid", (uint64_t)pid);
	sl_json_bool(json, "dry_run", is_dry);
	sl_json_open(json, "changed", '[');
	for (size_t i = 0; i < json_array_size(reply->changed); i++) {
		json_t *change = json_array_get(reply->changed, i);
		sl_json_open(json, NULL, '{');
		sl_json_text(json, "key", text_of(change, "key"));
		sl_json_text(json, "old", text_of(change, "old"));
		sl_json_text(json, "new", text_of(change, "new"));
		sl_json_close(json, '}');
	}
	sl_json_close(json, ']');
	if (reply->for_ms < 0)
		sl_json_null(json, "for_ms");
	else
		sl_json_unsigned(json, "for_ms", (uint64_t)reply->for_ms);
	sl_json_close(json, '}');
}
