/* threads - many threads at once, how they end, and what they leave open. */
#include "threads.h"

#define THREADS 64

static pthread_barrier_t barrier;
static struct sockaddr_in common;
static int common_listener;

/* ---- 64 at once ---- */

/* A connection of its own, and one byte each way. */
static bool verify(unsigned char byte)
{
	struct sockaddr_in address;
	unsigned char got = 0, back = 0;
	int at = listener(&address);
	int out = socket(AF_INET, SOCK_STREAM, 0);
	if (out < 0 || connect(out, (struct sockaddr *)&address, sizeof(address)) != 0)
		return false;
	int in = accept(at, NULL, NULL);
	bool is_right = write(out, &byte, 1) == 1 && read(in, &got, 1) == 1 && got == byte &&
	                send(in, &got, 1, 0) == 1 && recv(out, &back, 1, 0) == 1 && back == byte &&
	                read(in, &got, 0) == 0;
	return close(at) == 0 && close(out) == 0 && read(in, &got, 1) == 0 && close(in) == 0 &&
	       is_right;
}

static void *verify_often(void *context)
{
	intptr_t index = (intptr_t)context, right = 0;
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < 10; i++)
		right += verify((unsigned char)(index + i));
	/* And one that stays open when the thread is gone, at a number of its own. */
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(connect(fd, (struct sockaddr *)&common, sizeof(common)));
	pthread_barrier_wait(&barrier); /* until now the lowest numbers were anybody's */
	MUST(dup2(fd, 600 + (int)index));
	MUST(close(fd));
	return (void *)right;
}

static void many_at_once(void)
{
	pthread_t threads[THREADS];
	intptr_t right = 0;
	common_listener = listener(&common);
	MUST(listen(common_listener, THREADS));
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (intptr_t i = 0; i < THREADS; i++)
		threads[i] = begin(verify_often, (void *)i);
	for (int i = 0; i < THREADS; i++)
		right += (intptr_t)end_of(threads[i]);
	tell("verified %ld", (long)right);
	CALL(write(600, "x", 1));
	CALL(write(600 + THREADS - 1, "x", 1));
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

/* Two threads that use the same connection, one of which closes it. */
static void *read_to_end(void *context)
{
	char bytes[64];
	ssize_t n, sum = 0;
	while ((n = read(*(int *)context, bytes, sizeof(bytes))) > 0)
		sum += n;
	return (void *)sum;
}

static void one_reads_another_closes(void)
{
	for (int i = 0; i < 50; i++) {
		int pair[2];
		tcp_pair(pair);
		pthread_t reader = begin(read_to_end, &pair[0]);
		MUST(write(pair[1], "0123456789", 10));
		MUST(close(pair[1]));
		intptr_t sum = (intptr_t)end_of(reader);
		if (sum != 10 || i == 0)
			tell("read %ld", (long)sum);
		MUST(close(pair[0]));
	}
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

/* ---- how they end ---- */

static void *open_pair(void *context)
{
	tcp_pair((int *)context);
	return context;
}

static void exit_with_open_sockets(void)
{
	int pairs[8][2];
	char byte;
	for (int i = 0; i < 8; i++)
		end_of(begin(open_pair, pairs[i]));
	for (int i = 0; i < 8; i++) {
		tell("%d %d", pairs[i][0], pairs[i][1]);
		CALL(write(pairs[i][0], "x", 1));
		CALL(read(pairs[i][1], &byte, 1));
	}
	CALL(close(pairs[3][0]));
	CALL(read(pairs[3][1], &byte, 1));
}

static int detached_tid;

static void *open_detached(void *context)
{
	tcp_pair((int *)context);
	set(&detached_tid, own_tid());
	pthread_exit(NULL);
}

static void detached(void)
{
	int pair[2];
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < 10; i++) {
		pthread_t thread;
		set(&detached_tid, 0);
		MUST(pthread_create(&thread, &attributes, open_detached, pair) ? -1 : 0);
		AWAIT(get(&detached_tid) != 0 && is_gone(get(&detached_tid)));
		CALL(write(pair[0], "x", 1));
		CALL(close(pair[0]));
	}
}

/* ---- what a thread keeps for itself ---- */

static pthread_key_t key;
static int destructor_runs;

/* Called again and again while it leaves a value (pthread_key_create(3)). */
static void destroy(void *value)
{
	int fd = (int)(intptr_t)value;
	tell("destructor %d", ++destructor_runs);
	CALL(write(fd, "x", 1));
	CALL(close(fd));
	int pair[2];
	tcp_pair(pair);
	tell("opened %d %d", pair[0], pair[1]);
	CALL(close(pair[1]));
	if (destructor_runs % 3 != 0)
		pthread_setspecific(key, (void *)(intptr_t)pair[0]);
	else
		CALL(close(pair[0]));
}

static void *keep_socket(void *context)
{
	tcp_pair((int *)context);
	pthread_setspecific(key, (void *)(intptr_t)((int *)context)[0]);
	return NULL;
}

static void specific_destructors(void)
{
	int pair[2];
	pthread_key_create(&key, destroy);
	for (int i = 0; i < 3; i++) {
		end_of(begin(keep_socket, pair));
		CALL(close(pair[1]));
	}
}

static void *keep_and_be_cancelled(void *context)
{
	keep_socket(context);
	pthread_cancel(pthread_self());
	pthread_testcancel();
	return NULL;
}

static void specific_destructors_when_cancelled(void)
{
	int pair[2];
	pthread_key_create(&key, destroy);
	tell("%s", end_of(begin(keep_and_be_cancelled, pair)) == PTHREAD_CANCELED ? "cancelled"
	                                                                          : "ended");
	CALL(close(pair[1]));
}

/* More keys than libc keeps in the thread itself. */
static void many_keys(void)
{
	pthread_key_t keys[100];
	int pair[2];
	for (int i = 0; i < 100; i++)
		MUST(pthread_key_create(&keys[i], NULL) ? -1 : 0);
	end_of(begin(open_pair, pair));
	for (int i = 0; i < 100; i++)
		MUST(pthread_setspecific(keys[i], &keys[i]) ? -1 : 0);
	int right = 0;
	for (int i = 0; i < 100; i++)
		right += pthread_getspecific(keys[i]) == &keys[i];
	tell("kept %d", right);
}

static void *rename_and_open(void *context)
{
	char name[16] = "";
	pthread_setname_np(pthread_self(), "a name of its own"); /* too long */
	pthread_setname_np(pthread_self(), "its own");
	tcp_pair((int *)context);
	pthread_getname_np(pthread_self(), name, sizeof(name));
	tell("named %s", name);
	return NULL;
}

static void names(void)
{
	int pair[2];
	end_of(begin(rename_and_open, pair));
}

/* ---- the end of the process ---- */

static void tell_exit(void)
{
	tell("exit handler");
	int pair[2];
	tcp_pair(pair);
	tell_fds("open in the handler");
}

static int main_tid;

static void *go_on_alone(void *context)
{
	char state = 0;
	/* The first thread is a zombie until the process ends. */
	while (state != 'Z') {
		char path[64], text[256];
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", main_tid);
		int fd = (int)MUST(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY));
		text[MUST(syscall(SYS_read, fd, text, sizeof(text) - 1))] = 0;
		syscall(SYS_close, fd);
		state = strrchr(text, ')')[2];
		sched_yield();
	}
	int pair[2];
	tcp_pair(pair);
	tell_fds("open when main is gone");
	if (context)
		exit(7);
	return NULL;
}

