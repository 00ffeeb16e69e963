/* sudo.h - the words by which a command would be permitted.
 *
 * Layer: cli. Context: one thread.
 */
#ifndef SL_CLI_SUDO_H
#define SL_CLI_SUDO_H

#include "cli/proc.h"

#define SL_SUDO_BYTES 192

/* To be the user of that process: "sudo -u tomcat", with "-g GROUP" where its group is not that user's own. */
void sl_sudo_as(const struct sl_proc *proc, char text[SL_SUDO_BYTES]);

#endif
