/* loops PORT: one connection by libuv, from its timer's callback, and one by libevent, from its timer's callback. */
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static struct sockaddr_in at;

static void on_connected(uv_connect_t *request, int status)
{
	if (status != 0)
		exit(1);
	uv_stop(request->handle->loop);
}

static void on_uv_timer(uv_timer_t *timer)
{
	static uv_tcp_t tcp;
	static uv_connect_t request;
	uv_tcp_init(timer->loop, &tcp);
	uv_tcp_connect(&request, &tcp, (struct sockaddr *)&at, on_connected); // BLAME on_uv_timer
}

static void on_event(struct bufferevent *connection, short what, void *base)
{
	(void)connection;
	if (!(what & BEV_EVENT_CONNECTED))
		exit(1);
	event_base_loopbreak(base);
}

static void on_event_timer(evutil_socket_t fd, short what, void *base)
{
	struct bufferevent *connection = bufferevent_socket_new(base, -1, 0);
	struct sockaddr *to = (struct sockaddr *)&at;
	(void)fd;
	(void)what;
	bufferevent_setcb(connection, NULL, NULL, on_event, base);
	bufferevent_socket_connect(connection, to, sizeof(at)); // BLAME on_event_timer
}

int main(int argc, char **argv)
{
	static uv_timer_t timer;
	struct event_base *base = event_base_new();
	struct timeval now = {0};
	if (argc != 2)
		return 2;
	at.sin_family = AF_INET;
	at.sin_port = htons((unsigned short)atoi(argv[1]));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	uv_timer_init(uv_default_loop(), &timer);
	uv_timer_start(&timer, on_uv_timer, 0, 0);
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	event_base_once(base, -1, EV_TIMEOUT, on_event_timer, base, &now);
	event_base_dispatch(base);
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		continue;
	return 0;
}
