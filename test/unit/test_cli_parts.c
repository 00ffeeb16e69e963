/* The pure parts of the command: durations, pids, near words, ELF heads, selections, what may be reaped, the lasting options. */
#include <elf.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/elf_file.h"
#include "cli/nearest.h"
#include "cli/option_text.h"
#include "cli/reap_outside.h"
#include "cli/selection.h"
#include "cli/set_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_durations(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"0s", 0},       {"1ms", 1},      {"500ms", 500},      {"60s", 60000},
	            {"10m", 600000}, {"2h", 7200000}, {"576h", 2073600000}};
	static const char *const bad[] = {"",
	                                  "5",
	                                  "s",
	                                  "5 s",
	                                  "-5s",
	                                  "5d",
	                                  "5sec",
	                                  "1.5s",
	                                  "5S",
	                                  "577h",
	                                  "5s5ms",
	                                  "0x5s",
	                                  "99999999999999999999s",
	                                  " 5s"};
	uint64_t ms;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(sl_args_read_duration(good[i].text, &ms));
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (sl_args_read_duration(bad[i], &ms))
			fail_msg("'%s' was taken", bad[i]);
}

static void test_pids(void **state)
{
	static const char *const bad[] = {"",           "0",  "-1", "1x", "x", "99999999999",
	                                  "2147483648", " 1", "1 "};
	int pid;
	(void)state;
	assert_true(sl_args_read_pid("1", &pid));
	assert_true(sl_args_read_pid("2147483647", &pid));
	assert_int_equal(pid, INT32_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (sl_args_read_pid(bad[i], &pid))
			fail_msg("'%s' was taken", bad[i]);
}

static void test_nearest(void **state)
{
	static const char *const words[] = {"run", "list", "report", "reap",
	                                    "set", "off",  "doctor", "options"};
	static const struct {
		const char *word, *nearest;
	} cases[] = {{"lits", "list"},     {"lst", "list"},
	             {"rep", "report"},    {"docter", "doctor"},
	             {"opt", "options"},   {"reports", "report"},
	             {"frobnicate", NULL}, {"x", NULL},
	             {"", NULL},           {"an-unbelievably-long-word-that-nobody-meant", NULL}};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *found =
			sl_nearest(cases[i].word, words, sizeof(words) / sizeof(words[0]));
		if (cases[i].nearest)
			assert_string_equal(found, cases[i].nearest);
		else
			assert_null(found);
	}
}

/* A file of these bytes. */
static int file_of(const void *bytes, size_t n)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	return fd;
}

struct program {
	Elf64_Ehdr head;
	Elf64_Phdr segments[2];
	char interpreter[32];
	struct {
		Elf64_Nhdr head;
		char name[4];
		char build_id[8];
	} note;
};

static struct program dynamic_program(void)
{
	struct program program = {
		.head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
	                             __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB
	                                                                       : ELFDATA2MSB,
	                             EV_CURRENT},
	                 .e_type = ET_DYN,
	                 .e_machine = EM_X86_64,
	                 .e_phoff = sizeof(Elf64_Ehdr),
	                 .e_phentsize = sizeof(Elf64_Phdr),
	                 .e_phnum = 2},
		.segments = {{.p_type = PT_INTERP,
	                      .p_offset = offsetof(struct program, interpreter),
	                      .p_filesz = sizeof(program.interpreter)},
	                     {.p_type = PT_NOTE,
	                      .p_offset = offsetof(struct program, note),
	                      .p_filesz = sizeof(program.note)}},
		.interpreter = "/lib64/ld-linux-x86-64.so.2",
		.note = {.head = {.n_namesz = 4, .n_descsz = 8, .n_type = 3}, .name = "GNU"},
	};
	return program;
}

static int read_program(const struct program *program, size_t n, struct sl_elf_file *elf)
{
	int fd = file_of(program, n);
	int error = sl_elf_file_read(fd, elf);
	(void)close(fd);
	return error;
}

static void test_elf_heads(void **state)
{
	(void)state;
	struct program program = dynamic_program();
	struct sl_elf_file elf;
	char name[32];
	assert_int_equal(read_program(&program, sizeof(program), &elf), 0);
	assert_true(elf.is_64);
	assert_string_equal(elf.interpreter, "/lib64/ld-linux-x86-64.so.2");
	assert_false(elf.is_go);
	sl_elf_file_machine(&elf, name, sizeof(name));
	assert_string_equal(name, "x86-64");

	memcpy(program.note.name, "Go\0", 4);
	assert_int_equal(read_program(&program, sizeof(program), &elf), 0);
	assert_true(elf.is_go);

	program.segments[0].p_type = PT_LOAD;
	assert_int_equal(read_program(&program, sizeof(program), &elf), 0);
	assert_string_equal(elf.interpreter, "");
}

