/* names.h - frames in words, and the sites that they belong to.
 *
 * Each distinct frame is put into words once and shared by all stacks that it stands in.
 *
 * Layer: stack. Locks: none (the frame table is lock-free). Fork: the child keeps all. errno: untouched.
 */
#ifndef SL_STACK_NAMES_H
#define SL_STACK_NAMES_H

#include <stdint.h>

#include "ledger/sites.h"
#include "stack/frame.h"

/* Puts the two words of a frame (a native one has only the first) into `frame`, its strings from sl_ledger_arena. */
typedef void sl_frame_describe_fn(uint64_t word, uint64_t second, void *context,
                                  struct sl_frame *frame);

/* Name the frames of this site with `describe`, find the blame, and publish both, unless another thread was first.
 * Context: Java sites by the thread that made them; native ones by the worker or before a sandbox. */
void sl_site_name(struct sl_site *site, sl_frame_describe_fn *describe, void *context);

/* Name every native site that has no names yet.
 * Context: the worker; before a sandbox, the thread that sets it up: takes the loader's lock. */
void sl_names_native(void);

#endif
