/* SPDX-License-Identifier: Apache-2.0 */
/* Group 1, upload: an image into slot 1, whole at the end or not bootable. */
#include "agent/upload.h"
#include "agent/agent.h"
#include "agent/ahead.h"
#include "agent/patch.h"
#include "agent/plain.h"
#include "boot/flash.h"
#include "boot/verify.h"
#include <string.h>

/* Writes the block that ends with byte last, from where it is not yet written. A page that is not
 * blank is erased when its first block comes, unless all was erased before. */
static int flush(struct upload *u, uint32_t last)
{
	const struct port_board *b = port_board();
	uint32_t start = last - last % UPLOAD_BLOCK, at = u->from > start ? u->from : start;
	uint32_t n = last + 1 - at, to = u->place + at;
	uint8_t *bytes = u->block + at % UPLOAD_BLOCK;

	u->from = last + 1;
	while (n % b->word)
		bytes[n++] = 0xff;
	if (!u->vouched && to % b->page == 0 && !flash_blank(to, b->page)) {
		u->erases++;
		if (flash_erase(to, b->page) < 0)
			return -1;
	}
	return flash_write(to, bytes, n);
}

/* Bytes behind the image (padding, a trailer) are taken and dropped (S-11). */
static int put(struct upload *u, uint32_t at, uint8_t b)
{
	if (at >= u->image_size)
		return 0;
	u->block[at % UPLOAD_BLOCK] = b;
	return at % UPLOAD_BLOCK == UPLOAD_BLOCK - 1 || at == u->image_size - 1 ? flush(u, at) : 0;
}

int upload_put(struct upload *u, const uint8_t *data, uint32_t size)
{
	for (; size; size--)
		if (put(u, u->wanted++, *data++) < 0)
			return -1;
	return 0;
}

int upload_flush(struct upload *u, uint32_t end)
{
	if (end > u->image_size)
		end = u->image_size;
	return u->from < end ? flush(u, end - 1) : 0;
}

int upload_write(struct upload *u, uint32_t at, const uint8_t *data, uint32_t size)
{
	u->from = at;
	for (uint32_t i = 0; i < size; i++)
		if (put(u, at + i, data[i]) < 0)
			return -1;
	return upload_flush(u, at + size);
}

/* The file that is under way, or the last one: its sender lost the answer or comes again. */
static bool same_file(const struct upload *u, const struct value *v)
{
	return u->open && u->named && v[UPLOAD_SHA].present && v[UPLOAD_LEN].number == u->size &&
	       memcmp(v[UPLOAD_SHA].data, u->sha, sizeof(u->sha)) == 0;
}

/* The last page that holds anything is written again: power may have gone while it was. */
static uint32_t written_before(const struct upload *u)
{
	uint32_t page = port_board()->page;
	uint32_t at = (u->image_size - 1) / page * page;

	while (at && flash_blank(u->place + at, page))
		at -= page;
	return at;
}

int upload_forget(struct agent *a)
{
	if (!(a->state.flags & STATE_UPLOADING))
		return 0;
	a->state.flags &= (uint8_t)~STATE_UPLOADING;
	return state_store(&a->state);
}

/*
 * Notes in flash which image is coming, and which patch for it, so that it goes on after a reset.
 * Where an earlier upload of the same was broken off, that is where it goes on; the check at the
 * end covers it all.
 */
static int note(struct agent *a, struct upload *u)
{
	uint32_t page = port_board()->page, size = round_up(u->image_size, page), last;

	if (a->state.flags & STATE_UPLOADING &&
		memcmp(a->state.digest[1], u->approved_digest, 32) == 0 && patch_known(a, u)) {
		if (patch_whole(u))
			return 0;
		last = written_before(u);
		u->wanted = ahead_resume(u, last, spread_noted(&a->state));
		/* the page behind may have been begun, and only look blank */
		last += last + page < size ? 2 * page : page;
		u->erases += (last - u->wanted) / page;
		return flash_erase(u->place + u->wanted, last - u->wanted);
	}
	/* what lies there is not its beginning, and must not be taken for it while it goes */
	u->erases += size / page;
	if (upload_forget(a) < 0 || flash_erase(u->place, size) < 0 || patch_note(a, u) < 0)
		return -1;
	spread_forget(&a->state);
	a->state.flags |= STATE_UPLOADING;
	memcpy(a->state.digest[1], u->approved_digest, 32);
	return state_store(&a->state);
}

/* The preflight's image is told by its size and by the very header that was vouched for. */
static enum ef_reason vouch(struct upload *u, const struct value *data)
{
	u->vouched = false;
	if (!u->approved || u->size != u->approved_size)
		return EF_REASON_IMAGE_UNSIGNED;
	if (data->size < EF_IMAGE_HEADER_SIZE ||
		memcmp(data->data, u->approved_header, EF_IMAGE_HEADER_SIZE) != 0)
		return EF_REASON_IMAGE_DIGEST;
	u->vouched = true;
	u->image_size = u->approved_image;
	return EF_REASON_OK;
}

