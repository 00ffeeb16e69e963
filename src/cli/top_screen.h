/* top_screen.h - the terminal of `sockleak top`: text at a place, keys, signals; ncurses is used here alone.
 *
 * The terminal is put back by sl_top_screen_end(), and whenever the command ends by exit(3). Signals that would end the command
 * are kept until sl_top_screen_end() was called.
 *
 * Layer: cli. Context: one thread. One screen at a time.
 */
#ifndef SL_CLI_TOP_SCREEN_H
#define SL_CLI_TOP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "report/text_line.h"

enum sl_top_key {
	SL_TOP_KEY_NONE = 0, /* time is over, or the command is to end */
	/* A character is its byte. */
	SL_TOP_KEY_ENTER = 256,
	SL_TOP_KEY_ESCAPE,
	SL_TOP_KEY_ERASE,
	SL_TOP_KEY_UP,
	SL_TOP_KEY_DOWN,
	SL_TOP_KEY_PAGE_UP,
	SL_TOP_KEY_PAGE_DOWN,
	SL_TOP_KEY_HOME,
	SL_TOP_KEY_END,
	SL_TOP_KEY_RESIZE,
	SL_TOP_KEY_OTHER,
};

enum sl_top_look {
	SL_TOP_PLAIN,
	SL_TOP_BOLD,
	SL_TOP_DIM,
	SL_TOP_REVERSE,
	SL_TOP_GOOD,
	SL_TOP_DOUBT,
	SL_TOP_BAD,
	SL_TOP_LOOKS,
};

/* False: this terminal cannot be used, `why` says it. */
bool sl_top_screen_start(char *why, size_t n);
void sl_top_screen_end(void);
/* The signal that asked the command to end; 0: none. Gone terminals count as SIGHUP. */
int sl_top_screen_signal(void);

unsigned sl_top_screen_rows(void);
unsigned sl_top_screen_columns(void);

void sl_top_screen_clear(void);
/* Text at most `width` columns wide, escaped, the rest filled with blanks. What lies outside the screen is left out. */
void sl_top_screen_put(unsigned row, unsigned column, unsigned width, enum sl_top_look look,
                       const char *text);
void sl_top_screen_put_line(unsigned row, unsigned column, unsigned width, enum sl_top_look look,
                            struct sl_text_line *line);
/* The character of a bar of level 0 .. SL_TOP_LEVELS - 1. */
const char *sl_top_screen_bar(unsigned level);
void sl_top_screen_show(void);

/* The next key; timeout_ms < 0: no end. */
int sl_top_screen_key(int timeout_ms);

#endif
