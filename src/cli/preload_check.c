/* preload_check.c - see preload_check.h. */
#include "cli/preload_check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli/elf_file.h"
#include "cli/execute.h"

#define SL_SCRIPTS_MAX 4 /* of interpreters that are scripts, as in the kernel */
#define SL_FROM_OUTSIDE "'sockleak report PID' and 'sockleak reap PID' work on it from outside"

static void refuse(struct sl_preload_check *check, enum sl_exit code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void refuse(struct sl_preload_check *check, enum sl_exit code, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	check->code = code;
	(void)vsnprintf(check->why, sizeof(check->why), format, list);
	va_end(list);
}

static bool is_program(const char *path)
{
	struct stat info;
	return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

/* As execvp() looks: 0, or ENOENT, EACCES. */
static int find_in_path(const char *name, char path[SL_PRELOAD_PATH_BYTES])
{
	const char *at = getenv("PATH");
	int error = ENOENT;
	at = at ? at : "/bin:/usr/bin";
	while (at) {
		size_t n = strcspn(at, ":");
		(void)snprintf(path, SL_PRELOAD_PATH_BYTES, "%.*s%s%s", (int)n, at, n ? "/" : "",
		               name);
		if (is_program(path))
			return 0;
		if (access(path, F_OK) == 0)
			error = EACCES;
		at = at[n] ? at + n + 1 : NULL;
	}
	return error;
}

static int resolve(const char *command, char path[SL_PRELOAD_PATH_BYTES])
{
	if (!*command)
		return ENOENT;
	if (!strchr(command, '/'))
		return find_in_path(command, path);
	(void)snprintf(path, SL_PRELOAD_PATH_BYTES, "%s", command);
	if (is_program(path))
		return 0;
	return access(path, F_OK) == 0 ? EACCES : errno;
}

/* The interpreter of a script into `path`: of "#!/usr/bin/env [-S] NAME" what env will find. False: no script. */
static bool read_script(int fd, char path[SL_PRELOAD_PATH_BYTES], char name[SL_PRELOAD_PATH_BYTES])
{
	char line[512];
	ssize_t n = pread(fd, line, sizeof(line) - 1, 0);
	if (n < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[n] = 0;
	line[strcspn(line, "\n")] = 0;
	char *rest, *word = strtok_r(line + 2, " \t", &rest);
	if (!word)
		return false;
	(void)snprintf(path, SL_PRELOAD_PATH_BYTES, "%s", word);
	const char *file = strrchr(word, '/');
	name[0] = 0;
	if (!file || strcmp(file, "/env") != 0)
		return true;
	do
		word = strtok_r(NULL, " \t", &rest);
	while (word && (word[0] == '-' || strchr(word, '=')));
	(void)snprintf(name, SL_PRELOAD_PATH_BYTES, "%s", word ? word : "");
	return true;
}

/* The loader ignores LD_PRELOAD where the kernel sets AT_SECURE (getauxval(3)). */
static void check_privileges(int fd, struct sl_preload_check *check)
{
	struct stat info;
	char capabilities[64];
	if (fstat(fd, &info) < 0)
		return;
	bool is_set_user = (info.st_mode & S_ISUID) && info.st_uid != getuid();
	bool is_set_group =
		(info.st_mode & S_ISGID) && (info.st_mode & S_IXGRP) && info.st_gid != getgid();
	if (is_set_user || is_set_group)
		refuse(check, SL_EXIT_NO_LIBRARY,
		       "%s is set-%s-ID: the loader ignores LD_PRELOAD; put 'sockleak run --' "
		       "behind it, as in "
		       "'sudo sockleak run -- CMD', or " SL_FROM_OUTSIDE,
		       check->program, is_set_user ? "user" : "group");
	else if (getuid() != 0 &&
	         fgetxattr(fd, "security.capability", capabilities, sizeof(capabilities)) > 0)
		refuse(check, SL_EXIT_NO_LIBRARY,
		       "%s has file capabilities: the loader drops LD_PRELOAD silently; give them "
		       "by the service "
		       "manager (AmbientCapabilities=) instead, or " SL_FROM_OUTSIDE,
		       check->program);
}

static void check_class(const struct sl_elf_file *elf, const char *library,
                        struct sl_preload_check *check)
{
	struct sl_elf_file ours;
	char theirs_name[32], ours_name[32];
	int fd = open(library, O_RDONLY | O_CLOEXEC);
	int error = fd < 0 ? -errno : sl_elf_file_read(fd, &ours);
	if (fd >= 0)
		(void)close(fd);
	if (error) {
		refuse(check, SL_EXIT_NO_LIBRARY, "%s: %s", library, strerror(-error));
		return;
	}
	if (ours.is_64 == elf->is_64 && ours.machine == elf->machine &&
	    ours.is_little_endian == elf->is_little_endian)
		return;
	sl_elf_file_machine(elf, theirs_name, sizeof(theirs_name));
	sl_elf_file_machine(&ours, ours_name, sizeof(ours_name));
	refuse(check, SL_EXIT_NO_LIBRARY,
	       "%s is a %s-bit program for %s, the library is %s-bit for %s: build it for that as "
	       "well, or " SL_FROM_OUTSIDE,
	       check->program, elf->is_64 ? "64" : "32", theirs_name, ours.is_64 ? "64" : "32",
	       ours_name);
}

/* The dynamic loader, called by name, loads programs as they would be loaded without it. */
static bool is_loader(const char *path)
{
	const char *file = strrchr(path, '/');
	return strncmp(file ? file + 1 : path, "ld-linux", 8) == 0;
}

static void check_elf(const struct sl_elf_file *elf, const char *library,
                      struct sl_preload_check *check)
{
	check_class(elf, library, check);
	if (check->code)
		return;
	if (!elf->interpreter[0] && elf->is_go)
		refuse(check, SL_EXIT_NO_LIBRARY,
		       "%s is a Go program without libc: nothing can be "
		       "preloaded; " SL_FROM_OUTSIDE,
		       check->program);
	else if (!elf->interpreter[0] && !is_loader(check->program))
		refuse(check, SL_EXIT_NO_LIBRARY,
		       "%s is linked statically: nothing can be preloaded; link it dynamically, "
		       "or " SL_FROM_OUTSIDE,
		       check->program);
	else if (strstr(elf->interpreter, "ld-musl"))
		refuse(check, SL_EXIT_NO_LIBRARY,
		       "%s uses musl (%s), the library needs glibc: run it on an image with glibc, "
		       "or " SL_FROM_OUTSIDE,
		       check->program, elf->interpreter);
	else if (elf->interpreter[0] && access(elf->interpreter, F_OK) < 0)
		refuse(check, SL_EXIT_NOT_FOUND, "%s: its loader %s is missing", check->program,
		       elf->interpreter);
	else if (elf->is_go)
		(void)snprintf(check->note, sizeof(check->note),
		               "a Go program makes its system calls itself: its sockets show as "
		               "adopted, without "
		               "stacks");
}

static void check_found(const char *library, struct sl_preload_check *check, unsigned depth);

static void check_again(const char *command, const char *library, struct sl_preload_check *check,
                        unsigned depth)
{
	char script[256];
	(void)snprintf(script, sizeof(script), "%.255s", check->program);
	int error = depth < SL_SCRIPTS_MAX ? resolve(command, check->program) : ELOOP;
	if (error)
		refuse(check, error == ENOENT ? SL_EXIT_NOT_FOUND : SL_EXIT_CANNOT_RUN,
		       "%s: its interpreter %.256s: %s", script, command, strerror(error));
	else
		check_found(library, check, depth);
}

static void check_found(const char *library, struct sl_preload_check *check, unsigned depth)
{
	char interpreter[SL_PRELOAD_PATH_BYTES], name[SL_PRELOAD_PATH_BYTES];
	struct sl_elf_file elf;
	int fd = open(check->program, O_RDONLY | O_CLOEXEC);
	if (fd < 0) { /* may be run, not be read: nothing is known, and the loader will tell */
		(void)snprintf(check->note, sizeof(check->note),
		               "it cannot be read, so nothing was checked");
		return;
	}
	int error = sl_elf_file_read(fd, &elf);
	if (error == 0) {
		check_privileges(fd, check);
		if (!check->code)
			check_elf(&elf, library, check);
	} else if (error == -EBADMSG) {
		refuse(check, SL_EXIT_CANNOT_RUN,
		       "%s: a damaged program: its ELF header leads nowhere", check->program);
	} else if (read_script(fd, interpreter, name)) {
		check_again(name[0] ? name : interpreter, library, check, depth + 1);
	} else if (sl_execute_is_shell_text(fd)) {
		check_again("/bin/sh", library, check, depth + 1);
	} else { /* binfmt_misc may know it */
		(void)snprintf(
			check->note, sizeof(check->note),
			"it is neither a program of this kind of machine nor a script, so nothing "
			"was checked");
	}
	(void)close(fd);
}

void sl_preload_check(const char *command, const char *library, struct sl_preload_check *check)
{
	*check = (struct sl_preload_check){0};
	int error = resolve(command, check->program);
	if (error) {
		refuse(check,
		       error == ENOENT || error == ENOTDIR ? SL_EXIT_NOT_FOUND : SL_EXIT_CANNOT_RUN,
		       "%s: %s", command, strerror(error));
		return;
	}
	memcpy(check->file, check->program, sizeof(check->file));
	check_found(library, check, 0);
}

bool sl_preload_find_library(char path[SL_PRELOAD_PATH_BYTES])
{
	static const char *const places[] = {"libsockleak.so", "../lib/sockleak/libsockleak.so"};
	char self[PATH_MAX], candidate[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return false;
	self[n] = 0;
	*strrchr(self, '/') = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		(void)snprintf(candidate, sizeof(candidate), "%s/%s", self, places[i]);
		char *real = realpath(candidate, NULL);
		if (!real)
			continue;
		(void)snprintf(path, SL_PRELOAD_PATH_BYTES, "%s", real);
		free(real);
		return true;
	}
	return false;
}
