/* test_blame.c - whose code a frame is, and which frame is guilty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stack/blame.h"
#include "stack/owner.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void file_names(void **state)
{
	(void)state;
	assert_string_equal(sl_file_name_of("/usr/lib/libc.so.6"), "libc.so.6");
	assert_string_equal(sl_file_name_of("libc.so.6"), "libc.so.6");
	assert_string_equal(sl_file_name_of("/"), "");
	assert_string_equal(sl_file_name_of("a/b/"), "");
	assert_string_equal(sl_file_name_of(""), "");
}

/* app= makes the application's own what the table calls a library's. */
static void app_decides_first(void **state)
{
	(void)state;
	static const struct {
		const char *class_name, *app;
		enum sl_role role;
	} classes[] = {
		{"com.acme.Main", "", SL_ROLE_APPLICATION},
		{"com.acme.Main", NULL, SL_ROLE_APPLICATION},
		{"io.netty.Acme", "io.netty.", SL_ROLE_APPLICATION},
		{"io.netty.Acme", "org.acme,io.netty.A", SL_ROLE_APPLICATION},
		{"io.netty.Acme", "org.acme,,io.netty.B,", SL_ROLE_LIBRARY},
		{"io.netty.Acme", ",", SL_ROLE_LIBRARY},
		/* A prefix longer than the name is none. */
		{"io.netty", "io.netty.channel", SL_ROLE_APPLICATION},
		{"java.A", "java.AB", SL_ROLE_RUNTIME},
		/* Nobody has written it, whoever owns the package. */
		{"com.acme.Foo$$Lambda$14.0x8", "com.acme.", SL_ROLE_RUNTIME},
		{"com.acme.$Proxy7", "com.acme.", SL_ROLE_RUNTIME},
	};
	for (size_t i = 0; i < COUNT_OF(classes); i++) {
		const struct sl_frame frame = {.class_name = classes[i].class_name};
		if (sl_role_of_java(&frame, classes[i].app) != classes[i].role)
			fail_msg("%s with app=%s", classes[i].class_name, classes[i].app);
	}
	static const struct {
		const char *module, *function, *app;
		enum sl_role role;
	} natives[] = {
		{"/opt/front.so", "socket", "", SL_ROLE_RUNTIME},
		{"/opt/front.so", "socket", "front", SL_ROLE_APPLICATION},
		{"/opt/front.so", "sockets", "", SL_ROLE_APPLICATION},
		{"/opt/front.so", NULL, "", SL_ROLE_APPLICATION},
		{"/opt/front.so", "boost::asio::connect", "", SL_ROLE_LIBRARY},
		{"/opt/front.so", "boost::asio::connect", "front", SL_ROLE_APPLICATION},
		{"/usr/lib/libcurl.so.4", "accept", "", SL_ROLE_LIBRARY},
		{"/usr/lib/libcurl.so.4", NULL, "libcurl", SL_ROLE_APPLICATION},
		/* The file's name, not the path. */
		{"/usr/lib/libcurl.so.4", NULL, "/usr", SL_ROLE_LIBRARY},
	};
	for (size_t i = 0; i < COUNT_OF(natives); i++)
		if (sl_role_of_native(natives[i].module, natives[i].function, natives[i].app) !=
		    natives[i].role)
			fail_msg("%s %s with app=%s", natives[i].module, natives[i].function,
			         natives[i].app);
	const struct sl_frame no_class = {0};
	assert_int_equal(sl_role_of_java(&no_class, ""), SL_ROLE_RUNTIME);
}

#define JAVA(role_, name)                             \
	(const struct sl_frame)                       \
	{                                             \
		.role = (role_), .class_name = (name) \
	}
#define NATIVE(role_, path)                       \
	(const struct sl_frame)                   \
	{                                         \
		.role = (role_), .module = (path) \
	}

