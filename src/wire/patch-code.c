/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/patch-model.h"
#include <string.h>
#ifndef LR1
#define LR1 3
#endif
#ifndef LR2
#define LR2 5
#endif
#ifdef LABHOOK
void lab_byte(int same, int d);
#else
#define lab_byte(a, b)
#endif

/* counter: probability of a 1 in 12 bits, then 4 bits of how often it was updated */
#define COUNTER(p, n) ((uint16_t)((p) << 4 | (n)))

static void update(uint16_t *c, unsigned bit)
{
	static const uint16_t rate[16] = {32768, 21845, 16384, 13107, 10923, 9362, 8192, 7282, 6554, 5958, 5461, 5041, 4681, 4369, 4096, 2600};
	unsigned n = *c & 15;
	int p = *c >> 4;

	p += (((bit ? 4095 : 0) - p) * (int)rate[n] + 32768) >> 16;
	if (p < 1) p = 1;
	if (p > 4094) p = 4094;
	*c = (uint16_t)(p << 4 | (n < 15 ? n + 1 : n));
}

#ifdef EXACT
#include <math.h>
static int stretch(unsigned p) { return (int)lrint(256 * log(p / (4096.0 - p))); }
#define SSH 0
#else
/* 32 ln((1 - x) / x) */
static const uint8_t st[128] = {
};
static int stretch(unsigned p)
{
	unsigned x = p < 2048 ? p : 4095 - p;
	int v = st[x < 128 ? x >> 1 : 64 + (x >> 5)];
	return p < 2048 ? -v : v;
}
#define SSH 3
#endif

static unsigned squash(int x)
{
	static const uint16_t T[33]={1,2,4,6,10,17,27,45,74,120,194,311,488,747,1102,1546,2048,2550,2994,3349,3608,3785,3902,3976,4022,4051,4069,4079,4086,4090,4092,4094,4094};
	if (x > 2047) x = 2047;
	if (x < -2047) x = -2047;
	x += 2048;
	int w = x & 127, i = x >> 7;
	return (T[i] * (128 - w) + T[i + 1] * w + 64) >> 7;
}

static unsigned mix(struct ef_patch_state *s, uint16_t *const *c, unsigned n, int16_t *w, unsigned bit, int lr)
{
	int in[5], dot = w[n] * (256 >> SSH);

	for (unsigned k = 0; k < n; k++) {
		in[k] = stretch(*c[k] >> 4);
		dot += w[k] * in[k];
	}
	unsigned p = squash(dot >> (14 - SSH));
	if (p < 1) p = 1;
	if (p > 4094) p = 4094;
	bit = s->bit(s, p, bit);
	int e = ((int)(bit << 12) - (int)p) * lr;
	for (unsigned k = 0; k <= n; k++) {
		int v = w[k] + (((k < n ? in[k] : (256 >> SSH)) * e + (1 << (13 - SSH))) >> (14 - SSH));
		w[k] = v > 32767 ? 32767 : v < -32768 ? -32768 : v;
		if (k < n) update(c[k], bit);
	}
	return bit;
}

unsigned patch_code_simple(struct ef_patch_state *s, uint16_t *c, unsigned bit)
{
	unsigned p = *c >> 4;
	if (p < 40) p = 40;
	if (p > 4056) p = 4056;
	bit = s->bit(s, p, bit);
	update(c, bit);
	return bit;
}

uint32_t patch_code_number(struct ef_patch_state *s, unsigned set, uint32_t want)
{
	uint16_t *c = s->numbers[set];
	unsigned n = 0, size = 0;
	uint32_t v = 1;

	want++;
	for (uint32_t t = want; t > 1; t >>= 1)
		size++;
	while (n < 25 && patch_code_simple(s, &c[n < 20 ? n : 20], n < size))
		n++;
	for (int k = (int)n - 1; k >= 0; k--) {
		unsigned b = want >> k & 1;
		if (k == (int)n - 1)
			b = patch_code_simple(s, &c[21 + (n < 8 ? n : 8)], b);
		else if (k == 0)
			b = patch_code_simple(s, &c[30], b);
		else
			b = s->bit(s, 2048, b);
		v = v << 1 | b;
	}
	return v - 1;
}

static uint32_t hash(uint32_t x)
{
	return x * 2654435761u;
}

