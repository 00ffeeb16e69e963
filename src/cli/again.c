/* again.c - see again.h. */
#include "cli/again.h"

#include <string.h>

#include "base/out.h"

#define SL_WORDS_BYTES 2048 /* of a line that is said whole */

static char words[SL_WORDS_BYTES];

static void put_word(struct sl_out *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-_./=:,@%+";
	if (*word && !word[strspn(word, plain)]) {
		sl_out_text(out, word);
		return;
	}
	sl_out_char(out, '\'');
	for (; *word; word++)
		if (*word == '\'')
			sl_out_text(out, "'\\''");
		else
			sl_out_char(out, *word);
	sl_out_char(out, '\'');
}

void sl_again_remember(int argc, char **argv)
{
	struct sl_out out;
	sl_out_init(&out, words, sizeof(words) - 1, NULL, NULL);
	for (int i = 1; i < argc; i++) {
		if (i > 1)
			sl_out_char(&out, ' ');
		put_word(&out, argv[i]);
	}
	words[out.length] = 0;
	if (out.is_cut) /* half a command is worse than none */
		memcpy(words, "...", 4);
}

const char *sl_again_words(void)
{
	return words;
}
