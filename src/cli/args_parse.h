/* args_parse.h - argp_parse(3), where a wrong option takes one line, and -h asks for help.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_ARGS_PARSE_H
#define SL_CLI_ARGS_PARSE_H

#include <argp.h>

/* `flags`: 0 or ARGP_IN_ORDER; argv[0] is "sockleak VERB". What is wrong ends the command: one line, exit code 2. */
void sl_args_parse(const struct argp *argp, int argc, char **argv, unsigned flags, void *input);

#endif
