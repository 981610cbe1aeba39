/* SPDX-License-Identifier: Apache-2.0 */
#include "flash-states.h"
#include "flash-story.h"
#include <stdlib.h>
#include <string.h>

#define SEEN_MAX (1u << 21) /* beyond that some are tried again */
#define PAGES_AT_ONCE 16u

static struct {
	uint64_t seen[SEEN_MAX];
	unsigned n_seen;
	uint64_t page[SIM_PAGES_MAX], sum; /* of the board in sim */
	uint32_t from, n; /* pages of the last operation: their hashes are those of before it */
	uint32_t first, chance;
	struct collection *to;
} states;

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

/* Pages are whole words. */
static uint64_t hash(uint64_t h, const uint8_t *p, uint32_t size)
{
	uint64_t v;

	for (uint32_t i = 0; i < size; i += sizeof(v)) {
		memcpy(&v, p + i, sizeof(v));
		h = mix(h, v);
	}
	return h;
}

static bool any(const uint8_t *p, uint32_t size)
{
	return size && (p[0] || memcmp(p, p + 1, size - 1) != 0);
}

static uint64_t hash_page(uint32_t page)
{
	uint32_t size = sim.board.page, at = page * size;
	uint64_t h = hash(page + 1, sim.flash + at, size);

	if (sim.unstable_bits && any(sim.unstable + at, size))
		h = hash(~h, sim.unstable + at, size);
	return h;
}

static void hash_again(void)
{
	for (uint32_t i = states.from; i < states.from + states.n; i++) {
		states.sum -= states.page[i];
		states.page[i] = hash_page(i);
		states.sum += states.page[i];
	}
}

bool states_unstable(void)
{
	return sim.unstable_bits && any(sim.unstable, sim.size);
}

void states_forget(void)
{
	memset(states.seen, 0, sizeof(states.seen));
	states.n_seen = 0;
}

/* Remembers the board in sim; false: it was seen before. */
static bool is_new(void)
{
	uint64_t key = mix(mix(mix(states.sum, world.confirmed), world.floor), world.key_set);
	uint32_t i = (uint32_t)(key >> 40) % SEEN_MAX;

	key |= 1; /* 0 is an empty place */
	for (; states.seen[i]; i = (i + 1) % SEEN_MAX)
		if (states.seen[i] == key)
			return false;
	if (states.n_seen < SEEN_MAX / 2) {
		states.n_seen++;
		states.seen[i] = key;
	}
	return true;
}

static void keep_left(enum sim_cut kind)
{
	bool unstable = states_unstable();
	struct left *l = malloc(sizeof(*l) + (size_t)sim.size * (unstable ? 2 : 1));

	if (!l)
		abort();
	*l = (struct left){.next = states.to->first,
		.kind = kind,
		.at = sim.operations - states.first,
		.confirmed = world.confirmed,
		.unstable_bits = unstable,
		.random = sim.random,
		.floor = world.floor,
		.key_set = world.key_set};
	memcpy(l->flash, sim.flash, sim.size);
	if (unstable)
		memcpy(l->flash + sim.size, sim.unstable, sim.size);
	states.to->first = l;
}

static void look(enum sim_cut kind, uint32_t offset, uint32_t size)
{
	uint64_t sum = states.sum, before[PAGES_AT_ONCE];

	states.from = offset / sim.board.page;
	states.n = (offset + size - 1) / sim.board.page - states.from + 1;
	if (states.n > PAGES_AT_ONCE)
		abort();
	memcpy(before, states.page + states.from, states.n * sizeof(*before));
	hash_again();
	states.to->cuts++;
	if (is_new())
		keep_left(kind);
	memcpy(states.page + states.from, before, states.n * sizeof(*before));
	states.sum = sum;
}

static void before_operation(void)
{
	uint32_t at = sim.operations - states.first;

	hash_again(); /* what the last one did */
	for (enum sim_cut kind = 0; kind < CUT_KINDS; kind++)
		sim_left_by_cut(kind, at * 2654435761u + kind + states.chance * 40503u, look);
}

void states_collect(struct collection *ret, uint32_t chance, void (*f)(void))
{
	states.to = ret;
	states.chance = chance;
	states.first = sim.operations;
	memset(states.page, 0, sizeof(states.page));
	states.sum = 0;
	states.from = 0;
	states.n = sim.size / sim.board.page;
	sim.watch = before_operation;
	f();
	sim.watch = NULL;
}

void states_put(const struct left *l)
{
	world.confirmed = l->confirmed;
	world.floor = l->floor;
	world.key_set = l->key_set;
	memcpy(sim.flash, l->flash, sim.size);
	if (l->unstable_bits)
		memcpy(sim.unstable, l->flash + sim.size, sim.size);
	else
		memset(sim.unstable, 0, sim.size);
	sim.unstable_bits = l->unstable_bits;
	sim.random = l->random;
}

void states_free(struct collection *c)
{
	while (c->first) {
		struct left *next = c->first->next;
		free(c->first);
		c->first = next;
	}
}
