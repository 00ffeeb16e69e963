/* test_text_unblamed.c - what is said of stacks in which no frame is the application's. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "rendered.h"
#include "report/text_unblamed.h"
#include "sample_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define JAVA(class_)                                                          \
	(const struct sl_frame)                                               \
	{                                                                     \
		.role = SL_ROLE_LIBRARY, .text = class_, .class_name = class_ \
	}
#define NATIVE(module_)                                                     \
	(const struct sl_frame)                                             \
	{                                                                   \
		.role = SL_ROLE_RUNTIME, .text = module_, .module = module_ \
	}

static const struct sl_frame async = JAVA("org.apache.http.impl.nio.client.Async$1");
static const struct sl_frame netty = JAVA("io.netty.channel.nio.NioEventLoop");
static const struct sl_frame jdk = JAVA("java.lang.Thread");
static const struct sl_frame libcurl = NATIVE("/usr/lib/libcurl.so.4");
static const struct sl_frame inlined = {.role = SL_ROLE_LIBRARY,
                                        .text = "std::thread::run (app)",
                                        .function = "std::thread::run",
                                        .module = "/opt/acme/app"};
static const struct sl_frame lined = {.role = SL_ROLE_LIBRARY,
                                      .text = "std::thread::run (thread.h:1)",
                                      .function = "std::thread::run",
                                      .file = "/usr/include/thread.h",
                                      .line = 1,
                                      .module = "/opt/acme/app"};
static const struct sl_frame python = NATIVE("/usr/bin/python3.11");
static const struct sl_frame node = NATIVE("/usr/bin/node");
static const struct sl_frame php = NATIVE("/usr/bin/php8.2");

static const struct row {
	const struct sl_frame *frame;
	const char *threads[1];
	unsigned thread_count;
	enum sl_direction direction;
	const char *peer;
	uint32_t frames_cut;
	const char *where, *fix;
} rows[] = {
	{&async,
         {"I/O dispatcher 1"},
         1,
         SL_DIRECTION_OUT,
         "10.0.0.1:80",
         0,
         "no frame of the application: thread \"I/O dispatcher 1\" of httpasyncclient",
         "look where the client of httpasyncclient is created and closed; app= names your "
         "packages"},
	{&netty,
         {"el-1"},
         4,
         SL_DIRECTION_OUT,
         "10.0.0.1:80",
         0,
         "no frame of the application: thread \"el-1\" and 3 more of Netty, to 10.0.0.1:80",
         "look where the client of Netty is created and closed; app= names your packages"},
	{&netty,
         {"el-1"},
         1,
         SL_DIRECTION_IN,
         "10.0.0.7",
         0,
         "no frame of the application: thread \"el-1\" of Netty, from 10.0.0.7",
         "look where what Netty accepts is handled and closed; app= names your packages"},
	{&netty,
         {"el-1"},
         1,
         SL_DIRECTION_OUT,
         NULL,
         1,
         "no frame of the application: thread \"el-1\" of Netty",
         "raise depth=: the stack was cut before any frame of the application"},
	{&jdk,
         {"Thread-1"},
         1,
         SL_DIRECTION_OUT,
         NULL,
         0,
         "no frame of the application: thread \"Thread-1\"",
         "not known: name the application's packages or modules with app="},
	{&inlined,
         {"worker"},
         1,
         SL_DIRECTION_OUT,
         "10.0.0.1:80",
         0,
         "no frame of the application: thread \"worker\", to 10.0.0.1:80",
         "not known: inlined into code of libraries; debug information (-g) would tell"},
	{&lined,
         {"worker"},
         1,
         SL_DIRECTION_OUT,
         "10.0.0.1:80",
         0,
         "no frame of the application: thread \"worker\", to 10.0.0.1:80",
         "not known: name the application's packages or modules with app="},
	{&libcurl,
         {NULL},
         0,
         SL_DIRECTION_OUT,
         "10.0.0.1:80",
         0,
         "no frame of the application, only of libcurl, to 10.0.0.1:80",
         "look where the client of libcurl is created and closed; app= names your modules"},
	{&python,
         {"python3"},
         1,
         SL_DIRECTION_OUT,
         "10.0.0.1:80",
         0,
         "no frame of the application: thread \"python3\" of Python, to 10.0.0.1:80",
         "look for what calls 10.0.0.1:80; Python 3.12 or later names its functions with -X perf"},
	{&node,
         {"node"},
         1,
         SL_DIRECTION_OUT,
         "10.0.0.1:80",
         0,
         "no frame of the application: thread \"node\" of Node.js, to 10.0.0.1:80",
         "look for what calls 10.0.0.1:80; JavaScript has names with node --perf-basic-prof"},
	{&php,
         {"php"},
         1,
         SL_DIRECTION_OUT,
         "10.0.0.1:80",
         1,
         "no frame of the application: thread \"php\" of PHP, to 10.0.0.1:80",
         "look for what calls 10.0.0.1:80"},
};

static struct rendered got;

/* Both lines with their labels, at most 100 columns wide, which rendered_line() sees to. */
static void lines_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct sl_snapshot s = sample_many(1);
		struct sl_snapshot_site *site = (struct sl_snapshot_site *)s.sites;
		char where[256], fix[256];
		site->kind = row->frame->class_name ? SL_STACK_JAVA : SL_STACK_NATIVE;
		site->frames = &row->frame;
		site->frame_count = 1;
		site->frames_cut = row->frames_cut;
		site->blame = site->blame_where = NULL;
		site->blame_frame = UINT32_MAX;
		site->threads = row->threads;
		site->thread_names = row->threads[0] != NULL;
		site->thread_count = row->thread_count;
		site->direction = row->direction;
		site->peer = row->peer;
		snprintf(where, sizeof(where), "WHERE     %s  91 %%", row->where);
		snprintf(fix, sizeof(fix), "FIX       %s", row->fix);
		assert_string_equal(rendered_line(&got, &s, "WHERE"), where);
		assert_string_equal(rendered_line(&got, &s, "FIX"), fix);
		render_json(&got, &s, RENDERED_BYTES);
		assert_non_null(strstr(got.text, "\"blame\":null"));
	}
}

static void names_from_outside(void **state)
{
	(void)state;
	static const char *const threads[] = {"evil\033[2J\"\n"};
	static const struct sl_frame *const frames[] = {&netty};
	char text[SL_TEXT_UNBLAMED_BYTES];
	const struct sl_snapshot_site site = {.frames = frames,
	                                      .frame_count = 1,
	                                      .threads = threads,
	                                      .thread_names = 1,
	                                      .thread_count = 1,
	                                      .direction = SL_DIRECTION_OUT,
	                                      .peer = "10.0.0.1:80"};
	assert_string_equal(sl_text_blame(text, &site, UINT32_MAX, "none"),
	                    "no frame of the application: thread \"evil\033[2J\"\n\" of Netty, to "
	                    "10.0.0.1:80");
	assert_string_equal(sl_text_blame(text, &site, 70, "none"),
	                    "no frame of the application: thread \"evil\033[2J\"\n\" of Netty");
	const struct sl_snapshot_site no_stack = {0};
	assert_string_equal(sl_text_blame(text, &no_stack, 70, "none"), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_hold),
		cmocka_unit_test(names_from_outside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
