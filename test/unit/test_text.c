/* The text report as a whole: against golden files, through buffers of every size, at its bounds.
 * `test_text update` writes the golden files anew. */
#include "report/text.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rendered.h"
#include "sample_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct rendered got;
static struct rendered other;

/* ---- golden files ---- */

struct golden {
	const char *name;
	struct sl_snapshot (*sample)(void);
	enum sl_text_form form;
	bool colour;
};

static const struct golden goldens[] = {
	{"text_short.txt", sample_rich, SL_TEXT_SHORT, false},
	{"text_full.txt", sample_rich, SL_TEXT_FULL, false},
	{"text_colour.txt", sample_rich, SL_TEXT_SHORT, true},
	{"text_reclaimed.txt", sample_reclaimed, SL_TEXT_FULL, false},
	{"text_reclaimed_short.txt", sample_reclaimed, SL_TEXT_SHORT, false},
	{"text_healthy.txt", sample_healthy, SL_TEXT_FULL, false},
};
#define GOLDENS (sizeof(goldens) / sizeof(goldens[0]))

/* Beside this source file. */
static FILE *golden_open(const struct golden *golden, const char *mode)
{
	char path[4096];
	const char *slash = strrchr(__FILE__, '/');
	int folder = slash ? (int)(slash - __FILE__) : 1;
	snprintf(path, sizeof(path), "%.*s/golden/%s", folder, slash ? __FILE__ : ".",
	         golden->name);
	FILE *file = fopen(path, mode);
	if (!file)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	return file;
}

static void render_golden(const struct golden *golden)
{
	struct sl_snapshot s = golden->sample();
	render_text(&got, &s, golden->form, golden->colour, RENDERED_BYTES);
}

static int update(void)
{
	for (size_t i = 0; i < GOLDENS; i++) {
		FILE *file = golden_open(&goldens[i], "w");
		if (!file)
			return 1;
		render_golden(&goldens[i]);
		fwrite(got.text, 1, got.length, file);
		if (fclose(file))
			return 1;
	}
	return 0;
}

static void test_golden_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < GOLDENS; i++) {
		FILE *file = golden_open(&goldens[i], "r");
		assert_non_null(file);
		size_t n = fread(other.text, 1, RENDERED_BYTES - 1, file);
		fclose(file);
		other.text[n] = '\0';
		render_golden(&goldens[i]);
		assert_string_equal(got.text, other.text);
	}
}

/* ---- properties of every report ---- */

static void test_every_buffer_size_gives_the_same_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < GOLDENS; i++) {
		struct sl_snapshot s = goldens[i].sample();
		render_golden(&goldens[i]);
		for (size_t bytes = 1; bytes <= 300; bytes++) {
			render_text(&other, &s, goldens[i].form, goldens[i].colour, bytes);
			assert_string_equal(other.text, got.text);
			assert_true(other.flushes >= got.length / bytes);
		}
	}
}

static void test_a_plain_buffer_is_cut_and_says_so(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	char small[120];
	struct sl_out out;
	sl_out_init(&out, small, sizeof(small), NULL, NULL);
	sl_text_render(&out, &s, SL_TEXT_FULL, false);
	assert_true(out.is_cut);
	assert_int_equal(out.length, sizeof(small));
}

/* Nothing but printable text and line ends: names cannot move the cursor or begin a line. */
static void assert_harmless(const char *text)
{
	for (const char *at = text; *at; at++) {
		unsigned char byte = (unsigned char)*at;
		assert_true(byte >= 0x20 || byte == '\n');
		assert_int_not_equal(byte, 0x7f);
		assert_false(byte == 0xff);
		assert_false(byte == 0xc2 && (unsigned char)at[1] < 0xa0);
	}
	assert_null(strstr(text, "\xe2\x80\xae"));
}

static void test_names_are_escaped(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_rich();
	render_text(&got, &s, SL_TEXT_FULL, false, 64);
	assert_harmless(got.text);
	assert_non_null(strstr(got.text, "evil\\x1b[2J\"quoted\\"));
	s.process.name = s.process.hostname = s.process.exe = s.pressure = s.process.argv[2];
	s.verdict = SL_VERDICT_UNKNOWN;
	render_text(&got, &s, SL_TEXT_FULL, false, 64);
	assert_harmless(got.text);
}