/* Sizes and offsets that lead anywhere: nothing is read past what is there. */
static void test_damaged_elf_heads(void **state)
{
	(void)state;
	struct sl_elf_file elf;
	struct program program = dynamic_program();
	for (size_t n = 0; n < sizeof(program); n++)
		(void)read_program(&program, n, &elf);
	assert_int_equal(read_program(&program, 3, &elf), -ENOEXEC);
	assert_int_equal(read_program(&program, 4, &elf), -EBADMSG);
	assert_int_equal(read_program(&program, 10, &elf), -EBADMSG);
	for (size_t at = 4; at < sizeof(program); at++)
		for (unsigned value = 0; value < 256; value += 51) {
			struct program damaged = program;
			((unsigned char *)&damaged)[at] = (unsigned char)value;
			(void)read_program(&damaged, sizeof(damaged), &elf);
			assert_int_equal(elf.interpreter[sizeof(elf.interpreter) - 1], 0);
		}
	int fd = file_of("#!/bin/sh\n", 10);
	assert_int_equal(sl_elf_file_read(fd, &elf), -ENOEXEC);
	(void)close(fd);
	assert_int_equal(sl_elf_file_read(-1, &elf), -EBADF);
}

static void test_units_and_groups(void **state)
{
	static const char line[] = "0::/system.slice/app.service/worker\n";
	(void)state;
	assert_true(sl_selection_is_in_unit(line, "app.service"));
	assert_true(sl_selection_is_in_unit(line, "app"));
	assert_true(sl_selection_is_in_unit(line, "system.slice"));
	assert_false(sl_selection_is_in_unit(line, "ap"));
	assert_false(sl_selection_is_in_unit(line, "app.serv"));
	assert_false(sl_selection_is_in_unit(line, "pp.service"));
	assert_true(sl_selection_is_in_cgroup(line, "/"));
	assert_true(sl_selection_is_in_cgroup(line, "/system.slice"));
	assert_true(sl_selection_is_in_cgroup(line, "/system.slice/app.service/"));
	assert_false(sl_selection_is_in_cgroup(line, "/system.slice/app"));
	assert_false(sl_selection_is_in_cgroup(line, "system.slice"));
	assert_false(sl_selection_is_in_cgroup("0::/\n", "/system.slice"));
}

/* A stuck outbound connection to 10.1.2.3:80, which may be ended. */
static struct sl_outside_socket stuck_socket(void)
{
	return (struct sl_outside_socket){
		.direction = SL_DIRECTION_OUT,
		.has_peer = true,
		.peer = {.address = {[10] = 0xff, 0xff, 10, 1, 2, 3}, .port = 80},
		.tcp = {.state = TCP_CLOSE_WAIT,
	                .last_ack_recv_ms = 70000,
	                .last_data_recv_ms = 90000,
	                .last_data_sent_ms = 80000},
	};
}

static void test_what_may_be_reaped(void **state)
{
	(void)state;
	struct sl_rule rule;
	const struct sl_reap_wish wish = {.older_than_ms = 60000},
				  inbound = {.older_than_ms = 60000, .is_inbound = true};
	struct sl_reap_wish to = {.older_than_ms = 60000, .peer = &rule};
	struct sl_outside_socket s = stuck_socket();
	assert_int_equal(sl_reap_may(&s, &wish), SL_REAP_NOT);
	s.tcp.last_ack_recv_ms = 59999;
	assert_int_equal(sl_reap_may(&s, &wish), SL_REAP_YOUNG);
	s = stuck_socket();
	s.tcp.last_data_sent_ms = 10; /* the half-close is in use */
	assert_int_equal(sl_reap_may(&s, &wish), SL_REAP_YOUNG);
	s = stuck_socket();
	s.tcp.state = TCP_ESTABLISHED;
	assert_int_equal(sl_reap_may(&s, &wish), SL_REAP_GONE);
	s.tcp.state = TCP_LISTEN;
	assert_int_equal(sl_reap_may(&s, &wish), SL_REAP_GONE);
	s = stuck_socket();
	s.unsent = 1;
	assert_int_equal(sl_reap_may(&s, &wish), SL_REAP_UNSENT);
	s = stuck_socket();
	s.unread = 31;
	assert_int_equal(sl_reap_may(&s, &wish), SL_REAP_UNREAD);
	s.is_close_notify = true;
	assert_int_equal(sl_reap_may(&s, &wish), SL_REAP_NOT);
	s = stuck_socket();
	s.direction = SL_DIRECTION_UNKNOWN;
	assert_int_equal(sl_reap_may(&s, &wish), SL_REAP_INBOUND);
	assert_int_equal(sl_reap_may(&s, &inbound), SL_REAP_END_UNREAD);
	s.has_read_eof = true;
	assert_int_equal(sl_reap_may(&s, &inbound), SL_REAP_NOT);
	s = stuck_socket();
	assert_null(sl_rule_read("10.0.0.0/8:80", 13, &rule));
	assert_int_equal(sl_reap_may(&s, &to), SL_REAP_NOT);
	assert_null(sl_rule_read("10.0.0.0/8:81", 13, &rule));
	assert_int_equal(sl_reap_may(&s, &to), SL_REAP_RULE);
	for (int skip = SL_REAP_NOT + 1; skip < SL_REAP_COUNT; skip++)
		assert_non_null(sl_reap_word((enum sl_reap_skip)skip));
}

