/* past - system calls past libc's functions, through syscall() and io_uring: the library sees them late or not at all, and what it
 * says at the end must be true all the same. */
#include "cases.h"

#include <linux/io_uring.h>
#include <poll.h>

static long raw_socket(void)
{
	return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

/* Both ends of a connection, without one call of libc's. */
static void raw_pair(int ends[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof(address);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int at = (int)MUST(raw_socket());
	MUST(syscall(SYS_bind, at, &address, length));
	MUST(syscall(SYS_listen, at, 5));
	MUST(syscall(SYS_getsockname, at, &address, &length));
	ends[0] = (int)MUST(raw_socket());
	MUST(syscall(SYS_connect, ends[0], &address, sizeof(address)));
	ends[1] = (int)MUST(syscall(SYS_accept4, at, NULL, NULL, 0));
	MUST(syscall(SYS_close, at));
}

/* So that a worker runs, and a report is written. */
static void open_one(void)
{
	MUST(dup2((int)MUST(socket(AF_INET, SOCK_STREAM, 0)), 900));
	MUST(close(3));
}

/* The library knows what these sockets are by then, and must learn that they are others. What is told does not hang on it. */
static void time_to_look(void)
{
	MUST(poll(NULL, 0, 200));
}

static void opened_past_libc(void)
{
	int ends[2];
	char byte = 0;
	open_one();
	raw_pair(ends);
	CALL(syscall(SYS_dup, ends[0]));
	CALL(syscall(SYS_dup2, ends[0], 20));
	CALL(syscall(SYS_dup3, ends[1], 21, O_CLOEXEC));
	CALL(syscall(SYS_fcntl, ends[1], F_DUPFD, 30));
	CALL(syscall(SYS_socket, AF_INET6, SOCK_STREAM, 0));
	CALL(syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
	CALL(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, (int[2]){0}));
	CALL(syscall(SYS_write, 20, "x", 1L));
	CALL(syscall(SYS_read, 21, &byte, 1L));
	CALL(syscall(SYS_sendto, ends[0], "x", 1L, 0, NULL, 0));
	CALL(syscall(SYS_recvfrom, 30, &byte, 1L, 0, NULL, NULL));
}

static void failed_past_libc(void)
{
	open_one();
	CALL(syscall(SYS_socket, 999, SOCK_STREAM, 0));
	CALL(syscall(SYS_accept, 777, NULL, NULL));
	CALL(syscall(SYS_accept, 900, NULL, NULL));
	CALL(syscall(SYS_dup, 777));
	CALL(syscall(SYS_dup2, 777, 900));
	CALL(syscall(SYS_dup3, 900, 900, 0));
	CALL(syscall(SYS_close, 777));
	CALL(syscall(SYS_shutdown, 900, SHUT_RDWR));
	CALL(syscall(SYS_connect, 900, (void *)8, 16));
	CALL(syscall(SYS_close_range, 5, 4, 0));
	CALL(syscall(SYS_close_range, 3, 10, 0x70));
	CALL(syscall(99999));
}

/* Opened by libc's functions, ended past them, and the numbers used again by either. */
static void ended_past_libc(void)
{
	int ends[2], others[2], at;
	char byte;
	open_one();
	tcp_pair(ends);
	tcp_pair(others);
	time_to_look();
	CALL(syscall(SYS_shutdown, ends[0], SHUT_WR));
	CALL(recv(ends[1], &byte, 1, 0));
	CALL(syscall(SYS_close, ends[0]));
	CALL(at = open("/dev/null", O_RDONLY));
	CALL(syscall(SYS_dup2, others[0], ends[1])); /* one watched connection over another */
	CALL(syscall(SYS_dup3, at, others[1], 0));   /* and a file over one */
	CALL(recv(ends[1], &byte, 1, 0));
	CALL(syscall(SYS_close_range, at, at, 0));
	CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(syscall(SYS_close_range, others[1], 600, 0));
	raw_pair(others);
	tell("%d %d", others[0], others[1]);
	CALL(close(others[0]));
	CALL(recv(others[1], &byte, 1, 0));
}

/* A number goes from hand to hand, and the library sees one of two. */
static void in_turn_past_libc(void)
{
	int ends[2], wrong = 0;
	open_one();
	for (int i = 0; i < 200; i++) {
		if (i % 2)
			raw_pair(ends);
		else
			tcp_pair(ends);
		wrong += write(ends[0], "x", 1) != 1;
		wrong += (i % 3 ? syscall(SYS_close, ends[0]) : close(ends[0])) != 0;
		wrong += read(ends[1], &(char){0}, 1) != 1 || read(ends[1], &(char){0}, 1) != 0;
		wrong += (i % 5 ? syscall(SYS_close, ends[1]) : close(ends[1])) != 0;
	}
	tell("wrong: %d", wrong);
	raw_pair(ends);
	time_to_look();
	MUST(syscall(SYS_close, ends[0]));
	tcp_pair(ends);
}

/* ---- io_uring, by its system calls ---- */

struct ring {
	int fd;
	unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

/* False: this kernel, or who rules it, has none. */
static bool ring_open(struct ring *ring)
{
	struct io_uring_params params = {0};
	ring->fd = (int)syscall(SYS_io_uring_setup, 8, &params);
	if (ring->fd < 0 || !(params.features & IORING_FEAT_SINGLE_MMAP))
		return false;
	size_t bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
	char *base =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe),
	                  PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	if (base == MAP_FAILED || (void *)ring->sqes == MAP_FAILED)
		cases_die("mmap");
	ring->sq_tail = (unsigned *)(base + params.sq_off.tail);
	ring->sq_mask = (unsigned *)(base + params.sq_off.ring_mask);
	ring->sq_array = (unsigned *)(base + params.sq_off.array);
	ring->cq_head = (unsigned *)(base + params.cq_off.head);
	ring->cq_tail = (unsigned *)(base + params.cq_off.tail);
	ring->cq_mask = (unsigned *)(base + params.cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(base + params.cq_off.cqes);
	return true;
}

/* One operation, and what became of it: a result, or -errno. */
static int ring_do(struct ring *ring, uint8_t operation, int fd, const void *at, unsigned n)
{
	unsigned tail = *ring->sq_tail, index = tail & *ring->sq_mask;
	struct io_uring_sqe *sqe = &ring->sqes[index];
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = operation;
	sqe->fd = fd;
	if (operation == IORING_OP_CONNECT)
		sqe->off = n; /* the address's length */
	else
		sqe->len = n;
	sqe->addr = (uint64_t)(uintptr_t)at;
	ring->sq_array[index] = index;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	MUST(syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	unsigned head = *ring->cq_head;
	if (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE))
		cases_die("no completion");
	int result = ring->cqes[head & *ring->cq_mask].res;
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	return result;
}

static void through_io_uring(void)
{
	struct ring ring;
	struct sockaddr_in address;
	char byte = 0;
	int at = listener(&address);
	if (!ring_open(&ring)) {
		tell("no io_uring here");
		return;
	}
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CALL(ring_do(&ring, IORING_OP_CONNECT, fd, &address, sizeof(address)));
	int server = (int)CALL(ring_do(&ring, IORING_OP_ACCEPT, at, NULL, 0));
	CALL(ring_do(&ring, IORING_OP_SEND, fd, "x", 1));
	CALL(ring_do(&ring, IORING_OP_RECV, server, &byte, 1));
	CALL(ring_do(&ring, IORING_OP_CLOSE, fd, NULL, 0));
	CALL(ring_do(&ring, IORING_OP_RECV, server, &byte, 1));
	CALL(ring_do(&ring, IORING_OP_CLOSE, fd, NULL, 0) == -EBADF);
	/* Its number goes to another, which the library sees or does not. */
	for (int i = 0; i < 20; i++) {
		fd = i % 2 ? socket(AF_INET, SOCK_STREAM, 0) : (int)raw_socket();
		MUST(connect(fd, (struct sockaddr *)&address, sizeof(address)));
		int next = ring_do(&ring, IORING_OP_ACCEPT, at, NULL, 0);
		if (ring_do(&ring, IORING_OP_CLOSE, i % 3 ? next : fd, NULL, 0) != 0 ||
		    close(i % 3 ? fd : next) != 0)
			tell("round %d", i);
	}
	CALL(fd);
	time_to_look();
	MUST(ring_do(&ring, IORING_OP_CLOSE, at, NULL, 0));
	fd = (int)raw_socket();
	CALL(fd);
	MUST(close(ring.fd));
}

static const struct cases_case cases[] = {
	CASE(opened_past_libc),  CASE(failed_past_libc), CASE(ended_past_libc),
	CASE(in_turn_past_libc), CASE(through_io_uring),
};

CASES_MAIN(cases)
