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

/* The ways in and out, exported by libsockleak.so, of which the result is such a number:
 *     int sockleak_attach(const char *options);
 *     int sockleak_detach(const char *words);
 *     jint Agent_OnAttach(JavaVM *vm, char *options, void *reserved);
 * `options` is as SOCKLEAK_OPTIONS; NULL: none. `words`: SL_DETACH_FORCED, or NULL. An agent's options may be SL_DETACH_AGENT or
 * SL_DETACH_AGENT_FORCED instead: the VM knows one function, for both ways. */
#define SL_ATTACH_FUNCTION "sockleak_attach"
#define SL_DETACH_FUNCTION "sockleak_detach"
#define SL_DETACH_FORCED "force=1"
#define SL_DETACH_AGENT "detach"
#define SL_DETACH_AGENT_FORCED SL_DETACH_AGENT " " SL_DETACH_FORCED

/* "it is attached already"; of a number that is none of these: NULL. */
const char *sl_attach_words(int result);

#endif
