/* Names without parameters, and snapshots in which there is nothing to name. test/e2e/test_symbols.py names real ones. */
#include "cli/symbols.h"

#include <stdint.h>
#include <string.h>

#include "cli/elf_names.h"
#include "sample_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct sl_arena arena = SL_ARENA(1 << 16, 0);

static void test_names_are_demangled(void **state)
{
	(void)state;
	static const char *const names[][2] = {
		{"_ZN4acme4PoolI11sockaddr_inE5fetchES1_", "acme::Pool<sockaddr_in>::fetch"},
		{"_ZN5tokio3net3tcp6stream9TcpStream7connect17h0123456789abcdefE",
	         "tokio::net::tcp::stream::TcpStream::connect"},
		{"_RNvCs15kBYyAo9fc_7mycrate7example", "mycrate::example"},
		{"connect", "connect"},
		{"_Znonsense", "_Znonsense"},
		{"", ""},
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_string_equal(sl_elf_names_plain(&arena, names[i][0]), names[i][1]);
	assert_null(sl_elf_names_plain(&arena, NULL));
	sl_arena_free(&arena);
}

/* Modules that are not there, hostile paths, no build ids: the frames are the library's. */
static void test_nothing_known_changes_nothing(void **state)
{
	(void)state;
	const struct sl_snapshot before = sample_rich();
	struct sl_snapshot s = before;
	sl_symbols_apply(&arena, &s, 0);
	assert_int_equal(s.site_count, before.site_count);
	for (uint32_t i = 0; i < s.site_count; i++) {
		const struct sl_snapshot_site *site = &s.sites[i], *old = &before.sites[i];
		assert_int_equal(site->frame_count, old->frame_count);
		for (uint32_t frame = 0; frame < site->frame_count; frame++)
			assert_ptr_equal(site->frames[frame], old->frames[frame]);
		assert_ptr_equal(site->blame, old->blame);
	}
	sl_arena_free(&arena);
}

static void test_exported_names_are_demangled_without_the_module(void **state)
{
	(void)state;
	static const struct sl_frame frame = {.role = SL_ROLE_APPLICATION,
	                                      .text = "_ZN4acme4openEv+0x7 (libgone.so)",
	                                      .function = "_ZN4acme4openEv",
	                                      .module = "/nowhere/libgone.so",
	                                      .build_id = "00112233445566778899",
	                                      .offset = 0x1234};
	static const struct sl_frame *const frames[] = {&frame};
	const struct sl_snapshot_site site = {.kind = SL_STACK_NATIVE,
	                                      .frames = frames,
	                                      .frame_count = 1,
	                                      .blame = "libgone.so+0x1234"};
	struct sl_snapshot s = sample_healthy();
	s.sites = &site;
	s.site_count = 1;
	sl_symbols_apply(&arena, &s, 0);
	assert_string_equal(s.sites[0].blame, "acme::open (libgone.so+0x1234)");
	assert_null(s.sites[0].blame_where);
	assert_string_equal(s.sites[0].frames[0]->function, "acme::open");
	sl_arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_demangled),
		cmocka_unit_test(test_nothing_known_changes_nothing),
		cmocka_unit_test(test_exported_names_are_demangled_without_the_module),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