/* The text without its SGR sequences. */
static void strip_colour(const char *from, char *to)
{
	while (*from) {
		if (*from == '\033') {
			assert_int_equal(from[1], '[');
			from += 2 + strspn(from + 2, "0123456789;");
			assert_int_equal(*from++, 'm');
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

static void test_colour_changes_nothing_else(void **state)
{
	(void)state;
	static char stripped[RENDERED_BYTES];
	for (int form = SL_TEXT_SHORT; form <= SL_TEXT_FULL; form++) {
		struct sl_snapshot s = sample_rich();
		render_text(&got, &s, (enum sl_text_form)form, true, 4096);
		render_text(&other, &s, (enum sl_text_form)form, false, 4096);
		assert_null(strchr(other.text, '\033'));
		assert_non_null(strstr(got.text, "\033[1;31mLEAK\033[0m"));
		assert_non_null(strstr(got.text, "\033[1m    > LeakyClient.fetch("));
		strip_colour(got.text, stripped);
		assert_string_equal(stripped, other.text);
	}
}

/* ---- bounds ---- */

static void test_short_form_has_forty_lines_at_most(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_many(SAMPLE_MANY);
	for (uint32_t i = 0; i < s.site_count; i++)
		((struct sl_snapshot_site *)s.sites)[i].reclaimed = 1234567;
	render_text(&got, &s, SL_TEXT_SHORT, false, 4096);
	assert_true(rendered_lines(got.text) <= SL_TEXT_SHORT_LINES);
	assert_non_null(
		strstr(got.text, "\n  done     reclaimed 1234567 of the 13500 that it opened\n"));
	assert_true(rendered_widest(got.text, UINT32_MAX) <= 100);
	assert_non_null(strstr(got.text, "\n... 297 more sites, 299 more peers, 300 listeners, see "
	                                 "report=FILE or json=FILE\n"));
	s = sample_many(1);
	s.listener_count = 0;
	render_text(&got, &s, SL_TEXT_SHORT, false, 4096);
	assert_null(strstr(got.text, "report=FILE"));
	s = sample_many(4);
	s.listener_count = 0;
	s.peer_count = 1;
	render_text(&got, &s, SL_TEXT_SHORT, false, 4096);
	assert_non_null(strstr(got.text, "\n... 1 more site, see report=FILE or json=FILE\n"));
}

/* The blame, the call it made, and two callers; all others are counted. */
static void test_short_form_shows_the_frames_around_the_blame(void **state)
{
	(void)state;
	static struct sl_frame frames[20];
	static const struct sl_frame *stack[20];
	static char texts[20][16];
	struct sl_snapshot s = sample_many(1);
	struct sl_snapshot_site *site = (struct sl_snapshot_site *)s.sites;
	for (unsigned i = 0; i < 20; i++) {
		snprintf(texts[i], sizeof(texts[i]), "frame%u()", i);
		frames[i].text = texts[i];
		stack[i] = &frames[i];
	}
	site->frames = stack;
	site->frame_count = 20;
	site->frames_cut = 0;
	site->blame_frame = 10;
	render_text(&got, &s, SL_TEXT_SHORT, false, 4096);
	assert_non_null(strstr(got.text,
	                       "\n      frame9()\n    > frame10()\n      frame11()\n"
	                       "      frame12()\n      ... 9 more within, 7 more around\n"));
	site->blame_frame = 0;
	site->frames_cut = 1;
	render_text(&got, &s, SL_TEXT_SHORT, false, 4096);
	assert_non_null(strstr(got.text, "\n    > frame0()\n      frame1()\n      frame2()\n"
	                                 "      frame3()\n      ... 16 more around; "
	                                 "the stack was deeper than depth=\n"));
	site->frame_count = 3;
	render_text(&got, &s, SL_TEXT_SHORT, false, 4096);
	assert_non_null(strstr(got.text, "\n      frame2()\n"
	                                 "      ... the stack was deeper than depth=\n"));
	site->frame_count = 20;
	site->blame_frame = UINT32_MAX;
	render_text(&got, &s, SL_TEXT_SHORT, false, 4096);
	assert_non_null(strstr(got.text, "\n      frame0()\n"));
	assert_null(strstr(got.text, "    > "));
}

static unsigned count_of(const char *text, const char *what)
{
	unsigned n = 0;
	while ((text = strstr(text, what))) {
		n++;
		text += strlen(what);
	}
	return n;
}

static void test_full_form_says_what_it_cuts(void **state)
{
	(void)state;
	struct sl_snapshot s = sample_many(SAMPLE_MANY);
	render_text(&got, &s, SL_TEXT_FULL, false, 4096);
	assert_int_equal(count_of(got.text, "\nSITE 7 "), SL_TEXT_FULL_SITES);
	assert_int_equal(count_of(got.text, "\n  out "), SL_TEXT_FULL_PEERS);
	assert_int_equal(count_of(got.text, "12  0.0.0.0:8080\n"), SL_TEXT_FULL_LISTENERS);
	assert_int_equal(count_of(got.text, "stack was deeper than depth="), SL_TEXT_FULL_SITES);
	assert_non_null(strstr(got.text, "\n... 200 more sites, see json=FILE\n"));
	assert_non_null(strstr(got.text, "\n  ... 100 more peers, see json=FILE\n"));
	assert_non_null(strstr(got.text, "\n  ... 250 more listeners, see json=FILE\n"));
	s = sample_many(SL_TEXT_FULL_SITES);
	s.listener_count = SL_TEXT_FULL_LISTENERS;
	render_text(&got, &s, SL_TEXT_FULL, false, 4096);
	assert_null(strstr(got.text, "see json=FILE"));
	s = sample_many(SL_TEXT_FULL_SITES + 1);
	render_text(&got, &s, SL_TEXT_FULL, false, 4096);
	assert_non_null(strstr(got.text, "\n... 1 more site, see json=FILE\n"));
}

/* The eight lines keep their width whatever the names are: n characters of one to four bytes. */
static void test_long_names_are_shortened_in_the_middle(void **state)
{
	(void)state;
	static const char *const characters[] = {"x", "\xc3\xa9", "\xe4\xb8\xad",
	                                         "\xf0\x9f\x98\x80", "\x1b"};
	for (size_t c = 0; c < sizeof(characters) / sizeof(characters[0]); c++) {
		for (unsigned n = 1; n < 300; n += n < 120 ? 1 : 37) {
			static char name[2048];
			name[0] = '\0';
			for (unsigned i = 0; i < n; i++)
				memcpy(name + i * strlen(characters[c]), characters[c],
				       strlen(characters[c]) + 1);
			struct sl_snapshot s = sample_many(3);
			((struct sl_snapshot_peer *)s.peers)[1].address = name;
			((struct sl_snapshot_peer *)s.peers)[1].ports_left = 1;
			((struct sl_snapshot_peer *)s.peers)[1].exhausted_in_ms = 1;
			((struct sl_snapshot_site *)s.sites)[0].blame = name;
			((struct sl_snapshot_site *)s.sites)[0].blame_where = name;
			s.process.name = s.process.hostname = name;
			for (int pass = 0; pass < 2; pass++) {
				render_text(&got, &s, SL_TEXT_SHORT, false, 4096);
				assert_true(rendered_widest(got.text, RENDERED_LEAD) <= 100);
				assert_harmless(got.text);
				s.pressure = name;
				((struct sl_snapshot_peer *)s.peers)[0] = s.peers[1];
			}
			s = sample_healthy();
			s.process.name = s.process.hostname = name;
			s.totals.open = 99999;
			render_text(&got, &s, SL_TEXT_SHORT, false, 4096);
			assert_int_equal(rendered_lines(got.text), 1);
			assert_true(rendered_widest(got.text, 1) <= 100);
		}
	}
	struct sl_snapshot s = sample_many(1);
	((struct sl_snapshot_site *)s.sites)[0].blame =
		"com.example.service.transcription.storage.upload.client.internal."
		"UploadClientFactory"
		".createAndConnect(UploadClientFactory.java:1234)";
	render_text(&got, &s, SL_TEXT_SHORT, false, 4096);
	assert_non_null(strstr(got.text,
	                       "\nWHERE     com.example.service.transcr..Factory.createAndConnect("
	                       "UploadClientFactory.java:1234)  91 %\n"));
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "update"))
		return update();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_files),
		cmocka_unit_test(test_every_buffer_size_gives_the_same_bytes),
		cmocka_unit_test(test_a_plain_buffer_is_cut_and_says_so),
		cmocka_unit_test(test_names_are_escaped),
		cmocka_unit_test(test_colour_changes_nothing_else),
		cmocka_unit_test(test_short_form_has_forty_lines_at_most),
		cmocka_unit_test(test_short_form_shows_the_frames_around_the_blame),
		cmocka_unit_test(test_full_form_says_what_it_cuts),
		cmocka_unit_test(test_long_names_are_shortened_in_the_middle),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
