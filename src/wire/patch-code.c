/* SPDX-License-Identifier: Apache-2.0 */
/* A probability is of a 1: twelve bits, then four bits of how often it was corrected. */
#include "wire/patch-model.h"
#include <string.h>

/* compilers may choose; ours do as the specification asks */
_Static_assert(
	-3 >> 1 == -2 && (int16_t)0x8000u == -0x8000, "shifts and conversions of negative numbers");

#define PROBABILITY(p, n) ((uint16_t)((p) << 4 | (n)))
#define HASH 2654435761u
#define NUMBER_BITS 25u
/* in hits */
#define BY_HISTORY 0u
#define BY_HIGH 64u
#define BY_CODE 128u
#define BY_RUN 192u
/* in even */
#define NUMBERS (2u * PATCH_BLOCK_SIZES)
#define TABLE (NUMBERS + PATCH_NUMBERS * 32u)
#define TABLE_SIZE (EF_PATCH_EVEN - TABLE)
#define FLAG_SPEED 3
#define BYTE_SPEED 5

static void correct(uint16_t *c, unsigned bit)
{
	static const uint16_t rate[16] = {32768, 21845, 16384, 13107, 10923, 9362, 8192, 7282, 6554,
		5958, 5461, 5041, 4681, 4369, 4096, 2600};
	unsigned n = *c & 15;
	int32_t p = *c >> 4;

	p += (((bit ? 4094 : 1) - p) * rate[n] + 32768) >> 16;
	*c = PROBABILITY(p, n < 15 ? n + 1 : n);
}

/* 32 ln(p / (1 - p)), steps of 2 below 128 and of 32 above */
static int32_t stretch(unsigned p)
{
	static const uint8_t table[124] = {
		255,
		231,
		215,
		204,
		196,
		189,
		184,
		179,
		175,
		172,
		169,
		166,
		163,
		160,
		158,
		156,
		154,
		152,
		150,
		149,
		147,
		145,
		144,
		143,
		141,
		140,
		139,
		138,
		136,
		135,
		134,
		133,
		132,
		131,
		130,
		129,
		128,
		127,
		127,
		126,
		125,
		124,
		123,
		123,
		122,
		121,
		120,
		120,
		119,
		118,
		118,
		117,
		116,
		116,
		115,
		115,
		114,
		113,
		113,
		112,
		112,
		111,
		111,
		110,
		106,
		99,
		94,
		89,
		85,
		81,
		77,
		74,
		71,
		68,
		66,
		63,
		61,
		59,
		57,
		55,
		53,
		51,
		49,
		48,
		46,
		45,
		43,
		41,
		40,
		39,
		37,
		36,
		34,
		33,
		32,
		31,
		29,
		28,
		27,
		26,
		25,
		24,
		22,
		21,
		20,
		19,
		18,
		17,
		16,
		15,
		14,
		13,
		12,
		11,
		10,
		9,
		8,
		7,
		6,
		5,
		4,
		3,
		2,
		1,
	};
	unsigned x = p < 2048 ? p : 4095 - p;
	int32_t v = table[x < 128 ? x >> 1 : 60 + (x >> 5)];

	return p < 2048 ? -v : v;
}

/* the inverse, x in 1/256 */
static unsigned squash(int32_t x)
{
	static const uint16_t table[33] = {1, 2, 4, 6, 10, 17, 27, 45, 74, 120, 194, 311, 488, 747,
		1102, 1546, 2048, 2550, 2994, 3349, 3608, 3785, 3902, 3976, 4022, 4051, 4069, 4079,
		4086, 4090, 4092, 4094, 4094};

	if (x > 2047)
		x = 2047;
	if (x < -2047)
		x = -2047;
	unsigned at = (unsigned)(x + 2048), w = at & 127, k = at >> 7;
	return (unsigned)(table[k] * 128 + (table[k + 1] - table[k]) * (int)w + 64) >> 7;
}

/* A bit by n contexts whose opinions are weighed. */
static unsigned mix(
	struct ef_patch *s, uint16_t *const *c, unsigned n, int16_t *w, unsigned bit, int32_t speed)
{
	int32_t in[4], dot = 0;

	for (unsigned k = 0; k < n; k++) {
		in[k] = stretch(*c[k] >> 4);
		dot += w[k] * in[k];
	}
	unsigned p = squash(dot >> 11);
	bit = patch_bit(s, p, bit);
	int32_t error = ((int32_t)(bit << 12) - (int32_t)p) * speed;
	for (unsigned k = 0; k < n; k++) {
		w[k] = (int16_t)(w[k] + ((in[k] * error + 1024) >> 11));
		correct(c[k], bit);
	}
	return bit;
}

static unsigned flag(struct ef_patch *s, uint16_t *probability, unsigned want)
{
	unsigned p = *probability >> 4;

	if (p < 40)
		p = 40;
	if (p > 4056)
		p = 4056;
	want = patch_bit(s, p, want);
	correct(probability, want);
	return want;
}

