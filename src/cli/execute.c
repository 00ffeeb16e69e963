/* execute.c - see execute.h. */
#include "cli/execute.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SL_SHELL "/bin/sh"
#define SL_FIRST_LINE_BYTES 512

bool sl_execute_is_shell_text(int fd)
{
	char head[SL_FIRST_LINE_BYTES];
	ssize_t n = pread(fd, head, sizeof(head), 0);
	if (n < 0)
		return false;
	if ((n >= 2 && memcmp(head, "#!", 2) == 0) ||
	    (n >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0))
		return false;
	const char *end = memchr(head, '\n', (size_t)n);
	return !memchr(head, 0, end ? (size_t)(end - head) : (size_t)n);
}

static bool is_shell_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool is_text = fd >= 0 && sl_execute_is_shell_text(fd);
	if (fd >= 0)
		(void)close(fd);
	return is_text;
}

/* "sh PATH ARGUMENT..." */
static int give_to_shell(const char *path, char *const *argv)
{
	size_t n = 0;
	while (argv[n])
		n++;
	const char **words = calloc(n + 2, sizeof(*words));
	if (!words)
		return -ENOMEM;
	words[0] = SL_SHELL;
	words[1] = path;
	for (size_t i = 1; i < n; i++)
		words[i + 1] = argv[i];
	(void)execv(SL_SHELL, (char *const *)words);
	int error = errno;
	free(words);
	return -error;
}

int sl_execute(const char *path, char *const *argv)
{
	(void)execv(path, argv);
	if (errno != ENOEXEC)
		return -errno;
	return is_shell_text(path) ? give_to_shell(path, argv) : -ENOEXEC;
}
