#include "stack/roles.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "stack/mangled.h"

#include "base/poison.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SCOPE_BYTES 128 /* of a function's name, enough for any row */

struct row {
	const char *name;
	struct sl_code code;
};

#define SL_ROW(kind, name, owner) {name, {SL_CODE_##kind, owner}},

#define SL_JAVA(kind, name, owner) SL_ROW(kind, name, owner)
static const struct row packages[] = {
#include "stack/roles_java.def"
};

#define SL_MODULE(kind, name, owner) SL_ROW(kind, name, owner)
#define SL_PROGRAM(kind, name, owner)
#define SL_FOLDER(kind, name, owner)
#define SL_FUNCTION(kind, name, owner)
#define SL_SAME_DOOR(name)
static const struct row modules[] = {
#include "stack/roles_native.def"
};
#undef SL_MODULE
#undef SL_PROGRAM
#define SL_MODULE(kind, name, owner)
#define SL_PROGRAM(kind, name, owner) SL_ROW(kind, name, owner)
static const struct row programs[] = {
#include "stack/roles_native.def"
};
#undef SL_PROGRAM
#undef SL_FOLDER
#define SL_PROGRAM(kind, name, owner)
#define SL_FOLDER(kind, name, owner) SL_ROW(kind, name, owner)
static const struct row folders[] = {
#include "stack/roles_native.def"
};
#undef SL_FOLDER
#undef SL_FUNCTION
#define SL_FOLDER(kind, name, owner)
#define SL_FUNCTION(kind, name, owner) SL_ROW(kind, name, owner)
static const struct row functions[] = {
#include "stack/roles_native.def"
};
#undef SL_FUNCTION
#undef SL_SAME_DOOR
#define SL_FUNCTION(kind, name, owner)
#define SL_SAME_DOOR(name) name,
static const char *const same_doors[] = {
#include "stack/roles_native.def"
};

static const struct sl_code application = {SL_CODE_APPLICATION, NULL};

const char *sl_file_name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The row of the package that the first n bytes of a name are. */
static const struct row *find_package(const char *name, size_t n)
{
	size_t low = 0, high = COUNT(packages);
	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const char *package = packages[middle].name;
		int order = strncmp(name, package, n);
		if (order == 0 && package[n])
			order = -1;
		if (order == 0)
			return &packages[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static struct sl_code look_up_class(const char *class_name)
{
	for (size_t n = strlen(class_name); n > 0; n--) {
		if (class_name[n] != '.')
			continue;
		const struct row *found = find_package(class_name, n);
		if (found)
			return found->code;
	}
	return application;
}

/* Behind the package that a build has put a copy of a library into: "com.acme.shaded.okhttp3.Call". NULL: none. */
static const char *relocated(const char *class_name)
{
	static const char *const moved[] = {".shaded.",    ".shade.",      ".repackaged.",
	                                    ".relocated.", ".thirdparty.", ".vendor."};
	for (size_t i = 0; i < COUNT(moved); i++) {
		const char *at = strstr(class_name, moved[i]);
		if (at)
			return at + strlen(moved[i]);
	}
	return NULL;
}

struct sl_code sl_roles_class(const char *class_name)
{
	const struct sl_code code = look_up_class(class_name);
	const char *copy = code.kind == SL_CODE_APPLICATION ? relocated(class_name) : NULL;
	return copy ? look_up_class(copy) : code;
}

/* A program may go by the name of the library that it is about: "libpq-import". */
static bool is_module(const char *file, const char *row)
{
	const size_t n = strlen(row);
	return strncmp(file, row, n) == 0 && (!starts_with(row, "lib") || strstr(file, ".so")) &&
	       (!isalpha((unsigned char)row[n - 1]) || !isalpha((unsigned char)file[n]));
}

static bool is_program(const char *file, const char *row)
{
	const size_t n = strlen(row);
	return strncmp(file, row, n) == 0 && file[n + strspn(file + n, "0123456789.")] == '\0';
}

struct sl_code sl_roles_module(const char *path)
{
	const char *file = sl_file_name_of(path);
	for (size_t i = 0; i < COUNT(modules); i++)
		if (is_module(file, modules[i].name))
			return modules[i].code;
	for (size_t i = 0; i < COUNT(programs); i++)
		if (is_program(file, programs[i].name))
			return programs[i].code;
	for (size_t i = 0; i < COUNT(folders); i++)
		if (strstr(path, folders[i].name))
			return folders[i].code;
	return application;
}

struct sl_code sl_roles_function(const char *function)
{
	char scope[SCOPE_BYTES];
	const char *name = sl_mangled_scope(function, scope, sizeof(scope));
	for (size_t i = 0; i < COUNT(functions); i++)
		if (starts_with(name, functions[i].name))
			return functions[i].code;
	return application;
}

bool sl_roles_is_same_door(const char *function)
{
	for (size_t i = 0; i < COUNT(same_doors); i++)
		if (strcmp(function, same_doors[i]) == 0)
			return true;
	return false;
}

enum sl_role sl_roles_role(enum sl_code_kind kind)
{
	if (kind == SL_CODE_APPLICATION)
		return SL_ROLE_APPLICATION;
	return kind == SL_CODE_RUNTIME || kind == SL_CODE_INTERPRETER ? SL_ROLE_RUNTIME
	                                                              : SL_ROLE_LIBRARY;
}
