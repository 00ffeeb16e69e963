/* script.h - what an interpreter calls its functions in a perf map, taken apart.
 *
 * Layer: cli. Context: one thread. Owner: strings point into the name, which is changed.
 */
#ifndef SL_CLI_SCRIPT_H
#define SL_CLI_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/frame.h"

struct sl_script {
	const char *function;
	const char *file; /* NULL: it is no function of a script, but a part of the interpreter */
	int32_t line;     /* where the function begins; 0: not known */
	enum sl_role role;
};

/* "JS:~fetch /srv/app.js:4:22" of V8, "py::fetch:/srv/app.py" of Python; of anything else the name is the function. */
void sl_script_read(char *name, struct sl_script *script);

#endif
