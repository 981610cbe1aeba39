/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What images show of the processor and of the addresses they were linked for. Everything that is
 * found goes into the patch's header, so that nobody else has to find the same.
 */
#include "patch/internal.h"
#include "wire/le.h"
#include <stdlib.h>
#include <string.h>

#define SAMPLE 2048u	 /* words, targets: all pairs of so many are looked at */
#define ALIGN 16u	 /* of bases */
#define USUAL_ALIGN 256u /* the others need more to speak for them */
#define CANDIDATES 64u
#define LEAST_VOTES 8u
#define ESP_MAGIC 0xe9u
#define ESP_HEADER 24u
#define ESP_CHIP 12u
#define ESP_SEGMENT 8u
#define STRING_LEAST 5u

struct list {
	uint32_t *v;
	size_t n;
};

/* A call with its target in the image; Thumb and RISC-V. */
static bool call_target(
	const struct ef_patch_model *m, const struct patch_image *i, uint32_t at, uint32_t *ret)
{
	struct ef_patch s = {.header.n_regions = 1};
	struct patch_unit u = {0};

	memcpy(u.bytes, i->data + at, 4);
	m->decode(&s, &u, at, 0);
	*ret = u.address;
	return u.kind == PATCH_CALL && u.address < i->size;
}

static uint32_t count_calls(const struct ef_patch_model *m, const struct patch_image *i)
{
	uint32_t n = 0, to;

	for (uint32_t at = 0; at + 8 <= i->size; at += 2)
		if (m == &ef_patch_riscv)
			n += le16_get(i->data + at) == 0x8082; /* ret */
		else if ((le16_get(i->data + at + 2) & 0xd000) == 0xd000)
			n += call_target(m, i, at, &to); /* BL */
	return n;
}

static const struct ef_patch_model *guess_model(const struct patch_image *i)
{
	uint32_t thumb = count_calls(&ef_patch_thumb, i), riscv = count_calls(&ef_patch_riscv, i);
	uint32_t least = i->size / 2048 + 4;

	if (thumb < least && riscv < least)
		return &ef_patch_generic;
	return riscv > thumb ? &ef_patch_riscv : &ef_patch_thumb;
}

/* The segments of an image in Espressif's format; 0: it is not, or has too many. */
static uint8_t esp_regions(const struct patch_image *i, struct ef_patch_region *r)
{
	uint32_t at = ESP_HEADER, n = i->size > ESP_HEADER ? i->data[1] : 0;

	if (!n || n > EF_PATCH_REGIONS || i->data[0] != ESP_MAGIC)
		return 0;
	for (uint32_t k = 0; k < n; k++) {
		if (i->size - at <= ESP_SEGMENT)
			return 0;
		uint32_t address = le32_get(i->data + at), size = le32_get(i->data + at + 4);

		at += ESP_SEGMENT;
		if (!size || size > i->size - at)
			return 0;
		r[k] = (struct ef_patch_region){k ? at : 0, k ? address : address - at};
		at += size;
	}
	return (uint8_t)n;
}

/* Where functions and texts begin, which is what pointers point to: of odd ones and of even ones.
 */
#define FUNCTION 1u
#define TEXT 2u

