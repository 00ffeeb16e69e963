/* jvm_flags.c - see jvm_flags.h. */
#include "cli/jvm_flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/jvm_perf.h"
#include "cli/jvm_words.h"
#include "cli/root_file.h"

#define SL_FLAG_FILE_BYTES (256u << 10)
#define SL_FLAG_FILES_DEEP 4 /* files that name files */
#define SL_FLAG_WORD_BYTES 4096

static const char *const names[SL_JVM_FLAGS] = {
	[SL_JVM_NO_ATTACH] = "DisableAttachMechanism",
	[SL_JVM_MAY_LOAD] = "EnableDynamicAgentLoading",
	[SL_JVM_FEWER_SIGNALS] = "ReduceSignalUsage",
};

/* Where the words come from, and what of them is the VM's. */
struct reader {
	const struct sl_proc *proc;
	struct sl_jvm_flags *flags; /* NULL: only look for flag_file */
	char flag_file[SL_PROC_PATH_BYTES];
	bool is_launcher; /* `java` itself: main class, @files */
	bool is_over;     /* what follows is the program's */
	bool skips;       /* the next word is a value */
	bool takes_files; /* @FILE is one */
	unsigned depth;
};

static void set(struct sl_jvm_flags *flags, enum sl_jvm_flag flag, bool is_on, const char *source)
{
	flags->of[flag].setting = is_on ? SL_JVM_ON : SL_JVM_OFF;
	(void)snprintf(flags->of[flag].source, sizeof(flags->of[flag].source), "%s", source);
}

/* "+NAME" or "-NAME". */
static void take_switch(struct sl_jvm_flags *flags, const char *text, const char *source)
{
	if (*text != '+' && *text != '-')
		return;
	for (unsigned i = 0; i < SL_JVM_FLAGS; i++)
		if (strcmp(text + 1, names[i]) == 0)
			set(flags, i, *text == '+', source);
}

void sl_jvm_flags_option(struct sl_jvm_flags *flags, const char *option, const char *source)
{
	if (strncmp(option, "-XX:", 4) == 0)
		take_switch(flags, option + 4, source);
	else if (strcmp(option, "-Xrs") == 0)
		set(flags, SL_JVM_FEWER_SIGNALS, true, source);
}

const char *sl_jvm_flag_text(enum sl_jvm_flag flag, enum sl_jvm_setting setting)
{
	static char text[64];
	(void)snprintf(text, sizeof(text), "-XX:%c%s", setting == SL_JVM_ON ? '+' : '-',
	               names[flag]);
	return text;
}

/* A text file as the process would read it; relative to where it is now, which is where it began unless it has moved. To be freed. */
static char *read_file(const struct sl_proc *proc, const char *name)
{
	char path[2 * SL_PROC_PATH_BYTES], link[64], cwd[SL_PROC_PATH_BYTES] = "";
	if (*name != '/') {
		(void)snprintf(link, sizeof(link), "/proc/%d/cwd", proc->pid);
		const ssize_t n = readlink(link, cwd, sizeof(cwd) - 1);
		cwd[n > 0 ? n : 0] = 0;
		sl_proc_inner_path(proc->pid, cwd);
	}
	(void)snprintf(path, sizeof(path), "%s%s%s", cwd, *cwd ? "/" : "", name);
	const int fd = sl_root_file_open(proc->pid, path, true);
	if (fd < 0)
		return NULL;
	char *text = calloc(1, SL_FLAG_FILE_BYTES);
	const ssize_t n = text ? read(fd, text, SL_FLAG_FILE_BYTES - 1) : -1;
	(void)close(fd);
	if (n < 0) {
		free(text);
		return NULL;
	}
	return text;
}

static void take_text(struct reader *reader, const char *text, bool is_file, const char *source);

static void take_file(struct reader *reader, const char *name, const char *source)
{
	char *text = reader->depth < SL_FLAG_FILES_DEEP ? read_file(reader->proc, name) : NULL;
	reader->depth++;
	if (text)
		take_text(reader, text, true, source);
	reader->depth--;
	free(text);
}

/* Is this the word from which on all is the program's? */
static bool ends_options(const char *word)
{
	return word[0] != '-' || strcmp(word, "-jar") == 0 || strcmp(word, "-m") == 0 ||
	       strcmp(word, "--module") == 0 || strncmp(word, "--module=", 9) == 0;
}

