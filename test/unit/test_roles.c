/* test_roles.c - whose code a name is: packages at their boundaries, objects, functions, mangled names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stack/mangled.h"
#include "stack/roles.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum {
	A = SL_CODE_APPLICATION,
	R = SL_CODE_RUNTIME,
	L = SL_CODE_LIBRARY,
	C = SL_CODE_CARRIER,
	I = SL_CODE_INTERPRETER,
	K = SL_CODE_CLIENT
};

struct row {
	const char *name;
	int kind;
	const char *owner;
};

typedef struct sl_code look_up_fn(const char *name);

static void check(look_up_fn *look_up, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct sl_code code = look_up(rows[i].name);
		const char *owner = code.owner ? code.owner : "(none)";
		if (code.kind != (enum sl_code_kind)rows[i].kind ||
		    (rows[i].owner && strcmp(owner, rows[i].owner) != 0))
			fail_msg("%s: kind %d of %s", rows[i].name, code.kind, owner);
	}
}

/* They are searched by halves. */
static void packages_are_in_order(void **state)
{
	(void)state;
#define SL_JAVA(kind, name, owner) name,
	static const char *const names[] = {
#include "stack/roles_java.def"
	};
	assert_true(COUNT_OF(names) > 250);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		char class[256] = "";
		if (i > 0 && strcmp(names[i - 1], names[i]) >= 0)
			fail_msg("%s comes before %s", names[i], names[i - 1]);
		assert_int_not_equal(names[i][strlen(names[i]) - 1], '.');
		strcat(strcat(class, names[i]), ".Foo");
		const struct sl_code found = sl_roles_class(class);
		strcpy(class + strlen(names[i]), "0.Foo");
		/* Each is found, and none beside it by its letters alone. */
		if (found.kind == SL_CODE_APPLICATION && !strstr(names[i], "example") &&
		    !strstr(names[i], "demo") && !strstr(names[i], "sample") &&
		    strcmp(names[i], "com.amazonaws.lambda") != 0)
			fail_msg("%s is not found", names[i]);
		if (strchr(names[i], '.') == NULL)
			assert_int_equal(sl_roles_class(class).kind, SL_CODE_APPLICATION);
	}
}

