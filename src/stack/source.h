/* source.h - from the classes and methods that a JVM runs to what stands in the source.
 *
 * Compilers and libraries make classes that nobody has written (proxies, lambda objects, accessors): these are looked
 * through. And they give the body of a lambda, closure or coroutine a method or class of its own: that belongs to the
 * method that it is written in.
 *
 * Layer: stack. Locks: none. Fork: no state. errno: untouched. Async-signal-safe: everything here, if the flush
 * function of the writer is.
 */
#ifndef SL_STACK_SOURCE_H
#define SL_STACK_SOURCE_H

#include <stdbool.h>

#include "base/out.h"
#include "stack/frame.h"

/* Was this Java frame's code made, not written? */
bool sl_source_is_generated(const struct sl_frame *frame);

/* "org.acme.Client.fetch" for LeakyClient.lambda$fetch$0 and its like of Java, Kotlin, Scala, Groovy and AspectJ; class and
 * method as they are for any other. */
void sl_source_print(struct sl_out *out, const struct sl_frame *frame);

#endif