static unsigned run_class(uint32_t run)
{
	unsigned r = 0;
	while (run && r < 7) {
		r++;
		run >>= 1;
	}
	return r;
}

static unsigned code_flag(struct ef_patch_state *s, unsigned kind, unsigned exact, uint32_t code, unsigned bit)
{
#ifndef FV
#define FV 0
#endif
	uint16_t *const c[4] = {
		&s->f1[(kind * 2 + exact) * 8 + run_class(s->run)],
		&s->f2[s->history & 63],
#if FV == 0
		&s->f3[hash((code >> 8 & 255) | (kind * 2 + exact) << 8) >> 26],
		&s->f4[hash((code & 0xffff) | kind << 16) >> 26],
#define NF 4
#elif FV == 1
		&s->f3[hash((code >> 8 & 255) | (kind * 2 + exact) << 8) >> 26],
#define NF 3
#elif FV == 2
		&s->f4[hash((code & 0xffff) | kind << 16) >> 26],
#define NF 3
#elif FV == 3
#define NF 2
#elif FV == 4
		&s->f3[hash((code >> 8 & 255) | (s->history & 3) << 8) >> 26],
#define NF 3
#elif FV == 5
		&s->f3[code >> 10 & 63],
#define NF 3
#elif FV == 6
		&s->f3[code >> 10 & 63],
		&s->f4[hash((code & 0xffff) | kind << 16) >> 26],
#define NF 4
#elif FV == 7
		&s->f3[code >> 10 & 63],
		&s->f4[code & 63],
#define NF 4
#elif FV == 8
		&s->g1[code >> 8 & 255],
		&s->g2[code & 255],
#define NF 4
#elif FV == 9
		&s->f3[code >> 10 & 63],
		&s->g2[code & 255],
#define NF 4
#elif FV == 10
		&s->g1[code >> 8 & 255],
		&s->f4[code & 63],
#define NF 4
#elif FV == 11
		&s->g1[(code >> 10 & 63) | (s->history & 3) << 6],
		&s->g2[(code & 63) | (s->history & 3) << 6],
#define NF 4
#elif FV == 12
		&s->g1[(code >> 10 & 63) | (s->history & 3) << 6],
		&s->f4[(code & 63)],
#define NF 4
#endif
	};
	bit = mix(s, c, NF, s->wf[kind], bit, LR1);
	s->history = (uint8_t)(s->history << 1 | !bit);
	s->run = bit ? s->run + 1 : 0;
	return bit;
}

#define SLOT(h) (&s->table[((uint32_t)(h) >> 16) * TABLE >> 16])
#ifndef WV
#define WV 0
#endif
static uint32_t salt(unsigned n, uint32_t x)
{
	return (x + (n << 26)) * 2654435761u;
}
uint8_t patch_code_byte(struct ef_patch_state *s, uint8_t want, unsigned kind, unsigned index, uint8_t guess, unsigned same)
{
	uint32_t node = 1, h[3];
	unsigned lit = kind == PATCH_LITERAL, k = 8;
	uint16_t *c[5];
	uint8_t d = (uint8_t)(want - guess);
	unsigned ad = kind >= PATCH_BRANCH;
	int16_t *w = s->wb[WV == 0 ? kind : WV == 1 ? (lit ? 2 : ad) : lit];

	if (lit) {
		h[0] = salt(0, index & 1);
		h[1] = salt(1, s->last[0] << 1 | (index & 1));
		h[2] = salt(2, s->last[0] >> 5);
	} else {
		h[0] = salt(3, ad << 3 | index << 1);
		h[1] = salt(4, s->last[0]);
		h[2] = salt(5, s->diff);
		node = 0;
		k = 9;
		if (d == 0) lab_byte(1, 0); else lab_byte(0, d);
	}
	while (k--) {
		for (unsigned q = 0; q < 3; q++)
			c[q] = SLOT((h[q] + node * 0x85EBCA6Bu) * 0x9E3779B1u);
#if DV == 1
		c[0] = &s->direct[lit][node];
#elif DV == 2
		c[0] = &s->direct[lit ? 2 : ad][node];
#elif DV == 3
		c[0] = &s->direct[lit ? 3 : ad ? 2 : index & 1][node];
#endif
		unsigned bit = mix(s, c, 3, node ? w : s->wb[8 + (WV < 2 ? ad : 0)], k == 8 ? d != 0 : (lit ? want : d) >> k & 1, LR2);
		if (!node && !bit) {
			node = 256;
			break;
		}
		node = node << 1 | bit;
	}
	d = (uint8_t)node;
	if (!lit) {
		if (d)
			s->diff = d;
		d = (uint8_t)(d + guess);
	}
	s->last[1] = s->last[0];
	s->last[0] = d;
	return d;
}

