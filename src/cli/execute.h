/* execute.h - become another program, as execvp(3) does, but for what a shell must not run.
 *
 * execvp() hands every file that the kernel does not take to a shell. A damaged program is then run as commands, byte by
 * byte, in the folder that one is in. Here a shell gets text alone, as it gets from bash.
 *
 * Layer: cli. Context: one thread. Source: execve(2), execvp(3).
 */
#ifndef SL_CLI_EXECUTE_H
#define SL_CLI_EXECUTE_H

#include <stdbool.h>

/* Is it a script without a "#!" line: no ELF file, and no NUL byte in its first line? An empty file is one. */
bool sl_execute_is_shell_text(int fd);

/* Become the program in that file, which is not looked for. Returns only where that fails: -errno. */
int sl_execute(const char *path, char *const *argv);

#endif
