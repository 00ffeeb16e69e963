/* start.h - what starting, forking and stopping have in common, whichever way the library came into the process. Stands above all
 * folders.
 *
 * Nothing is started that the program could see but, under signal=auto, a handler of SIGUSR1. The object is never unloaded
 * (-z nodelete): hooks go on working in destructors and atexit handlers.
 */
#ifndef SL_START_H
#define SL_START_H

#include <stdbool.h>

/* With any other libc every door only passes through. What an emulation of glibc for musl would claim as well is not asked. */
bool sl_start_is_glibc(void);

/* Read the options, from their defaults. False: this is a process to stay out of. */
bool sl_start_options(const char *text);

/* Everything but the hooks and threads: behind it they may go live. Once in a process's life. `runtime_dir`: $XDG_RUNTIME_DIR. */
void sl_start_all(const char *runtime_dir);

/* The same after it was ended, and all threads of ours are gone: the ledger is kept, what the worker knew is not. */
void sl_start_again(void);

#endif
