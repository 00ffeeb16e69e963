/* attach.h - how an attempt to attach to a running process ended, for both sides: the library that was brought in, and the command.
 *
 * Layer: base. Context: any. Fork: no state.
 */
#ifndef SL_BASE_ATTACH_H
#define SL_BASE_ATTACH_H

enum sl_attach_result {
#define SL_ATTACH(name, words) SL_ATTACH_##name,
#include "base/attach.def"
#undef SL_ATTACH
	SL_ATTACH_RESULTS
};

/* The ways in, both exported by libsockleak.so, of which the result is such a number:
 *     int sockleak_attach(const char *options);
 *     jint Agent_OnAttach(JavaVM *vm, char *options, void *reserved);
 * `options` is as SOCKLEAK_OPTIONS; NULL: none. */
#define SL_ATTACH_FUNCTION "sockleak_attach"

/* "it is attached already"; of a number that is none of these: NULL. */
const char *sl_attach_words(int result);

#endif
