/* script.c - see script.h. */
#include "cli/script.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Packages lie in folders of these names, whoever's they are. */
static bool is_package(const char *file)
{
	return strstr(file, "/node_modules/") || strstr(file, "/site-packages/") ||
	       strstr(file, "/dist-packages/");
}

/* ---- V8 ---- */

/* Kinds of code that are functions of a script; how it was compiled stands behind: "~", "^", "+", "*". */
static const char *const v8_kinds[] = {"JS:", "LazyCompile:", "Function:", "Script:", "Eval:"};

/* Where the script's place begins: names and paths may both have spaces. */
static char *place_of(char *text)
{
	static const char *const begins[] = {" /", " node:", " file:", " internal/"};
	for (size_t i = 0; i < COUNT(begins); i++) {
		char *found = strstr(text, begins[i]);
		if (found)
			return found;
	}
	return strrchr(text, ' ');
}

/* Takes ":12" off the end. 0: there is none. */
static int32_t cut_number(char *text)
{
	char *colon = strrchr(text, ':');
	char *end;
	if (!colon || colon[1] < '0' || colon[1] > '9')
		return 0;
	const unsigned long number = strtoul(colon + 1, &end, 10);
	if (*end || number > INT32_MAX)
		return 0;
	*colon = '\0';
	return (int32_t)number;
}

static enum sl_role role_of_javascript(const char *file)
{
	if (starts_with(file, "node:") || starts_with(file, "internal/"))
		return SL_ROLE_RUNTIME;
	return is_package(file) ? SL_ROLE_LIBRARY : SL_ROLE_APPLICATION;
}

static bool read_v8(char *name, struct sl_script *script)
{
	char *text = NULL;
	for (size_t i = 0; i < COUNT(v8_kinds) && !text; i++)
		if (starts_with(name, v8_kinds[i]))
			text = name + strlen(v8_kinds[i]);
	if (!text)
		return false;
	text += strspn(text, "~^+*'");
	char *place = place_of(text);
	if (!place)
		return false;
	*place++ = '\0';
	if (starts_with(place, "file://"))
		place += strlen("file://");
	const int32_t last = cut_number(place);
	const int32_t line = cut_number(place); /* before it; else the last was the line */
	*script = (struct sl_script){
		.function = *text ? text : "(anonymous)",
		.file = place,
		.line = line ? line : last,
		.role = role_of_javascript(place),
	};
	return *place != '\0';
}

/* ---- Python ---- */

static enum sl_role role_of_python(const char *file)
{
	const char *lib = strstr(file, "/lib/python");
	if (is_package(file))
		return SL_ROLE_LIBRARY;
	if (*file == '<' && !starts_with(file, "<stdin>") && !starts_with(file, "<string>"))
		return SL_ROLE_RUNTIME; /* <frozen importlib._bootstrap> */
	return lib && strchr("0123456789", lib[strlen("/lib/python")]) ? SL_ROLE_RUNTIME
	                                                               : SL_ROLE_APPLICATION;
}

static bool read_python(char *name, struct sl_script *script)
{
	char *file = starts_with(name, "py::") ? strchr(name + 4, ':') : NULL;
	if (!file || !file[1] || file == name + 4)
		return false;
	*file++ = '\0';
	*script = (struct sl_script){
		.function = name + 4, .file = file, .role = role_of_python(file)};
	return true;
}

void sl_script_read(char *name, struct sl_script *script)
{
	if (read_v8(name, script) || read_python(name, script))
		return;
	*script = (struct sl_script){.function = name, .role = SL_ROLE_RUNTIME};
}
