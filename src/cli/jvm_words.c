/* jvm_words.c - see jvm_words.h. */
#include "cli/jvm_words.h"

#include <string.h>

static const char *skip_space(const char *at, bool is_file)
{
	static const char space[] = " \t\r\n\f";
	for (;;) {
		at += strspn(at, space);
		if (!is_file || *at != '#')
			return at;
		at += strcspn(at, "\n");
	}
}

bool sl_jvm_words_next(const char **at, bool is_file, char *word, size_t n)
{
	size_t length = 0;
	char quote = 0;
	const char *c = skip_space(*at, is_file);
	if (!*c) {
		*at = c;
		return false;
	}
	for (; *c && (quote || !strchr(" \t\r\n\f", *c)); c++) {
		if (*c == quote) {
			quote = 0;
			continue;
		}
		if (!quote && (*c == '"' || *c == '\'')) {
			quote = *c;
			continue;
		}
		if (is_file && quote && *c == '\\' && c[1])
			c++;
		if (length + 1 < n)
			word[length++] = *c;
	}
	word[length] = 0;
	*at = c;
	return true;
}

bool sl_jvm_words_takes_next(const char *option)
{
	static const char *const options[] = {
		"-cp",
		"-classpath",
		"--class-path",
		"-p",
		"--module-path",
		"--add-modules",
		"--add-exports",
		"--add-opens",
		"--add-reads",
		"--limit-modules",
		"--patch-module",
		"--upgrade-module-path",
		"-d",
		"--describe-module",
		"--source",
		"--enable-native-access",
	};
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (strcmp(option, options[i]) == 0)
			return true;
	return false;
}
