/* proc.h - what /proc tells of a process.
 *
 * Layer: cli. Context: one thread. Source: proc(5). Errors: -ESRCH: no such process, or it has ended, or is about
 * to: its memory goes first, then its descriptors, and what is seen of it meanwhile is not what it was; -EACCES: not ours to see.
 */
#ifndef SL_CLI_PROC_H
#define SL_CLI_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SL_PROC_NAME_BYTES 128
#define SL_PROC_PATH_BYTES 4096

struct sl_proc {
	int pid;
	int inner_pid; /* as the process itself sees it */
	int parent;
	uid_t uid;  /* real */
	uid_t euid; /* effective */
	gid_t egid;
	char state;           /* as in stat: R, S, D, T: stopped, t: stopped by a tracer */
	int tracer;           /* pid; 0: none */
	uint64_t start_ticks; /* field 22 of stat: with the pid an identity */
	uint64_t uptime_ms;
	char name[SL_PROC_NAME_BYTES]; /* of the executable, else the name that the kernel keeps */
};

int sl_proc_read(int pid, struct sl_proc *proc);
/* Is it the same process still: not ending, nor another with its number? */
bool sl_proc_is_same(const struct sl_proc *proc);

/* Path of the executable; "" where it cannot be read. */
void sl_proc_exe(int pid, char path[SL_PROC_PATH_BYTES]);

/* Has it mapped an object of this file name, "libsockleak.so"? Its path into `path`, which may be NULL. 1, 0, or -errno. */
int sl_proc_has_object(int pid, const char *name, char path[SL_PROC_PATH_BYTES]);

/* A file of /proc/PID as a whole, with a NUL behind; to be freed. NULL: errno says why. */
char *sl_proc_file(int pid, const char *name, size_t *n);

/* Of the text of a `status` file: what stands behind a name, or NULL; as a number, or -1. */
const char *sl_proc_status_value(const char *status, const char *name);
long sl_proc_status_number(const char *status, const char *name);

/* A path of its maps as the process itself names it: without " (deleted)", and below its root, where that is a folder of ours (chroot).
 * In place. */
void sl_proc_inner_path(int pid, char path[SL_PROC_PATH_BYTES]);

/* The lines of its status: the text behind "NAME:", "" where there is none. */
void sl_proc_status_word(int pid, const char *name, char *text, size_t n);

/* How many descriptors it may still open, by its soft limit; -1: not known, or no limit. */
long sl_proc_fds_left(int pid);

/* Has it a thread whose name begins so? */
bool sl_proc_has_thread(int pid, const char *name);

/* The value of a variable in its first environment; to be freed. NULL: not there, or not ours to see. */
char *sl_proc_variable(int pid, const char *name);

/* Every process; false from `each` ends it. */
typedef bool sl_proc_each_fn(void *context, int pid);
void sl_proc_each(sl_proc_each_fn *each, void *context);

/* Said where a process is not to be had; the exit code. `verb`: the words after sudo that would do it. */
int sl_proc_refuse(int pid, int error, const char *verb);

#endif
