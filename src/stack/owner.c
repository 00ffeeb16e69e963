#include "stack/owner.h"

#include <stddef.h>
#include <string.h>

#include "base/poison.h"

static struct sl_code code_of(const struct sl_frame *frame)
{
	const struct sl_code nobody = {SL_CODE_APPLICATION, NULL};
	if (frame->class_name)
		return sl_roles_class(frame->class_name);
	if (!frame->module)
		return nobody;
	struct sl_code code = sl_roles_module(frame->module);
	if (code.kind == SL_CODE_APPLICATION)
		return frame->function ? sl_roles_function(frame->function) : nobody;
	if (!code.owner && sl_roles_role(code.kind) == SL_ROLE_LIBRARY)
		code.owner = sl_file_name_of(frame->module);
	return code;
}

/* A greater one has the better claim. */
static int claim_of(const struct sl_code *code)
{
	static const int claims[] = {
		[SL_CODE_APPLICATION] = 0, [SL_CODE_RUNTIME] = 1, [SL_CODE_CARRIER] = 2,
		[SL_CODE_INTERPRETER] = 3, [SL_CODE_LIBRARY] = 4, [SL_CODE_CLIENT] = 4,
	};
	return code->owner ? claims[code->kind] : 0;
}

struct sl_owner sl_owner_of(const struct sl_frame *const *frames, uint32_t n)
{
	struct sl_owner owner = {0};
	int best = 0;
	for (uint32_t i = n; i-- > 0;) {
		const struct sl_code code = code_of(frames[i]);
		if (claim_of(&code) > best) {
			best = claim_of(&code);
			owner.name = code.owner;
		}
		owner.is_lineless |= frames[i]->module && frames[i]->role == SL_ROLE_LIBRARY &&
		                     !frames[i]->file &&
		                     sl_roles_module(frames[i]->module).kind == SL_CODE_APPLICATION;
		owner.is_script_seen |=
			!frames[i]->class_name && !frames[i]->module && frames[i]->file;
		if (code.kind == SL_CODE_INTERPRETER && !owner.interpreter)
			owner.interpreter = code.owner;
	}
	return owner;
}
