/* html_flame.c - see html_flame.h. */
#include "cli/html_flame.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "cli/heap.h"
#include "cli/html.h"
#include "cli/measure.h"
#include "report/words.h"

struct node {
	const char *text;
	const struct sl_frame *frame; /* NULL: of no code */
	bool is_blame;
	uint64_t counts[SL_MEASURE_COUNT];
	struct node *parent, *first, *last, *next;
	unsigned depth;
	unsigned number; /* in the order of the page */
	UT_hash_handle hh;
	char key[];
};

struct flame {
	struct node *nodes; /* all, by parent and text */
	struct node *root;
	enum sl_measure measure; /* that the page shows first */
	unsigned deepest;
	unsigned written, left_out;
};

static struct node *child_of(struct flame *flame, struct node *parent, const char *text,
                             const struct sl_frame *frame)
{
	const size_t text_bytes = strlen(text);
	const size_t n = sizeof(parent) + text_bytes;
	struct node *found, *node = sl_heap_grow(NULL, sizeof(*node) + n);
	memset(node, 0, sizeof(*node));
	memcpy(node->key, &parent, sizeof(parent));
	memcpy(node->key + sizeof(parent), text, text_bytes);
	HASH_FIND(hh, flame->nodes, node->key, n, found);
	if (found) {
		free(node);
		return found;
	}
	node->text = text;
	node->frame = frame;
	node->parent = parent;
	node->depth = parent ? parent->depth + 1 : 0;
	if (node->depth > flame->deepest)
		flame->deepest = node->depth;
	HASH_ADD_KEYPTR(hh, flame->nodes, node->key, n, node);
	if (parent) {
		*(parent->last ? &parent->last->next : &parent->first) = node;
		parent->last = node;
	}
	return node;
}

static void add(struct node *node, const uint64_t counts[SL_MEASURE_COUNT])
{
	for (; node; node = node->parent)
		for (int i = 0; i < SL_MEASURE_COUNT; i++)
			node->counts[i] += counts[i];
}

static void add_site(struct flame *flame, const struct sl_snapshot_site *site)
{
	uint64_t counts[SL_MEASURE_COUNT];
	struct node *node = flame->root;
	if (!site->open)
		return;
	for (int i = 0; i < SL_MEASURE_COUNT; i++)
		counts[i] = sl_measure_site((enum sl_measure)i, site);
	if (!site->frame_count)
		node = child_of(flame, node, sl_measure_no_stack, NULL);
	if (site->frames_cut)
		node = child_of(flame, node, sl_measure_cut, NULL);
	for (uint32_t i = site->frame_count; i > 0; i--) {
		const struct sl_frame *frame = site->frames[i - 1];
		node = child_of(flame, node, sl_measure_frame(frame), frame);
		node->is_blame |= i - 1 == site->blame_frame;
	}
	add(node, counts);
}

/* ---- into the page ---- */

static int wider(const void *a, const void *b, const struct flame *flame)
{
	const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;
	uint64_t left = x->counts[flame->measure], right = y->counts[flame->measure];
	if (left != right)
		return left > right ? -1 : 1;
	left = x->counts[SL_MEASURE_OPEN];
	right = y->counts[SL_MEASURE_OPEN];
	return left > right ? -1 : left < right;
}

static int wider_r(const void *a, const void *b, void *flame)
{
	return wider(a, b, flame);
}

static bool is_narrow(const struct flame *flame, const struct node *node)
{
	for (int i = 0; i < SL_MEASURE_COUNT; i++)
		if (node->counts[i] && node->counts[i] >= flame->root->counts[i] / SL_FLAME_PARTS)
			return false;
	return true;
}

static unsigned subtree(const struct node *node)
{
	unsigned n = 1;
	for (const struct node *child = node->first; child; child = child->next)
		n += subtree(child);
	return n;
}

/* A class without its package, a hidden one ("Client$$Lambda.0x00007f...") without its address. The caller frees it. */
static char *simple_name(const char *class_name)
{
	const char *address = strstr(class_name, ".0x");
	size_t n = address ? (size_t)(address - class_name) : strlen(class_name), from = n;
	while (from > 0 && class_name[from - 1] != '.')
		from--;
	char *name = sl_heap_grow(NULL, n - from + 1);
	memcpy(name, class_name + from, n - from);
	name[n - from] = '\0';
	return name;
}

/* What fits into a narrow box: "Class.method:11", without the package and the words that repeat. */
static void put_label(FILE *to, const struct node *node)
{
	const struct sl_frame *frame = node->frame;
	if (!frame || !frame->class_name || !frame->method) {
		sl_html_text(to, node->text);
		return;
	}
	char *class_name = simple_name(frame->class_name);
	sl_html_text(to, class_name);
	free(class_name);
	(void)putc('.', to);
	sl_html_text(to, frame->method);
	if (frame->line > 0)
		fprintf(to, ":%" PRId32, frame->line);
}