static void the_first_of_the_application(void **state)
{
	(void)state;
	const struct sl_frame stack[] = {
		JAVA(SL_ROLE_RUNTIME, "java.net.Socket"),
		JAVA(SL_ROLE_LIBRARY, "org.apache.http.impl.A"),
		JAVA(SL_ROLE_APPLICATION, "com.acme.Helper"),
		JAVA(SL_ROLE_RUNTIME, "java.lang.Thread"),
		JAVA(SL_ROLE_APPLICATION, "com.acme.Main"),
	};
	const struct sl_frame *frames[] = {&stack[0], &stack[1], &stack[2], &stack[3], &stack[4]};
	assert_int_equal(sl_blame(frames, 5, ""), 2);
	assert_int_equal(sl_blame(frames, 5, NULL), 2);
	assert_int_equal(sl_blame(frames, 2, ""), SL_BLAME_NONE);
	assert_int_equal(sl_blame(frames, 0, "com"), SL_BLAME_NONE);
	/* Pinned: further out than others of the application's, or in what is the runtime's. */
	assert_int_equal(sl_blame(frames, 5, "com.acme.Main"), 4);
	assert_int_equal(sl_blame(frames, 5, "nobody,java.lang"), 3);
	assert_int_equal(sl_blame(frames, 5, "com.acme"), 2);
	/* A pin that fits nothing does not hide the rest. */
	assert_int_equal(sl_blame(frames, 5, "org.nobody"), 2);
}

static void pins(void **state)
{
	(void)state;
	const struct sl_frame class = JAVA(SL_ROLE_LIBRARY, "org.acme.A");
	const struct sl_frame module = NATIVE(SL_ROLE_LIBRARY, "/opt/org.acme/libx.so");
	const struct sl_frame nothing = {.role = SL_ROLE_RUNTIME};
	assert_true(sl_blame_is_pinned(&class, "org.acme"));
	assert_false(sl_blame_is_pinned(&class, "acme"));
	assert_false(sl_blame_is_pinned(&class, ""));
	assert_false(sl_blame_is_pinned(&class, NULL));
	assert_true(sl_blame_is_pinned(&module, "libx"));
	assert_false(sl_blame_is_pinned(&module, "org.acme"));
	assert_false(sl_blame_is_pinned(&nothing, "a"));
}

/* Whole stacks, innermost first, as "class.method@line" or as "module!function"; which frame is guilty, and else whose
 * the stack is. */
