/* verb_top.c - `sockleak top`: a process, or all that have the library, live on the terminal. */
#include <argp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/args.h"
#include "cli/args_parse.h"
#include "cli/say.h"
#include "cli/top_draw.h"
#include "cli/top_model.h"
#include "cli/top_screen.h"
#include "cli/top_watch.h"
#include "cli/verbs.h"
#include "report/words.h"

#define SL_TOP_INTERVAL_MS 2000
#define SL_TOP_INTERVAL_LEAST_MS 100
#define SL_TOP_COST_SHARE 3 /* pauses between refreshes are so many times as long as one took */
#define SL_TOP_PAUSE_MOST_MS 10000
#define SL_TOP_ACTION_FOR "2h"
#define SL_TOP_PATH_BYTES 1024

struct live {
	struct sl_top_model top;
	struct sl_top_watch watch;
	struct sl_top_around around;
	uint64_t interval_ms, due_ms;
	int pid; /* as it was asked for; 0: the list */
	bool is_over;
};

static error_t take(int key, char *argument, struct argp_state *state)
{
	struct live *live = state->input;
	switch (key) {
	case 'i':
		live->interval_ms = sl_args_duration(state, argument, "--interval");
		if (live->interval_ms < SL_TOP_INTERVAL_LEAST_MS)
			sl_args_fail(state, "--interval=%s: 100ms at least", argument);
		return 0;
	case ARGP_KEY_ARG:
		if (live->pid || !sl_args_read_pid(argument, &live->pid))
			sl_args_fail(state, "%s: one process id is taken", argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Where asking is dear (many symbols, many processes, no answer), it is asked less often. */
static void refresh(struct live *live)
{
	sl_top_watch_refresh(&live->watch);
	uint64_t pause_ms = live->watch.cost_ms * SL_TOP_COST_SHARE;
	if (pause_ms > SL_TOP_PAUSE_MOST_MS)
		pause_ms = SL_TOP_PAUSE_MOST_MS;
	if (pause_ms < live->interval_ms)
		pause_ms = live->interval_ms;
	live->due_ms = sl_clock_ms() + pause_ms;
}

static bool is_still(const struct live *live)
{
	return live->around.is_paused || (live->watch.proc.pid && live->watch.has_ended);
}

/* ---- questions ---- */

/* The key that answers; the screen is drawn anew where its size changes. */
static int ask(struct live *live, const char *const *page, const char *question)
{
	int key;
	live->around.page = page;
	live->around.question = question;
	do {
		sl_top_draw(&live->watch, &live->around);
		key = sl_top_screen_key(-1);
	} while (key == SL_TOP_KEY_RESIZE);
	live->around.page = NULL;
	live->around.question = NULL;
	return key;
}

/* The last character, all its bytes. */
static void erase_one(char *text)
{
	size_t n = strlen(text);
	while (n && ((unsigned char)text[--n] & 0xc0) == 0x80)
		;
	text[n] = '\0';
}

/* What does not fit is left out at the front: one sees what one types. */
static const char *tail_of(const char *text, size_t columns)
{
	size_t n = strlen(text);
	const char *from = n > columns ? text + n - columns : text;
	while (((unsigned char)*from & 0xc0) == 0x80)
		from++;
	return from;
}

/* A line, begun with what is in `text`. False: given up. */
static bool ask_line(struct live *live, const char *what, char text[SL_TOP_PATH_BYTES])
{
	char question[SL_TOP_PATH_BYTES + 64];
	for (;;) {
		const unsigned columns = sl_top_screen_columns();
		const size_t used = strlen(what) + 2;
		(void)snprintf(question, sizeof(question), "%s%s_", what,
		               tail_of(text, columns > used ? columns - used : 1));
		const int key = ask(live, NULL, question);
		const size_t n = strlen(text);
		if (key == SL_TOP_KEY_ENTER)
			return n > 0;
		if (key == SL_TOP_KEY_ESCAPE || key == SL_TOP_KEY_NONE)
			return false;
		if (key == SL_TOP_KEY_ERASE) {
			erase_one(text);
		} else if (key == ('u' & 31)) {
			text[0] = '\0';
		} else if (key >= ' ' && key < 256 && n + 1 < SL_TOP_PATH_BYTES) {
			text[n] = (char)key;
			text[n + 1] = '\0';
		}
	}
}

static bool is_yes(int key)
{
	return key == 'y' || key == 'Y';
}

static void save(struct live *live)
{
	char path[SL_TOP_PATH_BYTES], clock[32];
	const time_t at = (time_t)(live->watch.snapshot.taken_wall_ms / 1000);
	struct tm tm;
	if (!live->watch.proc.pid)
		return;
	if (!localtime_r(&at, &tm) || !strftime(clock, sizeof(clock), "%Y%m%d-%H%M%S", &tm))
		clock[0] = '\0';
	(void)snprintf(path, sizeof(path), "sockleak-%d-%s.json", live->watch.proc.pid, clock);
	if (!ask_line(live, "Save as JSON to: ", path))
		return;
	if (access(path, F_OK) == 0 &&
	    !is_yes(ask(live, NULL, "There is such a file. Replace it? y/N")))
		return;
	sl_top_watch_save(&live->watch, path);
}

/* ---- an action ---- */

struct choice {
	char key;
	enum sl_action action;
	const char *for_; /* NULL: until the process ends */
	const char *brief;
	const char *more;
};

static const struct choice choices[] = {
	{'r', SL_ACTION_REPORT, NULL, "end nothing, only report", ""},
	{'s', SL_ACTION_SHUTDOWN, SL_TOP_ACTION_FOR, "end stuck connections: frees their ports",
         " The program keeps its descriptors."},
	{'n', SL_ACTION_NEUTRALIZE, SL_TOP_ACTION_FOR, "the same, and then frees their memory",
         " The program keeps its descriptors, which nothing else gets meanwhile."},
	{'c', SL_ACTION_CLOSE, SL_TOP_ACTION_FOR, "the same, and gives descriptors back: dangerous",
         " A late use by the program hits what has the number by then."},
};

#define CHOICES (sizeof(choices) / sizeof(*choices))

static const struct choice *ask_choice(struct live *live)
{
	static char lines[CHOICES][96];
	const char *page[CHOICES + 1] = {NULL};
	for (size_t i = 0; i < CHOICES; i++) {
		(void)snprintf(lines[i], sizeof(lines[i]), " %c  %-11s %s", choices[i].key,
		               sl_words_action(choices[i].action), choices[i].brief);
		page[i] = lines[i];
	}
	const int key = ask(live, page, "Which action? r, s, n, c; anything else: none");
	for (size_t i = 0; i < CHOICES; i++)
		if (key == choices[i].key)
			return &choices[i];
	return NULL;
}

static void act(struct live *live)
{
	char title[96], question[160];
	if (!live->watch.proc.pid)
		return;
	const char *no = sl_top_watch_no_action(&live->watch);
	if (no) {
		(void)snprintf(live->watch.said, sizeof(live->watch.said), "no action: %s", no);
		return;
	}
	const struct choice *choice = ask_choice(live);
	if (!choice)
		return;
	(void)snprintf(title, sizeof(title), " action=%s: %s", sl_words_action(choice->action),
	               choice->brief);
	const char *const page[] = {
		title,
		choice->more,
		choice->for_ ? " for=" SL_TOP_ACTION_FOR ": then as before. A restart forgets it."
			     : " Until the process ends. A restart forgets it.",
		NULL,
	};
	(void)snprintf(question, sizeof(question), "Set action=%s%s%s in process %d? y/N",
	               sl_words_action(choice->action), choice->for_ ? " for=" : "",
	               choice->for_ ? choice->for_ : "", live->watch.proc.pid);
	if (!is_yes(ask(live, page, question)))
		return;
	sl_top_watch_act(&live->watch, choice->action, choice->for_);
	refresh(live);
}

/* ---- keys ---- */

static void help(struct live *live)
{
	static const char *const page[] = {
		" arrows, PgUp, PgDn, Home, End   move",
		" Tab      peers or sites",
		" Enter    open a process; the stack of a site",
		" q, Esc   back; q quits where there is nothing to go back to",
		" s        sort by the next column",
		" a        change the action, after a question",
		" w        save what is shown, as JSON",
		" r        refresh now",
		" p        pause, and go on",
		"",
		" CLOSE_WAIT: the peer has closed, the program has not. Stuck: so for",
		" longer than deadline=. Left: local ports to that peer, at most.",
		NULL,
	};
	(void)ask(live, page, "any key goes back");
}

static void back(struct live *live, bool is_quit)
{
	if (live->top.view == SL_TOP_STACK) {
		live->top.view = SL_TOP_SITES;
	} else if (live->around.has_list) {
		live->around.has_list = false;
		live->top.view = SL_TOP_PROCESSES;
		sl_top_watch_close(&live->watch);
		refresh(live);
	} else {
		live->is_over = is_quit;
	}
}

static void open_process(struct live *live, int pid)
{
	int error = sl_top_watch_open(&live->watch, pid);
	if (error) {
		(void)snprintf(live->watch.said, sizeof(live->watch.said), "process %d: %s", pid,
		               strerror(-error));
		return;
	}
	live->around.has_list = true;
	live->top.view = SL_TOP_PEERS;
	live->due_ms = sl_clock_ms() + live->interval_ms;
}

static void enter(struct live *live)
{
	const struct sl_top_process *process = sl_top_model_process(&live->top);
	if (live->top.view == SL_TOP_PROCESSES && process)
		open_process(live, process->pid);
	else if (live->top.view == SL_TOP_PEERS)
		(void)snprintf(live->watch.said, sizeof(live->watch.said),
		               "stacks are those of sites: Tab shows them");
	else
		(void)sl_top_model_open_stack(&live->top);
}

static void switch_table(struct live *live)
{
	if (live->top.view == SL_TOP_PEERS)
		live->top.view = SL_TOP_SITES;
	else if (live->top.view == SL_TOP_SITES)
		live->top.view = SL_TOP_PEERS;
}

static void move(struct live *live, int key)
{
	const int64_t page = sl_top_draw_page_rows(&live->top);
	const int64_t rows = key == SL_TOP_KEY_UP          ? -1
	                     : key == SL_TOP_KEY_DOWN      ? 1
	                     : key == SL_TOP_KEY_PAGE_UP   ? -page
	                     : key == SL_TOP_KEY_PAGE_DOWN ? page
	                     : key == SL_TOP_KEY_HOME      ? -(int64_t)UINT32_MAX
	                     : key == SL_TOP_KEY_END       ? (int64_t)UINT32_MAX
	                                                   : 0;
	if (rows)
		sl_top_model_move(&live->top, rows);
}

static void obey(struct live *live, int key)
{
	live->watch.said[0] = '\0';
	switch (key) {
	case 'q':
	case SL_TOP_KEY_ESCAPE:
		back(live, key == 'q');
		break;
	case SL_TOP_KEY_ENTER:
		enter(live);
		break;
	case '\t':
		switch_table(live);
		break;
	case 's':
		sl_top_model_sort_next(&live->top);
		break;
	case 'a':
		act(live);
		break;
	case 'w':
		save(live);
		break;
	case 'r':
		refresh(live);
		break;
	case 'p':
		live->around.is_paused = !live->around.is_paused;
		break;
	case '?':
		help(live);
		break;
	default:
		move(live, key);
	}
}

static void run(struct live *live)
{
	while (!live->is_over && !sl_top_screen_signal()) {
		if (!is_still(live) && sl_clock_ms() >= live->due_ms)
			refresh(live);
		sl_top_draw(&live->watch, &live->around);
		const uint64_t now_ms = sl_clock_ms();
		int wait_ms = live->due_ms > now_ms ? (int)(live->due_ms - now_ms) : 0;
		const int key = sl_top_screen_key(is_still(live) ? -1 : wait_ms);
		if (key != SL_TOP_KEY_NONE && key != SL_TOP_KEY_RESIZE)
			obey(live, key);
	}
}

/* The first look is taken before the screen: what is in the way is said in a line. */
static int look_first(struct live *live)
{
	char verb[64];
	(void)snprintf(verb, sizeof(verb), "top %d", live->pid);
	int error = live->pid ? sl_top_watch_open(&live->watch, live->pid) : 0;
	if (error)
		return sl_proc_refuse(live->pid, error, verb);
	if (live->pid)
		live->due_ms = sl_clock_ms() + live->interval_ms;
	live->top.view = live->pid ? SL_TOP_PEERS : SL_TOP_PROCESSES;
	return 0;
}

int sl_verb_top(int argc, char **argv)
{
	static const struct argp_option arguments[] = {
		{"interval", 'i', "DURATION", 0, "between two looks: 2s where not given", 0},
		{0},
	};
	static const struct argp argp = {
		.options = arguments,
		.parser = take,
		.args_doc = "[PID]",
		.doc = "Watch a process on the terminal: totals, peers, and the places in the "
		       "code; "
		       "without PID, every "
		       "process that has the library. The key ? lists the keys.",
	};
	static struct live live;
	char why[256];
	live = (struct live){.interval_ms = SL_TOP_INTERVAL_MS};
	live.watch.top = &live.top;
	sl_args_parse(&argp, argc, argv, 0, &live);
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return sl_say(SL_EXIT_USAGE,
		              "top needs a terminal; for a script: sockleak %s --json",
		              live.pid ? "report PID" : "list");
	int code = look_first(&live);
	if (!code && !sl_top_screen_start(why, sizeof(why)))
		code = sl_say(SL_EXIT_USAGE, "%s", why);
	if (!code) {
		run(&live);
		sl_top_screen_end();
	}
	sl_top_watch_free(&live.watch);
	if (sl_top_screen_signal()) { /* so that who waits for us sees what it was */
		(void)signal(sl_top_screen_signal(), SIG_DFL);
		(void)raise(sl_top_screen_signal());
	}
	return code;
}
