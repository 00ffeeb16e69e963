/* complaints.h - what went wrong with a file that the options name: said on stderr, once each.
 *
 * Noted by whoever writes files, said by the worker: on the clerk, fd 2 is not the program's.
 *
 * Layer: report. Locks: none: noted by the clerk, or by the worker while the clerk is idle; said by the worker while the
 * clerk is idle. Fork: the child has said what its parent said. errno: untouched.
 */
#ifndef SL_REPORT_COMPLAINTS_H
#define SL_REPORT_COMPLAINTS_H

enum sl_complaint { SL_COMPLAINT_TEXT, SL_COMPLAINT_JSON, SL_COMPLAINT_EVENTS, SL_COMPLAINT_COUNT };

/* Only the first error of each is kept; -errno. */
void sl_complaints_note(enum sl_complaint of, const char *path, int error);

void sl_complaints_say(void);

#endif
