/* The HTML page: what it says, and that no name from outside leaves its place. test/e2e/test_html.py opens it. */
#include "cli/format_html.h"

#include <stdint.h>
#include <string.h>

#include "cli/html.h"
#include "cli/html_flame.h"
#include "formatted.h"
#include "sample_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct formatted page;

static void render(const struct sl_snapshot *s)
{
	formatted_start(&page);
	sl_format_html(page.to, s, SL_MEASURE_AUTO);
	formatted_end(&page);
}

static void assert_has(const char *text)
{
	if (!strstr(page.text, text))
		fail_msg("the page lacks: %s", text);
}

#define ATTACK "</script><img src=x onerror=\"a'b\">&amp;"
#define ESCAPED "&lt;/script&gt;&lt;img src=x onerror=&quot;a&#39;b&quot;&gt;&amp;amp;"

static void test_text_is_escaped(void **state)
{
	(void)state;
	formatted_start(&page);
	sl_html_text(page.to, ATTACK "\033[2J\xff\xe2\x80\xae");
	sl_html_text(page.to, NULL);
	formatted_end(&page);
	assert_string_equal(page.text, ESCAPED "\\x1b[2J\\xff\\xe2\\x80\\xae?");
	formatted_free(&page);
}

static void test_numbers(void **state)
{
	(void)state;
	formatted_start(&page);
	sl_html_number(page.to, 0);
	fputc(' ', page.to);
	sl_html_number(page.to, 12719);
	fputc(' ', page.to);
	sl_html_number(page.to, UINT64_MAX);
	fputc(' ', page.to);
	sl_html_known(page.to, -1000);
	fputc(' ', page.to);
	sl_html_known(page.to, SL_UNKNOWN);
	fputc(' ', page.to);
	sl_html_percent(page.to, 1, 3);
	fputc(' ', page.to);
	sl_html_percent(page.to, 5, 0);
	fputc(' ', page.to);
	sl_html_percent(page.to, UINT64_MAX, UINT64_MAX - 1);
	formatted_end(&page);
	assert_string_equal(page.text,
	                    "0 12,719 18,446,744,073,709,551,615 &minus;1,000 ? 33.3333% "
	                    "0.0000% 100.0000%");
	formatted_free(&page);
}

static void test_incident(void **state)
{
	(void)state;
	const struct sl_snapshot s = sample_rich();
	render(&s);
	assert_has("<title>LEAK: java LeakyClient (pid 4242)</title>");
	assert_has("<strong>LEAK</strong> growing: 12600 of 12719 CLOSE_WAIT and 22 of 30 "
	           "dead-but-open stuck");
	static const char *const labels[] = {"WHERE",    "TO",  "RUNS OUT", "DONE",
	                                     "NOT SEEN", "NOW", "FIX"};
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		char element[32];
		(void)snprintf(element, sizeof(element), "<dt>%s</dt>", labels[i]);
		assert_has(element);
		assert_int_equal(formatted_count(&page, element), 1);
	}
	assert_has("LeakyClient.fetch(LeakyClient.java:11)  91 %");
	assert_has("of 28,232 ports (32768 to 60999)");
	assert_has("<td class=\"n\">15,491</td>"); /* ports left to the worst peer */
	assert_int_equal(formatted_count(&page, "<details class=\"site\""), 5);
	assert_int_equal(formatted_count(&page, "<details class=\"site\" open>"), 1);
	assert_has("Options in force");
	assert_has("Listeners with a backlog");
	formatted_free(&page);
}

static void test_what_is_elsewhere(void **state)
{
	(void)state;
	const struct sl_snapshot_elsewhere rows[] = {
		{.kind = SL_ELSEWHERE_NOT_ACCEPTED,
	         .count = 129,
	         .oldest_ms = SL_UNKNOWN,
	         .limit = 128,
	         .local = "<script>:80",
	         .is_stalled = true},
		{.kind = SL_ELSEWHERE_CONNECTING,
	         .count = 7,
	         .oldest_ms = SL_UNKNOWN,
	         .limit = SL_UNKNOWN},
	};
	struct sl_snapshot s = sample_rich();
	render(&s);
	assert_int_equal(formatted_count(&page, "No leak, and not well"), 0);
	formatted_free(&page);
	s.elsewhere = rows;
	s.elsewhere_count = 2;
	render(&s);
	assert_has("<h3>No leak, and not well</h3>");
	assert_has("<li>129 wait at &lt;script&gt;:80 (limit 128, full): the program is not "
	           "calling accept()</li>");
	assert_has("<li>7 in SYN_SENT: no answer: down, or a firewall</li>");
	formatted_free(&page);
}

static void test_page_loads_nothing(void **state)
{
	(void)state;
	const struct sl_snapshot s = sample_rich();
	render(&s);
	assert_has("default-src 'none'");
	static const char *const ways[] = {" src=",   "<link",    "@import", "url(",
	                                   "http://", "https://", "<iframe"};
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strstr(page.text, ways[i]))
			fail_msg("the page has %s", ways[i]);
	assert_int_equal(formatted_count(&page, "<script"), 1);
	assert_int_equal(formatted_count(&page, "</script"), 1);
	formatted_free(&page);
}