static void take_word(struct reader *reader, const char *word, const char *source)
{
	static const char flag_file[] = "-XX:Flags=", option_file[] = "-XX:VMOptionsFile=";
	char named[64];
	if (reader->is_over)
		return;
	if (reader->skips) {
		reader->skips = false;
	} else if (reader->takes_files && word[0] == '@' && word[1] != '@') {
		(void)snprintf(named, sizeof(named), "%.60s", word);
		take_file(reader, word + 1, named);
	} else if (strcmp(word, "--disable-@files") == 0) {
		reader->takes_files = false;
	} else if (strncmp(word, flag_file, sizeof(flag_file) - 1) == 0) {
		(void)snprintf(reader->flag_file, sizeof(reader->flag_file), "%s",
		               word + sizeof(flag_file) - 1);
	} else if (strncmp(word, option_file, sizeof(option_file) - 1) == 0) {
		(void)snprintf(named, sizeof(named), "%.60s", word + sizeof(option_file) - 1);
		take_file(reader, word + sizeof(option_file) - 1, named);
	} else if (reader->is_launcher && ends_options(word)) {
		reader->is_over = true;
	} else if (reader->is_launcher && sl_jvm_words_takes_next(word)) {
		reader->skips = true;
	} else if (reader->flags) {
		sl_jvm_flags_option(reader->flags, word, source);
	}
}

static void take_text(struct reader *reader, const char *text, bool is_file, const char *source)
{
	char word[SL_FLAG_WORD_BYTES];
	while (sl_jvm_words_next(&text, is_file, word, sizeof(word)))
		take_word(reader, word, source);
}

static void take_variable(struct reader *reader, const char *name)
{
	char *text = sl_proc_variable(reader->proc->pid, name);
	if (text)
		take_text(reader, text, false, name);
	free(text);
}

static void take_command_line(struct reader *reader)
{
	size_t n;
	char *text = sl_proc_file(reader->proc->pid, "cmdline", &n);
	const size_t name = text ? strlen(text) + 1 : 0;
	for (size_t at = name; text && at < n; at += strlen(text + at) + 1)
		take_word(reader, text + at, "its command line");
	free(text);
}

/* In the order in which the VM reads them. */
static void take_all(struct reader *reader)
{
	take_variable(reader, "JAVA_TOOL_OPTIONS");
	if (strcmp(reader->proc->name, "java") == 0) {
		reader->is_launcher = reader->takes_files = true;
		take_variable(reader, "JDK_JAVA_OPTIONS");
	}
	take_command_line(reader);
	reader->is_launcher = reader->takes_files = reader->is_over = reader->skips = false;
	take_variable(reader, "_JAVA_OPTIONS");
}

/* The file of -XX:Flags= has "+NAME", without -XX:, and all other sources are read over it. */
static void take_flag_file(struct reader *reader)
{
	char word[SL_FLAG_WORD_BYTES];
	char *text = reader->flag_file[0] ? read_file(reader->proc, reader->flag_file) : NULL;
	const char *at = text;
	while (at && sl_jvm_words_next(&at, true, word, sizeof(word)))
		take_switch(reader->flags, word, "its file of flags");
	free(text);
}

/* What the VM itself tells that it was given, from whatever source; only while nothing of it is cut off. `flags` keep their source
 * where they agree. */
static void take_counters(const struct sl_jvm_perf *perf, struct reader *reader)
{
	char text[SL_JVM_PERF_TEXT_BYTES], word[SL_FLAG_WORD_BYTES];
	struct sl_jvm_flags told = {0}, *flags = reader->flags;
	if (!sl_jvm_perf_text(perf, "java.rt.vmArgs", text) ||
	    strlen(text) >= SL_JVM_PERF_TEXT_BYTES - 4)
		return;
	reader->flags = &told;
	take_flag_file(reader);
	reader->flags = flags;
	for (const char *at = text; sl_jvm_words_next(&at, false, word, sizeof(word));)
		sl_jvm_flags_option(&told, word, "its options");
	for (unsigned i = 0; i < SL_JVM_FLAGS; i++)
		if (told.of[i].setting != flags->of[i].setting)
			flags->of[i] = told.of[i];
}

/* The word that the VM has on it outdoes all. */
static void take_capability(const struct sl_jvm_perf *perf, struct sl_jvm_flags *flags)
{
	char text[SL_JVM_PERF_TEXT_BYTES];
	if (!sl_jvm_perf_text(perf, "sun.rt.jvmCapabilities", text))
		return;
	const bool is_off = text[0] == '0';
	if (is_off != (flags->of[SL_JVM_NO_ATTACH].setting == SL_JVM_ON))
		set(flags, SL_JVM_NO_ATTACH, is_off, "its own counters");
}

void sl_jvm_flags_read(const struct sl_proc *proc, struct sl_jvm_flags *flags)
{
	static struct reader reader;
	struct sl_jvm_perf perf;
	*flags = (struct sl_jvm_flags){0};
	reader = (struct reader){.proc = proc};
	take_all(&reader); /* for the file of flags, which may be named anywhere */
	char name[SL_PROC_PATH_BYTES];
	(void)snprintf(name, sizeof(name), "%s", reader.flag_file);
	reader = (struct reader){.proc = proc, .flags = flags};
	(void)snprintf(reader.flag_file, sizeof(reader.flag_file), "%s", name);
	take_flag_file(&reader);
	take_all(&reader);
	if (!sl_jvm_perf_open(proc, &perf))
		return;
	take_counters(&perf, &reader);
	take_capability(&perf, flags);
	sl_jvm_perf_free(&perf);
}
