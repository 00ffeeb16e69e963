#include "outs.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sys.h"

static ssize_t out_writev(int fd, const void *bytes, size_t n)
{
	struct iovec part = {(void *)bytes, n};
	return writev(fd, &part, 1);
}

static ssize_t out_send(int fd, const void *bytes, size_t n)
{
	return send(fd, bytes, n, 0);
}

static ssize_t out___send(int fd, const void *bytes, size_t n)
{
	return __send(fd, bytes, n, 0);
}

static ssize_t out_sendto(int fd, const void *bytes, size_t n)
{
	return sendto(fd, bytes, n, 0, NULL, 0);
}

static ssize_t out_sendmsg(int fd, const void *bytes, size_t n)
{
	struct iovec part = {(void *)bytes, n};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	return sendmsg(fd, &message, 0);
}

static ssize_t out_sendmmsg(int fd, const void *bytes, size_t n)
{
	struct iovec part = {(void *)bytes, n};
	struct mmsghdr messages = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
	int sent = sendmmsg(fd, &messages, 1, 0);
	return sent < 1 ? sent : (ssize_t)messages.msg_len;
}

static ssize_t send_file(bool is_64, int fd, const void *bytes, size_t n)
{
	int file = (int)SL_SYS2(SYS_memfd_create, "bytes", 0);
	off_t offset = 1;
	off64_t offset64 = 1;
	assert_int_equal(sl_sys_write(file, " ", 1), 1);
	assert_int_equal(sl_sys_write(file, bytes, n), (long)n);
	ssize_t sent = is_64 ? sendfile64(fd, file, &offset64, n) : sendfile(fd, file, &offset, n);
	assert_int_equal((is_64 ? offset64 : offset) - 1, sent < 0 ? 0 : sent);
	(void)sl_sys_close(file);
	return sent;
}

static ssize_t out_sendfile(int fd, const void *bytes, size_t n)
{
	return send_file(false, fd, bytes, n);
}

static ssize_t out_sendfile64(int fd, const void *bytes, size_t n)
{
	return send_file(true, fd, bytes, n);
}

static ssize_t out_splice(int fd, const void *bytes, size_t n)
{
	int pipes[2];
	assert_int_equal(SL_SYS2(SYS_pipe2, pipes, 0), 0);
	assert_int_equal(sl_sys_write(pipes[1], bytes, n), (long)n);
	ssize_t sent = splice(pipes[0], NULL, fd, NULL, n, 0);
	(void)sl_sys_close(pipes[0]);
	(void)sl_sys_close(pipes[1]);
	return sent;
}

static ssize_t out_dprintf(int fd, const void *bytes, size_t n)
{
	return dprintf(fd, "%.*s", (int)n, (const char *)bytes);
}

static ssize_t out___dprintf_chk(int fd, const void *bytes, size_t n)
{
	return __dprintf_chk(fd, 1, "%.*s", (int)n, (const char *)bytes);
}

typedef int list_fn(int fd, const char *format, va_list list);

static int print_list(list_fn *print, int fd, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	int result = print(fd, format, list);
	va_end(list);
	return result;
}

static int checked_vdprintf(int fd, const char *format, va_list list)
{
	return __vdprintf_chk(fd, 1, format, list);
}

static ssize_t out_vdprintf(int fd, const void *bytes, size_t n)
{
	return print_list(vdprintf, fd, "%.*s", (int)n, (const char *)bytes);
}

static ssize_t out___vdprintf_chk(int fd, const void *bytes, size_t n)
{
	return print_list(checked_vdprintf, fd, "%.*s", (int)n, (const char *)bytes);
}

const struct out outs[] = {
	{"write", write, .has_no_nosignal = true, .is_cancellable = true},
	{"__write", __write, .has_no_nosignal = true, .is_cancellable = true},
	{"writev", out_writev, .has_no_nosignal = true, .is_cancellable = true},
	{"send", out_send, .is_cancellable = true},
	{"__send", out___send, .is_cancellable = true},
	{"sendto", out_sendto, .is_cancellable = true},
	{"sendmsg", out_sendmsg, .is_cancellable = true},
	{"sendmmsg", out_sendmmsg, .is_cancellable = true},
	{"sendfile", out_sendfile, .has_no_nosignal = true},
	{"sendfile64", out_sendfile64, .has_no_nosignal = true},
	{"splice", out_splice, .has_no_nosignal = true},
	{"dprintf", out_dprintf, .is_printing = true, .has_no_nosignal = true},
	{"__dprintf_chk", out___dprintf_chk, .is_printing = true, .has_no_nosignal = true},
	{"vdprintf", out_vdprintf, .is_printing = true, .has_no_nosignal = true},
	{"__vdprintf_chk", out___vdprintf_chk, .is_printing = true, .has_no_nosignal = true},
};
const size_t out_count = sizeof(outs) / sizeof(outs[0]);

out_fn *out_by(const char *name)
{
	for (size_t i = 0; i < out_count; i++)
		if (strcmp(outs[i].name, name) == 0)
			return outs[i].call;
	fail_msg("no function %s", name);
	return NULL;
}
