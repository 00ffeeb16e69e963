/* snapshot.h - one moment of the process, as every report shows it.
 *
 * The model behind the text and the JSON report: plain data, gathered by the worker, then only read.
 * A renderer is a pure function of this struct.
 *
 * Layer: report. Locks: none. Owner: everything, strings too, lies in the arena that sl_snapshot_take()
 * was given, or lives as long as the process. Fork: nothing outlives one report. errno: untouched.
 * Units: *_ms milliseconds. SL_UNKNOWN stands for "not known": JSON null, never 0.
 */
#ifndef SL_REPORT_SNAPSHOT_H
#define SL_REPORT_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/options.h"
#include "ledger/fdtable.h"
#include "reclaim/ladder.h"
#include "stack/frame.h"
#include "watch/elsewhere.h"
#include "watch/judge.h"
#include "watch/verdict.h"

#define SL_UNKNOWN INT64_MIN

enum sl_trigger {
	SL_TRIGGER_SIGNAL,
	SL_TRIGGER_EXIT,
	SL_TRIGGER_INTERVAL,
	SL_TRIGGER_THRESHOLD,
	SL_TRIGGER_PRESSURE,
	SL_TRIGGER_COMMAND,
	SL_TRIGGER_COUNT,
};

/* How the process is observed. */
enum sl_mode {
	SL_MODE_PRELOAD,
	SL_MODE_ATTACH,
	SL_MODE_EXTERNAL, /* from outside, by the command: it has no sites */
	SL_MODE_COUNT,
};

/* One of the options in effect, as text. */
struct sl_snapshot_option {
	const char *key;
	const char *value;
};

/* The local ports to one outbound peer, from the local address that has most of them in use. */
struct sl_snapshot_ports {
	const char *source; /* that address; NULL: not known */
	int64_t sources;    /* local addresses that this process has connections to the peer from */
	int64_t held;       /* by this process; SL_UNKNOWN */
	int64_t used;       /* by everybody in the network namespace; SL_UNKNOWN: not counted */
	int64_t time_wait;  /* of those, in TIME_WAIT */
	bool is_exact;      /* ports_left: everybody was counted; else it is "at most" */
	int64_t earliest_ms; /* exhausted_in_ms may be as little as this */
	int64_t latest_ms;   /* ... and as much; SL_UNKNOWN: there is no telling */
};

/* Address and port of a peer; as text "1.2.3.4", "::1" (v4-mapped IPv6 already shown as IPv4). */
struct sl_snapshot_peer {
	enum sl_direction direction;
	const char *address; /* NULL: the row that sums what did not fit the peer table */
	int64_t port;        /* the peer's for out, the local one for in; SL_UNKNOWN */
	uint64_t open;
	uint64_t close_wait;
	uint64_t stuck;
	uint64_t established;
	int64_t growth_per_min; /* CLOSE_WAIT a minute; SL_UNKNOWN until two samples exist */
	/* How long a connection was idle before the peer closed it: the middle, and what four of five lie between. Of those in
	 * CLOSE_WAIT, or of the latest that were, where these are more. SL_UNKNOWN: none was seen. */
	int64_t idle_before_fin_ms_p50;
	int64_t idle_before_fin_ms_p10;
	int64_t idle_before_fin_ms_p90;
	uint64_t idle_before_fin_count;
	int64_t ports_left;             /* out only: at most this many; SL_UNKNOWN */
	int64_t exhausted_in_ms;        /* SL_UNKNOWN where not growing */
	struct sl_snapshot_ports ports; /* out only */
	uint32_t id;                    /* in the ledger; 0: none */
};

