/* test_source.c - classes and methods of a JVM as they stand in the source. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stack/source.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Class, method, file, line; is it generated; how it is called. */
static const struct row {
	const char *class_name, *method, *file;
	int line;
	bool is_generated;
	const char *printed;
} rows[] = {
	/* As they are. */
	{"LeakyClient", "fetch", "LeakyClient.java", 11, false, "LeakyClient.fetch"},
	{"com.acme.Foo$Inner", "<init>", "Foo.java", 3, false, "com.acme.Foo$Inner.<init>"},
	{"com.acme.Foo$1", "run", "Foo.java", 3, false, "com.acme.Foo$1.run"},
	{"com.acme.Foo$1", "call", "Foo.java", 3, false, "com.acme.Foo$1.call"},
	{"com.acme.Foo$Worker", "call", "Foo.java", 3, false, "com.acme.Foo$Worker.call"},
	{"com.acme.Foo$Worker$2", "apply", "Foo.java", 3, false, "com.acme.Foo$Worker$2.apply"},
	{"Foo_Subclass", "fetch", "Foo.java", 3, false, "Foo_Subclass.fetch"},
	{"ProxyFactory", "$Proxy", "A.java", 1, false, "ProxyFactory.$Proxy"},
	{"com.acme.$ProxyHandler", "run", "A.java", 1, false, "com.acme.$ProxyHandler.run"},
	{"com.acme.Foo$", "fetch", "Foo.scala", 3, false, "com.acme.Foo$.fetch"},
	{"my.ns$fetch", "invokeStatic", "core.clj", 3, false, "my.ns$fetch.invokeStatic"},
	{NULL, NULL, NULL, 0, false, "?.?"},
	{"", "", "", 0, false, "."},
	{"$", "$", "$", 0, false, "$.$"},
	{"Foo", "lambda$", NULL, 0, false, "Foo.lambda$"},
	{"Foo", "lambda$null$1", "Foo.java", 3, false, "Foo.lambda$null$1"},
	{"Foo", "$lambda$", NULL, 0, false, "Foo.$lambda$"},
	/* Java: lambdas. */
	{"com.acme.Foo", "lambda$fetch$0", "Foo.java", 12, false, "com.acme.Foo.fetch"},
	{"com.acme.Foo", "lambda$new$3", "Foo.java", 12, false, "com.acme.Foo.<init>"},
	{"com.acme.Foo", "lambda$static$3", "Foo.java", 12, false, "com.acme.Foo.<clinit>"},
	{"com.acme.Foo$Inner", "lambda$fetch$0$extra", "Foo.java", 12, false,
         "com.acme.Foo$Inner.fetch"},
	/* Java: made. */
	{"Foo$$Lambda$14.0x0000000800c03000", "run", NULL, 0, true, NULL},
	{"Foo$$Lambda$14/0x0000000800c03000", "get", NULL, 0, true, NULL},
	{"com.acme.Foo$$Lambda.0x00007f", "get", NULL, 0, true, NULL},
	{"com.acme.Foo", "access$000", "Foo.java", 3, true, NULL},
	{"com.acme.Foo", "accessible", "Foo.java", 3, false, "com.acme.Foo.accessible"},
	{"com.sun.proxy.$Proxy12", "fetch", NULL, 0, true, NULL},
	{"com.acme.$Proxy7", "fetch", NULL, 0, true, NULL},
	{"$Proxy7", "fetch", NULL, 0, true, NULL},
	/* Proxies of frameworks. */
	{"com.acme.Foo$$EnhancerBySpringCGLIB$$1a2b3c", "fetch", "<generated>", 0, true, NULL},
	{"com.acme.Foo$$FastClassBySpringCGLIB$$1a2b3c", "invoke", "<generated>", 0, true, NULL},
	{"com.acme.Foo$$SpringCGLIB$$0", "fetch", "<generated>", 0, true, NULL},
	{"com.acme.Foo$$EnhancerByCGLIB$$1a2b", "CGLIB$fetch$0", "<generated>", 0, true, NULL},
	{"com.acme.Anything", "fetch", "<generated>", 0, true, NULL},
	{"com.acme.Foo$ByteBuddy$aBcDeF", "fetch", NULL, 0, true, NULL},
	{"com.acme.Foo$HibernateProxy$aBcDeF", "getName", NULL, 0, true, NULL},
	{"com.acme.Foo$MockitoMock$123", "fetch", NULL, 0, true, NULL},
	{"com.acme.Foo_$$_jvst1f2_0", "fetch", "Foo_$$_jvst1f2_0.java", 0, true, NULL},
	{"com.acme.Foo$Proxy$_$$_WeldClientProxy", "fetch", NULL, 0, true, NULL},
	{"com.acme.Foo_ClientProxy", "fetch", NULL, 0, true, NULL},
	{"com.acme.Foo_Subclass", "fetch", NULL, 0, true, NULL},
	/* Kotlin. */
	{"com.acme.FooKt", "main$lambda$1", "Foo.kt", 5, false, "com.acme.FooKt.main"},
	{"com.acme.Foo", "fetch$default", "Foo.kt", 5, false, "com.acme.Foo.fetch"},
	{"com.acme.Foo", "fetch$suspendImpl", "Foo.kt", 5, false, "com.acme.Foo.fetch"},
	{"com.acme.Foo$fetch$1", "invokeSuspend", "Foo.kt", 5, false, "com.acme.Foo.fetch"},
	{"com.acme.Foo$fetch$2$1", "invokeSuspend", "Foo.kt", 5, false, "com.acme.Foo.fetch"},
	{"com.acme.Foo$fetch$result$1", "invokeSuspend", "Foo.kt", 5, false, "com.acme.Foo.fetch"},
	{"com.acme.Foo$Inner$fetch$1", "invoke", "Foo.kt", 5, false, "com.acme.Foo$Inner.fetch"},
	{"com.acme.Foo", "access$fetch", "Foo.kt", 1, true, NULL},
	/* Scala, Groovy, AspectJ. */
	{"com.acme.Foo", "$anonfun$fetch$1", "Foo.scala", 5, false, "com.acme.Foo.fetch"},
	{"com.acme.Foo$", "$anonfun$main$1$adapted", "Foo.scala", 5, false, "com.acme.Foo$.main"},
	{"com.acme.Foo$$anonfun$fetch$1", "apply", "Foo.scala", 5, false, "com.acme.Foo.fetch"},
	{"com.acme.Foo$$anonfun$1", "apply", "Foo.scala", 5, false,
         "com.acme.Foo$$anonfun$1.apply"},
	{"com.acme.Foo$_fetch_closure1", "doCall", "Foo.groovy", 5, false, "com.acme.Foo.fetch"},
	{"com.acme.Foo$_closure1", "doCall", "Foo.groovy", 5, false,
         "com.acme.Foo$_closure1.doCall"},
	{"com.acme.Foo", "fetch_aroundBody0", "Foo.java", 5, false, "com.acme.Foo.fetch"},
	{"com.acme.Foo$AjcClosure1", "run", "Foo.java", 1, true, NULL},
};

static void rows_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const struct row *row = &rows[i];
		const struct sl_frame frame = {.class_name = row->class_name,
		                               .method = row->method,
		                               .file = row->file,
		                               .line = row->line};
		char text[128] = "";
		struct sl_out out;
		sl_out_init(&out, text, sizeof(text) - 1, NULL, NULL);
		sl_source_print(&out, &frame);
		if (sl_source_is_generated(&frame) != row->is_generated)
			fail_msg("%s.%s: generated %d", row->class_name, row->method,
			         !row->is_generated);
		if (row->printed && strcmp(text, row->printed) != 0)
			fail_msg("%s.%s: %s", row->class_name, row->method, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rows_hold)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
