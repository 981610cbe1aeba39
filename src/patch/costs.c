/* SPDX-License-Identifier: Apache-2.0 */
#include "patch/internal.h"
#include <string.h>

/* 64 log2(x), x > 0: in whole numbers, so that every machine finds the same alignment. */
static int32_t log64(uint64_t x)
{
	int32_t r = 0;

	for (; x >= 1u << 16; x >>= 1)
		r += COST_BIT;
	for (; x < 1u << 15; x <<= 1)
		r -= COST_BIT;
	r += 15 * COST_BIT;
	for (int32_t bit = COST_BIT / 2; bit; bit /= 2) {
		x = x * x >> 15;
		if (x >= 1u << 16) {
			x >>= 1;
			r += bit;
		}
	}
	return r;
}

/* n of all, each with one more for what was not seen yet */
static int32_t cost_of(uint32_t n, uint32_t all)
{
	int32_t c = log64(all) - log64(n);

	return c < 1 ? 1 : c;
}

unsigned costs_run(uint32_t run)
{
	unsigned r = 0;

	for (; run && r < RUNS - 1; run >>= 1)
		r++;
	return r;
}

void costs_default(struct costs *c)
{
	static const int32_t hit[RUNS] = {64, 32, 20, 12, 8, 5, 3, 3};

	c->jump = 18 * COST_BIT;
	c->self = 26 * COST_BIT;
	c->literals = 5 * COST_BIT;
	for (unsigned r = 0; r < RUNS; r++) {
		c->hit[r] = hit[r];
		c->miss[0][r] = c->miss[1][r] = (int32_t)(2 + r / 2) * COST_BIT;
	}
	c->same[0] = c->same[1] = COST_BIT;
	for (unsigned k = 0; k < 256; k++) {
		c->difference[0][k] = c->difference[1][k] = 7 * COST_BIT;
		c->literal[k] = 6 * COST_BIT + COST_BIT / 3;
	}
}

struct counts {
	uint32_t hit[2][RUNS], miss[2][RUNS], same[2], other[2], difference[2][256], literal[256],
		literals;
};

static void count_segment(const struct images *im, struct ef_patch *s,
	const struct ef_patch_segment *g, struct counts *n)
{
	uint32_t run = RUNS;

	s->piece = *g;
	for (uint32_t to = g->to, end = g->to + g->size; to < end;) {
		uint32_t from = to - g->to + g->from;
		const uint8_t *code =
			from >= im->old_size ? im->new + (from - im->old_size) : im->old + from;
		struct patch_unit u;

		memcpy(u.bytes, code, EF_PATCH_AHEAD);
		patch_predict(s, to, from, &u);
		uint32_t size = u.size < end - to ? u.size : end - to;
		unsigned address = u.kind >= PATCH_BRANCH, class = costs_run(run);
		bool hit = memcmp(u.bytes, im->new + to, size) == 0;

		if (hit)
			n->hit[address][class]++;
		else
			n->miss[address][class]++;
		for (uint32_t k = 0; k < size && !hit; k++) {
			uint8_t d = (uint8_t)(im->new[to + k] - u.bytes[k]);

			if (!d)
				n->same[address]++;
			else {
				n->other[address]++;
				n->difference[address][d]++;
			}
		}
		run = hit ? run + 1 : 0;
		to += size;
	}
}

void costs_learn(const struct images *im, const struct ef_patch *state, const struct alignment *a,
	struct costs *ret)
{
	struct ef_patch s = *state;
	struct counts n = {0};
	uint32_t at = 0;

	for (uint32_t k = 0; k <= a->n; k++) {
		uint32_t end = k < a->n ? a->list[k].to : im->new_size;

		for (; at < end; at++, n.literals++)
			n.literal[im->new[at]]++;
		if (k < a->n) {
			count_segment(im, &s, &a->list[k], &n);
			at += a->list[k].size;
		}
	}
	for (unsigned r = 0; r < RUNS; r++) {
		uint32_t hits = n.hit[0][r] + n.hit[1][r] + 4;

		ret->hit[r] = cost_of(hits, hits + n.miss[0][r] + n.miss[1][r] + 1);
		for (unsigned k = 0; k < 2; k++)
			ret->miss[k][r] =
				cost_of(2 * n.miss[k][r] + 1, 2 * (n.miss[k][r] + n.hit[k][r]) + 8);
	}
	for (unsigned k = 0; k < 2; k++) {
		uint32_t all = n.same[k] + n.other[k] + 4;

		ret->same[k] = cost_of(n.same[k] + 2, all);
		for (unsigned d = 0; d < 256; d++)
			ret->difference[k][d] =
				cost_of(n.other[k] + 2, all) +
				cost_of(4 * n.difference[k][d] + 3, 4 * n.other[k] + 768);
	}
	/* contexts make literals cheaper than their frequency says */
	for (unsigned d = 0; d < 256; d++)
		ret->literal[d] = cost_of(4 * n.literal[d] + 3, 4 * n.literals + 768) * 7 / 8;
}