struct sl_snapshot_site {
	uint32_t id;
	enum sl_stack_kind kind;
	enum sl_direction direction; /* of most of its connections */
	enum sl_site_verdict verdict;
	const char *blame;       /* NULL: no stack was kept, or no frame is the application's */
	const char *blame_where; /* "File.java:11" or NULL: the place to fix */
	uint32_t blame_frame;    /* index into frames; UINT32_MAX: none */
	const char *
		peer; /* of most that are suspect, of all if none is: "1.2.3.4:80", in: "1.2.3.4"; NULL */
	uint64_t opened;
	uint64_t closed;
	uint64_t open;
	uint64_t close_wait;
	uint64_t stuck;
	uint64_t retracted;
	uint64_t regretted;
	uint64_t reclaimed; /* connections that we ended, since start */
	uint64_t intended;  /* CLOSE_WAIT or dead, and meant to be: never stuck */
	const char *name;   /* that the program gave to all that are open; NULL: none, or not all */
	int64_t oldest_close_wait_ms; /* SL_UNKNOWN: none in CLOSE_WAIT */
	uint64_t piled; /* settled ones, opened although another lay there: see watch/verdict.h */
	int64_t growth_per_min; /* CLOSE_WAIT and dead-but-open, a minute; SL_UNKNOWN until two samples exist */
	int64_t open_growth_per_min;
	int64_t half_life_ms; /* after which the program has closed half of them; SL_UNKNOWN: closes none */
	int64_t late_ms_p50; /* from the peer's FIN to the program's own, late close; SL_UNKNOWN: never seen */
	uint64_t causes[SL_CAUSE_COUNT];
	uint64_t deaths[SL_DEATH_COUNT]; /* of those dead-but-open */
	uint64_t unread_bytes;           /* of those with cause unread-data */
	int64_t last_use_ms; /* since any of its connections was used; SL_UNKNOWN: none is open, or not known */
	uint32_t
		eof_site; /* id of the reader that met most ends of file that were ignored; 0: not known */
	const char *const *threads;           /* at most 8 names */
	uint32_t thread_names;                /* how many of them */
	uint64_t thread_count;                /* distinct thread names seen */
	const struct sl_frame *const *frames; /* innermost first */
	uint32_t frame_count;
	uint32_t frames_cut; /* 1: the stack was deeper than depth= */
	const char *unseen;  /* "opened before attach": why there is no stack; NULL: there is one */
};

struct sl_snapshot_socket {
	uint64_t cookie;
	const char *local; /* "1.2.3.4:80", "[::1]:80", NULL unknown */
	const char *peer;
	uint64_t age_ms;
	int64_t close_wait_ms; /* SL_UNKNOWN: not in CLOSE_WAIT */
	int64_t quiet_ms;
	int64_t unread_bytes;
	int64_t unsent_bytes;
	const char *thread;
	const char *name; /* that the program gave it, or NULL */
	int fd;
	enum sl_direction direction;
	uint32_t site;       /* id */
	enum sl_cause cause; /* SL_CAUSE_NONE: not a suspect */
	enum sl_rung rung;   /* the highest taken; SL_RUNG_NONE: none */
	uint8_t state;       /* TCP_* of netinet/tcp.h */
	bool eof_seen;
	uint32_t eof_site;    /* id of a reader; 0: not known */
	enum sl_death death;  /* SL_DEATH_NONE: not dead-but-open */
	int64_t last_use_ms;  /* since the last call, or the last data; SL_UNKNOWN: not known */
	enum sl_io last_call; /* SL_IO_NONE: none yet, or not known */
	bool shared;          /* another fd of this process has the same connection */
	bool intended;        /* the program says that it is to stay as it is */
};

struct sl_snapshot_listener {
	const char *local;
	int fd;
	uint64_t backlog;
	uint64_t limit;
};

/* What is not well, and is no leak of this program's; each kind is a row, each listener, and each peer whose ports others have, one of its
 * own. */
struct sl_snapshot_elsewhere {
	enum sl_elsewhere_kind kind;
	uint64_t count;
	int64_t oldest_ms; /* SL_UNKNOWN */
	int64_t limit;     /* of the backlog, or how many ports there are; SL_UNKNOWN elsewhere */
	const char *local; /* the listener; NULL elsewhere */
	const char *peer;  /* that most of them have; NULL: none, or not known */
	uint64_t at_peer; /* how many of them; of ports that are taken, how many are in TIME_WAIT */
	int64_t site;     /* id of that which opened most of them; SL_UNKNOWN */
	uint64_t at_site; /* how many of them */
	const char *blame; /* of that site, or NULL */
	bool is_stalled;   /* not-accepted: the program is not calling accept() */
	bool is_notable;   /* worth more than one line of a healthy process */
};

