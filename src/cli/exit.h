/* exit.h - the exit codes of the command: scripts test them.
 *
 * `sockleak run` alone ends otherwise: with the status of the program that it became.
 *
 * Layer: cli.
 */
#ifndef SL_CLI_EXIT_H
#define SL_CLI_EXIT_H

enum sl_exit {
	SL_EXIT_FINE = 0,
	SL_EXIT_FOUND =
		1, /* what was asked about is so: a leak (--check), too many stuck (--max-stuck) */
	SL_EXIT_USAGE = 2,      /* bad arguments, or a file that is no snapshot */
	SL_EXIT_NO_PROCESS = 3, /* no such process */
	SL_EXIT_DENIED = 4,     /* not permitted; the command that would be stands in the message */
	SL_EXIT_NO_LIBRARY = 5, /* the process lacks the library, and the verb needs it */
	SL_EXIT_CANNOT_RUN = 126, /* of run: found, and cannot be executed */
	SL_EXIT_NOT_FOUND = 127,  /* of run: no such program */
};

#endif
