#include "stack/blame.h"

#include <stddef.h>
#include <string.h>

#include "stack/source.h"

#include "base/poison.h"

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

enum sl_role sl_role_of_java(const struct sl_frame *frame, const char *app)
{
	if (!frame->class_name || sl_source_is_generated(frame))
		return SL_ROLE_RUNTIME;
	if (is_listed(app, frame->class_name))
		return SL_ROLE_APPLICATION;
	return sl_roles_role(sl_roles_class(frame->class_name).kind);
}

enum sl_role sl_role_of_native(const char *module, const char *function, const char *app)
{
	if (is_listed(app, sl_file_name_of(module)))
		return SL_ROLE_APPLICATION;
	enum sl_role role = sl_roles_role(sl_roles_module(module).kind);
	if (role != SL_ROLE_APPLICATION || !function)
		return role;
	if (sl_roles_is_same_door(function))
		return SL_ROLE_RUNTIME;
	return sl_roles_role(sl_roles_function(function).kind);
}

bool sl_blame_is_pinned(const struct sl_frame *frame, const char *app)
{
	if (frame->class_name)
		return is_listed(app, frame->class_name) && !sl_source_is_generated(frame);
	if (frame->module)
		return is_listed(app, sl_file_name_of(frame->module));
	/* A script's function. */
	return frame->file &&
	       (is_listed(app, frame->file) || is_listed(app, sl_file_name_of(frame->file)));
}

bool sl_blame_is_enclosed(const struct sl_frame *const *frames, uint32_t n, uint32_t i)
{
	const char *module = frames[i]->module;
	for (uint32_t at = i + 1; module && at < n; at++)
		if (frames[at]->role == SL_ROLE_LIBRARY && frames[at]->module &&
		    frames[at]->function && strcmp(frames[at]->module, module) == 0 &&
		    sl_roles_function(frames[at]->function).kind == SL_CODE_CLIENT)
			return true;
	return false;
}

uint32_t sl_blame(const struct sl_frame *const *frames, uint32_t n, const char *app)
{
	for (uint32_t i = 0; app && *app && i < n; i++)
		if (sl_blame_is_pinned(frames[i], app))
			return i;
	for (uint32_t i = 0; i < n; i++)
		if (frames[i]->role == SL_ROLE_APPLICATION && !sl_blame_is_enclosed(frames, n, i))
			return i;
	return SL_BLAME_NONE;
}
