/* What the command reads of a Java VM before it speaks to it, and what it says: pure parts. */
#define _GNU_SOURCE
#include <elf.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "cli/build_id.h"
#include "cli/jvm.h"
#include "cli/jvm_flags.h"
#include "cli/jvm_perf.h"
#include "cli/jvm_protocol.h"
#include "cli/jvm_words.h"

static void test_request(void **state)
{
	static const char *const load[] = {"/l.so", "true", "a=1"};
	static const char *const none[] = {"name", NULL, NULL};
	static const char expected[] = "1\0load\0/l.so\0true\0a=1";
	static char text[SL_JVM_ARGUMENT_MAX + 2];
	char request[SL_JVM_REQUEST_BYTES];
	(void)state;
	assert_int_equal(sl_jvm_request(request, "load", load), sizeof(expected));
	assert_memory_equal(request, expected, sizeof(expected));
	assert_int_equal(sl_jvm_request(request, "printflag", none), 2 + 10 + 5 + 1 + 1);

	memset(text, 'x', SL_JVM_ARGUMENT_MAX);
	const char *const longest[] = {text, text, text};
	assert_int_equal(sl_jvm_request(request, "load", longest),
	                 2 + 5 + 3 * (SL_JVM_ARGUMENT_MAX + 1));
	text[SL_JVM_ARGUMENT_MAX] = 'x';
	assert_int_equal(sl_jvm_request(request, "load", longest), 0);
}

static void test_answers(void **state)
{
	static const struct {
		const char *bytes;
		bool is_answer;
		struct sl_jvm_answer answer;
	} rows[] = {
		{"0\nreturn code: 0\n", true, {.has_result = true}},
		{"0\nreturn code: 4\n", true, {.has_result = true, .result = 4}},
		{"0\nreturn code: -1\n", true, {.has_result = true, .result = -1}},
		{"0\n0\n", true, {.has_result = true}}, /* JDK 8 */
		{"0\n3\n", true, {.has_result = true, .result = 3}},
		{"-1\n", true, {.status = -1}}, /* JDK 8: it could not be loaded */
		{"101\n", true, {.status = SL_JVM_BAD_VERSION}},
		{"0\n", true, {0}},
		{"0\n/l.so was not loaded.\n/l.so: wrong ELF class\n",
	         true,
	         {.text = "/l.so was not loaded. /l.so: wrong ELF class"}},
		{"-1\nDynamic agent loading is not enabled.\r\n",
	         true,
	         {.status = -1, .text = "Dynamic agent loading is not enabled."}},
		{"0\n-XX:+EnableDynamicAgentLoading\n",
	         true,
	         {.text = "-XX:+EnableDynamicAgentLoading"}},
		{"", false, {0}},
		{"HTTP/1.1 400\n", false, {0}},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sl_jvm_answer answer;
		assert_int_equal(sl_jvm_answer_read(rows[i].bytes, &answer), rows[i].is_answer);
		assert_int_equal(answer.status, rows[i].answer.status);
		assert_int_equal(answer.has_result, rows[i].answer.has_result);
		assert_int_equal(answer.has_result ? answer.result : 0, rows[i].answer.result);
		assert_string_equal(answer.text, rows[i].answer.text);
	}
}

static void assert_words(const char *text, bool is_file, const char *const *expected)
{
	char word[32];
	for (; *expected; expected++) {
		assert_true(sl_jvm_words_next(&text, is_file, word, sizeof(word)));
		assert_string_equal(word, *expected);
	}
	assert_false(sl_jvm_words_next(&text, is_file, word, sizeof(word)));
}

static void test_words(void **state)
{
	(void)state;
	assert_words("", false, (const char *const[]){NULL});
	assert_words("  -Xrs\t\"-Da=b c\"d  '#' ", false,
	             (const char *const[]){"-Xrs", "-Da=b cd", "#", NULL});
	assert_words("# one\n-Xrs # two\n\"a\\\"b\"\n#", true,
	             (const char *const[]){"-Xrs", "a\"b", NULL});
	assert_words("a\\b \"unended", false, (const char *const[]){"a\\b", "unended", NULL});
	assert_words("0123456789012345678901234567890123456789 x", false,
	             (const char *const[]){"0123456789012345678901234567890", "x", NULL});
	assert_true(sl_jvm_words_takes_next("--add-opens"));
	assert_false(sl_jvm_words_takes_next("--add-opens=a/b=c"));
}

