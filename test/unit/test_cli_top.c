/* What `sockleak top` shows, without a terminal: order, the row at hand, scrolling, the history. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cli/top_model.h"
#include "sample_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct sl_snapshot_site sites[4];
static struct sl_snapshot_peer peers[3];
static struct sl_snapshot snapshot;

static int start(void **state)
{
	static struct sl_top_model top;
	memset(sites, 0, sizeof(sites));
	memset(peers, 0, sizeof(peers));
	for (uint32_t i = 0; i < 4; i++) {
		sites[i].id = 10 + i;
		sites[i].stuck = 4 - i;
		sites[i].close_wait = 10 + i;
		sites[i].open = 20;
		sites[i].oldest_close_wait_ms = i == 1 ? SL_UNKNOWN : (int64_t)i * 1000;
	}
	sites[0].blame = "zebra (z.c:1)";
	sites[2].blame = "aardvark (a.c:2)";
	for (uint32_t i = 0; i < 3; i++) {
		peers[i].direction = SL_DIRECTION_OUT;
		peers[i].address = i == 0 ? "10.0.0.9" : i == 1 ? "10.0.0.1" : NULL;
		peers[i].port = i < 2 ? 80 : SL_UNKNOWN;
		peers[i].ports_left = i == 0 ? 300 : i == 1 ? 20 : SL_UNKNOWN;
	}
	snapshot = (struct sl_snapshot){
		.sites = sites, .site_count = 4, .peers = peers, .peer_count = 3};
	top = (struct sl_top_model){.view = SL_TOP_SITES};
	sl_top_model_show(&top, &snapshot);
	*state = &top;
	return 0;
}

static int end(void **state)
{
	sl_top_model_free(*state);
	return 0;
}

static void sort_by(struct sl_top_model *top, const char *title)
{
	unsigned count;
	const struct sl_top_column *columns = sl_top_model_columns(top->view, &count);
	for (unsigned i = 0; i < count; i++)
		if (strcmp(columns[sl_top_model_table(top)->sort].title, title) != 0)
			sl_top_model_sort_next(top);
	assert_string_equal(columns[sl_top_model_table(top)->sort].title, title);
}

static void assert_order(struct sl_top_model *top, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	const uint32_t *order = sl_top_model_table(top)->order;
	assert_int_equal(order[0], a);
	assert_int_equal(order[1], b);
	assert_int_equal(order[2], c);
	assert_int_equal(order[3], d);
}

static void test_worst_first_then_by_each_column(void **state)
{
	struct sl_top_model *top = *state;
	assert_order(top, 0, 1, 2, 3);
	sort_by(top, "CLOSE_WAIT");
	assert_order(top, 3, 2, 1, 0);
	sort_by(top, "open"); /* all the same: as they were */
	assert_order(top, 0, 1, 2, 3);
	sort_by(top, "oldest"); /* not known comes last */
	assert_order(top, 3, 2, 0, 1);
	sort_by(top, "where");
	assert_order(top, 2, 0, 1, 3);
	sort_by(top, "stuck");
	assert_order(top, 0, 1, 2, 3);
}

static void test_peers_have_their_own_order(void **state)
{
	struct sl_top_model *top = *state;
	struct sl_top_cell cell;
	sort_by(top, "CLOSE_WAIT");
	top->view = SL_TOP_PEERS;
	sort_by(top, "peer");
	const uint32_t *order = sl_top_model_table(top)->order;
	assert_int_equal(order[0], 2); /* "(others)" */
	assert_int_equal(order[1], 1);
	assert_int_equal(order[2], 0);
	sl_top_model_cell(top, SL_TOP_PEERS, 1, 6, &cell);
	assert_string_equal(cell.text, "10.0.0.1:80");
	assert_int_equal(sl_top_model_ports_left(&snapshot), 20);
	top->view = SL_TOP_SITES;
	assert_order(top, 3, 2, 1, 0);
}

static void test_the_chosen_row_is_followed(void **state)
{
	struct sl_top_model *top = *state;
	sl_top_model_move(top, 1);
	assert_int_equal(sl_top_model_table(top)->selected, 1);
	sites[1].stuck = 100; /* it becomes the worst ... */
	sl_top_model_show(top, &snapshot);
	assert_int_equal(sl_top_model_table(top)->selected, 0);
	assert_true(sl_top_model_open_stack(top));
	assert_int_equal(top->site, 11);
	assert_ptr_equal(sl_top_model_site(top), &sites[1]);
	snapshot.site_count = 1; /* ... and is gone */
	sl_top_model_show(top, &snapshot);
	assert_null(sl_top_model_site(top));
	assert_int_equal(top->tables[SL_TOP_SITES].selected, 0);
}

static void test_the_first_row_stays_the_first(void **state)
{
	struct sl_top_model *top = *state;
	sites[3].stuck = 100;
	sl_top_model_show(top, &snapshot);
	assert_int_equal(sl_top_model_table(top)->selected, 0);
	assert_true(sl_top_model_open_stack(top));
	assert_int_equal(top->site, 13);
}

