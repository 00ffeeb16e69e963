#include "report/complaints.h"

#include <errno.h>
#include <stdbool.h>

#include "base/log.h"
#include "base/out.h"

#include "base/poison.h"

static struct complaint {
	const char *key; /* of the option */
	char path[512];
	int error;
	bool is_said;
} complaints[SL_COMPLAINT_COUNT] = {
	[SL_COMPLAINT_TEXT] = {.key = "report"},
	[SL_COMPLAINT_JSON] = {.key = "json"},
	[SL_COMPLAINT_EVENTS] = {.key = "events"},
};

static const char *error_text(int error)
{
	switch (-error) {
	case ENOENT:
		return "no such directory";
	case ENAMETOOLONG:
		return "the path is too long";
	case ENXIO:
		return "nobody reads from it";
	case EACCES:
	case EPERM:
		return "not permitted";
	case ENOSPC:
	case EDQUOT:
		return "no space left";
	case EFBIG:
		return "it has reached the limit of a file's size";
	case EROFS:
		return "read-only file system";
	case ELOOP:
		return "it is a symbolic link";
	case EISDIR:
		return "it is a directory";
	case ENOTDIR:
		return "a part of the path is no directory";
	case EMFILE:
	case ENFILE:
		return "no file descriptor left";
	case EAGAIN:
		return "its reader does not take it";
	case EBUSY:
		return "the one before is still being written";
	case EINVAL:
		return "not a regular file";
	case ENOSYS:
		return "no thread with an fd table of its own is to be had for it (Linux 5.9)";
	default:
		return "it cannot be written";
	}
}

void sl_complaints_note(enum sl_complaint of, const char *path, int error)
{
	struct sl_out out;
	struct complaint *complaint = &complaints[of];
	if (complaint->error)
		return;
	sl_out_init(&out, complaint->path, sizeof(complaint->path) - 1, NULL, NULL);
	sl_out_terminal(&out, path);
	complaint->path[out.length] = 0;
	complaint->error = error;
}

void sl_complaints_say(void)
{
	for (int of = 0; of < SL_COMPLAINT_COUNT; of++) {
		struct complaint *complaint = &complaints[of];
		if (!complaint->error || complaint->is_said)
			continue;
		complaint->is_said = true;
		sl_log(complaint->key, "=", complaint->path, ": ", error_text(complaint->error),
		       "; the program runs on without it", NULL);
	}
}
