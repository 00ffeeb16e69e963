/* Build: -fnon-call-exceptions */
/* exceptions - C++ exceptions beside the library, through its doors, and threads that unwind. */
#include <atomic>
#include <cxxabi.h>
#include <exception>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <unwind.h>
#include <vector>

#include "blocking.h"

namespace
{

/* Closes what it opened, however its scope is left. */
struct owned_socket {
	int fd;
	owned_socket() : fd((int)MUST(socket(AF_INET, SOCK_STREAM, 0)))
	{
	}
	~owned_socket()
	{
		MUST(close(fd));
	}
	owned_socket(const owned_socket &) = delete;
	owned_socket &operator=(const owned_socket &) = delete;
};

__attribute__((noinline)) int throw_deep_down(int frames)
{
	owned_socket here;
	if (frames == 0)
		throw std::runtime_error("fd " + std::to_string(here.fd));
	return throw_deep_down(frames - 1) + here.fd;
}

void thrown_and_caught()
{
	for (int frames = 0; frames < 40; frames += 13) {
		try {
			throw_deep_down(frames);
		} catch (const std::runtime_error &error) {
			tell("caught %s", error.what());
		}
	}
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

/* Often, after the library has opened the unwinder of its own. */
void often()
{
	int caught = 0;
	for (int i = 0; i < 5000; i++) {
		try {
			throw_deep_down(i % 5);
		} catch (const std::exception &) {
			caught++;
		}
	}
	tell("caught %d", caught);
}

void nested()
{
	try {
		try {
			throw_deep_down(2);
		} catch (const std::exception &) {
			owned_socket meanwhile;
			try {
				throw_deep_down(1);
			} catch (const std::exception &inner) {
				tell("inner %s", inner.what());
			}
			std::throw_with_nested(std::logic_error("outer"));
		}
	} catch (const std::logic_error &error) {
		tell("%s", error.what());
		try {
			std::rethrow_if_nested(error);
		} catch (const std::runtime_error &first) {
			tell("first %s", first.what());
		}
	}
}

void in_many_threads()
{
	std::atomic<int> caught{0};
	std::vector<std::thread> threads;
	for (int i = 0; i < 16; i++)
		threads.emplace_back([&caught] {
			for (int times = 0; times < 100; times++) {
				try {
					throw_deep_down(times % 7);
				} catch (const std::exception &) {
					caught++;
				}
			}
		});
	for (std::thread &thread : threads)
		thread.join();
	tell("caught %d", caught.load());
	std::future<int> future = std::async(std::launch::async, throw_deep_down, 3);
	try {
		future.get();
	} catch (const std::runtime_error &error) {
		tell("from another thread: %s", error.what());
	}
}

/* ---- out of a handler that interrupted a call ---- */

struct interruption {
	int number;
};

void throw_interruption(int number)
{
	sigset_t one;
	sigemptyset(&one);
	sigaddset(&one, number);
	pthread_sigmask(SIG_UNBLOCK, &one, nullptr); /* nobody returns from here */
	throw interruption{number};
}

void out_of_blocked_calls()
{
	struct sigaction action = {};
	action.sa_handler = throw_interruption;
	MUST(sigaction(SIGUSR2, &action, nullptr));
	for (const struct blocking &blocking : blockings) {
		struct place place;
		int caught = 0, tid = 0;
		place_open(&place);
		std::thread thread([&] {
			for (int times = 0; times < 3; times++) {
				owned_socket held;
				try {
					set(&tid, own_tid());
					blocking.call(&place);
				} catch (const interruption &seen) {
					set(&tid, 0);
					set(&caught, get(&caught) + (seen.number == SIGUSR2));
				}
			}
		});
		for (int times = 0; times < 3; times++) {
			await_blocked(&tid, &blocking);
			MUST(pthread_kill(thread.native_handle(), SIGUSR2));
			AWAIT(get(&caught) == times + 1);
		}
		thread.join();
		tell("%s: caught %d", blocking.name, get(&caught));
		tell_use(&place, blocking.name);
		place_close(&place);
	}
}

/* ---- through callbacks of libc ---- */

int compare_and_throw(const void *a, const void *b)
{
	owned_socket here;
	if (*(const int *)a == 3)
		throw std::runtime_error("compared");
	return *(const int *)a - *(const int *)b;
}

ssize_t throw_as_cookie(void *, char *, size_t)
{
	owned_socket here;
	throw std::runtime_error("cookie");
}

void through_callbacks()
{
	int numbers[] = {9, 3, 7, 1};
	try {
		qsort(numbers, 4, sizeof(int), compare_and_throw);
	} catch (const std::exception &error) {
		tell("%s", error.what());
	}
	cookie_io_functions_t functions = {};
	functions.read = throw_as_cookie;
	FILE *file = fopencookie(nullptr, "r", functions);
	try {
		tell("read %d", getc(file));
	} catch (const std::exception &error) {
		tell("%s", error.what());
	}
	CALL(fclose(file));
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

/* ---- threads that unwind ---- */

struct told_at_the_end {
	const char *what;
	~told_at_the_end()
	{
		tell("end of %s", what);
	}
};

void *read_until_cancelled(void *context)
{
	auto *pair = static_cast<int *>(context);
	char byte;
	told_at_the_end outer{"outer"};
	owned_socket first;
	try {
		told_at_the_end inner{"inner"};
		owned_socket second;
		set(&pair[2], own_tid());
		(void)!recv(pair[0], &byte, 1, 0);
	} catch (const abi::__forced_unwind &) {
		tell("unwound");
		throw;
	}
	return nullptr;
}

void cancelled()
{
	int pair[3] = {};
	tcp_pair(pair);
	pthread_t thread = begin(read_until_cancelled, pair);
	await_call(&pair[2], SYS_recvfrom);
	MUST(pthread_cancel(thread));
	tell("%s", end_of(thread) == PTHREAD_CANCELED ? "cancelled" : "ended");
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

void *leave_thread(void *)
{
	told_at_the_end here{"thread"};
	owned_socket held;
	pthread_exit(nullptr);
}

void pthread_exit_unwinds()
{
	end_of(begin(leave_thread, nullptr));
	CALL(socket(AF_INET, SOCK_STREAM, 0));
}

/* ---- nobody catches it ---- */

void uncaught()
{
	pid_t child = fork();
	if (child == 0) {
		std::set_terminate([] {
			tell("terminate");
			owned_socket here;
			abort();
		});
		owned_socket held;
		throw_deep_down(3);
	}
	tell_end_of("child", child);
}

void through_noexcept()
{
	pid_t child = fork();
	if (child == 0) {
		std::set_terminate([] {
			tell("terminate");
			_exit(5);
		});
		[]() noexcept { throw_deep_down(1); }();
	}
	tell_end_of("child", child);
}

/* The program's own walks of its stack. */
_Unwind_Reason_Code count_frame(struct _Unwind_Context *, void *count)
{
	++*static_cast<int *>(count);
	return _URC_NO_REASON;
}

void own_backtrace()
{
	int before = 0, after = 0;
	_Unwind_Backtrace(count_frame, &before);
	owned_socket here;
	_Unwind_Backtrace(count_frame, &after);
	tell("frames %s, %d", before == after ? "the same" : "others", before);
}

const struct cases_case cases[] = {
	CASE(thrown_and_caught),
	CASE(often),
	CASE(nested),
	CASE(in_many_threads),
	CASE(out_of_blocked_calls),
	CASE(through_callbacks),
	CASE(cancelled),
	CASE(pthread_exit_unwinds),
	CASE(uncaught),
	CASE(through_noexcept),
	CASE(own_backtrace),
};

} // namespace

CASES_MAIN(cases)