static void classes(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"java.net.Socket", R, "(none)"},
		{"javax.net.ssl.SSLSocketFactory", R, NULL},
		{"jdk.internal.net.http.Http1Exchange", R, "java.net.http"},
		{"jdk.internal.reflect.GeneratedMethodAccessor12", R, NULL},
		{"jdk.proxy2.$Proxy12", R, NULL},
		{"sun.nio.ch.Net", R, NULL},
		{"sun.net.www.protocol.http.HttpURLConnection", R, "HttpURLConnection"},
		{"com.sun.proxy.$Proxy12", R, NULL},
		{"com.sun.jndi.ldap.Connection", R, "JNDI"},
		{"com.sun.mail.smtp.SMTPTransport", L, "JavaMail"},
		{"org.apache.commons.httpclient.HttpClient", L, "Apache HttpClient 3"},
		{"org.apache.http.impl.client.CloseableHttpClient", L, "Apache HttpClient"},
		{"org.apache.http.impl.nio.client.InternalHttpAsyncClient", L, "httpasyncclient"},
		{"org.apache.http.impl.nio.reactor.DefaultConnectingIOReactor", L, "httpcore-nio"},
		{"org.apache.hc.client5.http.impl.classic.CloseableHttpClient", L,
	         "Apache HttpClient"},
		{"okhttp3.OkHttpClient", L, "OkHttp"},
		{"okio.Okio", L, "Okio"},
		{"com.squareup.okhttp.OkHttpClient", L, "OkHttp"},
		{"io.netty.channel.nio.NioEventLoop", C, "Netty"},
		{"org.eclipse.jetty.util.thread.QueuedThreadPool", C, "Jetty"},
		{"org.eclipse.jetty.client.HttpClient", L, "Jetty client"},
		{"reactor.core.publisher.Mono", C, "Reactor"},
		{"reactor.netty.http.client.HttpClientConnect", L, "Reactor Netty"},
		{"org.postgresql.core.v3.ConnectionFactoryImpl", L, "PostgreSQL JDBC"},
		{"org.mariadb.jdbc.Driver", L, NULL},
		{"com.mysql.cj.jdbc.ConnectionImpl", L, NULL},
		{"oracle.net.nt.TcpNTAdapter", L, NULL},
		{"com.microsoft.sqlserver.jdbc.SocketFinder", L, NULL},
		{"org.h2.Driver", L, NULL},
		{"com.zaxxer.hikari.pool.HikariPool", L, "HikariCP"},
		{"com.mchange.v2.c3p0.ComboPooledDataSource", L, "c3p0"},
		{"org.apache.commons.dbcp2.BasicDataSource", L, NULL},
		{"org.apache.tomcat.jdbc.pool.ConnectionPool", L, "Tomcat JDBC pool"},
		{"com.fasterxml.jackson.databind.ObjectMapper", L, NULL},
		{"org.springframework.web.client.RestTemplate", L, "RestTemplate"},
		{"org.springframework.aop.framework.CglibAopProxy", C, "Spring"},
		{"io.quarkus.runtime.Quarkus", C, NULL},
		{"io.vertx.core.impl.VertxImpl", C, NULL},
		{"io.grpc.internal.ManagedChannelImpl", L, "gRPC"},
		{"com.amazonaws.http.AmazonHttpClient", L, NULL},
		{"software.amazon.awssdk.http.apache.ApacheHttpClient", L, NULL},
		{"redis.clients.jedis.Jedis", L, "Jedis"},
		{"io.lettuce.core.RedisClient", L, "Lettuce"},
		{"org.apache.kafka.clients.producer.KafkaProducer", L, "Kafka"},
		{"org.elasticsearch.client.RestClient", L, NULL},
		{"com.mongodb.client.MongoClients", L, NULL},
		{"com.rabbitmq.client.ConnectionFactory", L, NULL},
		{"feign.Client", L, "Feign"},
		{"retrofit2.Retrofit", L, NULL},
		{"org.glassfish.jersey.client.JerseyClient", L, "Jersey"},
		{"org.jboss.resteasy.client.jaxrs.ResteasyClient", L, "RESTEasy"},
		{"kotlin.coroutines.jvm.internal.BaseContinuationImpl", R, NULL},
		{"kotlinx.coroutines.scheduling.CoroutineScheduler$Worker", C, NULL},
		{"scala.concurrent.impl.Promise", R, NULL},
		/* Copies that a build has moved. */
		{"com.acme.shaded.okhttp3.internal.connection.RealConnection", L, "OkHttp"},
		{"com.acme.repackaged.org.apache.http.impl.client.A", L, "Apache HttpClient"},
		{"com.acme.shaded.com.acme.Client", A, NULL},
		{"com.acme.shaded", A, NULL},
		{"com.acme.shaded.", A, NULL},
		{"com.acme.shaded.okhttp3", A, NULL},
		{"com.amazonaws.thirdparty.apache.http.A", L, "AWS SDK"},
		/* The application's own, however they look. */
		{"LeakyClient", A, NULL},
		{"com.acme.Transcriber", A, NULL},
		{"com.acme.java.net.Socket", A, NULL},
		{"com.acme.okhttp3.Client", A, NULL},
		{"javaland.Main", A, NULL},
		{"javax2.Main", A, NULL},
		{"com.sunset.Main", A, NULL},
		{"org.apache.myhttp.Main", A, NULL},
		{"org.apache.httpd2.myapp.Main", A, NULL},
		{"org.apache.httpd.Main", A, NULL},
		{"org.apache.flink.runtime.Main", A, NULL},
		{"org.apache.Main", A, NULL},
		{"org.h2o.Main", A, NULL},
		{"org.postgresqlish.Main", A, NULL},
		{"com.amazonaws.lambda.demo.Handler", A, NULL},
		{"org.springframework.samples.petclinic.Owner", A, NULL},
		{"org.springframework.sample", C, NULL},
		{"feign", A, NULL},
		{"feign$Inner", A, NULL},
		{"java", A, NULL},
		{"org.apache.http", A, NULL},
		{".", A, NULL},
		{"..", A, NULL},
		{"", A, NULL},
	};
	check(sl_roles_class, rows, COUNT_OF(rows));
}

