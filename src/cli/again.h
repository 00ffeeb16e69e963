/* again.h - the command as it was called, for a refusal that says what would be permitted.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_AGAIN_H
#define SL_CLI_AGAIN_H

/* Called once, before argp puts the arguments into another order. */
void sl_again_remember(int argc, char **argv);

/* The words behind "sockleak", quoted for a shell where they need it. */
const char *sl_again_words(void);

#endif