struct sl_snapshot {
	enum sl_verdict verdict;
	enum sl_trigger trigger;
	uint64_t taken_wall_ms;
	uint64_t deadline_ms; /* the quiet time that made `stuck` */
	uint64_t
		settled_ms; /* ... and the one from which it is no longer merely slow; 0: not known */

	struct {
		int pid;
		const char *exe;         /* path */
		const char *name;        /* file name of exe, and for a JVM the main class or jar */
		const char *const *argv; /* as argv= allows, NULL-terminated */
		uint64_t started_wall_ms;
		uint64_t uptime_ms;
		const char *hostname;
		bool is_jvm;
	} process;

	struct {
		uint64_t opened, closed, open, close_wait, stuck;
		uint64_t retracted, regretted, rescued, adopted, dropped, backlog;
		uint64_t by_state[16];           /* index: TCP_* of netinet/tcp.h */
		uint64_t by_kind[SL_KIND_COUNT]; /* open sockets of each kind, TCP too */
		uint64_t probed, shutdown, neutralized, closed_by_us, app_reacted;
		uint64_t ended_by_probe;     /* of those probed: the peer had forgotten them */
		uint64_t ended_by_keepalive; /* by the probes of keepalive= */
		uint64_t absorbed;           /* late close() calls after a close of ours */
		uint64_t dead;               /* dead-but-open */
		uint64_t dead_stuck; /* of `stuck`, those dead-but-open; the rest is CLOSE_WAIT */
		int64_t oldest_stuck_ms; /* SL_UNKNOWN: none */
		int64_t began_after_ms; /* start of process to the oldest CLOSE_WAIT's FIN; SL_UNKNOWN */
		int64_t growth_per_min;   /* CLOSE_WAIT; SL_UNKNOWN */
		uint64_t held_back_bytes; /* output that max_output kept back */
	} totals;

	struct {
		int64_t nofile_soft, nofile_used, port_low, port_high;
		int64_t fds_exhausted_in_ms;
		int64_t nofile_hard;
		int64_t fds_earliest_ms, fds_latest_ms; /* as of a peer's ports */
		int64_t ports_reserved; /* of port_low..port_high, given to nobody; SL_UNKNOWN */
		int64_t ports_taken;    /* of these, by listeners and bound sockets; SL_UNKNOWN */
		const char *
			ports_not_counted; /* why the namespace was not; NULL: it was, or nothing is known */
	} limits;

	struct {
		enum sl_action action; /* in force: `asked`, or report where it may not be */
		enum sl_action asked;  /* action= */
		bool is_stopped;       /* three regrets within ten minutes */
		bool is_dry_run;
		bool has_control; /* options can be changed through the control socket */
	} reclaim;

	const struct sl_snapshot_peer *peers;         /* worst first */
	const struct sl_snapshot_site *sites;         /* worst first */
	const struct sl_snapshot_socket *sockets;     /* detail=1 only, else NULL */
	const struct sl_snapshot_listener *listeners; /* those with a backlog, fullest first */
	const struct sl_snapshot_elsewhere *elsewhere;
	uint32_t elsewhere_count;
	const char *pressure; /* trigger pressure: "EADDRNOTAVAIL connecting to 1.2.3.4:80" */
	uint32_t peer_count;
	uint32_t site_count;
	/* Where ends of file were read that were ignored then: sites that opened nothing themselves. In the JSON they stand among the
	 * sites, last. */
	const struct sl_snapshot_site *readers;
	uint32_t reader_count;
	uint32_t sites_cut; /* stacks that did not fit the site table */
	uint32_t socket_count;
	uint32_t listener_count;
	int pressure_error; /* its errno; 0: none */

	/* Of a snapshot that was not taken here and now: read from a file, or made from outside. */
	enum sl_mode mode;
	const char *version;  /* of the library that took it; NULL: ours */
	const char *no_sites; /* why there are no sites at all; NULL: there may be */
	const struct sl_snapshot_option
		*options; /* in effect; NULL: this process's own, sl_options */
	uint32_t option_count;
};

#endif
