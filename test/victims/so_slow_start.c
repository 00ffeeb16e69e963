/* so_slow_start - an object whose constructor takes a third of a second: the loader's lock is held for as long. It says so in the program's
 * loader_is_held.
 */
#include <stdatomic.h>
#include <time.h>

extern atomic_int loader_is_held;

__attribute__((constructor)) static void start(void)
{
	struct timespec time = {.tv_nsec = 333000000};

	loader_is_held = 1;
	nanosleep(&time, NULL);
}
