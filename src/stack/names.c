#include "stack/names.h"

#include <stdatomic.h>
#include <string.h>

#include "base/hash.h"
#include "base/options.h"
#include "stack/blame.h"

#include "base/poison.h"

#define SL_FRAMES_MAX 16384u

struct named_frame {
	struct sl_interned head;
	uint64_t words[2];
	enum sl_stack_kind kind;
	struct sl_frame frame;
};

struct frame_key {
	uint64_t words[2];
	enum sl_stack_kind kind;
	sl_frame_describe_fn *describe;
	void *context;
};

static bool frame_equal(const struct sl_interned *item, const void *key)
{
	const struct named_frame *named = (const struct named_frame *)item;
	const struct frame_key *k = key;
	return named->kind == k->kind && named->words[0] == k->words[0] &&
	       named->words[1] == k->words[1];
}

static struct sl_interned *frame_make(struct sl_arena *arena, const void *key)
{
	const struct frame_key *k = key;
	struct named_frame *named = sl_arena_alloc(arena, sizeof(*named));
	if (!named)
		return NULL;
	memcpy(named->words, k->words, sizeof(named->words));
	named->kind = k->kind;
	k->describe(k->words[0], k->words[1], k->context, &named->frame);
	return &named->head;
}

SL_INTERN(frames, SL_FRAMES_MAX, &sl_ledger_arena, frame_equal, frame_make);

static const struct sl_frame unnamed = {.role = SL_ROLE_RUNTIME, .text = "(no room for its name)"};

static const struct sl_frame *frame_of(const struct sl_site *site, uint32_t i,
                                       sl_frame_describe_fn *describe, void *context)
{
	struct frame_key key = {.kind = site->kind, .describe = describe, .context = context};
	uint32_t per_frame = sl_stack_words_per_frame(site->kind);
	memcpy(key.words, &site->words[i * per_frame], per_frame * sizeof(uint64_t));
	const struct sl_interned *item =
		sl_intern(&frames, sl_hash_words(key.words, 2) ^ (uint64_t)key.kind, &key);
	const struct named_frame *named = (const struct named_frame *)item;
	return named && named->frame.text ? &named->frame : &unnamed;
}

void sl_site_name(struct sl_site *site, sl_frame_describe_fn *describe, void *context)
{
	if (atomic_load(&site->named) || site->kind == SL_STACK_NONE)
		return;
	size_t bytes =
		sizeof(struct sl_site_frames) + site->frame_count * sizeof(struct sl_frame *);
	struct sl_site_frames *made = sl_arena_alloc(&sl_ledger_arena, bytes);
	if (!made)
		return;
	made->count = site->frame_count;
	for (uint32_t i = 0; i < made->count; i++)
		made->frames[i] = frame_of(site, i, describe, context);
	made->blame = sl_blame(made->frames, made->count, sl_options.app);
	const struct sl_site_frames *none = NULL;
	atomic_compare_exchange_strong(&site->named, &none, made);
}
