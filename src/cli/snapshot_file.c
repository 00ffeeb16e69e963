/* snapshot_file.c - see snapshot_file.h. */
#include "cli/snapshot_file.h"

#include <errno.h>
#include <string.h>

#include "cli/again.h"
#include "cli/say.h"
#include "cli/snapshot_read.h"

int sl_snapshot_file(struct sl_arena *arena, const char *path, struct sl_snapshot *snapshot)
{
	struct sl_snapshot_said said;
	int error = sl_snapshot_read_file(arena, path, snapshot, &said);
	if (error == -EBADMSG)
		return sl_say(SL_EXIT_USAGE, "%s: %s", path, said.error);
	if (error == -EACCES || error == -EPERM)
		return sl_say(SL_EXIT_DENIED, "%s: not permitted; this would be: sudo sockleak %s",
		              path, sl_again_words());
	if (error)
		return sl_say(SL_EXIT_USAGE, "%s: %s", path, strerror(-error));
	if (said.note[0])
		sl_say_note("%s: %s", path, said.note);
	return 0;
}
