/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rebuild.h"
#include "agent/upload.h"

static int next_byte(void *ctx)
{
	struct rebuild *r = ctx;

	return r->next(r->source);
}

static int read_old(void *ctx, uint32_t offset, void *buf, size_t size)
{
	const struct rebuild *r = ctx;

	return port_flash_read(r->old.offset + offset, buf, size);
}

static int read_new(void *ctx, uint32_t offset, void *buf, size_t size)
{
	const struct rebuild *r = ctx;

	return port_flash_read(r->agent->upload.place + offset, buf, size);
}

/* The block, as a request would bring it. */
static int bring(struct rebuild *r)
{
	struct upload *u = &r->agent->upload;
	struct value v[REQUEST_FIELDS_MAX] = {0};
	uint32_t end = u->wanted + r->used;
	struct cbor_writer w;
	uint8_t answer[64];

	v[UPLOAD_OFF].present = v[UPLOAD_DATA].present = true;
	v[UPLOAD_OFF].number = u->wanted;
	v[UPLOAD_DATA].data = r->block;
	v[UPLOAD_DATA].size = r->used;
	r->used = 0;
	cbor_write_init(&w, answer, sizeof(answer));
	image_upload(r->agent, v, &w);
	return u->wanted == end ? 0 : -1;
}

/* What is in flash from before a reset is made once more and dropped. */
static int write_new(void *ctx, uint32_t offset, const void *buf, size_t size)
{
	struct rebuild *r = ctx;
	struct upload *u = &r->agent->upload;
	const uint8_t *data = buf;

	if (!u->open || !u->vouched || u->complete)
		return -1;
	for (; size--; offset++, data++) {
		if (offset < u->wanted)
			continue;
		r->block[r->used++] = *data;
		if ((r->used == sizeof(r->block) || offset == u->size - 1) && bring(r) < 0)
			return -1;
	}
	return 0;
}

enum ef_reason rebuild_begin(struct rebuild *r, struct agent *a,
	const struct ef_patch_model *const *models, int (*next)(void *source), void *source)
{
	if (!a->upload.approved)
		return EF_REASON_REQUIREMENT;
	r->agent = a;
	r->next = next;
	r->source = source;
	r->used = 0;
	r->old = state_slot(&a->state, 0);
	r->io = (struct ef_patch_io){
		r, r->old.size, a->upload.approved_size, next_byte, read_old, read_new, write_new};
	ef_patch_begin(&r->patch, &r->io, models);
	return EF_REASON_OK;
}

bool rebuild_checked(const struct rebuild *r)
{
	return !r->patch.reason && r->patch.range;
}

bool rebuild_done(const struct rebuild *r)
{
	return ef_patch_done(&r->patch) && r->agent->upload.complete;
}

/* What a wrong patch made is not the beginning of the image. */
static int abandon(struct agent *a)
{
	a->upload.open = false;
	if (!(a->state.flags & STATE_UPLOADING))
		return 0;
	a->state.flags &= (uint8_t)~STATE_UPLOADING;
	return state_store(&a->state);
}

enum ef_reason rebuild_step(struct rebuild *r)
{
	struct upload *u = &r->agent->upload;
	bool wrote = rebuild_checked(r);
	enum ef_reason reason = ef_patch_step(&r->patch);

	if (!reason && ef_patch_done(&r->patch) && !u->complete)
		reason = u->wanted == u->size ? r->agent->slot[1].reason : EF_REASON_BAD_SIZE;
	else if (reason && wrote && abandon(r->agent) < 0)
		reason = EF_REASON_NODE_FLASH;
	return reason == EF_REASON_IO ? EF_REASON_NODE_FLASH : reason;
}
