/* SPDX-License-Identifier: Apache-2.0 */
/* From the addresses of the old image to those of the new one. */
#include "wire/patch-model.h"
#include <string.h>

void patch_map_add(struct ef_patch *s)
{
	unsigned n = s->n_segments++, k = n;

	for (; k && s->map[s->order[k - 1]].from > s->map[n].from; k--)
		s->order[k] = s->order[k - 1];
	s->order[k] = (uint8_t)n;
}

/* The k-th of the map in order of from. */
PATCH_APART static const struct ef_patch_segment *segment(const struct ef_patch *s, unsigned k)
{
	return &s->map[s->order[k]];
}

/* How many begin at x or below: segments of the map, or learned addresses. */
static unsigned count_below(const struct ef_patch *s, bool map, uint32_t x)
{
	unsigned lo = 0, hi = map ? s->n_segments : s->n_learned;

	while (lo < hi) {
		unsigned middle = (lo + hi) / 2;

		if ((map ? segment(s, middle)->from : s->learned[middle].address) <= x)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo;
}

/* The segment that holds x of the old image, else the nearest one, if any. */
static const struct ef_patch_segment *nearest(const struct ef_patch *s, uint32_t x, uint8_t *exact)
{
	const struct ef_patch_segment *g = &s->piece, *above;
	unsigned k;

	*exact = 1;
	if (x - g->from < g->size)
		return g;
	k = count_below(s, true, x);
	g = k ? segment(s, k - 1) : NULL;
	if (g && x - g->from < g->size)
		return g;
	*exact = 0;
	if (k == s->n_segments)
		return g;
	above = segment(s, k);
	return g && above->from - x > x - g->from - g->size ? g : above;
}

/* Where the byte at x of the old image went, or its nearest neighbour would have taken it. */
static uint32_t map_offset(const struct ef_patch *s, uint32_t x, uint8_t *exact)
{
	const struct ef_patch_segment *g = nearest(s, x, exact);

	return g ? x - g->from + g->to : x;
}

uint32_t patch_address(const struct ef_patch *s, unsigned which, uint32_t offset)
{
	const struct ef_patch_region *r = &s->header.regions[which][s->header.n_regions - 1];

	while (r->offset > offset)
		r--;
	return offset - r->offset + r->address;
}

uint32_t patch_from_address(const struct ef_patch *s, uint32_t from)
{
	uint32_t old_size = s->header.old_size;

	return from < old_size ? patch_address(s, 0, from) : patch_address(s, 1, from - old_size);
}

/* The offset in an image; false when the address is not in it. */
static bool to_offset(const struct ef_patch *s, unsigned which, uint32_t address, uint32_t *ret)
{
	const struct ef_patch_region *r = s->header.regions[which];
	uint32_t end = which ? s->header.new_size : s->header.old_size;

	for (unsigned k = s->header.n_regions; k--; end = r[k].offset) {
		*ret = address - r[k].address + r[k].offset;
		if (address - r[k].address < end - r[k].offset)
			return true;
	}
	return false;
}

static bool in_ram(const struct ef_patch *s, uint32_t address)
{
	return address - s->header.ram < s->header.ram_size;
}

/* Where u->address went. Code is corrected one by one, memory by the nearest below. */
static uint32_t map_address(const struct ef_patch *s, struct patch_unit *u)
{
	uint32_t x;
	bool ram = false;

	u->mapped = u->address;
	if (to_offset(s, 0, u->address, &x))
		u->mapped = patch_address(s, 1, map_offset(s, x, &u->exact));
	else if (in_ram(s, u->address))
		ram = true;
	else
		return u->mapped;
	if (u->kind < PATCH_UPPER)
		return u->mapped;
	unsigned k = count_below(s, false, u->address);
	if (!k)
		return u->mapped;
	const struct ef_patch_learned *l = &s->learned[k - 1];
	if (l->address != u->address && !(ram && in_ram(s, l->address)))
		return u->mapped;
	return u->mapped + (uint32_t)(int32_t)l->shift;
}

/* words: what lies at a multiple of four may be an address. */
static void examine(
	const struct ef_patch *s, unsigned which, uint32_t offset, bool words, struct patch_unit *u)
{
	uint32_t x;

	u->code = patch_word(u);
	u->kind = PATCH_PLAIN;
	u->exact = 1;
	u->size = 1;
	if (offset & 1)
		return;
	u->size = 2;
	s->model->decode(s, u, patch_address(s, which, offset), which);
	if (u->kind == PATCH_UPPER || !words || offset & 3)
		return;
	if (to_offset(s, which, u->code, &x))
		u->kind = PATCH_POINTER;
	else if (in_ram(s, u->code))
		u->kind = PATCH_RAM;
	else
		return;
	u->address = u->code;
	u->size = 4;
}

static void put(const struct ef_patch *s, struct patch_unit *u, uint32_t pc, uint32_t address)
{
	if (u->kind >= PATCH_POINTER)
		le32_put(u->bytes, address);
	else
		s->model->encode(s, u, pc, address);
}

void patch_predict(const struct ef_patch *s, uint32_t to, uint32_t from, struct patch_unit *u)
{
	bool self = from >= s->header.old_size;
	uint32_t offset = self ? from - s->header.old_size : from;

	if ((to ^ offset) & 1)
		offset |= 1; /* nothing is aligned any more: byte by byte */
	examine(s, self, offset, !((to ^ offset) & 2), u);
	if (u->kind < PATCH_BRANCH)
		return;
	u->mapped = u->address;
	put(s, u, patch_address(s, 1, to), self ? u->address : map_address(s, u));
}

/* Places are taken in turn. */
static void forget(struct ef_patch *s)
{
	struct ef_patch_learned *l = &s->learned[s->oldest++ % EF_PATCH_LEARNED];

	memmove(l, l + 1, (size_t)((uint8_t *)&s->learned[--s->n_learned] - (uint8_t *)l));
}

void patch_learn(struct ef_patch *s, uint32_t to, struct patch_unit *u)
{
	uint32_t address = u->address, is = patch_word(u);
	unsigned kind = u->kind, k;

	if (kind < PATCH_POINTER) {
		u->kind = PATCH_PLAIN;
		s->model->decode(s, u, patch_address(s, 1, to), 1);
		if (u->kind != kind)
			return;
		is = u->address;
	}
	int32_t d = (int32_t)(is - u->mapped);
	if (d != (int16_t)d)
		return;
	k = count_below(s, false, address);
	if (!k || s->learned[k - 1].address != address) {
		if (s->n_learned == EF_PATCH_LEARNED)
			forget(s);
		k = count_below(s, false, address);
		memmove(&s->learned[k + 1], &s->learned[k],
			(s->n_learned++ - k) * sizeof(s->learned[0]));
		s->learned[k++].address = address;
	}
	s->learned[k - 1].shift = (int16_t)d;
}

unsigned patch_neutral(const struct ef_patch *s, unsigned which, uint32_t offset,
	const uint8_t *code, uint8_t ret[EF_PATCH_AHEAD])
{
	struct patch_unit u;
	uint32_t pc = patch_address(s, which, offset);

	memcpy(u.bytes, code, EF_PATCH_AHEAD);
	examine(s, which, offset, true, &u);
	if (u.kind == PATCH_UPPER) {
		u.bytes[1] &= 15;
		u.bytes[2] = u.bytes[3] = 0;
	} else if (u.kind >= PATCH_POINTER)
		le32_put(u.bytes, u.kind);
	else if (u.kind >= PATCH_LOAD)
		put(s, &u, pc, pc + 4);
	memcpy(ret, u.bytes, EF_PATCH_AHEAD);
	return u.size;
}
