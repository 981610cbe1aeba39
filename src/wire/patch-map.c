/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/patch-model.h"
#include <string.h>

static uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void patch_map_add(struct ef_patch_state *s)
{
	unsigned n = s->n_segments, k = n;

	for (; k && s->map[s->order[k - 1]].from > s->map[n].from; k--)
		s->order[k] = s->order[k - 1];
	s->order[k] = (uint8_t)n;
	s->n_segments++;
}

uint32_t patch_map(const struct ef_patch_state *s, uint32_t x, bool *exact)
{
	const struct ef_patch_segment *g = &s->now;
	unsigned lo = 0, hi = s->n_segments;

	*exact = true;
	if (x - g->from < g->size)
		return x - g->from + g->to;
	while (lo < hi) {
		unsigned m = (lo + hi) / 2;
		if (s->map[s->order[m]].from <= x)
			lo = m + 1;
		else
			hi = m;
	}
	const struct ef_patch_segment *below = lo ? &s->map[s->order[lo - 1]] : NULL, *above = lo < s->n_segments ? &s->map[s->order[lo]] : NULL;
	if (below && x - below->from < below->size)
		return x - below->from + below->to;
	*exact = false;
	if (!below && !above)
		return x;
	if (!below || (above && above->from - x < x - (below->from + below->size) + 1))
		below = above;
	return x - below->from + below->to;
}

static uint32_t to_address(const struct ef_patch_state *s, unsigned which, uint32_t offset)
{
	const struct ef_patch_region *r = s->regions[which];
	unsigned k = s->n_regions[which];

	while (--k && r[k].offset > offset)
		;
	return offset - r[k].offset + r[k].address;
}

/* offset in the old image; false when the address is not in it */
static bool to_offset(const struct ef_patch_state *s, uint32_t address, uint32_t *ret)
{
	const struct ef_patch_region *r = s->regions[0];
	uint32_t end = s->old_size;
	for (unsigned k = s->n_regions[0]; k--; end = r[k].offset) {
		if (address - r[k].address < end - r[k].offset) {
			*ret = address - r[k].address + r[k].offset;
			return true;
		}
	}
	return false;
}

/* index of the first learned address above x */
static unsigned learned_above(const struct ef_patch_state *s, uint32_t x)
{
	unsigned lo = 0, hi = s->n_learned;
	while (lo < hi) {
		unsigned m = (lo + hi) / 2;
		if (s->learned[m] <= x)
			lo = m + 1;
		else
			hi = m;
	}
	return lo;
}
/* where the map puts it; 0: no address of the image or its memory */
static bool map_address(const struct ef_patch_state *s, struct patch_unit *u, int *shift)
{
	bool exact = true, ram = u->address - s->ram < s->ram_size;
	uint32_t x;
	unsigned k = learned_above(s, u->address);
	if (to_offset(s, u->address, &x)) {
		u->mapped = to_address(s, 1, patch_map(s, x, &exact));
		ram = false;
	} else if (ram)
		u->mapped = u->address;
	else
		return false;
	u->exact = exact;
	*shift = k && ((ram && s->learned[k - 1] - s->ram < s->ram_size) || s->learned[k - 1] == u->address) ? s->shift[k - 1] : 0;
	return true;
}

void patch_predict(const struct ef_patch_state *s, uint32_t to, uint32_t from, const uint8_t *code, struct patch_unit *u)
{
	uint32_t pc;
	bool self = from >= s->old_size, exact = true;

	memcpy(u->bytes, code, PATCH_AHEAD);
	u->kind = PATCH_PLAIN;
	u->exact = 1;
	if ((to ^ from) & 1 || from & 1) {
		u->size = 1;
		return;
	}
	pc = self ? to_address(s, 1, from - s->old_size) : to_address(s, 0, from);
	u->size = 2;
	s->model->decode(s, u, pc, 0);
	if (u->kind != PATCH_UPPER && !((to | from) & 3)) {
		uint32_t x, word = le32(code);
		if (to_offset(s, word, &x))
			u->kind = PATCH_POINTER;
		else if (word - s->ram < s->ram_size)
			u->kind = PATCH_RAM;
		if (u->kind >= PATCH_POINTER) {
			u->address = word;
			u->size = 4;
		}
	}
	if (u->kind < PATCH_BRANCH)
		return;
	int shift = 0;
	if (self)
		u->mapped = u->address;
	else if (!map_address(s, u, &shift)) {
		u->mapped = u->address;
	}
	uint32_t a = u->mapped + (u->kind >= PATCH_UPPER ? (uint32_t)shift : 0);
	if (u->kind >= PATCH_POINTER) {
		for (int k = 0; k < 4; k++) u->bytes[k] = (uint8_t)(a >> 8 * k);
		return;
	}
	s->model->encode(s, u, to_address(s, 1, to), a);
}

void patch_learn(struct ef_patch_state *s, uint32_t to, struct patch_unit *u)
{
	uint32_t old = u->address, got;
	int32_t d;
	unsigned k;

	if (u->kind >= PATCH_POINTER) {
		got = le32(u->bytes);
	} else {
		struct patch_unit v = *u;
		v.kind = PATCH_PLAIN;
		s->model->decode(s, &v, to_address(s, 1, to), 1);
		if (v.kind != u->kind)
			return;
		got = v.address;
	}
	d = (int32_t)(got - u->mapped);
	if (d != (int16_t)d)
		return;
	k = learned_above(s, old);
	if (!k || s->learned[k - 1] != old) {
		if (s->n_learned == EF_PATCH_LEARNED) {
			unsigned v = s->clock++ % EF_PATCH_LEARNED;
			if (v < k)
				k--;
			s->n_learned--;
			memmove(&s->learned[v], &s->learned[v + 1], (s->n_learned - v) * sizeof s->learned[0]);
			memmove(&s->shift[v], &s->shift[v + 1], (s->n_learned - v) * sizeof s->shift[0]);
		}
		memmove(&s->learned[k + 1], &s->learned[k], (s->n_learned - k) * sizeof s->learned[0]);
		memmove(&s->shift[k + 1], &s->shift[k], (s->n_learned - k) * sizeof s->shift[0]);
		s->n_learned++;
	} else
		k--;
	s->learned[k] = old;
	s->shift[k] = (int16_t)d;
}

void patch_follow(struct ef_patch_state *s, uint32_t to, uint32_t from, const uint8_t *old, const uint8_t *new)
{
	if (s->model->follow)
		s->model->follow(s, old, from >= s->old_size ? to_address(s, 1, from - s->old_size) : to_address(s, 0, from), new, to_address(s, 1, to));
}