static void main_leaves(void)
{
	atexit(tell_exit);
	main_tid = own_tid();
	begin(go_on_alone, NULL);
	pthread_exit(NULL);
}

static void main_leaves_another_calls_exit(void)
{
	int pair[2];
	tcp_pair(pair);
	atexit(tell_exit);
	main_tid = own_tid();
	begin(go_on_alone, &main_tid);
	pthread_exit(NULL);
}

static void *call_exit(void *unused)
{
	(void)unused;
	exit(8);
}

static void another_calls_exit(void)
{
	int pair[2];
	tcp_pair(pair);
	atexit(tell_exit);
	end_of(begin(call_exit, NULL));
}

/* Threads in blocking calls do not hold the process up. */
static int reader_tid;

static void *read_for_ever(void *context)
{
	char byte;
	set(&reader_tid, own_tid());
	(void)!read(*(int *)context, &byte, 1);
	return NULL;
}

static void exit_while_others_block(void)
{
	static int pair[2];
	tcp_pair(pair);
	begin(read_for_ever, &pair[0]);
	await_call(&reader_tid, SYS_read);
	atexit(tell_exit);
	exit(9);
}

static const struct cases_case cases[] = {
	CASE(many_at_once),
	CASE(one_reads_another_closes),
	CASE(exit_with_open_sockets),
	CASE(detached),
	CASE(specific_destructors),
	CASE(specific_destructors_when_cancelled),
	CASE(many_keys),
	CASE(names),
	CASE(main_leaves),
	CASE(main_leaves_another_calls_exit),
	CASE(another_calls_exit),
	CASE(exit_while_others_block),
};

CASES_MAIN(cases)