static void modules(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"/lib/x86_64-linux-gnu/libc.so.6", R, NULL},
		{"/lib64/libc-2.28.so", R, NULL},
		{"/lib/ld-musl-x86_64.so.1", R, NULL},
		{"/lib64/ld-linux-x86-64.so.2", R, NULL},
		{"/usr/lib/sockleak/libsockleak.so", R, NULL},
		{"/usr/lib/x86_64-linux-gnu/libstdc++.so.6", R, NULL},
		{"/usr/lib/jvm/java-17/lib/server/libjvm.so", R, "the Java VM"},
		{"/usr/lib/jvm/java-17/lib/libnet.so", R, NULL},
		{"/usr/lib/jvm/java-17/bin/java", R, NULL},
		{"/usr/lib/libcurl.so.4", L, "libcurl"},
		{"libcurl-gnutls.so.4", L, "libcurl"},
		{"/usr/lib/libssl.so.3", L, "OpenSSL"},
		{"/usr/lib/libssl3.so", L, NULL},
		{"/usr/lib/libhiredis.so.0.14", L, "hiredis"},
		{"/usr/lib/libpq.so.5", L, "libpq"},
		{"/usr/lib/libpqxx-6.4.so", L, "libpqxx"},
		{"/usr/lib/libmysqlclient.so.21", L, "libmysqlclient"},
		{"/usr/lib/libmariadb.so.3", L, NULL},
		{"/usr/lib/libgrpc++.so.1.51", L, "gRPC"},
		{"/usr/lib/libboost_thread.so.1.74.0", L, "Boost"},
		{"/usr/lib/libuv.so.1", C, "libuv"},
		{"/usr/lib/libevent_core-2.1.so.7", C, "libevent"},
		{"/usr/lib/libevent-2.1.so.7", C, "libevent"},
		{"/usr/lib/libev.so.4", C, "libev"},
		{"/usr/lib/libglib-2.0.so.0", C, "GLib"},
		{"/usr/lib/libgio-2.0.so.0", L, "GIO"},
		{"/usr/lib/libcares.so.2", L, "c-ares"},
		{"/usr/lib/libssh.so.4", L, "libssh"},
		{"/usr/lib/libssh2.so.1", L, NULL},
		{"/usr/bin/python3.11", I, "Python"},
		{"/usr/bin/python3", I, "Python"},
		{"/usr/lib/libpython3.12.so.1.0", I, "Python"},
		{"/usr/lib/python3.11/lib-dynload/_asyncio.cpython-311-x86_64-linux-gnu.so", I,
	         "Python"},
		{"/srv/venv/lib/python3.11/site-packages/pycurl.cpython-311-x86_64-linux-gnu.so", L,
	         NULL},
		{"/usr/bin/node", I, "Node.js"},
		{"/usr/lib/x86_64-linux-gnu/libnode.so.108", I, "Node.js"},
		{"/srv/app/node_modules/ws/build/Release/binding.node", L, NULL},
		{"/usr/sbin/php-fpm8.2", I, "PHP"},
		/* The application's own. */
		{"/opt/libcurl/bin/worker", A, NULL},
		{"/opt/acme/libacme.so", A, NULL},
		{"/opt/acme/libcurlew.so", A, NULL},
		{"/opt/acme/libuvc.so.0", A, NULL},
		{"/opt/acme/libevents.so", A, NULL},
		{"/opt/acme/libevent_disabled", A, NULL},
		{"/opt/acme/libpq-import", A, NULL},
		{"/opt/acme/libssltool.so", A, NULL},
		{"/usr/lib/libcjson.so.1", A, NULL},
		{"/usr/sbin/nginx", A, NULL},
		{"/usr/bin/node_exporter", A, NULL},
		{"/usr/bin/python-daemon", A, NULL},
		{"/usr/bin/phpunit", A, NULL},
		{"/usr/bin/javaws", A, NULL},
		{"", A, NULL},
		{"/", A, NULL},
	};
	check(sl_roles_module, rows, COUNT_OF(rows));
}