unsigned patch_code_flag(struct ef_patch *s, unsigned which, unsigned want)
{
	return flag(s, &s->even[which], want);
}

/* Elias gamma of v + 1: the length adaptively, and of the rest the first bit and the last. */
uint32_t patch_code_number(struct ef_patch *s, unsigned set, uint32_t want)
{
	uint16_t *c = &s->even[NUMBERS + set * 32];
	unsigned n = 0;
	uint32_t v = 1;

	want = patch_want(s) ? want + 1 : 0;
	while (n < NUMBER_BITS && flag(s, &c[n < 20 ? n : 20], want >> n > 1))
		n++;
	for (unsigned k = n; k--;) {
		unsigned bit = want >> k & 1;

		if (k == n - 1)
			bit = flag(s, &c[21 + (n < 8 ? n : 8)], bit);
		else if (k == 0)
			bit = flag(s, &c[30], bit);
		else
			bit = patch_bit(s, 2048, bit);
		v = v << 1 | bit;
	}
	return v - 1;
}

static unsigned run_class(uint32_t run)
{
	unsigned r = 0;

	for (; run && r < 7; run >>= 1)
		r++;
	return r;
}

/* Whether a unit is as predicted. code: the first bytes of the old one. */
unsigned patch_code_hit(
	struct ef_patch *s, unsigned kind, unsigned exact, uint32_t code, unsigned want)
{
	unsigned what = kind * 2 + exact;
	uint16_t *const c[4] = {
		&s->hits[BY_RUN + what * 8 + run_class(s->run)],
		&s->hits[BY_HISTORY + (s->history & 63)],
		&s->hits[BY_HIGH + (((code >> 8 & 255) | what << 8) * HASH >> 26)],
		&s->hits[BY_CODE + (((code & 0xffff) | kind << 16) * HASH >> 26)],
	};

	want = mix(s, c, 4, s->flag_weights[kind], want, FLAG_SPEED);
	s->history = (uint8_t)(s->history << 1 | !want);
	s->run = want ? s->run + 1 : 0;
	return want;
}

/*
 * A byte: a literal as it is; else whether it is as guessed (differs: it cannot be), and the
 * difference.
 */
uint8_t patch_code_byte(struct ef_patch *s, uint8_t want, unsigned kind, unsigned index,
	unsigned guess, bool differs)
{
	bool literal = kind == PATCH_LITERAL;
	unsigned address = kind >= PATCH_BRANCH;
	uint32_t node = 1, context[3];

	if (literal) {
		context[0] = index;
		context[1] = 1u << 9 | (uint32_t)s->last << 1 | index;
		context[2] = 2u << 9 | s->last >> 5;
	} else {
		context[0] = 3u << 9 | address << 3 | index << 1;
		context[1] = 4u << 9 | s->last;
		context[2] = 5u << 9 | s->difference;
		want = (uint8_t)(want - guess);
		node = differs;
	}
	for (unsigned k = node ? 8 : 9; k--;) {
		uint16_t *c[3];

		for (unsigned q = 0; q < 3; q++) {
			uint32_t h = (context[q] * HASH + node * 0x85ebca6bu) * 0x9e3779b1u;

			c[q] = &s->even[TABLE + ((h >> 16) * TABLE_SIZE >> 16)];
		}
		int16_t *w = s->byte_weights[k == 8 ? EF_PATCH_KINDS + address : kind];
		unsigned bit = !patch_want(s) ? 0 : k == 8 ? want != 0 : want >> k & 1;

		bit = mix(s, c, 3, w, bit, BYTE_SPEED);
		if (k == 8 && !bit)
			break;
		node = node << 1 | bit;
	}
	if (!literal && node)
		s->difference = (uint8_t)node;
	s->last = (uint8_t)(literal ? node : node + guess);
	return s->last;
}

/* From hits on, one behind the other: how many, and what they begin as. */
#define SIZE(field) sizeof(((struct ef_patch *)NULL)->field)
static const uint16_t beginnings[][2] = {
	{SIZE(hits) / 2, PROBABILITY(3900, 2)},
	{SIZE(even) / 2, PROBABILITY(2048, 0)},
	{SIZE(flag_weights) / 2, 5400},
	{SIZE(byte_weights) / 2, 7333},
};
_Static_assert(
	offsetof(struct ef_patch, byte_weights) ==
		offsetof(struct ef_patch, hits) + SIZE(hits) + SIZE(even) + SIZE(flag_weights),
	"one behind the other");

void patch_code_start(struct ef_patch *s)
{
	uint16_t *c = (uint16_t *)((uint8_t *)s + offsetof(struct ef_patch, hits));

	for (unsigned k = 0; k < sizeof(beginnings) / sizeof(beginnings[0]); k++)
		for (unsigned n = beginnings[k][0]; n--;)
			*c++ = beginnings[k][1];
}
