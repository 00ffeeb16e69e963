/* test_blame.c - whose code a frame is, and which frame is guilty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stack/blame.h"

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

static void roles_of_classes(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum sl_role role;
	} rows[] = {
		{"java.net.Socket", SL_ROLE_RUNTIME},
		{"javax.net.ssl.SSLSocketFactory", SL_ROLE_RUNTIME},
		{"jdk.internal.net.http.Http1Exchange", SL_ROLE_RUNTIME},
		{"sun.nio.ch.Net", SL_ROLE_RUNTIME},
		{"com.sun.jndi.ldap.Connection", SL_ROLE_RUNTIME},
		{"org.apache.http.impl.client.CloseableHttpClient", SL_ROLE_LIBRARY},
		{"org.apache.hc.client5.http.impl.classic.CloseableHttpClient", SL_ROLE_LIBRARY},
		{"okhttp3.OkHttpClient", SL_ROLE_LIBRARY},
		{"io.netty.channel.nio.NioEventLoop", SL_ROLE_LIBRARY},
		{"org.springframework.web.client.RestTemplate", SL_ROLE_LIBRARY},
		{"software.amazon.awssdk.http.apache.ApacheHttpClient", SL_ROLE_LIBRARY},
		{"com.zaxxer.hikari.pool.HikariPool", SL_ROLE_LIBRARY},
		{"LeakyClient", SL_ROLE_APPLICATION},
		{"com.acme.Transcriber", SL_ROLE_APPLICATION},
		{"com.acme.java.net.Socket", SL_ROLE_APPLICATION},
		{"javaland.Main", SL_ROLE_APPLICATION},
		{"com.sunset.Main", SL_ROLE_APPLICATION},
		{"org.apache.myhttp.Main", SL_ROLE_APPLICATION},
		{"java", SL_ROLE_APPLICATION},
		{"", SL_ROLE_APPLICATION},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (sl_role_of_class(rows[i].name, "") != rows[i].role)
			fail_msg("%s: role %d", rows[i].name, sl_role_of_class(rows[i].name, ""));
		assert_int_equal(sl_role_of_class(rows[i].name, NULL), rows[i].role);
	}
}

static void roles_of_modules(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		enum sl_role role;
	} rows[] = {
		{"/lib/x86_64-linux-gnu/libc.so.6", SL_ROLE_RUNTIME},
		{"/lib64/libc-2.28.so", SL_ROLE_RUNTIME},
		{"/lib/ld-musl-x86_64.so.1", SL_ROLE_RUNTIME},
		{"/lib64/ld-linux-x86-64.so.2", SL_ROLE_RUNTIME},
		{"/usr/lib/sockleak/libsockleak.so", SL_ROLE_RUNTIME},
		{"/usr/lib/jvm/java-17/lib/server/libjvm.so", SL_ROLE_RUNTIME},
		{"/usr/lib/jvm/java-17/lib/libnet.so", SL_ROLE_RUNTIME},
		{"/usr/lib/libcurl.so.4", SL_ROLE_LIBRARY},
		{"libcurl-gnutls.so.4", SL_ROLE_LIBRARY},
		{"/usr/lib/libssl.so.3", SL_ROLE_LIBRARY},
		{"/usr/lib/libhiredis.so.0.14", SL_ROLE_LIBRARY},
		{"/opt/libcurl/bin/worker", SL_ROLE_APPLICATION},
		{"/opt/acme/libacme.so", SL_ROLE_APPLICATION},
		{"/usr/lib/libcjson.so.1", SL_ROLE_APPLICATION},
		{"/usr/sbin/nginx", SL_ROLE_APPLICATION},
		{"", SL_ROLE_APPLICATION},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (sl_role_of_module(rows[i].path, "") != rows[i].role)
			fail_msg("%s: role %d", rows[i].path, sl_role_of_module(rows[i].path, ""));
}

/* app= makes the application's own what the table calls a library's. */
static void app_decides_first(void **state)
{
	(void)state;
	assert_int_equal(sl_role_of_class("io.netty.Acme", "io.netty."), SL_ROLE_APPLICATION);
	assert_int_equal(sl_role_of_class("io.netty.Acme", "org.acme,io.netty.A"),
	                 SL_ROLE_APPLICATION);
	assert_int_equal(sl_role_of_class("io.netty.Acme", "org.acme,,io.netty.B,"),
	                 SL_ROLE_LIBRARY);
	assert_int_equal(sl_role_of_class("io.netty.Acme", ","), SL_ROLE_LIBRARY);
	/* A prefix longer than the name is none. */
	assert_int_equal(sl_role_of_class("io.netty", "io.netty.channel"), SL_ROLE_APPLICATION);
	assert_int_equal(sl_role_of_class("java.A", "java.AB"), SL_ROLE_RUNTIME);
	assert_int_equal(sl_role_of_function("/opt/front.so", "socket", ""), SL_ROLE_RUNTIME);
	assert_int_equal(sl_role_of_function("/opt/front.so", "socket", "front"),
	                 SL_ROLE_APPLICATION);
	assert_int_equal(sl_role_of_function("/opt/front.so", "sockets", ""), SL_ROLE_APPLICATION);
	assert_int_equal(sl_role_of_function("/usr/lib/libcurl.so.4", "accept", ""),
	                 SL_ROLE_LIBRARY);
	assert_int_equal(sl_role_of_module("/usr/lib/libcurl.so.4", "libcurl"),
	                 SL_ROLE_APPLICATION);
	/* The file's name, not the path. */
	assert_int_equal(sl_role_of_module("/usr/lib/libcurl.so.4", "/usr"), SL_ROLE_LIBRARY);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_names),
		cmocka_unit_test(roles_of_classes),
		cmocka_unit_test(roles_of_modules),
		cmocka_unit_test(app_decides_first),
		cmocka_unit_test(the_first_of_the_application),
		cmocka_unit_test(pins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