static void put_node(FILE *to, struct flame *flame, struct node *node, uint64_t left)
{
	const uint64_t whole = flame->root->counts[flame->measure];
	const uint64_t part = node->counts[flame->measure];
	node->number = flame->written++;
	fprintf(to, "<div class=\"f %s%s\" style=\"left:",
	        node->frame ? sl_words_role(node->frame->role) : "none",
	        node->is_blame ? " blame" : "");
	sl_html_percent(to, left, whole);
	(void)fputs(";width:", to);
	sl_html_percent(to, part, whole);
	fprintf(to,
	        ";--d:%u\"%s data-p=\"%d\" data-v=\"%" PRIu64 " %" PRIu64 " %" PRIu64 "\" title=\"",
	        node->depth, part ? "" : " hidden", node->parent ? (int)node->parent->number : -1,
	        node->counts[SL_MEASURE_STUCK], node->counts[SL_MEASURE_CLOSE_WAIT],
	        node->counts[SL_MEASURE_OPEN]);
	sl_html_text(to, node->text);
	(void)fputs("\">", to);
	put_label(to, node);
	(void)fputs("</div>\n", to);
}

static void put_tree(FILE *to, struct flame *flame, struct node *node, uint64_t left)
{
	unsigned n = 0;
	if (node != flame->root && is_narrow(flame, node)) {
		flame->left_out += subtree(node);
		return;
	}
	put_node(to, flame, node, left);
	for (struct node *child = node->first; child; child = child->next)
		n++;
	struct node **children = sl_heap_grow(NULL, n * sizeof(struct node *));
	n = 0;
	for (struct node *child = node->first; child; child = child->next)
		children[n++] = child;
	qsort_r(children, n, sizeof(struct node *), wider_r, flame);
	for (unsigned i = 0; i < n; i++) {
		put_tree(to, flame, children[i], left);
		left += children[i]->counts[flame->measure];
	}
	free(children);
}

static const char *const names[SL_MEASURE_COUNT] = {
	[SL_MEASURE_STUCK] = "stuck",
	[SL_MEASURE_CLOSE_WAIT] = "CLOSE_WAIT",
	[SL_MEASURE_OPEN] = "open",
};

static void put_choice(FILE *to, const struct flame *flame, enum sl_measure measure)
{
	if (!flame->root->counts[measure])
		return;
	fprintf(to, "<button type=\"button\" data-measure=\"%d\" aria-pressed=\"%s\">%s <b>",
	        (int)measure, measure == flame->measure ? "true" : "false", names[measure]);
	sl_html_number(to, flame->root->counts[measure]);
	(void)fputs("</b></button>", to);
}

static void put_tools(FILE *to, const struct flame *flame)
{
	(void)fputs("<div class=\"tools script\"><span class=\"choice\" role=\"group\" "
	            "aria-label=\"Width\">",
	            to);
	for (int i = 0; i < SL_MEASURE_COUNT; i++)
		put_choice(to, flame, (enum sl_measure)i);
	(void)fputs("</span><input type=\"search\" id=\"search\" placeholder=\"Search frames (/)\" "
	            "aria-label=\"Search frames\"><button type=\"button\" id=\"whole\" "
	            "disabled>Whole graph (Esc)</button><output id=\"found\"></output></div>\n",
	            to);
}

static void put_legend(FILE *to, const struct flame *flame)
{
	fprintf(to,
	        "<p class=\"legend\"><i class=\"application\"></i>application "
	        "<i class=\"library\"></i>library <i class=\"runtime\"></i>runtime "
	        "<i class=\"application blame\"></i>blamed frame. Width: connections "
	        "(<span id=\"measured\">%s</span>).<span class=\"script\"> Click or Enter: zoom; "
	        "arrow keys: "
	        "move.</span>",
	        names[flame->measure]);
	if (flame->left_out) {
		(void)putc(' ', to);
		sl_html_count(to, flame->left_out, "frame");
		fprintf(to, " narrower than 1/%d of the whole %s not drawn.", SL_FLAME_PARTS,
		        flame->left_out == 1 ? "is" : "are");
	}
	(void)fputs("</p>\n", to);
}

static void end(struct flame *flame)
{
	struct node *node = flame->nodes;
	HASH_CLEAR(hh, flame->nodes);
	while (node) {
		struct node *next = node->hh.next;
		free(node);
		node = next;
	}
}

void sl_html_flame(FILE *to, const struct sl_snapshot *s, enum sl_measure measure)
{
	struct flame flame = {.measure = sl_measure_of(measure, s)};
	if (!sl_measure_total(flame.measure, s))
		flame.measure = sl_measure_of(SL_MEASURE_AUTO, s);
	flame.root = child_of(&flame, NULL, s->process.name ? s->process.name : "?", NULL);
	for (uint32_t i = 0; i < s->site_count; i++)
		add_site(&flame, &s->sites[i]);
	uint64_t siteless[SL_MEASURE_COUNT];
	for (int i = 0; i < SL_MEASURE_COUNT; i++)
		siteless[i] = sl_measure_siteless((enum sl_measure)i, s);
	if (siteless[SL_MEASURE_OPEN])
		add(child_of(&flame, flame.root, sl_measure_no_site(s), NULL), siteless);
	put_tools(to, &flame);
	fprintf(to, "<div id=\"flame\" style=\"--rows:%u\" data-measure=\"%d\">\n",
	        flame.deepest + 1, (int)flame.measure);
	put_tree(to, &flame, flame.root, 0);
	(void)fputs("</div>\n<p id=\"shown\" class=\"script\" aria-live=\"polite\">&nbsp;</p>\n",
	            to);
	put_legend(to, &flame);
	end(&flame);
}