static void test_options(void **state)
{
	struct sl_jvm_flags flags = {0};
	(void)state;
	sl_jvm_flags_option(&flags, "-XX:+DisableAttachMechanism", "first");
	sl_jvm_flags_option(&flags, "-XX:-EnableDynamicAgentLoading", "first");
	sl_jvm_flags_option(&flags, "-XX:+DisableAttachMechanismX", "no");
	sl_jvm_flags_option(&flags, "-XX:DisableAttachMechanism", "no");
	sl_jvm_flags_option(&flags, "-XX:", "no");
	sl_jvm_flags_option(&flags, "", "no");
	sl_jvm_flags_option(&flags, "-Xrs", "first");
	assert_int_equal(flags.of[SL_JVM_NO_ATTACH].setting, SL_JVM_ON);
	assert_int_equal(flags.of[SL_JVM_MAY_LOAD].setting, SL_JVM_OFF);
	assert_int_equal(flags.of[SL_JVM_FEWER_SIGNALS].setting, SL_JVM_ON);
	sl_jvm_flags_option(&flags, "-XX:-DisableAttachMechanism", "last");
	assert_int_equal(flags.of[SL_JVM_NO_ATTACH].setting, SL_JVM_OFF);
	assert_string_equal(flags.of[SL_JVM_NO_ATTACH].source, "last");
	assert_string_equal(sl_jvm_flag_text(SL_JVM_MAY_LOAD, SL_JVM_OFF),
	                    "-XX:-EnableDynamicAgentLoading");
}

static void test_versions(void **state)
{
	(void)state;
	assert_int_equal(sl_jvm_major("1.8.0_402"), 8);
	assert_int_equal(sl_jvm_major("11.0.22"), 11);
	assert_int_equal(sl_jvm_major("25-ea"), 25);
	assert_int_equal(sl_jvm_major("1"), 1);
	assert_int_equal(sl_jvm_major(""), 0);
	assert_int_equal(sl_jvm_major("old"), 0);
}

/* A file of counters with one entry, at 32. */
struct counters {
	uint8_t magic[4], head[4];
	int32_t used, overflow;
	int64_t modified;
	int32_t entry_offset, entries;
	int32_t length, name_offset, vector_length;
	uint8_t type[4];
	int32_t data_offset;
	char name[8], data[8];
};

static void test_counters(void **state)
{
	struct counters file = {
		.magic = {0xca, 0xfe, 0xc0, 0xc0},
		.head = {1, 2, 0, 1},
		.entry_offset = offsetof(struct counters, length),
		.entries = 1,
		.length = sizeof(struct counters) - offsetof(struct counters, length),
		.name_offset = 20,
		.vector_length = 8,
		.type = {'B'},
		.data_offset = 28,
		.name = "a.name",
		.data = "text",
	};
	struct sl_jvm_perf perf = {.bytes = (char *)&file, .n = sizeof(file)};
	char text[SL_JVM_PERF_TEXT_BYTES];
	(void)state;
	assert_true(sl_jvm_perf_text(&perf, "a.name", text));
	assert_string_equal(text, "text");
	assert_false(sl_jvm_perf_text(&perf, "a.nam", text));
	for (size_t n = 0; n < offsetof(struct counters, data) + 8; n++) { /* cut anywhere */
		perf.n = n;
		assert_false(sl_jvm_perf_text(&perf, "a.name", text));
	}
	perf.n = sizeof(file);
	file.entries = INT32_MAX;
	file.length = 0; /* leads nowhere */
	assert_false(sl_jvm_perf_text(&perf, "other", text));
	file.data_offset = INT32_MAX;
	assert_false(sl_jvm_perf_text(&perf, "a.name", text));
	file.entry_offset = -4;
	assert_false(sl_jvm_perf_text(&perf, "a.name", text));
	file.magic[0] = 0;
	assert_false(sl_jvm_perf_text(&perf, "a.name", text));
}

