/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder: header, range decoder, and the new image a page a step. */
#include "wire/crc.h"
#include "wire/le.h"
#include "wire/patch-model.h"
#include <string.h>

#define BEYOND_MAX 4u /* zeros at the end that a patch leaves out */
#define CHUNK 64u

static uint32_t next_byte(struct ef_patch *p)
{
	int b = p->io->next(p->io->ctx);

	if (b >= 0)
		return (uint32_t)b;
	if (p->beyond++ >= BEYOND_MAX && !p->reason)
		p->reason = EF_REASON_BAD_SIZE;
	return 0;
}

static uint32_t next_word(struct ef_patch *p)
{
	uint32_t v = 0;

	for (unsigned k = 0; k < 32; k += 8)
		v |= next_byte(p) << k;
	return v;
}

unsigned patch_bit(struct ef_patch *p, unsigned probability, unsigned bit)
{
	const struct ef_patch_want *w = patch_want(p);

	if (w)
		return w->bit(p, probability, bit);
	uint32_t bound = (p->range >> 12) * probability;

	bit = p->low < bound;
	if (bit)
		p->range = bound;
	else {
		p->low -= bound;
		p->range -= bound;
	}
	for (; p->range < 1u << 24; p->range <<= 8)
		p->low = p->low << 8 | next_byte(p);
	return bit;
}

void patch_read(struct ef_patch *p, uint32_t from, uint8_t *buf)
{
	const struct ef_patch_want *w = patch_want(p);
	uint32_t old_size = p->header.old_size, n = EF_PATCH_AHEAD;
	int r;

	if (w) {
		w->read(p, from, buf);
		return;
	}
	if (from >= old_size)
		r = p->io->read_new(p->io->ctx, from - old_size, buf, n);
	else {
		if (n > old_size - from) {
			n = old_size - from;
			memset(buf, 0, EF_PATCH_AHEAD);
		}
		r = p->io->read_old(p->io->ctx, from, buf, n);
	}
	if (r)
		p->reason = EF_REASON_IO;
}

/* Offsets of an image ascend from 0 and, but the first, lie in it. */
static bool read_regions(struct ef_patch *p)
{
	struct ef_patch_header *h = &p->header;

	for (unsigned k = 0; k < h->n_regions; k++)
		for (unsigned which = 0; which < 2; which++) {
			struct ef_patch_region *r = &h->regions[which][k];

			if (k)
				r->offset = next_word(p);
			r->address = next_word(p);
			if (k && (r->offset <= r[-1].offset ||
					 r->offset >= (which ? h->new_size : h->old_size)))
				return false;
		}
	return true;
}

static const struct ef_patch_model *find_model(
	const struct ef_patch_model *const *models, uint8_t id)
{
	while (*models && (*models)->id != id)
		models++;
	return *models;
}

uint32_t ef_patch_model_bits(const struct ef_patch_model *const *models)
{
	uint32_t bits = 0;

	while (*models)
		bits |= 1u << (*models++)->id;
	return bits;
}

enum ef_reason ef_patch_look(const uint8_t *data, size_t size,
	const struct ef_patch_model *const *models, struct ef_patch_sizes *ret)
{
	if (size < EF_PATCH_SIZES_END)
		return EF_REASON_BAD_SIZE;
	if (data[0] != 'E' || data[1] != 'P')
		return EF_REASON_BAD_FORMAT;
	if (data[2] != EF_PATCH_VERSION || !find_model(models, data[3]))
		return EF_REASON_NOT_COMPATIBLE;
	ret->old_size = le32_get(data + 13);
	ret->new_size = le32_get(data + 17);
	return EF_REASON_OK;
}

/* Everything that can be told without the old image. */
static enum ef_reason read_header(struct ef_patch *p)
{
	struct ef_patch_header *h = &p->header;
	uint32_t first = next_word(p);

	if ((first & 0xffff) != ('E' | 'P' << 8))
		return EF_REASON_BAD_FORMAT;
	if ((first >> 16 & 255) != EF_PATCH_VERSION)
		return EF_REASON_NOT_COMPATIBLE;
	h->model = (uint8_t)(first >> 24);
	h->n_regions = (uint8_t)next_byte(p);
	h->old_crc = next_word(p);
	h->new_crc = next_word(p);
	h->old_size = next_word(p);
	h->new_size = next_word(p);
	h->ram = next_word(p);
	h->ram_size = next_word(p);
	if (h->n_regions - 1u >= EF_PATCH_REGIONS || h->old_size > EF_PATCH_IMAGE_MAX ||
		h->new_size > EF_PATCH_IMAGE_MAX || !read_regions(p))
		return p->beyond ? EF_REASON_BAD_SIZE : EF_REASON_BAD_FORMAT;
	if (p->beyond)
		return EF_REASON_BAD_SIZE;
	p->model = find_model(p->models, h->model);
	if (!p->model)
		return EF_REASON_NOT_COMPATIBLE;
	if (h->new_size > p->io->new_limit)
		return EF_REASON_TOO_LARGE;
	return h->old_size > p->io->old_limit ? EF_REASON_REQUIREMENT : EF_REASON_OK;
}

/* A page of the old image; behind the last one the decoder begins. */
static enum ef_reason check_old(struct ef_patch *p)
{
	uint8_t buf[CHUNK];

	for (unsigned k = 0; k < EF_PATCH_PAGE / CHUNK; k++) {
		uint32_t n = p->header.old_size - p->to;

		if (n > CHUNK)
			n = CHUNK;
		if (n && p->io->read_old(p->io->ctx, p->to, buf, n))
			return EF_REASON_IO;
		p->crc = crc32_ieee(p->crc, buf, n);
		p->to += n;
	}
	if (p->to < p->header.old_size)
		return EF_REASON_OK;
	if (p->crc != p->header.old_crc)
		return EF_REASON_REQUIREMENT;
	p->crc = p->to = 0;
	patch_code_start(p);
	for (unsigned k = 0; k < 4; k++)
		p->low = p->low << 8 | next_byte(p);
	p->range = UINT32_MAX;
	return (enum ef_reason)p->reason;
}

static enum ef_reason make_page(struct ef_patch *p)
{
	uint32_t end = p->to + EF_PATCH_PAGE;
	uint8_t bytes[EF_PATCH_AHEAD];

	while (p->to < end && !patch_finished(p)) {
		uint32_t at = p->to;
		unsigned n = patch_step(p, bytes);

		if (p->reason)
			return (enum ef_reason)p->reason;
		p->crc = crc32_ieee(p->crc, bytes, n);
		if (n && p->io->write(p->io->ctx, at, bytes, n))
			return EF_REASON_IO;
	}
	if (!patch_finished(p))
		return EF_REASON_OK;
	if (p->io->next(p->io->ctx) >= 0)
		return EF_REASON_BAD_FORMAT;
	return p->crc == p->header.new_crc ? EF_REASON_OK : EF_REASON_BAD_DIGEST;
}

void ef_patch_begin(struct ef_patch *p, const struct ef_patch_io *io,
	const struct ef_patch_model *const *models)
{
	memset(p, 0, sizeof(*p));
	p->io = io;
	p->models = models;
}

enum ef_reason ef_patch_step(struct ef_patch *p)
{
	if (!p->reason)
		p->reason = (uint8_t)(p->range	 ? make_page(p)
				      : p->model ? check_old(p)
						 : read_header(p));
	return (enum ef_reason)p->reason;
}

bool ef_patch_done(const struct ef_patch *p)
{
	return !p->reason && p->range && patch_finished(p);
}
