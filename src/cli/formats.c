/* formats.c - see formats.h. */
#include "cli/formats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/format_folded.h"
#include "cli/format_html.h"
#include "cli/format_openmetrics.h"
#include "cli/format_pprof.h"
#include "cli/print.h"
#include "report/json.h"
#include "report/text.h"

static void render_text_as(FILE *file, const struct sl_snapshot *snapshot, enum sl_text_form form)
{
	struct sl_print print;
	sl_print_start(&print, file);
	sl_text_render(&print.out, snapshot, form, isatty(fileno(file)));
	(void)sl_print_end(&print);
}

static void render_text(FILE *file, const struct sl_snapshot *snapshot, enum sl_measure measure)
{
	(void)measure;
	render_text_as(file, snapshot, SL_TEXT_FULL);
}

static void render_short(FILE *file, const struct sl_snapshot *snapshot, enum sl_measure measure)
{
	(void)measure;
	render_text_as(file, snapshot, SL_TEXT_SHORT);
}

static void render_json(FILE *file, const struct sl_snapshot *snapshot, enum sl_measure measure)
{
	(void)measure;
	struct sl_print print;
	sl_print_start(&print, file);
	sl_json_render(&print.out, snapshot);
	(void)sl_print_end(&print);
}

static void render_openmetrics(FILE *file, const struct sl_snapshot *snapshot,
                               enum sl_measure measure)
{
	(void)measure;
	const struct sl_openmetrics_source source = {.snapshot = snapshot};
	sl_format_openmetrics(file, &source, 1, SL_OPENMETRICS_TOP);
}

const struct sl_format sl_formats[] = {
	{"text", render_text, false, false},
	{"short", render_short, false, false},
	{"json", render_json, false, false},
	{"html", sl_format_html, false, true},
	{"folded", sl_format_folded, false, true},
	{"pprof", sl_format_pprof, true, true},
	{"openmetrics", render_openmetrics, false, false},
};
const size_t sl_format_count = sizeof(sl_formats) / sizeof(sl_formats[0]);

const struct sl_format *sl_format_find(const char *name)
{
	for (size_t i = 0; i < sl_format_count; i++)
		if (strcmp(sl_formats[i].name, name) == 0)
			return &sl_formats[i];
	return NULL;
}

void sl_format_names(char *text, size_t n)
{
	struct sl_out out;
	sl_out_init(&out, text, n - 1, NULL, NULL);
	for (size_t i = 0; i < sl_format_count; i++) {
		sl_out_text(&out, i ? "|" : "");
		sl_out_text(&out, sl_formats[i].name);
	}
	text[out.length] = 0;
}

/* A new file in the same folder, with the permissions that open(2) would have given; NULL: errno says why. */
static FILE *open_beside(const char *of, char *path, size_t n)
{
	if (snprintf(path, n, "%s.XXXXXX", of) >= (int)n) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return NULL;
	mode_t mask = umask(0);
	(void)umask(mask);
	(void)fchmod(fd, 0666 & ~mask);
	return fdopen(fd, "wb");
}

/* A device or a pipe is written into: as root a rename would put a file in its place, for everybody. */
static bool is_special(const char *path)
{
	struct stat info;
	return stat(path, &info) == 0 && !S_ISREG(info.st_mode);
}

int sl_format_to_file(const struct sl_format *format, const char *path,
                      const struct sl_snapshot *snapshot, enum sl_measure measure)
{
	char beside[4096];
	const bool is_renamed = !is_special(path);
	FILE *file = is_renamed ? open_beside(path, beside, sizeof(beside)) : fopen(path, "wbe");
	if (!file)
		return -errno;
	format->render(file, snapshot, measure);
	bool is_bad = ferror(file);
	is_bad |= fclose(file) != 0;
	if (!is_bad && (!is_renamed || rename(beside, path) == 0))
		return 0;
	int error = errno;
	if (is_renamed)
		(void)remove(beside);
	return error ? -error : -EIO;
}
