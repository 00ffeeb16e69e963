/* unit.c - see unit.h. */
#include "cli/unit.h"

#include <stdlib.h>
#include <string.h>

#include "cli/proc.h"

static bool ends_with(const char *text, size_t n, const char *end)
{
	const size_t length = strlen(end);
	return n > length && memcmp(text + n - length, end, length) == 0;
}

/* Of one line; the last that fits stays. */
static bool find(const char *path, size_t n, char unit[SL_UNIT_BYTES])
{
	bool is_found = false;
	for (size_t from = 0, to; from < n; from = to + 1) {
		const char *slash = memchr(path + from, '/', n - from);
		to = slash ? (size_t)(slash - path) : n;
		const size_t length = to - from;
		if (length >= SL_UNIT_BYTES || (!ends_with(path + from, length, ".service") &&
		                                !ends_with(path + from, length, ".scope")))
			continue;
		memcpy(unit, path + from, length);
		unit[length] = '\0';
		is_found = true;
	}
	return is_found;
}

bool sl_unit_of_groups(const char *groups, char unit[SL_UNIT_BYTES])
{
	/* The unified hierarchy, or, beside older ones, systemd's own. */
	static const char *const prefixes[] = {"0::/", "1:name=systemd:/"};
	for (const char *line = groups; line && *line;) {
		const size_t n = strcspn(line, "\n");
		for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
			const size_t skipped = strlen(prefixes[i]);
			if (n > skipped && strncmp(line, prefixes[i], skipped) == 0 &&
			    find(line + skipped, n - skipped, unit))
				return true;
		}
		line += n + (line[n] == '\n');
	}
	return false;
}

bool sl_unit_of(int pid, char unit[SL_UNIT_BYTES])
{
	size_t n;
	char *groups = sl_proc_file(pid, "cgroup", &n);
	const bool is_found = groups && sl_unit_of_groups(groups, unit);
	free(groups);
	return is_found;
}
