/* words.h - the words of the reports for the values of the model.
 *
 * These words are the contract: scripts match them. Text and JSON take them from here alone.
 *
 * Layer: report. Locks: none. Owner: constant strings. Fork: no state. errno: untouched.
 * Async-signal-safe: everything here.
 */
#ifndef SL_REPORT_WORDS_H
#define SL_REPORT_WORDS_H

#include "base/options.h"
#include "ledger/kinds.h"
#include "reclaim/event.h"
#include "reclaim/ladder.h"
#include "report/snapshot.h"
#include "stack/frame.h"
#include "watch/elsewhere.h"
#include "watch/judge.h"
#include "watch/verdict.h"

/* TCP states are numbered 1 .. SL_WORDS_STATES - 1, as in netinet/tcp.h. */
#define SL_WORDS_STATES 12

/* A value that has no word gives NULL, in every function. */
const char *sl_words_verdict(enum sl_verdict verdict);           /* "LEAK" */
const char *sl_words_site_verdict(enum sl_site_verdict verdict); /* "leak" */
const char *sl_words_cause(enum sl_cause cause);                 /* "never-looked"; NONE: NULL */
const char *sl_words_cause_phrase(enum sl_cause cause);          /* "never looked at again" */
const char *sl_words_elsewhere(enum sl_elsewhere_kind kind);     /* "not-accepted" */
/* "the program is not calling accept()": what it means, or what to do. `is_stalled`: of a backlog. */
const char *sl_words_elsewhere_advice(enum sl_elsewhere_kind kind, bool is_stalled);
const char *sl_words_state(unsigned tcp_state);              /* "CLOSE_WAIT", as netstat says */
const char *sl_words_trigger(enum sl_trigger trigger);       /* "signal" */
const char *sl_words_mode(enum sl_mode mode);                /* "preload" */
const char *sl_words_direction(enum sl_direction direction); /* "out", "in"; UNKNOWN: NULL */
const char *sl_words_kind(enum sl_kind kind);                /* "tcp"; NONE: NULL */
const char *sl_words_stack_kind(enum sl_stack_kind kind);    /* "java", "native"; NONE: NULL */
const char *sl_words_role(enum sl_role role);                /* "application" */
const char *sl_words_action(enum sl_action action);          /* "shutdown", as action= takes it */
const char *sl_words_rung(enum sl_rung rung);                /* "shutdown"; NONE: NULL */
const char *sl_words_event(enum sl_event_kind kind);         /* "app_reacted" */
const char *sl_words_spared(enum sl_spared spared); /* "peer-waits"; what is no event: NULL */
const char *sl_words_error(int error);              /* "EMFILE"; only those of pressure */

#endif
