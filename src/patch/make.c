/* SPDX-License-Identifier: Apache-2.0 */
#include "patch/internal.h"
#include "wire/crc.h"
#include "wire/le.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 3u /* of aligning by what the round before has learned */

struct work {
	struct images im;
	struct ef_patch state;
	struct match *old, *self;
	struct alignment a;
	struct costs costs;
	uint8_t *best;
	size_t best_size;
};

static uint8_t *padded(const struct patch_image *i)
{
	uint8_t *p = calloc(1, (size_t)i->size + EF_PATCH_AHEAD);

	if (p && i->size)
		memcpy(p, i->data, i->size);
	return p;
}

static uint8_t *neutral(
	const struct ef_patch *s, const uint8_t *data, uint32_t size, unsigned which)
{
	uint8_t *p = calloc(1, (size_t)size + EF_PATCH_AHEAD), unit[EF_PATCH_AHEAD];

	for (uint32_t at = 0; p && at < size;) {
		unsigned n = patch_neutral(s, which, at, data + at, unit);

		memcpy(p + at, unit, n);
		at += n;
	}
	if (p)
		memset(p + size, 0, EF_PATCH_AHEAD);
	return p;
}

/* Encodes the alignment with maps of more and of fewer segments; keeps what is smallest. */
static int try(struct work *w)
{
	static const uint32_t least[] = {16, 64, 256};
	int r = 0;

	for (unsigned k = 0; k < sizeof(least) / sizeof(least[0]) && !r; k++) {
		struct layout l;
		uint8_t *out;
		size_t size;

		r = layout_make(&w->a, least[k], w->im.old_size, w->im.new_size, &l);
		if (r)
			return r;
		r = encode(&w->im, &w->state, &l, w->best ? w->best_size : SIZE_MAX, &out, &size);
		if (!r) {
			free(w->best);
			w->best = out;
			w->best_size = size;
		} else if (r == -EFBIG)
			r = 0;
		layout_free(&l);
	}
	return r;
}

static int improve(struct work *w)
{
	int r = align(&w->im, &w->state, &w->costs, false, w->old, w->self, &w->a);

	for (unsigned k = 0; k < ROUNDS && !r; k++) {
		struct layout l;

		r = layout_make(&w->a, 16, w->im.old_size, w->im.new_size, &l);
		if (r)
			return r;
		state_map(&w->state, &l);
		layout_free(&l);
		if (k)
			costs_learn(&w->im, &w->state, &w->a, &w->costs);
		r = align(&w->im, &w->state, &w->costs, true, w->old, w->self, &w->a);
		if (!r)
			r = try(w);
	}
	return r;
}

static int prepare(struct work *w, const struct patch_image *old, const struct patch_image *new)
{
	struct images *im = &w->im;

	im->old_size = old->size;
	im->new_size = new->size;
	im->old = padded(old);
	im->new = padded(new);
	if (!im->old || !im->new)
		return -ENOMEM;
	im->neutral_old = neutral(&w->state, im->old, old->size, 0);
	im->neutral_new = neutral(&w->state, im->new, new->size, 1);
	if (!im->neutral_old || !im->neutral_new)
		return -ENOMEM;
	w->old = match_old(im);
	w->self = match_self(im);
	costs_default(&w->costs);
	return w->old && w->self ? 0 : -ENOMEM;
}

static void release(struct work *w)
{
	free(w->im.old);
	free(w->im.new);
	free(w->im.neutral_old);
	free(w->im.neutral_new);
	free(w->old);
	free(w->self);
	free(w->a.list);
	free(w->best);
	free(w);
}

static void put_word(uint8_t *buf, size_t *at, uint32_t v)
{
	le32_put(buf + *at, v);
	*at += 4;
}

static size_t put_header(const struct ef_patch_header *h, uint8_t *buf)
{
	const uint32_t words[] = {
		h->old_crc, h->new_crc, h->old_size, h->new_size, h->ram, h->ram_size};
	size_t at = 5;

	memcpy(buf, (const uint8_t[]){'E', 'P', EF_PATCH_VERSION, h->model, h->n_regions}, at);
	for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
		put_word(buf, &at, words[k]);
	for (unsigned k = 0; k < h->n_regions; k++)
		for (unsigned which = 0; which < 2; which++) {
			if (k)
				put_word(buf, &at, h->regions[which][k].offset);
			put_word(buf, &at, h->regions[which][k].address);
		}
	return at;
}

static const struct ef_patch_model *model_of(uint8_t id)
{
	return id == 1 ? &ef_patch_thumb : id == 2 ? &ef_patch_riscv : &ef_patch_generic;
}

int patch_make(const struct patch_image *old, const struct patch_image *new,
	const struct patch_hints *hints, uint8_t **ret, size_t *ret_size)
{
	uint8_t header[EF_PATCH_HEADER_MAX];
	struct work *w;
	int r;

	if (old->size > PATCH_INPUT_MAX || new->size > PATCH_INPUT_MAX)
		return -EFBIG;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	struct ef_patch_header *h = &w->state.header;
	patch_guess(old, new, hints, h);
	h->old_size = old->size;
	h->new_size = new->size;
	h->old_crc = crc32_ieee(0, old->data, old->size);
	h->new_crc = crc32_ieee(0, new->data, new->size);
	w->state.model = model_of(h->model);
	r = prepare(w, old, new);
	if (!r)
		r = improve(w);
	if (!r) {
		size_t n = put_header(h, header);
		uint8_t *out = malloc(n + w->best_size);

		if (out) {
			memcpy(out, header, n);
			memcpy(out + n, w->best, w->best_size);
			*ret = out;
			*ret_size = n + w->best_size;
		} else
			r = -ENOMEM;
	}
	release(w);
	return r;
}