static const struct stack {
	const char *frames[12];
	const char *app;
	int blame; /* -1: none */
	const char *owner, *interpreter;
} stacks[] = {
	/* An executor runs a lambda. */
	{{"sun.nio.ch.Net.connect0@0", "java.net.Socket.connect@633",
          "org.apache.http.impl.client.CloseableHttpClient.execute@108",
          "com.acme.Foo.lambda$fetch$0@12", "com.acme.Foo$$Lambda$14.0x8.run@0",
          "java.util.concurrent.ThreadPoolExecutor.runWorker@1136", "java.lang.Thread.run@840"},
         NULL,
         3,
         NULL,
         NULL},
	/* A method reference: its object is looked through, and the caller is to blame. */
	{{"java.net.Socket.connect@633", "com.acme.Foo$$Lambda$14.0x8.get@0",
          "java.util.Optional.orElseGet@364", "com.acme.Foo.fetch@20"},
         NULL,
         3,
         NULL,
         NULL},
	{{"java.net.Socket.connect@633", "com.acme.Foo$$Lambda$14.0x8.get@0",
          "java.util.Optional.orElseGet@364", "com.acme.Foo.fetch@20"},
         "com.acme.",
         3,
         NULL,
         NULL},
	/* A bean behind a proxy, called by reflection. */
	{{"java.net.Socket.connect@633", "com.acme.Repo.load@9",
          "com.acme.Repo$$FastClassBySpringCGLIB$$1.invoke@0",
          "org.springframework.aop.framework.CglibAopProxy.intercept@693",
          "com.acme.Repo$$EnhancerBySpringCGLIB$$2.load@0", "com.acme.Service.run@4"},
         NULL,
         1,
         NULL,
         NULL},
	{{"java.net.Socket.connect@633", "feign.Client$Default.execute@90",
          "jdk.proxy2.$Proxy12.get@0", "jdk.internal.reflect.GeneratedMethodAccessor1.invoke@0",
          "com.acme.Service.run@4"},
         NULL,
         4,
         NULL,
         NULL},
	/* A coroutine. */
	{{"java.net.Socket.connect@633", "okhttp3.internal.connection.RealConnection.connect@1",
          "com.acme.Foo$fetch$1.invokeSuspend@7",
          "kotlin.coroutines.jvm.internal.BaseContinuationImpl.resumeWith@33",
          "kotlinx.coroutines.scheduling.CoroutineScheduler.runSafely@571"},
         NULL,
         2,
         NULL,
         NULL},
	/* An application below org.apache. */
	{{"java.net.Socket.connect@633", "org.apache.http.impl.A.b@1",
          "org.apache.httpd2.myapp.Main.run@3"},
         NULL,
         2,
         NULL,
         NULL},
	/* An async client's own thread. */
	{{"sun.nio.ch.SocketChannelImpl.connect@1",
          "org.apache.http.impl.nio.reactor.DefaultConnectingIOReactor.processSessionRequests@1",
          "org.apache.http.impl.nio.conn.PoolingNHttpClientConnectionManager.execute@1",
          "org.apache.http.impl.nio.client.CloseableHttpAsyncClientBase$1.run@1",
          "java.lang.Thread.run@840"},
         NULL,
         -1,
         "httpasyncclient",
         NULL},
	{{"sun.nio.ch.SocketChannelImpl.connect@1",
          "io.netty.channel.socket.nio.NioSocketChannel.doConnect@1",
          "reactor.netty.transport.TransportConnector.connect@1",
          "io.netty.channel.nio.NioEventLoop.run@1", "java.lang.Thread.run@840"},
         NULL,
         -1,
         "Reactor Netty",
         NULL},
	{{"sun.nio.ch.SocketChannelImpl.connect@1", "io.netty.channel.nio.NioEventLoop.run@1",
          "java.lang.Thread.run@840"},
         NULL,
         -1,
         "Netty",
         NULL},
	{{"sun.nio.ch.SocketChannelImpl.connect@1",
          "jdk.internal.net.http.PlainHttpConnection.connectAsync@1", "java.lang.Thread.run@840"},
         NULL,
         -1,
         "java.net.http",
         NULL},
	{{"sun.nio.ch.SocketChannelImpl.connect@1", "java.lang.Thread.run@840"},
         NULL,
         -1,
         NULL,
         NULL},
	{{"sun.nio.ch.SocketChannelImpl.connect@1", "io.netty.channel.nio.NioEventLoop.run@1",
          "java.lang.Thread.run@840"},
         "io.netty.",
         1,
         NULL,
         NULL},
	/* Native. */
	{{"/lib/libc.so.6!socket", "/usr/lib/libcurl.so.4!", "/opt/acme/app!fetch",
          "/opt/acme/app!main"},
         NULL,
         2,
         NULL,
         NULL},
	{{"/opt/acme/app!boost::asio::detail::socket_ops::socket",
          "/opt/acme/app!std::function<void ()>::operator()", "/opt/acme/app!acme::fetch",
          "/opt/acme/app!main"},
         NULL,
         2,
         NULL,
         NULL},
	{{"/usr/lib/libuv.so.1!uv__socket", "/usr/lib/libuv.so.1!uv_tcp_connect",
          "/opt/acme/app!on_timer", "/usr/lib/libuv.so.1!uv_run", "/opt/acme/app!main"},
         NULL,
         2,
         NULL,
         NULL},
	/* A static libcurl, whose inner functions have names of any kind. */
	{{"/opt/acme/app!socket_open", "/opt/acme/app!Curl_conn_connect",
          "/opt/acme/app!multi_runsingle", "/opt/acme/app!curl_easy_perform", "/opt/acme/app!fetch",
          "/opt/acme/app!main"},
         NULL,
         4,
         NULL,
         NULL},
	/* But a plugin that it calls is somebody else's, and app= decides first. */
	{{"/opt/acme/plugin.so!on_data", "/opt/acme/app!curl_easy_perform", "/opt/acme/app!fetch"},
         NULL,
         0,
         NULL,
         NULL},
	{{"/opt/acme/app!socket_open", "/opt/acme/app!curl_easy_perform", "/opt/acme/app!fetch"},
         "app",
         0,
         NULL,
         NULL},
	{{"/opt/acme/app!socket_open", "/opt/acme/app!curl_easy_perform", "/lib/libc.so.6!start"},
         NULL,
         -1,
         "libcurl",
         NULL},
	/* A loop runs the application's own. */
	{{"/opt/acme/app!connected", "/opt/acme/app!uv_run", "/opt/acme/app!main"},
         NULL,
         0,
         NULL,
         NULL},
	{{"/usr/lib/libcurl.so.4!", "/lib/libc.so.6!"}, NULL, -1, "libcurl", NULL},
	{{"/usr/lib/libc.so.6!", "/usr/bin/python3.11!", "/usr/bin/python3.11!Py_BytesMain"},
         NULL,
         -1,
         "Python",
         "Python"},
	{{"/usr/lib/libpq.so.5!PQconnectPoll",
          "/usr/lib/python3/dist-packages/psycopg2/_psycopg.so!", "/usr/bin/python3.11!"},
         NULL,
         -1,
         "_psycopg.so",
         "Python"},
	{{"/usr/lib/libuv.so.1!uv_tcp_connect", "/usr/lib/libnode.so.108!", "!(no module)",
          "/usr/bin/node!main"},
         NULL,
         -1,
         "Node.js",
         "Node.js"},
};

