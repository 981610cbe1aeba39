/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder on images in memory. */
#include "patch/patch.h"
#include <stdlib.h>
#include <string.h>

struct memory {
	const struct patch_image *old;
	const uint8_t *patch;
	size_t at, size; /* of the patch */
	uint8_t *new;
	uint32_t used;
};

static int next_byte(void *ctx)
{
	struct memory *m = ctx;

	return m->at < m->size ? m->patch[m->at++] : -1;
}

static int read_old(void *ctx, uint32_t offset, void *buf, size_t size)
{
	struct memory *m = ctx;

	if (offset > m->old->size || size > m->old->size - offset)
		return -1;
	memcpy(buf, m->old->data + offset, size);
	return 0;
}

static int read_new(void *ctx, uint32_t offset, void *buf, size_t size)
{
	struct memory *m = ctx;

	if (offset > m->used || size > m->used - offset)
		return -1;
	memcpy(buf, m->new + offset, size);
	return 0;
}

static int write_new(void *ctx, uint32_t offset, const void *buf, size_t size)
{
	struct memory *m = ctx;

	if (offset != m->used)
		return -1;
	memcpy(m->new + offset, buf, size);
	m->used += (uint32_t)size;
	return 0;
}

/* The first step has read the header: what is to be written is known. */
static enum ef_reason run(struct ef_patch *p, struct memory *m)
{
	enum ef_reason r = ef_patch_step(p);

	if (r)
		return r;
	m->new = malloc((size_t)p->header.new_size + 1);
	if (!m->new)
		return EF_REASON_NO_MEMORY;
	while (!r && !ef_patch_done(p))
		r = ef_patch_step(p);
	return r;
}

enum ef_reason patch_apply(const struct patch_image *old, const uint8_t *patch, size_t size,
	struct ef_patch_header *header, uint8_t **ret, uint32_t *ret_size)
{
	static const struct ef_patch_model *const models[] = {
		&ef_patch_generic, &ef_patch_thumb, &ef_patch_riscv, NULL};
	struct memory m = {.old = old, .patch = patch, .size = size};
	struct ef_patch_io io = {
		&m, old->size, EF_PATCH_IMAGE_MAX, next_byte, read_old, read_new, write_new};
	struct ef_patch *p = malloc(sizeof(*p));
	enum ef_reason r;

	if (!p)
		return EF_REASON_NO_MEMORY;
	ef_patch_begin(p, &io, models);
	r = run(p, &m);
	if (header)
		*header = p->header;
	free(p);
	if (r) {
		free(m.new);
		return r;
	}
	*ret = m.new;
	*ret_size = m.used;
	return r;
}
