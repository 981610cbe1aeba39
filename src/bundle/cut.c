/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/cut.h"
#include <string.h>

#define STEP 512u	   /* zeros are looked for at multiples of it */
#define ZEROS_MIN 4096u	   /* so many are a chunk of their own */
#define ZEROS_APART 65536u /* so many are a group of their own */
#define NORMAL 2 /* bits by which cutting is harder before the average, easier behind it */
#define LOG_MIN 9
#define LOG_MAX 16
#define GROUP_LOG_MAX 8
#define GROUP_SHIFT 8 /* of the hash, to the bits that end a group */

const struct cut cut_default = {.min = 10, .average = 12, .max = 15, .group = 5};

/* SplitMix64 from 0: a table of random numbers that needs no table in the specification. */
static void make_gear(uint64_t gear[256])
{
	uint64_t state = 0;

	for (int i = 0; i < 256; i++) {
		uint64_t z = state += 0x9e3779b97f4a7c15u;
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
		gear[i] = z ^ (z >> 31);
	}
}

bool cut_known(const struct cut *c)
{
	return c->min || c->average || c->max || c->group;
}

bool cut_valid(const struct cut *c)
{
	if (!cut_known(c))
		return true;
	return c->min >= LOG_MIN && c->min <= c->average && c->average <= c->max &&
	       c->max <= LOG_MAX && c->group <= GROUP_LOG_MAX;
}

static bool zeros(const uint8_t *p, size_t size)
{
	return p[0] == 0 && memcmp(p, p + 1, size - 1) == 0;
}

/* Zeros that begin at p: 0, or ZEROS_MIN and more, in steps. */
static size_t zero_run(const uint8_t *p, size_t size)
{
	size_t n = ZEROS_MIN;

	if (size < ZEROS_MIN || !zeros(p, ZEROS_MIN))
		return 0;
	while (size - n >= STEP && zeros(p + n, STEP))
		n += STEP;
	return n;
}

struct cutter {
	const struct cut *cut;
	uint64_t gear[256];
	uint64_t hash;
};

/* High bits of the hash: those on which the most bytes have had their say. */
static uint64_t high_bits(unsigned n)
{
	return ~(uint64_t)0 << (64 - n);
}

/* Length of the chunk at p; *by_content false: it ends for another reason than what is in it. */
static size_t chunk_size(
	struct cutter *c, const uint8_t *p, size_t size, uint64_t offset, bool *by_content)
{
	const size_t min = (size_t)1 << c->cut->min, average = (size_t)1 << c->cut->average;
	const uint64_t hard = high_bits(c->cut->average + NORMAL);
	const uint64_t easy = high_bits(c->cut->average - NORMAL);
	size_t end = (size_t)1 << c->cut->max, i = 0;
	uint64_t h = 0;

	if (end > size)
		end = size;
	*by_content = false;
	while (i < end) {
		size_t stop = i + STEP - (offset + i) % STEP;
		if (i > 0 && (offset + i) % STEP == 0 && p[i] == 0 && zero_run(p + i, size - i))
			return i;
		for (stop = stop < end ? stop : end; i < stop;) {
			h = (h << 1) + c->gear[p[i++]];
			if (i < min || (h & (i < average ? hard : easy)) != 0)
				continue;
			c->hash = h;
			*by_content = true;
			return i;
		}
	}
	return i;
}

void cut_group(const struct cut *cut, const uint8_t *p, size_t size, uint64_t offset,
	struct cut_group *ret)
{
	struct cutter c = {.cut = cut};
	const size_t max = (size_t)1 << cut->max;
	const uint64_t last = ((uint64_t)1 << cut->group) - 1;

	make_gear(c.gear);
	if (size > CUT_WINDOW)
		size = CUT_WINDOW;
	ret->size = 0;
	ret->n = 0;
	ret->zero = false;
	do {
		struct cut_piece *x = &ret->pieces[ret->n];
		size_t left = size - ret->size, run = 0;
		bool by_content = false;
		if ((offset + ret->size) % STEP == 0)
			run = zero_run(p + ret->size, left);
		if (run >= ZEROS_APART) {
			if (ret->n > 0)
				return;
			ret->zero = true;
		}
		x->zero = run > 0;
		x->size = (uint32_t)(run ? run
					 : chunk_size(&c, p + ret->size, left, offset + ret->size,
						   &by_content));
		ret->n++;
		ret->size += x->size;
		if (ret->zero || (by_content && ((c.hash >> GROUP_SHIFT) & last) == 0))
			return;
	} while (ret->size < size && ret->size + max <= CUT_WINDOW && ret->n < CUT_CHUNKS_MAX);
}
