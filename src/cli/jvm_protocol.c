/* jvm_protocol.c - see jvm_protocol.h. */
#include "cli/jvm_protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t add(char *request, size_t at, const char *word)
{
	const size_t n = strlen(word) + 1;
	memcpy(request + at, word, n);
	return at + n;
}

size_t sl_jvm_request(char request[SL_JVM_REQUEST_BYTES], const char *verb,
                      const char *const arguments[SL_JVM_ARGUMENTS])
{
	size_t n = add(request, add(request, 0, "1"), verb);
	for (unsigned i = 0; i < SL_JVM_ARGUMENTS; i++) {
		const char *word = arguments[i] ? arguments[i] : "";
		if (strlen(word) > SL_JVM_ARGUMENT_MAX)
			return 0;
		n = add(request, n, word);
	}
	return n;
}

/* A whole line that is a number, which is passed over. */
static bool take_number(const char **at, int *number)
{
	char *end;
	const long value = strtol(*at, &end, 10);
	if (end == *at || (*end && *end != '\n' && *end != '\r'))
		return false;
	*number = (int)value;
	*at = end + strspn(end, "\r\n");
	return true;
}

static void keep_text(const char *at, char *text, size_t n)
{
	(void)snprintf(text, n, "%s", at);
	for (size_t length = strlen(text); length && strchr("\r\n ", text[length - 1]);)
		text[--length] = 0;
	for (char *c = text; *c; c++)
		if (*c == '\n' || *c == '\r')
			*c = ' ';
}

bool sl_jvm_answer_read(const char *bytes, struct sl_jvm_answer *answer)
{
	static const char code[] = "return code: ";
	*answer = (struct sl_jvm_answer){0};
	const char *at = bytes;
	if (!take_number(&at, &answer->status))
		return false;
	const char *number = strncmp(at, code, sizeof(code) - 1) == 0 ? at + sizeof(code) - 1 : at;
	answer->has_result = answer->status == 0 && take_number(&number, &answer->result);
	keep_text(answer->has_result ? number : at, answer->text, sizeof(answer->text));
	return true;
}
