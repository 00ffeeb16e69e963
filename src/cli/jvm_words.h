/* jvm_words.h - options of a JVM one by one, from a text or a file.
 *
 * Layer: cli. Context: any. Source: java(1), "java command-line argument files", and the environment variables there.
 */
#ifndef SL_CLI_JVM_WORDS_H
#define SL_CLI_JVM_WORDS_H

#include <stdbool.h>
#include <stddef.h>

/* The next word at *at, which moves behind it: words end at white space, quotes hold it together. In a file `#` begins a comment, and a
 * backslash in quotes takes the next character as it is. Cut where it is longer than n. False: no more. Pure. */
bool sl_jvm_words_next(const char **at, bool is_file, char *word, size_t n);

/* Is its value the next word: "-cp", "--add-opens"? Pure. */
bool sl_jvm_words_takes_next(const char *option);

#endif
