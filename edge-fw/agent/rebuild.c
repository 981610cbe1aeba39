/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rebuild.h"
#include "agent/upload.h"
#include <string.h>

static int next_byte(void *ctx)
{
	struct rebuild *r = ctx;
	uint8_t b;

	if (r->source == r->source_end || port_flash_read(r->source, &b, 1) < 0)
		return -1;
	r->source++;
	return b;
}

static int read_old(void *ctx, uint32_t offset, void *buf, size_t size)
{
	const struct rebuild *r = ctx;

	return port_flash_read(r->old + offset, buf, size);
}

static int read_new(void *ctx, uint32_t offset, void *buf, size_t size)
{
	const struct rebuild *r = ctx;

	return port_flash_read(r->image.place + offset, buf, size);
}

/* What is in flash from before a reset is made once more and dropped. */
static int write_new(void *ctx, uint32_t offset, const void *buf, size_t size)
{
	struct rebuild *r = ctx;
	const uint8_t *data = buf;
	uint32_t known = r->image.wanted - offset;

	if (known > size)
		known = (uint32_t)size;
	return upload_put(&r->image, data + known, (uint32_t)size - known);
}

void rebuild_begin(
	struct rebuild *r, const struct agent *a, const struct ef_patch_model *const *models)
{
	const struct upload *u = &a->upload;

	r->state = REBUILD_MAKING;
	r->old = state_slot(&a->state, 0).offset;
	r->source = u->place;
	r->source_end = u->place + u->size;
	r->image = (struct upload){.vouched = true,
		.place = state_slot(&a->state, 1).offset,
		.size = u->approved_image,
		.image_size = u->approved_image};
	memcpy(r->image.approved_digest, u->approved_digest, sizeof(u->approved_digest));
	r->io = (struct ef_patch_io){r, state_slot(&a->state, 0).size, u->approved_image, next_byte,
		read_old, read_new, write_new};
	ef_patch_begin(&r->patch, &r->io, models);
}

/* The patch fits the image in slot 0: from here on it writes. */
static bool checked(const struct rebuild *r)
{
	return !r->patch.reason && r->patch.range;
}

/* It is an image, and the one of the preflight. */
static enum ef_reason finish(struct rebuild *r, struct agent *a)
{
	struct slot_view *s = &a->slot[1];

	if (!upload_finish(a) && memcmp(s->info.digest, r->image.approved_digest, 32) != 0) {
		a->upload.open = a->upload.complete = false;
		s->reason = upload_forget(a) < 0 ? EF_REASON_NODE_FLASH : EF_REASON_BAD_DIGEST;
	}
	r->state = REBUILD_MADE;
	return s->reason;
}

static enum ef_reason step(struct rebuild *r, struct agent *a)
{
	bool writes = checked(r);
	enum ef_reason reason = ef_patch_step(&r->patch);

	if (!reason && !writes && checked(r))
		return r->patch.header.new_size == r->image.size ? upload_open(a, &r->image)
								 : EF_REASON_BAD_SIZE;
	if (!reason && ef_patch_done(&r->patch))
		return finish(r, a);
	if (reason && writes && upload_forget(a) < 0)
		reason = EF_REASON_NODE_FLASH;
	return reason;
}

void rebuild_step(struct rebuild *r, struct agent *a)
{
	r->reason = step(r, a);
	if (r->reason == EF_REASON_IO)
		r->reason = EF_REASON_NODE_FLASH;
	if (r->reason)
		r->state = REBUILD_FAILED;
	a->upload.erases += r->image.erases;
	r->image.erases = 0;
}

uint32_t rebuild_made(const struct rebuild *r)
{
	return checked(r) ? r->patch.to : 0;
}
