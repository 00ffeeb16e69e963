/* spawn.c - children that libc makes without fork handlers: posix_spawn, posix_spawnp, system, popen. They may keep what is not
 * close-on-exec, so whoever looked at the processes before looks again, as after a fork (reclaim/sharing.h).
 *
 * Not vfork(): its child returns from the hook first and would leave its parent a frame that is gone.
 */
#include "base/locks.h"
#include "base/process.h"
#include "base/sys.h"
#include "hooks/entry.h"
#include "hooks/real.h"

#include "base/poison.h"

/* An action that is under way ends first; later ones see that the count is another. */
static bool spawning(void)
{
	if (!sl_entry_is_ours())
		return false;
	if (sl_process_is_sandboxed()) { /* nothing is acted on any more */
		sl_process_count_fork();
		return true;
	}
	uint64_t signals = sl_sys_block_signals();
	sl_lock_take(SL_LOCK_ACTION);
	sl_process_count_fork();
	sl_lock_release(SL_LOCK_ACTION);
	sl_sys_unblock_signals(signals);
	return true;
}

/* Once more, for those who looked between the two. */
static void spawned(bool is_ours)
{
	if (is_ours)
		sl_process_count_fork();
}

int sl_hook_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const argv[],
                        char *const environment[])
{
	bool is_ours = spawning();
	int result = sl_real.posix_spawn(pid, path, actions, attributes, argv, environment);
	spawned(is_ours);
	return result;
}

int sl_hook_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                         const posix_spawnattr_t *attributes, char *const argv[],
                         char *const environment[])
{
	bool is_ours = spawning();
	int result = sl_real.posix_spawnp(pid, file, actions, attributes, argv, environment);
	spawned(is_ours);
	return result;
}

int sl_hook_system(const char *command)
{
	bool is_ours = spawning();
	int result = sl_real.system(command);
	spawned(is_ours);
	return result;
}

FILE *sl_hook_popen(const char *command, const char *mode)
{
	bool is_ours = spawning();
	FILE *result = sl_real.popen(command, mode);
	spawned(is_ours);
	return result;
}
