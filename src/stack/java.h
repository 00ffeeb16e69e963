/* java.h - Java stacks, by JVMTI, without an agent or an option of the VM. The only file that knows JVMTI.
 *
 * The worker finds the VM; the first Java thread that opens a socket takes a jvmtiEnv of our own (GetEnv works on
 * attached threads only). A Java thread that calls socket() through JNI is in native state, so JVMTI is legal there;
 * a call from inside libjvm itself is not made in that state, and gets no Java stack.
 *
 * Layer: stack. Locks: SL_LOCK_JAVA, tried once by the first Java threads. Fork: VMs do not survive it; a child gets
 * native stacks only. errno: untouched.
 * Context: sl_java_look() by the worker; the rest from hooks under the guard, before the real call. JVMTI allocates:
 * one of the three exceptions named in docs/architecture.md.
 */
#ifndef SL_STACK_JAVA_H
#define SL_STACK_JAVA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/guard.h"

struct sl_site;

/* Look for a VM in this process, until there is one. Takes the loader's lock. */
void sl_java_look(void);

/* Is there a VM? */
bool sl_java_is_present(void);

/* For a forked child: there is no VM any more. */
void sl_java_forget(void);

/* Frames of this thread's Java stack, innermost first, two words each (method id, location): at most `limit`. Returns how
 * many; 0: not a Java thread, the call comes from the VM itself, or no Java frame. */
uint32_t sl_java_capture(const struct sl_guard *g, const void *caller, uint64_t *words,
                         uint32_t limit, bool *is_cut);

/* Put the frames of this site into words, on the thread that captured it: classes can be unloaded. */
void sl_java_name_site(const struct sl_guard *g, struct sl_site *site);

/* The Java name of this thread, at most n bytes. Returns its length; 0: not a Java thread. */
size_t sl_java_thread_name(const struct sl_guard *g, char *name, size_t n);

#endif