enum ef_reason upload_open(struct agent *a, struct upload *u)
{
	enum ef_reason reason = agent_claim_slot(a);

	/* of an image that is not vouched for, pages are erased as they are reached */
	if (!reason && (u->vouched ? note(a, u) : upload_forget(a)) < 0)
		reason = EF_REASON_NODE_FLASH;
	u->from = u->wanted;
	u->open = !reason;
	return reason;
}

static enum ef_reason begin(struct agent *a, const struct value *v)
{
	struct upload *u = &a->upload;
	const struct value *data = &v[UPLOAD_DATA];
	enum ef_reason reason;

	patch_stop(a);
	u->open = u->complete = false;
	u->wanted = 0;
	u->place = state_slot(&a->state, 1).offset;
	memset(u->ahead, 0, sizeof(u->ahead));
	spread_stop(u);
	u->size = v[UPLOAD_LEN].number;
	u->named = v[UPLOAD_SHA].present;
	if (u->named)
		memcpy(u->sha, v[UPLOAD_SHA].data, sizeof(u->sha));
	if (patch_begins(u)) {
		reason = patch_vouch(a, data);
	} else {
		reason = vouch(u, data);
		if (reason || v[UPLOAD_UPGRADE].number)
			reason = plain_begin(a, data, v[UPLOAD_UPGRADE].number, reason);
	}
	return reason ? reason : upload_open(a, u);
}

/* What is wanted: up to what is there already, and then on behind that. */
static enum ef_reason take(struct upload *u, const struct value *data)
{
	uint32_t size = (uint32_t)data->size, room = ahead_room(u), room_here = spread_room(u);
	enum ef_reason reason = u->vouched ? EF_REASON_OK : plain_take(u, data->data, size);

	if (room > room_here)
		room = room_here;
	if (size > room)
		size = room;
	if (!reason &&
		(upload_put(u, data->data, size) < 0 || ahead_join(u) < 0 || spread_advance(u) < 0))
		reason = EF_REASON_NODE_FLASH;
	if (reason)
		u->open = false;
	return reason;
}

/* All bytes are there: is it an image? */
enum ef_reason upload_finish(struct agent *a)
{
	struct slot_view *s = &a->slot[1];
	struct port_area where = state_slot(&a->state, 1);

	s->reason = verify_image(&where, a->state.floor, &a->factory, &s->info);
	s->known = true;
	a->upload.complete = s->reason == EF_REASON_OK;
	a->upload.open = a->upload.complete;
	if (!a->upload.complete)
		upload_forget(a);
	return s->reason;
}

struct outcome image_upload(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	struct upload *u = &a->upload;
	enum ef_reason reason = EF_REASON_OK;
	int kept = 0;

	if (!v[UPLOAD_OFF].present || !v[UPLOAD_DATA].present || v[UPLOAD_IMAGE].number ||
		(v[UPLOAD_SHA].present && v[UPLOAD_SHA].size != sizeof(u->sha)))
		return smp_error(EF_SMP_INVALID);
	if (v[UPLOAD_OFF].number == 0 && !same_file(u, v)) {
		if (!v[UPLOAD_LEN].present)
			return smp_error(EF_SMP_INVALID);
		reason = begin(a, v);
		if (reason)
			return refused(reason);
	}
	if (u->open && !u->complete && v[UPLOAD_OFF].number == 0) {
		int there = spread_advance(u);

		if (there < 0) {
			u->open = false;
			return refused(EF_REASON_NODE_FLASH);
		}
		if (there)
			reason = upload_finish(a);
		else if (patch_is(u) && u->wanted == u->size)
			reason = patch_finish(a);
	}
	if (u->open && !u->complete && v[UPLOAD_OFF].number == u->wanted) {
		if (v[UPLOAD_DATA].size > u->size - u->wanted)
			return smp_error(EF_SMP_INVALID);
		reason = take(u, &v[UPLOAD_DATA]);
		if (reason)
			return refused(reason);
		if (u->wanted == u->size)
			reason = patch_is(u) ? patch_finish(a) : upload_finish(a);
	} else if (u->open && !u->complete) {
		kept = ahead_keep(u, v[UPLOAD_OFF].number, v[UPLOAD_DATA].data,
			(uint32_t)v[UPLOAD_DATA].size);
		if (kept < 0) {
			u->open = false;
			return refused(EF_REASON_NODE_FLASH);
		}
	}
	put_uint(w, "off", u->open || reason ? u->wanted : 0);
	if (kept)
		put_bool(w, "kept", true);
	if (u->complete || reason)
		put_bool(w, "match", u->complete);
	if (reason)
		put_refusal(a, w, reason);
	return DONE;
}