static uint8_t *find_targets(const struct ef_patch_model *m, const struct patch_image *i)
{
	uint8_t *is = calloc(1, (size_t)i->size + 1);
	uint32_t to, text = 0;

	for (uint32_t at = 0; is && at + 4 <= i->size; at += 2)
		if (m == &ef_patch_thumb &&
			(i->data[at + 1] == 0xb5 || le16_get(i->data + at) == 0xe92d))
			is[at] = FUNCTION; /* saves the link register */
		else if (m != &ef_patch_generic && call_target(m, i, at, &to))
			is[to] = FUNCTION;
	for (uint32_t at = 0; is && at < i->size; at++) {
		uint8_t c = i->data[at];

		if (c >= ' ' && c < 127)
			text++;
		else {
			if (!c && text >= STRING_LEAST)
				is[at - text] = TEXT;
			text = 0;
		}
	}
	return is;
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The target of a pointer, if one of its kind is there. */
static bool points(const struct ef_patch_model *m, uint32_t word, uint32_t base, const uint8_t *is,
	uint32_t size)
{
	bool function = m == &ef_patch_thumb && word & 1;
	uint32_t to = word - function - base;

	return to < size &&
	       (m == &ef_patch_thumb ? is[to] == (function ? FUNCTION : TEXT) : is[to]);
}

/* Every word that may be an address, once, ascending. */
static struct list find_words(const struct patch_image *i)
{
	struct list w = {calloc((size_t)i->size / 4 + 1, 4), 0};
	size_t n = 0;

	for (uint32_t at = 0; w.v && at + 4 <= i->size; at += 4)
		w.v[w.n++] = le32_get(i->data + at);
	if (w.v)
		qsort(w.v, w.n, 4, ascending);
	for (size_t k = 0; k < w.n; k++)
		if (w.v[k] >= 256 && (!n || w.v[k] != w.v[n - 1]))
			w.v[n++] = w.v[k];
	w.n = n;
	return w;
}

static uint32_t votes(const struct ef_patch_model *m, const struct list *w, const uint8_t *is,
	uint32_t size, uint32_t base)
{
	uint32_t n = 0;

	for (size_t k = 0; k < w->n; k++)
		n += points(m, w->v[k], base, is, size);
	return n;
}

/* All differences of some words and some targets that may be bases, ascending. */
static struct list differences(
	const struct ef_patch_model *m, const struct list *w, const uint8_t *is, uint32_t size)
{
	struct list d = {calloc((size_t)SAMPLE * SAMPLE, 4), 0};
	uint32_t n = 0, seen = 0, even = m == &ef_patch_thumb ? ~1u : ~0u;

	for (uint32_t at = 0; at < size; at++)
		n += is[at] != 0;
	for (uint32_t at = 0; d.v && at < size; at++) {
		if (!is[at] || seen++ % (n / SAMPLE + 1))
			continue;
		for (size_t k = 0; k < w->n; k += w->n / SAMPLE + 1)
			if (((w->v[k] & even) - at) % ALIGN == 0 &&
				points(m, w->v[k], (w->v[k] & even) - at, is, size))
				d.v[d.n++] = (w->v[k] & even) - at;
	}
	if (d.v)
		qsort(d.v, d.n, 4, ascending);
	return d;
}

/* Of the differences that come after this one by frequency and value, the first. */
static bool next_candidate(const struct list *d, uint32_t *often, uint32_t *base)
{
	uint32_t most = 1, at = 0;

	for (size_t a = 0, b; a < d->n; a = b) {
		for (b = a; b < d->n && d->v[b] == d->v[a];)
			b++;
		if (b - a > most && (b - a < *often || (b - a == *often && d->v[a] > *base))) {
			most = (uint32_t)(b - a);
			at = d->v[a];
		}
	}
	*often = most;
	*base = at;
	return most > 1;
}

/* The base by which most words point at beginnings. */
static uint32_t guess_base(const struct ef_patch_model *m, const struct patch_image *i)
{
	uint8_t *is = find_targets(m, i);
	struct list w = find_words(i), d = {0};
	uint32_t best = 0, most = LEAST_VOTES - 1, often = UINT32_MAX, base = 0;

	if (is && w.v)
		d = differences(m, &w, is, i->size);
	for (uint32_t tried = 0; d.v && tried < CANDIDATES && next_candidate(&d, &often, &base);
		tried++) {
		uint32_t n = votes(m, &w, is, i->size, base);

		n += base % USUAL_ALIGN ? 0 : n / 4;
		if (n > most) {
			most = n;
			best = base;
		}
	}
	free(is);
	free(w.v);
	free(d.v);
	return best;
}

/* The densest of the windows in which microcontrollers have their memory. */
static void guess_ram(const struct patch_image *i, struct ef_patch_header *h)
{
	static const struct {
		uint32_t start, size;
	} windows[] = {
		{0x1ffe0000, 0x120000}, /* Cortex-M's SRAM region, and a bank in front of it */
		{0x20000000, 0x400000},
		{0x10000000, 0x080000}, /* LPC, CCM */
		{0x24000000, 0x100000},
		{0x30000000, 0x100000},
		{0x3fc00000, 0x100000}, /* Espressif */
		{0x40800000, 0x100000},
		{0x80000000, 0x100000},
	};
	uint32_t most = 0;

	for (unsigned k = 0; k < sizeof(windows) / sizeof(windows[0]); k++) {
		uint32_t n = 0;

		for (uint32_t at = 0; at + 4 <= i->size; at += 4)
			n += le32_get(i->data + at) - windows[k].start < windows[k].size;
		if (n > most && (h->regions[0][0].address - windows[k].start >= windows[k].size ||
					h->n_regions > 1)) {
			most = n;
			h->ram = windows[k].start;
			h->ram_size = windows[k].size;
		}
	}
}

void patch_guess(const struct patch_image *old, const struct patch_image *new,
	const struct patch_hints *hints, struct ef_patch_header *ret)
{
	const struct ef_patch_model *m = hints->model ? hints->model : guess_model(new);

	memset(ret, 0, sizeof(*ret));
	ret->model = m->id;
	ret->n_regions = hints->has_base ? 0 : esp_regions(old, ret->regions[0]);
	if (!ret->n_regions || esp_regions(new, ret->regions[1]) != ret->n_regions) {
		uint32_t base = hints->has_base ? hints->base : guess_base(m, new);

		memset(ret->regions, 0, sizeof(ret->regions));
		ret->n_regions = 1;
		ret->regions[0][0].address = ret->regions[1][0].address = base;
	}
	guess_ram(new, ret);
}
