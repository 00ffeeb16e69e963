/* args_parse.c - see args_parse.h. argp(3) itself takes up to three lines: its options are looked at beforehand. */
#include "cli/args_parse.h"

#include <ctype.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/nearest.h"

#define SL_NAMES_MAX 48
#define SL_NAME_BYTES 64
#define SL_KEY_OF_ARGP 1000

/* The options of a verb as getopt_long(3) wants them. */
struct names {
	struct option table[SL_NAMES_MAX + 1];
	char letters[2 * SL_NAMES_MAX + 4];
	size_t count;
	bool has_h; /* a meaning of its own */
};

static void add(struct names *names, const char *name, int key, bool has_argument)
{
	size_t n = strlen(names->letters);
	if (names->count == SL_NAMES_MAX)
		return;
	if (name)
		names->table[names->count++] = (struct option){
			name, has_argument ? required_argument : no_argument, NULL, key};
	if (key <= 0 || key > 127 || !isprint(key))
		return;
	names->letters[n] = (char)key;
	names->letters[n + 1] = has_argument ? ':' : 0;
	names->has_h |= key == 'h';
}

static void add_all(struct names *names, const struct argp *argp)
{
	for (const struct argp_option *at = argp->options; at && (at->name || at->key || at->doc);
	     at++) /* headings are rows too */
		add(names, at->name, at->key, at->arg);
	for (const struct argp_child *child = argp->children; child && child->argp; child++)
		add_all(names, child->argp);
}

static void put_nearest(const struct names *names, const char *word, size_t n, char *text,
                        size_t room)
{
	const char *all[SL_NAMES_MAX];
	char name[SL_NAME_BYTES];
	for (size_t i = 0; i < names->count; i++)
		all[i] = names->table[i].name;
	(void)snprintf(name, sizeof(name), "%.*s", (int)n, word);
	const char *nearest = sl_nearest(name, all, names->count);
	(void)snprintf(text, room, "%s%s%s", nearest ? "; did you mean '--" : "",
	               nearest ? nearest : "", nearest ? "'?" : "");
}

static void refuse_name(const char *name_of_verb, const struct names *names, const char *word)
{
	const size_t n = strcspn(word + 2, "=");
	size_t meant = 0;
	char hint[SL_NAME_BYTES + 32];
	for (size_t i = 0; i < names->count; i++)
		meant += strncmp(names->table[i].name, word + 2, n) == 0;
	if (optopt)
		sl_args_refuse(name_of_verb, "option '%.*s' takes no argument", (int)n + 2, word);
	if (meant > 1)
		sl_args_refuse(name_of_verb, "option '%.*s' may mean %zu", (int)n + 2, word, meant);
	put_nearest(names, word + 2, n, hint, sizeof(hint));
	sl_args_refuse(name_of_verb, "no option '%.*s'%s", (int)n + 2, word, hint);
}

static void give_help(const struct argp *argp, char *name, void *input)
{
	static char ask[] = "--help";
	argp_parse(argp, 2, (char *[]){name, ask, NULL}, 0, NULL, input);
}

/* True: go on with the next one. */
static bool check_next(const struct argp *argp, const struct names *names, int argc, char **argv,
                       void *input)
{
	optopt = 0;
	const int got = getopt_long(argc, argv, names->letters, names->table, NULL);
	const char *word = got == -1 ? "" : argv[optind - 1];
	const bool is_name = strncmp(word, "--", 2) == 0;
	if (got == ':' && is_name)
		sl_args_refuse(argv[0], "option '%s' needs an argument", word);
	if (got == ':')
		sl_args_refuse(argv[0], "option '-%c' needs an argument", optopt);
	if (got == 'h' && !names->has_h)
		give_help(argp, argv[0], input);
	if (got == '?' && is_name)
		refuse_name(argv[0], names, word);
	if (got == '?' && optopt && !is_name)
		sl_args_refuse(argv[0], "no option '-%c'", optopt);
	return got != -1;
}

void sl_args_parse(const struct argp *argp, int argc, char **argv, unsigned flags, void *input)
{
	struct names names = {.letters = ":"};
	if (flags & ARGP_IN_ORDER)
		(void)strcpy(names.letters, "+:");
	add_all(&names, argp);
	add(&names, NULL, '?', false);
	add(&names, "help", SL_KEY_OF_ARGP, false);
	add(&names, "usage", SL_KEY_OF_ARGP, false);
	add(&names, "version", 'V', false);
	if (!names.has_h) {
		add(&names, NULL, 'h', false);
		names.has_h = false;
	}
	opterr = 0;
	optind = 0;
	while (check_next(argp, &names, argc, argv, input))
		;
	argp_parse(argp, argc, argv, flags, NULL, input);
}