void patch_code_segment(struct ef_patch_state *s, struct ef_patch_segment *g, uint32_t at)
{
	uint16_t *flag = s->numbers[5];
	uint32_t gap = patch_code_number(s, 0, g->to - at);

	if (patch_code_simple(s, &flag[2], g->from >= s->old_size)) {
		g->to = at + gap;
		g->from = s->old_size + g->to - patch_code_number(s, 6, s->old_size + g->to - g->from);
		g->size = patch_code_number(s, 7, g->size - 1) + 1;
		return;
	}
	int32_t d = (int32_t)(g->from - s->from_end);
	int type = d == (int32_t)gap ? 0 : d == 0 ? 1 : 2;
	if (gap && patch_code_simple(s, &flag[0], type == 0)) {
		d = (int32_t)gap;
	} else if (gap && patch_code_simple(s, &flag[1], type == 1)) {
		d = 0;
	} else {
		uint32_t z = d < 0 ? ~((uint32_t)d << 1) : (uint32_t)d << 1;
		z = patch_code_number(s, gap ? 1 : 2, z);
		d = z & 1 ? (int32_t)~(z >> 1) : (int32_t)(z >> 1);
	}
	g->to = at + gap;
	g->from = s->from_end + (uint32_t)d;
	g->size = patch_code_number(s, gap ? 4 : 3, g->size - 1) + 1;
	s->from_end = g->from + g->size;
}

void patch_code_unit(struct ef_patch_state *s, uint32_t to, struct patch_unit *u, unsigned size, const uint8_t *actual, uint32_t context)
{
	bool hit = actual && !memcmp(u->bytes, actual, size);
	hit = code_flag(s, u->kind, u->exact, context, hit);
	if (!hit) {
		unsigned same = 1;
		for (unsigned i = 0; i < size; i++) {
			uint8_t b = patch_code_byte(s, actual ? actual[i] : 0, u->kind, i, u->bytes[i], same);
			if (b != u->bytes[i]) same = 0;
			u->bytes[i] = b;
		}
		if (size == u->size && u->kind >= PATCH_CALL)
			patch_learn(s, to, u);
	} else {
		s->last[1] = size > 1 ? u->bytes[size - 2] : s->last[0];
		s->last[0] = u->bytes[size - 1];
	}
}

void patch_init(struct ef_patch_state *s)
{
	unsigned k;
	s->run = s->from_end = 0;
	s->history = s->blocks = s->n_learned = 0;
	s->last[0] = s->last[1] = 0;
	memset(s->regs, 0, sizeof s->regs);
	s->now.size = 0;
	for (k = 0; k < sizeof s->f1 / 2; k++) s->f1[k] = COUNTER(3900, 2);
	for (k = 0; k < 64; k++) s->f2[k] = COUNTER(3900, 2), s->f3[k] = s->f4[k] = COUNTER(3900, 1);
	for (k = 0; k < 256; k++) s->g1[k] = s->g2[k] = COUNTER(3900, 1);
	for (k = 0; k < 16; k++) s->block[k] = COUNTER(2048, 0);
	for (k = 0; k < 256; k++) s->numbers[0][k] = COUNTER(2048, 0);
	s->diff = s->clock = s->blk = 0;
	for (k = 0; k < 1024; k++) s->direct[0][k] = COUNTER(2048, 0);
	for (k = 0; k < TABLE; k++) s->table[k] = COUNTER(2048, 0);
	for (k = 0; k < EF_PATCH_KINDS; k++) {
		for (int q = 0; q < NF; q++) s->wf[k][q] = 21600/NF;
		s->wf[k][NF] = 0;
	}
	for (k = 0; k < EF_PATCH_KINDS * 2; k++) {
		unsigned n = 3;
		for (unsigned q = 0; q < n; q++) s->wb[k][q] = (int16_t)(22000 / n);
		s->wb[k][n] = 0;
	}
}
