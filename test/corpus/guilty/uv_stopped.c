/* Build: -luv */
/* uv_stopped - libuv: at the end of the input the reading is stopped, and the handle not closed. */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static struct sockaddr_in server;
static int left = 1000;

static void give(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
	static char data[65536];
	(void)handle;
	(void)size;
	*buffer = uv_buf_init(data, sizeof(data));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	(void)buffer;
	if (n < 0)
		uv_read_stop(stream); /* uv_close() is what is missing */
}

static void on_connect(uv_connect_t *connecting, int status)
{
	static char request[] = "GET / HTTP/1.1\r\nHost: corpus\r\n\r\n";
	uv_buf_t buffer = uv_buf_init(request, strlen(request));
	if (status < 0 || uv_try_write(connecting->handle, &buffer, 1) < 0)
		exit(1);
	uv_read_start(connecting->handle, give, on_read);
	free(connecting);
}

static void fetch(uv_timer_t *timer)
{
	uv_tcp_t *tcp = malloc(sizeof(*tcp));
	uv_connect_t *connecting = malloc(sizeof(*connecting));
	if (left-- == 0)
		exit(0);
	uv_tcp_init(timer->loop, tcp);
	if (uv_tcp_connect(connecting, tcp, (struct sockaddr *)&server, on_connect) < 0) /* LEAK */
		exit(1);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	uv_timer_t timer;
	uv_ip4_addr(argv[1], atoi(argv[2]), &server);
	uv_timer_init(uv_default_loop(), &timer);
	uv_timer_start(&timer, fetch, 0, 100);
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT); /* EOF */
}
