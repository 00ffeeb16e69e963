/* captured.h - what the library says on stderr, and files under a directory of the test's. */
#ifndef SL_TEST_CAPTURED_H
#define SL_TEST_CAPTURED_H

#include <stddef.h>

/* From here on fd 2 is a pipe, and ours as far as sl_log() can tell. */
void capture_stderr(void);
/* What was said; fd 2 is back. Valid until the next call. */
const char *captured_stderr(void);

/* A new directory, removed with all in it by directory_remove(). */
const char *directory_make(void);
void directory_remove(void);
/* "<the directory>/<name>"; valid until the eighth next call. */
const char *in_directory(const char *name);
/* The names in it, sorted, separated by spaces. */
const char *directory_list(void);

/* The text of a file, NUL-terminated; its length in *n, if asked. Fails the test where there is none. */
const char *file_text(const char *path, size_t *n);
void file_write(const char *path, const char *text);

/* How often `what` occurs in text. */
unsigned occurrences(const char *text, const char *what);

#endif
