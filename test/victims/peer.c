/* peer - the other side: accepts everything, and closes or resets what the test names.
 *
 * Run without the library. `peer ADDRESS...` listens on each address at a free port and prints
 * "ready PORT...". Commands: `count` (accepted and still open, for each address), `close I N`
 * and `reset I N` (the N oldest of address I, by FIN or by RST), `exit`. A connection may be the client's before it can be
 * accepted: those that are to be closed are waited for.
 */
#include "victim.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>

#define PLACES_MAX 8
#define CONNECTIONS_MAX 20000
#define PATIENCE_MS 10000

struct place {
	int listener;
	unsigned port;
	unsigned first; /* the oldest still open */
	unsigned count; /* accepted so far */
	int fds[CONNECTIONS_MAX];
};

static struct place places[PLACES_MAX];
static unsigned place_count;

static void accept_all(struct place *place)
{
	for (;;) {
		int fd = accept4(place->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED))
			return;
		if (fd < 0 || place->count == CONNECTIONS_MAX)
			die("accept");
		place->fds[place->count++] = fd;
	}
}

static void await(struct place *place, unsigned n)
{
	struct pollfd wait = {.fd = place->listener, .events = POLLIN};
	while (place->count - place->first < n && poll(&wait, 1, PATIENCE_MS) == 1)
		accept_all(place);
}

static void end_oldest(struct place *place, unsigned n, bool reset)
{
	const struct linger abort_at_once = {.l_onoff = 1, .l_linger = 0};
	for (; n && place->first < place->count; n--) {
		int fd = place->fds[place->first++];
		if (reset)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_at_once,
			           sizeof(abort_at_once));
		close(fd);
	}
}

static bool obey(const char *line)
{
	char verb[16];
	unsigned which = 0, n = 0;
	if (sscanf(line, "%15s %u %u", verb, &which, &n) < 1 || which >= place_count)
		say("error EINVAL");
	else if (strcmp(verb, "exit") == 0)
		return false;
	else if (strcmp(verb, "close") == 0 || strcmp(verb, "reset") == 0) {
		await(&places[which], n);
		end_oldest(&places[which], n, verb[0] == 'r');
		say("ok");
	} else {
		printf("ok");
		for (unsigned i = 0; i < place_count; i++)
			printf(" %u", places[i].count - places[i].first);
		say("%s", "");
	}
	return true;
}

int main(int argc, char **argv)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		die("getrlimit");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) != 0)
		die("setrlimit");
	if (argc < 2 || argc - 1 > PLACES_MAX)
		return 2;
	place_count = (unsigned)argc - 1;

	struct pollfd waits[PLACES_MAX + 1];
	printf("ready");
	for (unsigned i = 0; i < place_count; i++) {
		places[i].listener = listen_on(argv[i + 1], 4096, &places[i].port);
		int flags = fcntl(places[i].listener, F_GETFL);
		if (fcntl(places[i].listener, F_SETFL, flags | O_NONBLOCK) != 0)
			die("fcntl");
		waits[i] = (struct pollfd){.fd = places[i].listener, .events = POLLIN};
		printf(" %u", places[i].port);
	}
	say("%s", "");
	waits[place_count] = (struct pollfd){.fd = 0, .events = POLLIN};

	/* Unbuffered: poll() must not miss a command that stdio holds already. */
	setvbuf(stdin, NULL, _IONBF, 0);
	for (;;) {
		if (poll(waits, place_count + 1, -1) < 0)
			die("poll");
		for (unsigned i = 0; i < place_count; i++) {
			if (waits[i].revents)
				accept_all(&places[i]);
		}
		char line[128];
		if (waits[place_count].revents &&
		    (!next_command(line, sizeof(line)) || !obey(line)))
			return 0;
	}
}
