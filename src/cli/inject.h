/* inject.h - brings a library into a running process of glibc, by ptrace, and calls it there.
 *
 * One thread is held for the time of the call, the others run on. Whatever happens to us, at any instant, the thread finishes
 * the call and goes on by itself: docs/attach.md says how. The files of this family:
 *     inject.c          the order of things
 *     inject_refuse.c   who cannot be helped, told before anything is touched
 *     inject_maps.c     /proc/PID/maps, and the memory behind it
 *     inject_object.c   ELF objects in that memory: symbols, and room behind the code
 *     inject_libc.c     the functions of the target's own libc
 *     inject_trace.c    ptrace: who is held, and why it stopped
 *     inject_thread.c   which thread, and when
 *     inject_safe.c     is a call safe at this point?
 *     inject_call.c     the call itself
 *     inject_x86_64.c   registers, stack frames, the code that runs in the target
 *
 * Layer: cli. Context: one thread, of a process without other ptraced children. errno: any.
 */
#ifndef SL_CLI_INJECT_H
#define SL_CLI_INJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/exit.h"

#define SL_INJECT_ERROR_BYTES 512

struct sl_injection {
	int pid;
	const char *library;  /* path as the target sees it */
	const char *function; /* of the library, int (const char *); NULL: SL_ATTACH_FUNCTION */
	const char *options;  /* its argument; NULL: none */
	bool is_forced;       /* although a seccomp filter may end the target for it */
};

struct sl_injected {
	int result; /* what the function gave, enum sl_attach_result; -1: it was not called */
	char error[SL_INJECT_ERROR_BYTES]; /* one sentence; "": none */
	enum sl_exit code;                 /* what the command ends with for it */
	uint64_t stopped_us;               /* how long the thread was held; 0: none was */
	int tid;                           /* the thread; 0: none */
};

/* 0: the call was made, `result` is its answer, and where the library could not be loaded that is -1 and `error` the loader's
 * text. Else -errno, and `error` says why:
 *   -ESRCH    no such process, or it ended or became another program meanwhile
 *   -ENXIO    a thread of the kernel
 *   -EPERM    not permitted, traced already, a seccomp filter in the way
 *   -ENOTSUP  nothing can be brought into it: static, musl, Go, another machine
 *   -EBUSY    it is stopped, or no thread came to a safe point: nothing was changed
 *   -ETIME    the call was begun and has not come back; it goes on without us
 *   -EINTR    the same, and a signal came that would end us
 * Blocks: five seconds for a safe point, half a minute for the call. Signals that would end us are held back during the call. */
int sl_inject(const struct sl_injection *injection, struct sl_injected *injected);

#endif
