/* verbs.h - the verbs of the command, one file each: verb_NAME.c.
 *
 * A verb gets the arguments behind its name; argv[0] is "sockleak VERB", as its messages begin. It returns the exit code.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_VERBS_H
#define SL_CLI_VERBS_H

typedef int sl_verb_fn(int argc, char **argv);

sl_verb_fn sl_verb_attach;
sl_verb_fn sl_verb_detach;
sl_verb_fn sl_verb_diff;
sl_verb_fn sl_verb_doctor;
sl_verb_fn sl_verb_list;
sl_verb_fn sl_verb_off;
sl_verb_fn sl_verb_options;
sl_verb_fn sl_verb_reap;
sl_verb_fn sl_verb_report;
sl_verb_fn sl_verb_run;
sl_verb_fn sl_verb_set;
sl_verb_fn sl_verb_top;

#endif
