/* event_lines.h - the file of events=, read back line by line. Used in children: see child.h. */
#ifndef SL_TEST_EVENT_LINES_H
#define SL_TEST_EVENT_LINES_H

#include <stddef.h>
#include <stdint.h>

/* Each line of the text is whole and JSON, or the child fails. Returns how many there are. */
unsigned event_lines_read(const char *text);

/* The raw value of a member of line n, from 0; "(missing)" where there is none. Valid until the next call. */
const char *event_lines_value(unsigned n, const char *member);

/* The line is this event. */
void event_lines_check_kind(unsigned n, const char *kind);

/* Of the events with these numbers as their fds, told in this order, each is there once, in order, or counted by a line
 * "dropped". Returns how many were dropped. */
uint64_t event_lines_check_series(int first_fd, int last_fd);

#endif
