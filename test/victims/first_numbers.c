/* first_numbers - from its first socket on the lowest free number is its own: it opens and closes for half a second, and
 * says how often that was another one. */
#include "victim.h"

#include <fcntl.h>

int main(void)
{
	unsigned rounds = 0, strays = 0;
	for (double end = now_s() + 0.5; now_s() < end; rounds++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		int file = open("/dev/null", O_RDONLY);
		strays += fd != 3 || file != 4;
		close(fd);
		close(file);
	}
	say("ok %u %u", strays, rounds);
	return 0;
}