static void functions(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{"boost::asio::detail::socket_ops::socket", L, "Boost.Asio"},
		{"_ZN5boost4asio6detail10socket_ops6socketEiiiRNS_6system10error_codeE", L,
	         "Boost.Asio"},
		{"_ZNK5boost8functionIFvvEEclEv", C, "Boost"},
		{"std::__invoke_impl<int, main::{lambda()#1}>", C, "(none)"},
		{"_ZNSt6thread11_State_implINS_8_InvokerISt5tupleIJPFvvEEEEEE6_M_runEv", C, NULL},
		{"_ZSt4moveIRiEONSt16remove_referenceIT_E4typeEOS2_", C, NULL},
		{"_ZNSs6appendEPKc", C, NULL},
		{"_ZN9grpc_core7Channel6CreateEv", L, "gRPC"},
		{"_ZThn16_N3Aws4Http10CurlClientD0Ev", L, "AWS SDK"},
		{"_ZTv0_n24_N3Aws4Http10CurlClientD0Ev", L, "AWS SDK"},
		{"non-virtual thunk to Aws::Http::CurlClient::Do", L, "AWS SDK"},
		{"<tokio::net::tcp::TcpStream as std::io::Read>::read", C, "tokio"},
		{"_ZN5tokio3net3tcp6stream9TcpStream7connect17h0123456789abcdefE", C, "tokio"},
		{"_ZN48_$LT$hyper..client..Client$LT$C$GT$$u20$as$u20$X$GT$4callE", L, "hyper"},
		{"core::ops::function::FnOnce::call_once", C, NULL},
		{"<core::iter::adapters::map::Map<I,F> as core::iter::Iterator>::fold", C, NULL},
		{"core::Connection::open", A, NULL},
		{"alloc::Pool::take", A, NULL},
		{"uv_tcp_connect", C, "libuv"},
		{"uv__socket", C, "libuv"},
		{"curl_easy_perform", K, "libcurl"},
		{"Curl_socket", K, "libcurl"},
		{"redisConnectWithTimeout", K, "hiredis"},
		{"_redisContextConnectTcp", K, "hiredis"},
		{"PQconnectdb", K, "libpq"},
		/* The application's own. */
		{"acme::Pool<std::string>::fetch", A, NULL},
		{"_ZN4acme4PoolI11sockaddr_inE5fetchES1_", A, NULL},
		{"_ZZN4acme5fetchEvENKUlvE_clEv", A, NULL},
		{"_ZN12_GLOBAL__N_15fetchEv", A, NULL},
		{"boosted::asio::run", A, NULL},
		{"stdx::run", A, NULL},
		{"my::boost::asio", A, NULL},
		{"curl_fetch_url", A, NULL},
		{"redis_connect", A, NULL},
		{"grpc_client_connect", A, NULL},
		{"event_loop", A, NULL},
		{"main", A, NULL},
		{"socket", A, NULL},
		{"_Z", A, NULL},
		{"_ZN", A, NULL},
		{"_ZN99999999999999999999x", A, NULL},
		{"_ZN90short", A, NULL},
		{"_ZThn", A, NULL},
		{"<", A, NULL},
		{"", A, NULL},
	};
	check(sl_roles_function, rows, COUNT_OF(rows));
	assert_true(sl_roles_is_same_door("socket"));
	assert_false(sl_roles_is_same_door("sockets"));
}

/* However short the room. */
static void scopes(void **state)
{
	(void)state;
	char scope[64];
	static const char name[] = "_ZNK5boost4asio2io7contextE";
	assert_string_equal(sl_mangled_scope(name, scope, sizeof(scope)),
	                    "boost::asio::io::context");
	assert_string_equal(sl_mangled_scope("_ZNSt6threadD4Ev", scope, sizeof(scope)),
	                    "std::thread");
	assert_string_equal(sl_mangled_scope("&mut <dyn a::B>::c", scope, sizeof(scope)),
	                    "a::B>::c");
	for (size_t n = 1; n < sizeof(scope); n++) {
		memset(scope, 'x', sizeof(scope));
		const char *found = sl_mangled_scope(name, scope, n);
		assert_true(strlen(found) < n);
		assert_memory_equal(found, "boost::asio::io::context", strlen(found));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packages_are_in_order),
		cmocka_unit_test(classes),
		cmocka_unit_test(modules),
		cmocka_unit_test(functions),
		cmocka_unit_test(scopes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