/* "class.method@line" or "module!function". */
static void read_frame(const char *text, const char *app, char *names, struct sl_frame *frame)
{
	strcpy(names, text);
	char *bang = strchr(names, '!'), *at = strrchr(names, '@');
	*frame = (struct sl_frame){.text = text, .role = SL_ROLE_RUNTIME};
	if (bang) {
		*bang = 0;
		frame->module = *names ? names : NULL;
		frame->function = bang[1] ? bang + 1 : NULL;
		if (frame->module)
			frame->role = sl_role_of_native(names, frame->function, app);
		return;
	}
	frame->line = atoi(at + 1);
	*at = 0;
	frame->method = strrchr(names, '.') + 1;
	*strrchr(names, '.') = 0;
	frame->class_name = names;
	frame->role = sl_role_of_java(frame, app);
}

static void stacks_are_blamed(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(stacks); i++) {
		char names[12][256];
		struct sl_frame frames[12];
		const struct sl_frame *list[12];
		uint32_t n = 0;
		for (; n < 12 && stacks[i].frames[n]; n++) {
			read_frame(stacks[i].frames[n], stacks[i].app, names[n], &frames[n]);
			list[n] = &frames[n];
		}
		const uint32_t blame = sl_blame(list, n, stacks[i].app);
		if ((int)blame != stacks[i].blame)
			fail_msg("stack %zu: blame %d", i, (int)blame);
		if (stacks[i].blame >= 0)
			continue;
		const struct sl_owner owner = sl_owner_of(list, n);
		if (!owner.name || !stacks[i].owner)
			assert_ptr_equal(owner.name, stacks[i].owner);
		else
			assert_string_equal(owner.name, stacks[i].owner);
		if (!owner.interpreter || !stacks[i].interpreter)
			assert_ptr_equal(owner.interpreter, stacks[i].interpreter);
		else
			assert_string_equal(owner.interpreter, stacks[i].interpreter);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_names),
		cmocka_unit_test(app_decides_first),
		cmocka_unit_test(the_first_of_the_application),
		cmocka_unit_test(pins),
		cmocka_unit_test(stacks_are_blamed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
