/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/patch.h"
#include "agent/models.h"
#include "agent/rebuild.h"
#include "agent/upload.h"
#include "boot/crypto.h"
#include "boot/flash.h"
#include <string.h>

void patch_init(struct agent *a)
{
	static struct rebuild memory;

	a->rebuild = &memory;
	patch_stop(a);
}

void patch_put_identity(const struct agent *a, struct cbor_writer *w)
{
	(void)a;
	put_uints(w, "models page mem",
		(const uint32_t[]){ef_patch_model_bits(patch_models), port_board()->page,
			round_up(sizeof(struct ef_patch), 1024)});
}

void patch_put_why(const struct agent *a, struct cbor_writer *w, enum ef_reason reason)
{
	if (reason == EF_REASON_PATCH)
		put_uint(w, "why", a->patch_why);
}

bool patch_begins(struct upload *u)
{
	u->patch = u->approved && u->approved_patch;
	return u->patch;
}

bool patch_is(const struct upload *u)
{
	return u->patch;
}

/* It is the patch's fault; the answer says beside it why. */
static enum ef_reason fault(struct agent *a, enum ef_reason why)
{
	a->patch_why = (uint8_t)why;
	return EF_REASON_PATCH;
}

/* Beside the image of the preflight: behind it, or in front, where more is free. */
static struct port_area room(const struct agent *a)
{
	const struct port_area *slot = &port_board()->slot[1];
	uint32_t image = state_slot(&a->state, 1).offset;
	uint32_t end = image + round_up(a->upload.approved_image, port_board()->page);
	struct port_area front = {slot->offset, image - slot->offset},
			 behind = {end, slot->offset + slot->size - end};

	return front.size > behind.size ? front : behind;
}

static enum ef_reason admit(struct agent *a, uint32_t size, const struct value *base)
{
	const struct slot_view *s = agent_slot(a, 0);

	if (s->reason || base->size != 32 || memcmp(s->info.digest, base->data, 32) != 0)
		return fault(a, EF_REASON_REQUIREMENT);
	if (size > room(a).size)
		return fault(a, EF_REASON_TOO_LARGE);
	return EF_REASON_OK;
}

/* The preflight of an image, and of the patch for it, if there is to be one. */
static struct outcome ef_preflight_patch(
	struct agent *a, const struct value *v, struct cbor_writer *w)
{
	enum { PATCH = 4, BASE };
	struct upload *u = &a->upload;
	struct outcome o;
	uint8_t before[32];

	memcpy(before, u->approved_digest, sizeof(before));
	o = ef_preflight(a, v, w);
	if (o.code)
		return o;
	if (memcmp(before, u->approved_digest, sizeof(before)) != 0)
		patch_stop(a);
	u->approved_patch = v[PATCH].number;
	if (u->approved_patch)
		o = refused(admit(a, u->approved_patch, &v[BASE]));
	u->approved = !o.code;
	return o;
}

enum ef_reason patch_vouch(struct agent *a, const struct value *data)
{
	struct upload *u = &a->upload;
	struct ef_patch_sizes sizes;
	enum ef_reason reason;

	if (!u->named || u->size != u->approved_patch)
		return fault(a, EF_REASON_BAD_SIZE);
	reason = ef_patch_look(data->data, data->size, patch_models, &sizes);
	if (!reason && sizes.new_size != u->approved_image)
		reason = EF_REASON_BAD_SIZE;
	if (reason)
		return fault(a, reason);
	u->vouched = true;
	u->image_size = u->size;
	u->place = room(a).offset;
	return EF_REASON_OK;
}

static bool right(const struct upload *u)
{
	struct crypto c;
	uint8_t digest[32], buf[UPLOAD_BLOCK];

	crypto_init(&c);
	c.primitives.sha256_init(c.primitives.ctx);
	for (uint32_t at = 0, n; at < u->size; at += n) {
		n = u->size - at < sizeof(buf) ? u->size - at : sizeof(buf);
		if (port_flash_read(u->place + at, buf, n) < 0)
			return false;
		c.primitives.sha256_update(c.primitives.ctx, buf, n);
	}
	c.primitives.sha256_final(c.primitives.ctx, digest);
	return memcmp(digest, u->sha, sizeof(digest)) == 0;
}

bool patch_known(const struct agent *a, const struct upload *u)
{
	return !u->patch || memcmp(a->state.patch, u->sha, sizeof(a->state.patch)) == 0;
}

int patch_note(struct agent *a, struct upload *u)
{
	uint32_t page = port_board()->page, size = round_up(u->approved_image, page);

	memset(a->state.patch, 0, sizeof(a->state.patch));
	if (!u->patch)
		return 0;
	memcpy(a->state.patch, u->sha, sizeof(a->state.patch));
	u->erases += size / page;
	return flash_erase(state_slot(&a->state, 1).offset, size);
}

bool patch_whole(struct upload *u)
{
	uint8_t buf[UPLOAD_BLOCK];

	if (!u->patch || !right(u))
		return false;
	/* power may have gone at any of its words: programmed once more they are firm */
	for (uint32_t at = 0; at < u->size; at += sizeof(buf))
		if (port_flash_read(u->place + at, buf, sizeof(buf)) < 0 ||
			flash_write(u->place + at, buf, sizeof(buf)) < 0)
			return false;
	u->wanted = u->size;
	return true;
}

enum ef_reason patch_finish(struct agent *a)
{
	struct upload *u = &a->upload;

	u->open = u->complete = right(u);
	if (!u->open)
		return upload_forget(a) < 0 ? EF_REASON_NODE_FLASH : fault(a, EF_REASON_BAD_DIGEST);
	rebuild_begin(a->rebuild, a, patch_models);
	return EF_REASON_OK;
}

bool patch_making(const struct agent *a)
{
	return a->rebuild->state == REBUILD_MAKING;
}

bool patch_poll(struct agent *a)
{
	struct rebuild *r = a->rebuild;

	if (!patch_making(a))
		return false;
	rebuild_step(r, a);
	/* the same patch may be sent again */
	if (r->state == REBUILD_FAILED)
		a->upload.open = false;
	return true;
}

void patch_stop(struct agent *a)
{
	a->rebuild->state = REBUILD_NONE;
	if (a->upload.patch)
		a->upload.open = false;
}

static struct outcome ef_patch(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	const struct rebuild *r = a->rebuild;

	(void)v;
	if (r->state == REBUILD_NONE)
		return smp_error(EF_SMP_BAD_STATE);
	if (r->state == REBUILD_FAILED)
		return refused(r->reason == EF_REASON_NODE_FLASH ? r->reason : fault(a, r->reason));
	put_uints(w, "made size", (const uint32_t[]){rebuild_made(r), r->image.size});
	if (r->state == REBUILD_MADE)
		put_bool(w, "match", true);
	return DONE;
}

static const struct command commands[] = {
	{EF_EF_PREFLIGHT, EF_SMP_WRITE, true, PREFLIGHT_FIELDS " patch:u base:b",
		ef_preflight_patch},
	{EF_EF_PATCH, EF_SMP_READ, true, "", ef_patch},
};
const struct command_group patch_group = COMMAND_GROUP(EF_GROUP_EDGEFERRY, false, commands);