struct image {
	Elf64_Ehdr head;
	Elf64_Phdr part;
	Elf64_Nhdr note;
	char name[4];
	unsigned char id[4];
};

struct named {
	const char *name;
	int after; /* this thread is in nanosleep(); 0: at once */
	int is_named, may_end;
};

/* As soon as somebody sleeps between two looks. */
static void await_sleep(int tid)
{
	char path[64], text[32] = "";
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	do {
		FILE *file = fopen(path, "re");
		if (file && !fgets(text, sizeof(text), file))
			text[0] = 0;
		if (file)
			fclose(file);
	} while (strtol(text, NULL, 10) != SYS_clock_nanosleep);
}

static void *have_name(void *context)
{
	struct named *named = context;
	if (named->after)
		await_sleep(named->after);
	prctl(PR_SET_NAME, named->name);
	__atomic_store_n(&named->is_named, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&named->may_end, __ATOMIC_SEQ_CST))
		sched_yield();
	return NULL;
}

static pthread_t begin(struct named *named)
{
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, have_name, named), 0);
	while (!named->after && !__atomic_load_n(&named->is_named, __ATOMIC_SEQ_CST))
		sched_yield();
	return thread;
}

static void end(struct named *named, pthread_t thread)
{
	__atomic_store_n(&named->may_end, 1, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
}

/* A VM has set its handler, and its thread has not run yet: it takes a name when it first does. */
static void test_a_dispatcher_that_is_just_starting(void **state)
{
	(void)state;
	struct named vm = {.name = "VM Thread"};
	struct named dispatcher = {.name = "Signal Dispatch", .after = (int)syscall(SYS_gettid)};
	assert_true(sl_jvm_has_dispatcher(getpid(), 0)); /* no thread is named: JDK 8 */
	pthread_t first = begin(&vm);
	assert_false(sl_jvm_has_dispatcher(getpid(), 0));
	assert_false(sl_jvm_has_dispatcher(getpid(), 20));
	pthread_t second = begin(&dispatcher);
	assert_true(sl_jvm_has_dispatcher(getpid(), 60000));
	end(&dispatcher, second);
	end(&vm, first);
}

static void test_build_id(void **state)
{
	struct image image = {
		.head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64},
	                 .e_phoff = offsetof(struct image, part),
	                 .e_phentsize = sizeof(Elf64_Phdr),
	                 .e_phnum = 1},
		.part = {.p_type = PT_NOTE,
	                 .p_offset = offsetof(struct image, note),
	                 .p_filesz = sizeof(struct image) - offsetof(struct image, note)},
		.note = {.n_namesz = 4, .n_descsz = 4, .n_type = NT_GNU_BUILD_ID},
		.name = "GNU",
		.id = {0xde, 0xad, 0xbe, 0x0f},
	};
	const unsigned char *bytes = (const unsigned char *)&image;
	char id[SL_BUILD_ID_BYTES];
	(void)state;
	assert_true(sl_build_id_find(bytes, sizeof(image), id));
	assert_string_equal(id, "deadbe0f");
	for (size_t n = 0; n < sizeof(image); n++)
		assert_false(sl_build_id_find(bytes, n, id));
	image.note.n_descsz = UINT32_MAX;
	assert_false(sl_build_id_find(bytes, sizeof(image), id));
	image.note.n_descsz = 4;
	image.part.p_offset = UINT64_MAX;
	assert_false(sl_build_id_find(bytes, sizeof(image), id));
	image.head.e_phoff = UINT64_MAX - 8;
	assert_false(sl_build_id_find(bytes, sizeof(image), id));
	assert_true(sl_build_id_of_file("/proc/self/exe", id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_build_id),
		cmocka_unit_test(test_a_dispatcher_that_is_just_starting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
