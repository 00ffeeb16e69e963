/* top_screen.c - see top_screen.h. */
#define NCURSES_WIDECHAR 1
#include "cli/top_screen.h"

#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "base/clock.h"
#include "base/out.h"

#define SL_TEXT_BYTES 4096
#define SL_ESCAPE_MS 50 /* what follows the escape of a key comes at once */
#define SL_MOMENT_MS 250

static SCREEN *screen; /* NULL: none */
static bool is_utf8;
static int looks[SL_TOP_LOOKS];
static volatile sig_atomic_t came; /* written by the handler */

static void note_signal(int signo)
{
	came = signo;
}

/* Before ncurses looks: what has a handler keeps it. No SA_RESTART: poll() must end. */
static void catch_signals(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction action = {.sa_handler = note_signal};
	struct sigaction before;
	(void)sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (sigaction(ends[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			(void)sigaction(ends[i], &action, NULL);
}

static void choose_looks(void)
{
	static const struct {
		enum sl_top_look look;
		short colour;
	} coloured[] = {
		{SL_TOP_GOOD, COLOR_GREEN}, {SL_TOP_DOUBT, COLOR_YELLOW}, {SL_TOP_BAD, COLOR_RED}};
	looks[SL_TOP_BOLD] = looks[SL_TOP_GOOD] = looks[SL_TOP_DOUBT] = looks[SL_TOP_BAD] = A_BOLD;
	looks[SL_TOP_DIM] = A_DIM;
	looks[SL_TOP_REVERSE] = A_REVERSE;
	if (!has_colors() || getenv("NO_COLOR") || start_color() == ERR)
		return;
	short ground = use_default_colors() == OK ? -1 : COLOR_BLACK;
	for (short i = 0; i < 3; i++) {
		(void)init_pair((short)(i + 1), coloured[i].colour, ground);
		looks[coloured[i].look] = A_BOLD | (int)COLOR_PAIR(i + 1);
	}
}

/* Can it do this? By its name in terminfo(5). */
static bool has_string(const char *name)
{
	const char *string = tigetstr(name);
	return string && string != (const char *)-1;
}

bool sl_top_screen_start(char *why, size_t n)
{
	static bool is_at_exit;
	const char *type = getenv("TERM");
	(void)setlocale(LC_CTYPE, "");
	is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	catch_signals();
	screen = newterm(NULL, stdout, stdin);
	if (screen && !has_string("cup"))
		sl_top_screen_end();
	if (!screen) {
		(void)snprintf(why, n, "the terminal '%s' is not known, or cannot move its cursor",
		               type ? type : "");
		return false;
	}
	if (!is_at_exit)
		is_at_exit = atexit(sl_top_screen_end) == 0;
	(void)set_escdelay(SL_ESCAPE_MS);
	(void)cbreak();
	(void)noecho();
	(void)nonl();
	(void)keypad(stdscr, TRUE);
	(void)nodelay(stdscr, TRUE);
	(void)curs_set(0);
	choose_looks();
	return true;
}

void sl_top_screen_end(void)
{
	if (!screen)
		return;
	(void)endwin();
	delscreen(screen);
	screen = NULL;
}

int sl_top_screen_signal(void)
{
	return came;
}

unsigned sl_top_screen_rows(void)
{
	return LINES > 0 ? (unsigned)LINES : 0;
}

unsigned sl_top_screen_columns(void)
{
	return COLS > 0 ? (unsigned)COLS : 0;
}

void sl_top_screen_clear(void)
{
	(void)erase();
}

/* As many characters as fit into `width` columns, and the blanks behind them. How many. */
static int widen(const char *text, size_t n, unsigned width, wchar_t *wide)
{
	mbstate_t state = {0};
	unsigned columns = 0;
	int count = 0;
	for (size_t at = 0; at < n;) {
		wchar_t c = L'?';
		size_t bytes = 1;
		if (is_utf8)
			bytes = mbrtowc(&c, text + at, n - at, &state);
		else if ((unsigned char)text[at] < 0x80)
			c = (wchar_t)text[at];
		else /* one mark for a character */
			while (at + bytes < n && ((unsigned char)text[at + bytes] & 0xc0) == 0x80)
				bytes++;
		if (bytes == 0 || bytes > n - at) { /* an error: sl_out_terminal() makes none */
			bytes = 1;
			c = L'?';
			state = (mbstate_t){0};
		}
		int taken = is_utf8 ? wcwidth(c) : 1;
		if (taken < 0) {
			c = L'?';
			taken = 1;
		}
		if (columns + (unsigned)taken > width)
			break;
		columns += (unsigned)taken;
		wide[count++] = c;
		at += bytes;
	}
	while (columns++ < width && count < SL_TEXT_BYTES)
		wide[count++] = L' ';
	return count;
}

void sl_top_screen_put(unsigned row, unsigned column, unsigned width, enum sl_top_look look,
                       const char *text)
{
	static wchar_t wide[SL_TEXT_BYTES + 1];
	char bytes[SL_TEXT_BYTES];
	struct sl_out out;
	if (row >= sl_top_screen_rows() || column >= sl_top_screen_columns())
		return;
	if (width > sl_top_screen_columns() - column)
		width = sl_top_screen_columns() - column;
	sl_out_init(&out, bytes, sizeof(bytes), NULL, NULL);
	sl_out_terminal(&out, text);
	int n = widen(bytes, out.length, width, wide);
	(void)attrset(looks[look]);
	(void)mvaddnwstr((int)row, (int)column, wide, n);
	(void)attrset(A_NORMAL);
}

void sl_top_screen_put_line(unsigned row, unsigned column, unsigned width, enum sl_top_look look,
                            struct sl_text_line *line)
{
	size_t n = line->out.length;
	line->bytes[n < sizeof(line->bytes) ? n : sizeof(line->bytes) - 1] = '\0';
	sl_top_screen_put(row, column, width, look, line->bytes);
}

const char *sl_top_screen_bar(unsigned level)
{
	static const char *const blocks[] = {".", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const plain[] = {".", ":", "-", "=", "+", "*", "#", "%", "@"};
	return level < sizeof(blocks) / sizeof(*blocks) ? (is_utf8 ? blocks : plain)[level] : "?";
}

void sl_top_screen_show(void)
{
	(void)refresh();
}

static int translate(int key)
{
	switch (key) {
	case KEY_ENTER:
	case '\r':
	case '\n':
		return SL_TOP_KEY_ENTER;
	case 27:
		return SL_TOP_KEY_ESCAPE;
	case KEY_BACKSPACE:
	case 127:
	case 8:
		return SL_TOP_KEY_ERASE;
	case KEY_UP:
		return SL_TOP_KEY_UP;
	case KEY_DOWN:
		return SL_TOP_KEY_DOWN;
	case KEY_PPAGE:
		return SL_TOP_KEY_PAGE_UP;
	case KEY_NPAGE:
		return SL_TOP_KEY_PAGE_DOWN;
	case KEY_HOME:
		return SL_TOP_KEY_HOME;
	case KEY_END:
		return SL_TOP_KEY_END;
	case KEY_RESIZE:
		return SL_TOP_KEY_RESIZE;
	default:
		return key > 0 && key < 256 ? key : SL_TOP_KEY_OTHER;
	}
}

int sl_top_screen_key(int timeout_ms)
{
	const uint64_t until_ms = sl_clock_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	for (;;) {
		int key = came ? ERR : getch();
		if (key != ERR)
			return translate(key);
		if (input.revents & (POLLHUP | POLLERR | POLLNVAL))
			came = came ? came : SIGHUP;
		const uint64_t now_ms = sl_clock_ms();
		if (came || (timeout_ms >= 0 && now_ms >= until_ms))
			return SL_TOP_KEY_NONE;
		input.revents = 0;
		/* A window that changes its size ends poll() with EINTR, and is a key. A signal just before it is seen
		 * a moment later. */
		uint64_t wait_ms = timeout_ms < 0 ? SL_MOMENT_MS : until_ms - now_ms;
		(void)poll(&input, 1, (int)(wait_ms < SL_MOMENT_MS ? wait_ms : SL_MOMENT_MS));
	}
}