/* Every string of the model is the attack: not one '<' more than without it. */
static void test_no_name_leaves_its_place(void **state)
{
	(void)state;
	static const char *const texts[] = {ATTACK, ATTACK, NULL};
	static const struct sl_frame frames[] = {
		{.text = ATTACK,
	         .function = ATTACK,
	         .module = ATTACK,
	         .file = ATTACK,
	         .line = 3,
	         .build_id = ATTACK},
		{.text = ATTACK "2",
	         .class_name = ATTACK,
	         .method = ATTACK,
	         .file = ATTACK,
	         .line = 3},
	};
	static const struct sl_frame *const stack[] = {&frames[0], &frames[1]};
	struct sl_snapshot s = sample_rich();
	struct sl_snapshot_site site = s.sites[0];
	struct sl_snapshot_peer peer = s.peers[0];
	struct sl_snapshot_socket socket = s.sockets[0];
	struct sl_snapshot_listener listener = s.listeners[0];
	const struct sl_snapshot_option option = {ATTACK, ATTACK};
	site.blame = site.blame_where = ATTACK;
	site.threads = texts;
	site.thread_names = 2;
	site.frames = stack;
	site.frame_count = 2;
	site.blame_frame = 1;
	peer.address = socket.local = socket.peer = socket.thread = listener.local = ATTACK;
	s.process.name = s.process.exe = s.process.hostname = s.version = s.pressure = ATTACK;
	s.process.argv = texts;
	s.sites = &site;
	s.peers = &peer;
	s.sockets = &socket;
	s.listeners = &listener;
	s.options = &option;
	s.site_count = s.peer_count = s.socket_count = s.listener_count = s.option_count = 1;
	render(&s);
	assert_int_equal(formatted_count(&page, "<img"), 0);
	assert_int_equal(formatted_count(&page, "</script"), 1);
	assert_int_equal(formatted_count(&page, "onerror=\""), 0);
	assert_true(formatted_count(&page, ESCAPED) > 20);
	formatted_free(&page);

	s.no_sites = ATTACK;
	s.site_count = 0;
	render(&s);
	assert_int_equal(formatted_count(&page, "<img"), 0);
	assert_int_equal(formatted_count(&page, "Not known: " ESCAPED), 2);
	formatted_free(&page);
}

static void test_ages_that_are_missing_are_said(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	s.sockets = NULL;
	s.socket_count = 0;
	render(&s);
	assert_has("the option detail=1 adds them");
	assert_int_equal(formatted_count(&page, "Connections: "), 0);
	formatted_free(&page);
}

static void test_healthy_and_reclaimed(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_healthy();
	render(&s);
	assert_has("<strong>OK</strong>");
	assert_has("No connection is in CLOSE_WAIT.");
	formatted_free(&page);
	s.totals.open = 0;
	render(&s);
	assert_has("No connection is open.");
	formatted_free(&page);

	s = sample_reclaimed();
	render(&s);
	assert_has("14000 ended by us");
	formatted_free(&page);
}

static unsigned drawn(void)
{
	return formatted_count(&page, "<div class=\"f ");
}

static void test_flame_shares_outer_frames(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_many(20); /* one stack, twenty times */
	formatted_start(&page);
	sl_html_flame(page.to, &s, SL_MEASURE_AUTO);
	formatted_end(&page);
	/* The program, what is above the cut, seven frames; and a box for what the total has beyond. */
	assert_in_range(drawn(), 9, 10);
	assert_int_equal(formatted_count(&page, " blame\""), 2); /* and the legend's */
	formatted_free(&page);
}

static void test_flame_leaves_out_the_narrow(void **state)
{
	(void)state;
	static struct sl_snapshot_site sites[2];
	static const struct sl_frame wide = {.text = "wide"}, narrow = {.text = "narrow"};
	static const struct sl_frame *const wide_stack[] = {&wide}, *const narrow_stack[] = {
									    &narrow};
	struct sl_snapshot s = sample_healthy();
	sites[0] =
		(struct sl_snapshot_site){.open = 100000, .frames = wide_stack, .frame_count = 1};
	sites[1] = (struct sl_snapshot_site){.open = 1, .frames = narrow_stack, .frame_count = 1};
	s.sites = sites;
	s.site_count = 2;
	s.totals.open = 100001;
	formatted_start(&page);
	sl_html_flame(page.to, &s, SL_MEASURE_AUTO);
	formatted_end(&page);
	assert_int_equal(drawn(), 2);
	assert_has("1 frame narrower than 1/2000 of the whole is not drawn.");
	formatted_free(&page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_is_escaped),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_incident),
		cmocka_unit_test(test_what_is_elsewhere),
		cmocka_unit_test(test_page_loads_nothing),
		cmocka_unit_test(test_no_name_leaves_its_place),
		cmocka_unit_test(test_ages_that_are_missing_are_said),
		cmocka_unit_test(test_healthy_and_reclaimed),
		cmocka_unit_test(test_flame_shares_outer_frames),
		cmocka_unit_test(test_flame_leaves_out_the_narrow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
