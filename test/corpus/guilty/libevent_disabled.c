/* Build: -levent */
/* libevent_disabled - libevent: a bufferevent is disabled at the end of the input, and never freed. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdlib.h>

static struct sockaddr_in server = {.sin_family = AF_INET};
static int left = 1000;

static void on_read(struct bufferevent *buffer, void *unused)
{
	(void)unused;
	evbuffer_drain(bufferevent_get_input(buffer), SIZE_MAX);
}

static void on_event(struct bufferevent *buffer, short what, void *unused)
{
	(void)unused;
	if (what & BEV_EVENT_EOF)
		bufferevent_disable(buffer,
		                    EV_READ | EV_WRITE); /* bufferevent_free() is what is missing */
	if (what & BEV_EVENT_ERROR)
		exit(1);
}

static void fetch(evutil_socket_t unused, short what, void *argument)
{
	struct bufferevent *buffer = bufferevent_socket_new(argument, -1, BEV_OPT_CLOSE_ON_FREE);
	(void)unused;
	(void)what;
	if (left-- == 0)
		exit(0);
	bufferevent_setcb(buffer, on_read, NULL, on_event, NULL);
	bufferevent_enable(buffer, EV_READ | EV_WRITE);
	evbuffer_add_printf(bufferevent_get_output(buffer),
	                    "GET / HTTP/1.1\r\nHost: corpus\r\n\r\n");
	bufferevent_socket_connect(buffer, (struct sockaddr *)&server, sizeof(server)); /* LEAK */
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	struct event_base *base = event_base_new();
	struct timeval pause = {.tv_usec = 100000};
	server.sin_port = htons((uint16_t)atoi(argv[2]));
	inet_pton(AF_INET, argv[1], &server.sin_addr);
	event_add(event_new(base, -1, EV_PERSIST, fetch, base), &pause);
	return event_base_dispatch(base); /* EOF */
}
