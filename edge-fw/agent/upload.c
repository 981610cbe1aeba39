/* SPDX-License-Identifier: Apache-2.0 */
/* Group 1, upload: an approved image into slot 1, whole at the end or not bootable. */
#include "agent/agent.h"
#include "agent/request.h"
#include "boot/flash.h"
#include "boot/verify.h"
#include <string.h>

enum { OFF, LEN, SHA, DATA };

/* Programs whole words at the place of byte at; a page that is not blank is erased when its first
 * word comes. */
static int put_words(const struct upload *u, uint32_t at, const uint8_t *data, uint32_t size)
{
	uint32_t page = port_board()->page;

	while (size) {
		uint32_t n = page - at % page;
		if (n > size)
			n = size;
		if (at % page == 0 && !flash_blank(u->place + at, page) &&
			flash_erase(u->place + at, page) < 0)
			return -1;
		if (flash_write(u->place + at, data, n) < 0)
			return -1;
		at += n;
		data += n;
		size -= n;
	}
	return 0;
}

/* Bytes behind the image (padding, a trailer) are taken and dropped (S-11). */
static int put_data(struct upload *u, const uint8_t *data, uint32_t size)
{
	uint32_t word = port_board()->word, at = u->wanted - u->pending;
	uint32_t left = u->wanted < u->image_size ? u->image_size - u->wanted : 0;

	u->wanted += size;
	if (left == 0)
		return 0;
	if (size > left)
		size = left;
	while (size) {
		if (u->pending == 0 && size >= word) {
			uint32_t n = size - size % word;
			if (put_words(u, at, data, n) < 0)
				return -1;
			at += n;
			data += n;
			size -= n;
			continue;
		}
		u->word[u->pending++] = *data++;
		size--;
		if (u->pending == word) {
			if (put_words(u, at, u->word, word) < 0)
				return -1;
			at += word;
			u->pending = 0;
		}
	}
	if (u->wanted >= u->image_size && u->pending) {
		memset(u->word + u->pending, 0xff, word - u->pending);
		u->pending = 0;
		return put_words(u, at, u->word, word);
	}
	return 0;
}

static bool same_file(const struct upload *u, const struct value *v)
{
	return u->open && v[LEN].number == u->size && v[SHA].size == 32 &&
	       memcmp(v[SHA].data, u->sha, 32) == 0;
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

/* Slot 1 holds no beginning of anything that is worth going on with. */
static int forget(struct agent *a)
{
	if (!(a->state.flags & STATE_UPLOADING))
		return 0;
	a->state.flags &= (uint8_t)~STATE_UPLOADING;
	return state_store(&a->state);
}

/*
 * Notes in flash which image is coming, so that an upload goes on after a reset. Where an earlier
 * one of the same image was broken off, that is where it goes on; the check at the end covers it
 * all.
 */
static enum ef_reason note(struct agent *a)
{
	struct upload *u = &a->upload;
	uint32_t page = port_board()->page;

	if (a->state.flags & STATE_UPLOADING &&
		memcmp(a->state.digest[1], u->approved_digest, 32) == 0) {
		u->wanted = written_before(u);
		/* the page after it may have been begun, and only look blank */
		if ((u->wanted + page < u->image_size &&
			    flash_erase(u->place + u->wanted + page, page) < 0) ||
			flash_erase(u->place + u->wanted, page) < 0)
			return EF_REASON_NODE_FLASH;
		return EF_REASON_OK;
	}
	/* what lies there is not its beginning, and must not be taken for it while it goes */
	if (forget(a) < 0 || flash_erase(u->place, round_up(u->image_size, page)) < 0)
		return EF_REASON_NODE_FLASH;
	a->state.flags |= STATE_UPLOADING;
	memcpy(a->state.digest[1], u->approved_digest, 32);
	if (state_store(&a->state) < 0)
		return EF_REASON_NODE_FLASH;
	return EF_REASON_OK;
}

static enum ef_reason begin(struct agent *a, const struct value *v)
{
	struct upload *u = &a->upload;
	enum ef_reason reason;

	if (!u->approved || v[LEN].number != u->approved_size)
		return EF_REASON_IMAGE_UNSIGNED;
	/* the image begins with the very header that was vouched for */
	if (v[DATA].size < EF_IMAGE_HEADER_SIZE ||
		memcmp(v[DATA].data, u->approved_header, EF_IMAGE_HEADER_SIZE) != 0)
		return EF_REASON_IMAGE_DIGEST;
	reason = agent_claim_slot(a);
	if (reason != EF_REASON_OK)
		return reason;
	u->open = true;
	u->complete = false;
	u->pending = 0;
	u->wanted = 0;
	u->place = state_slot(&a->state, 1).offset;
	u->size = v[LEN].number;
	u->image_size = u->approved_image;
	memcpy(u->sha, v[SHA].data, 32);
	reason = note(a);
	if (reason != EF_REASON_OK)
		u->open = false;
	return reason;
}

/* All bytes are there: is it an image? */
static enum ef_reason finish(struct agent *a)
{
	struct slot_view *s = &a->slot[1];
	struct port_area where = state_slot(&a->state, 1);

	s->reason = verify_image(&where, a->state.floor, &a->factory, &s->info);
	s->known = true;
	a->upload.complete = s->reason == EF_REASON_OK;
	a->upload.open = a->upload.complete;
	if (!a->upload.complete)
		forget(a);
	return s->reason;
}

struct outcome image_upload(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	struct upload *u = &a->upload;
	enum ef_reason reason = EF_REASON_OK;

	if (!v[OFF].present || !v[DATA].present)
		return smp_error(EF_SMP_INVALID);
	if (v[OFF].number == 0 && !same_file(u, v)) {
		if (!v[LEN].present || v[SHA].size != 32)
			return smp_error(EF_SMP_INVALID);
		reason = begin(a, v);
		if (reason != EF_REASON_OK)
			return refused(reason);
	}
	if (u->open && !u->complete && v[OFF].number == u->wanted) {
		if (v[DATA].size > u->size - u->wanted)
			return smp_error(EF_SMP_INVALID);
		if (put_data(u, v[DATA].data, (uint32_t)v[DATA].size) < 0) {
			u->open = false;
			return refused(EF_REASON_NODE_FLASH);
		}
		if (u->wanted == u->size)
			reason = finish(a);
	}
	put_uint(w, "off", u->open || reason ? u->wanted : 0);
	if (u->complete || reason)
		put_bool(w, "match", u->complete);
	if (reason)
		put_reason(w, reason);
	return DONE;
}