static void test_moving_ends_at_the_ends_and_scrolls(void **state)
{
	struct sl_top_model *top = *state;
	struct sl_top_table *table = sl_top_model_table(top);
	sl_top_model_move(top, INT32_MAX);
	assert_int_equal(table->selected, 3);
	sl_top_model_fit(top, 2);
	assert_int_equal(table->first, 2);
	sl_top_model_move(top, -3);
	sl_top_model_fit(top, 2);
	assert_int_equal(table->first, 0);
	sl_top_model_move(top, -INT32_MAX);
	assert_int_equal(table->selected, 0);
	sl_top_model_move(top, 3);
	sl_top_model_fit(top, 2);
	sl_top_model_fit(top, 10); /* a larger window shows all again */
	assert_int_equal(table->first, 0);
	snapshot.site_count = 0;
	sl_top_model_show(top, &snapshot);
	sl_top_model_move(top, 5);
	sl_top_model_fit(top, 2);
	assert_int_equal(table->selected, 0);
	assert_false(sl_top_model_open_stack(top));
}

static void test_history(void **state)
{
	struct sl_top_model *top = *state;
	sl_top_model_forget(top);
	assert_int_equal(sl_top_model_history_most(top), 0);
	for (unsigned i = 0; i < SL_TOP_SAMPLES + 40; i++) {
		snapshot.totals.close_wait = i;
		sl_top_model_show(top, &snapshot);
	}
	assert_int_equal(top->history_count, SL_TOP_SAMPLES);
	assert_int_equal(top->history[0], 40);
	assert_int_equal(sl_top_model_history_most(top), SL_TOP_SAMPLES + 39);
	assert_int_equal(sl_top_model_level(top, SL_TOP_SAMPLES - 1), SL_TOP_LEVELS - 1);
	assert_in_range(sl_top_model_level(top, 0), 1, SL_TOP_LEVELS - 2);
	top->history[0] = 0;
	assert_int_equal(sl_top_model_level(top, 0), 0);
	top->history[0] = 1; /* little is not nothing */
	assert_int_equal(sl_top_model_level(top, 0), 1);
	assert_int_equal(sl_top_model_level(top, SL_TOP_SAMPLES), 0);
}

static void test_processes(void **state)
{
	struct sl_top_model *top = *state;
	static struct sl_top_process processes[] = {{.pid = 7, .name = "b", .stuck = 1},
	                                            {.pid = 8, .name = "a", .stuck = 2}};
	top->view = SL_TOP_PROCESSES;
	assert_null(sl_top_model_process(top));
	sl_top_model_list(top, processes, 2);
	assert_int_equal(sl_top_model_process(top)->pid, 8);
	sl_top_model_move(top, 1);
	processes[0].stuck = 5;
	sl_top_model_list(top, processes, 2);
	assert_int_equal(sl_top_model_process(top)->pid, 7);
	sl_top_model_list(top, processes + 1, 1);
	assert_int_equal(sl_top_model_process(top)->pid, 8);
	sl_top_model_list(top, NULL, 0);
	assert_null(sl_top_model_process(top));
}

static void test_every_cell_of_a_full_snapshot(void **state)
{
	struct sl_top_model *top = *state;
	struct sl_snapshot many = sample_many(SAMPLE_MANY);
	sl_top_model_show(top, &many);
	for (int view = SL_TOP_PEERS; view <= SL_TOP_SITES; view++) {
		unsigned count;
		const struct sl_top_column *columns =
			sl_top_model_columns((enum sl_top_view)view, &count);
		top->view = (enum sl_top_view)view;
		for (unsigned i = 0; i < count; i++, sl_top_model_sort_next(top)) {
			struct sl_top_cell cell;
			sl_top_model_cell(top, top->view, SAMPLE_MANY - 1, i, &cell);
			assert_true(columns[i].kind == SL_TOP_TEXT || !cell.text);
		}
	}
}

static void test_what_has_no_blame_says_whose_it_is(void **state)
{
	static const struct sl_frame loop = {.role = SL_ROLE_LIBRARY,
	                                     .class_name = "io.netty.channel.nio.NioEventLoop"};
	static const struct sl_frame *const frames[] = {&loop};
	struct sl_top_model *top = *state;
	struct sl_top_cell cell;
	sl_top_model_cell(top, SL_TOP_SITES, 1, 5, &cell);
	assert_null(cell.text);
	sites[1].frames = frames;
	sites[1].frame_count = 1;
	sl_top_model_cell(top, SL_TOP_SITES, 1, 5, &cell);
	assert_string_equal(cell.text, "no frame of the application, only of Netty");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_worst_first_then_by_each_column, start, end),
		cmocka_unit_test_setup_teardown(test_peers_have_their_own_order, start, end),
		cmocka_unit_test_setup_teardown(test_the_chosen_row_is_followed, start, end),
		cmocka_unit_test_setup_teardown(test_the_first_row_stays_the_first, start, end),
		cmocka_unit_test_setup_teardown(test_moving_ends_at_the_ends_and_scrolls, start,
	                                        end),
		cmocka_unit_test_setup_teardown(test_history, start, end),
		cmocka_unit_test_setup_teardown(test_processes, start, end),
		cmocka_unit_test_setup_teardown(test_every_cell_of_a_full_snapshot, start, end),
		cmocka_unit_test_setup_teardown(test_what_has_no_blame_says_whose_it_is, start,
	                                        end),
	};
	return cmocka_run_group_tests_name("cli_top", tests, NULL, NULL);
}
