#include "stack/blame.h"

#include <stddef.h>
#include <string.h>

#include "base/poison.h"

struct role_row {
	enum sl_role role;
	const char *prefix;
};

#define SL_NATIVE_ROLE(role, prefix)
#define SL_FUNCTION_ROLE(role, name)
#define SL_JAVA_ROLE(role, prefix) {SL_ROLE_##role, prefix},
static const struct role_row java_roles[] = {
#include "stack/roles.def"
};
#undef SL_JAVA_ROLE
#undef SL_NATIVE_ROLE

#define SL_JAVA_ROLE(role, prefix)
#define SL_NATIVE_ROLE(role, prefix) {SL_ROLE_##role, prefix},
static const struct role_row native_roles[] = {
#include "stack/roles.def"
};
#undef SL_NATIVE_ROLE
#undef SL_FUNCTION_ROLE

#define SL_NATIVE_ROLE(role, prefix)
#define SL_FUNCTION_ROLE(role, name) {SL_ROLE_##role, name},
static const struct role_row function_roles[] = {
#include "stack/roles.def"
};
#undef SL_JAVA_ROLE
#undef SL_NATIVE_ROLE
#undef SL_FUNCTION_ROLE

const char *sl_file_name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static enum sl_role look_up(const struct role_row *rows, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (starts_with(name, rows[i].prefix))
			return rows[i].role;
	return SL_ROLE_APPLICATION;
}

/* Is one of the comma separated prefixes a prefix of name? */
static bool is_listed(const char *list, const char *name)
{
	while (list && *list) {
		size_t n = strcspn(list, ",");
		if (n > 0 && strncmp(name, list, n) == 0)
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

enum sl_role sl_role_of_class(const char *class_name, const char *app)
{
	if (is_listed(app, class_name))
		return SL_ROLE_APPLICATION;
	return look_up(java_roles, sizeof(java_roles) / sizeof(java_roles[0]), class_name);
}

enum sl_role sl_role_of_module(const char *path, const char *app)
{
	const char *name = sl_file_name_of(path);
	if (is_listed(app, name))
		return SL_ROLE_APPLICATION;
	return look_up(native_roles, sizeof(native_roles) / sizeof(native_roles[0]), name);
}

enum sl_role sl_role_of_function(const char *path, const char *function, const char *app)
{
	enum sl_role role = sl_role_of_module(path, app);
	if (role != SL_ROLE_APPLICATION || is_listed(app, sl_file_name_of(path)))
		return role;
	for (size_t i = 0; i < sizeof(function_roles) / sizeof(function_roles[0]); i++)
		if (strcmp(function, function_roles[i].prefix) == 0)
			return function_roles[i].role;
	return role;
}

bool sl_blame_is_pinned(const struct sl_frame *frame, const char *app)
{
	if (frame->class_name)
		return is_listed(app, frame->class_name);
	return frame->module && is_listed(app, sl_file_name_of(frame->module));
}

uint32_t sl_blame(const struct sl_frame *const *frames, uint32_t n, const char *app)
{
	for (uint32_t i = 0; app && *app && i < n; i++)
		if (sl_blame_is_pinned(frames[i], app))
			return i;
	for (uint32_t i = 0; i < n; i++)
		if (frames[i]->role == SL_ROLE_APPLICATION)
			return i;
	return SL_BLAME_NONE;
}
