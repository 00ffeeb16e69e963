/* option_text.c - see option_text.h. */
#include "cli/option_text.h"

#include <stdio.h>
#include <string.h>

static char first_mistake[1024]; /* the complaint has no context to carry it in */

static void keep_first(const char *line)
{
	if (!first_mistake[0])
		(void)snprintf(first_mistake, sizeof(first_mistake), "%s", line);
}

static void exchange(const char *from, const char *to)
{
	char *at = strstr(first_mistake, from);
	if (at)
		(void)snprintf(at, sizeof(first_mistake) - (size_t)(at - first_mistake), "%s", to);
}

static bool tell(unsigned mistakes, char *why, size_t n)
{
	exchange("; keeping ", ""); /* nothing is kept here: nothing happens at all */
	exchange("; see help=1", "; see 'sockleak options'");
	(void)snprintf(why, n, "%s", first_mistake);
	return mistakes == 0;
}

bool sl_option_text_check(const char *text, struct sl_options *options, char *why, size_t n)
{
	first_mistake[0] = 0;
	sl_options_defaults(options);
	return tell(sl_options_parse(options, text, keep_first), why, n);
}

bool sl_option_text_check_live(const char *text, struct sl_options *options, char *why, size_t n)
{
	uint64_t changed;
	first_mistake[0] = 0;
	sl_options_defaults(options);
	return tell(sl_options_change(options, text, &changed, keep_first), why, n);
}

bool sl_option_text_add(char *all, size_t room, const char *text)
{
	const size_t n = strlen(all);
	if (n + strlen(text) + 2 > room)
		return false;
	(void)snprintf(all + n, room - n, "%s%s", n ? " " : "", text);
	return true;
}
