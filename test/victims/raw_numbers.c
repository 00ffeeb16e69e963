/* raw_numbers - closes everything past libc's function, by syscall(SYS_close_range), and puts a file of its own on 3 and, past
 * libc too, on 1024 and the numbers that follow.
 *
 * Needs a soft limit above 1032. Says "ready"; told a line it looks whether the file's offset is
 * as it left it, and whether close(1024) closes. Says "ok OFFSET"; "bad OFFSET" where one of them is not so.
 */
#include "victim.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define HIGH 1024
#define COPIES 9

static const char bytes[] = "0123456789";

int main(void)
{
	char line[64];
	int first = socket(AF_INET, SOCK_STREAM, 0);
	if (first < 0)
		die("socket");
	if (syscall(SYS_close_range, 3U, ~0U, 0U) != 0)
		die("close_range");
	int file = memfd_create("own", 0);
	if (file != 3)
		die("the file is not at 3");
	for (int i = 0; i < COPIES; i++) {
		if (syscall(SYS_dup3, file, HIGH + i, 0) != HIGH + i)
			die("a copy is not at its number");
	}
	if (write(file, bytes, sizeof(bytes)) != sizeof(bytes))
		die("write");
	say("ready");
	if (!next_command(line, sizeof(line)))
		return 2;
	off_t offset = lseek(file, 0, SEEK_CUR);
	bool is_well = offset == sizeof(bytes);
	for (int fd = HIGH; fd < HIGH + COPIES; fd++) {
		bool is_closed = close(fd) == 0;
		is_well = is_well && is_closed && syscall(SYS_fcntl, fd, F_GETFD) < 0;
	}
	say("%s %ld", is_well ? "ok" : "bad", (long)offset);
	return is_well ? 0 : 1;
}
