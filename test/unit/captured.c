#include "captured.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

static int kept_stderr = -1, reader = -1;
static char directory[64];

void capture_stderr(void)
{
	int fds[2];
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	kept_stderr = fcntl(2, F_DUPFD_CLOEXEC, 3);
	assert_true(kept_stderr >= 0);
	assert_int_equal(dup2(fds[1], 2), 2);
	close(fds[1]);
	reader = fds[0];
	sl_log_start();
}

const char *captured_stderr(void)
{
	static char text[1 << 17];
	size_t n = 0;
	ssize_t got;
	while ((got = read(reader, text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	dup2(kept_stderr, 2);
	close(kept_stderr);
	close(reader);
	sl_log_start();
	return text;
}

const char *directory_make(void)
{
	snprintf(directory, sizeof(directory), "/tmp/sockleak-unit-XXXXXX");
	assert_non_null(mkdtemp(directory));
	return directory;
}

const char *in_directory(const char *name)
{
	static char paths[8][4400];
	static unsigned next;
	char *path = paths[next++ % 8];
	assert_true(directory[0]);
	assert_true(snprintf(path, sizeof(paths[0]), "%s/%s", directory, name) <
	            (int)sizeof(paths[0]));
	return path;
}

static int is_visible(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

const char *directory_list(void)
{
	static char names[4096];
	struct dirent **entries;
	int n = scandir(directory, &entries, is_visible, alphasort);
	assert_true(n >= 0);
	names[0] = '\0';
	for (int i = 0; i < n; i++) {
		strcat(strcat(names, i ? " " : ""), entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return names;
}

void directory_remove(void)
{
	struct dirent **entries;
	int n = scandir(directory, &entries, is_visible, alphasort);
	for (int i = 0; i < n; i++) {
		const char *path = in_directory(entries[i]->d_name);
		if (unlink(path) != 0)
			rmdir(path);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	rmdir(directory);
	directory[0] = '\0';
}

const char *file_text(const char *path, size_t *n)
{
	static char text[1 << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail_msg("%s: cannot be opened", path);
	size_t length = 0;
	ssize_t got;
	while ((got = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)got;
	close(fd);
	text[length] = '\0';
	if (n)
		*n = length;
	return text;
}

void file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

unsigned occurrences(const char *text, const char *what)
{
	unsigned n = 0;
	for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
		n++;
	return n;
}
