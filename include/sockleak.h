/* sockleak.h - what a program may ask of the library, if it was preloaded.
 *
 * No program needs this. All functions are weak: where the library is not there, their address is NULL, and nothing has to be
 * linked:
 *
 *     if (sockleak_enable)
 *         sockleak_enable(0);
 *
 * Thread safety: all may be called from any thread. Signal safety: none may be called from a signal handler.
 */
#ifndef SOCKLEAK_H
#define SOCKLEAK_H

#ifdef __cplusplus
extern "C" {
#endif

/* Switch the library off (0) or on (anything else), as enabled= does at start. Off, it has no thread, no signal handler and no
 * socket of its own in the process, and records no new connection. On, it adopts those that were opened meanwhile.
 * Blocks: while its threads end, a second at most.
 * Returns 1 if it was on before, 0 if it was off; -1: it cannot be switched in this process (it was left out at start by enabled=0,
 * programs= or children=, or a seccomp filter forbids it). errno: untouched. */
int sockleak_enable(int on) __attribute__((weak));

#ifdef __cplusplus
}
#endif

#endif