static void test_who_is_probed(void **state)
{
	(void)state;
	struct sl_outside_socket s = stuck_socket();
	assert_false(sl_reap_needs_probe(&s)); /* the program wrote last */
	s.tcp.last_data_recv_ms = 75000;
	assert_true(sl_reap_needs_probe(&s));
	s = stuck_socket();
	s.direction = SL_DIRECTION_IN;
	assert_true(sl_reap_needs_probe(&s));
}

static void assert_lasting(const char *before, const char *changed, const char *lasting)
{
	char text[512];
	struct sl_set_reply reply;
	int n = snprintf(text, sizeof(text), "{\"changed\":[%s],\"for_ms\":null}", changed);
	assert_true(sl_set_reply_read(text, (size_t)n, &reply));
	char *made = sl_set_reply_lasting(before, &reply);
	assert_string_equal(made, lasting);
	free(made);
	sl_set_reply_free(&reply);
}

static void test_lasting_options(void **state)
{
	(void)state;
	static const char action[] = "{\"key\":\"action\",\"old\":\"report\",\"new\":\"shutdown\"}";
	assert_lasting(NULL, action, "action=shutdown");
	assert_lasting("deadline=5s", action, "deadline=5s action=shutdown");
	assert_lasting("action=report,deadline=5s action=close", action,
	               "deadline=5s action=shutdown");
	assert_lasting("never=10.0.0.0/8,:443 warn_at=off", action,
	               "never=10.0.0.0/8,:443 warn_at=off action=shutdown");
	assert_lasting("never=10.0.0.0/8,:443 warn_at=off",
	               "{\"key\":\"never\",\"old\":\"x\",\"new\":\"\"}", "warn_at=off");
	assert_lasting("never=:80", "{\"key\":\"never\",\"old\":\"x\",\"new\":\"none\"}", "");
}

static void test_answers_that_are_none(void **state)
{
	static const char *const bad[] = {
		"", "{", "[]", "{}", "{\"changed\":{}}", "{\"changed\":[7]}", "{\"changed\":[{}]}"};
	struct sl_set_reply reply;
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(sl_set_reply_read(bad[i], strlen(bad[i]), &reply));
	assert_false(sl_set_reply_read(NULL, 0, &reply));
}

static void test_options_are_checked(void **state)
{
	static struct sl_options options;
	char why[512];
	(void)state;
	assert_true(sl_option_text_check("deadline=5s never=:80,:443", &options, why, sizeof(why)));
	assert_int_equal(options.deadline_ms, 5000);
	assert_false(sl_option_text_check("deadline=5s deadline=5 action=x", &options, why,
	                                  sizeof(why)));
	assert_string_equal(why, "deadline=5: no unit; allowed: 100ms..24h, such as 60s");
	assert_false(sl_option_text_check("x", &options, why, sizeof(why)));
	assert_string_equal(why, "'x' is not key=value; see 'sockleak options'");
	assert_true(
		sl_option_text_check_live("never=none action=close", &options, why, sizeof(why)));
	assert_false(sl_option_text_check_live("depth=5", &options, why, sizeof(why)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_pids),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_elf_heads),
		cmocka_unit_test(test_damaged_elf_heads),
		cmocka_unit_test(test_units_and_groups),
		cmocka_unit_test(test_what_may_be_reaped),
		cmocka_unit_test(test_who_is_probed),
		cmocka_unit_test(test_lasting_options),
		cmocka_unit_test(test_answers_that_are_none),
		cmocka_unit_test(test_options_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
