/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spread.h"
#include "agent/agent.h"
#include "agent/upload.h"
#include "boot/flash.h"
#include <string.h>

#define BITMAP_MAX 200u	   /* bytes in an answer */
#define SILENCE_MS 120000u /* since the last block: whoever sent them has gone */

uint32_t spread_block_max(void)
{
	return (PORT_MESSAGE_MAX - EF_SMP_HEADER_SIZE - EF_SPREAD_HEAD) / AHEAD_UNIT * AHEAD_UNIT;
}

/* Where the block ends that holds this byte. */
static uint32_t block_end(const struct upload *u, uint32_t at)
{
	uint32_t block = u->spread.block, end = at / block * block + block;

	return end < u->image_size ? end : u->image_size;
}

/* Nothing of [at, end) was written: that is how what is missing is known. */
static bool missing(const struct upload *u, uint32_t at, uint32_t end)
{
	return at < end && flash_blank(u->place + at, end - at);
}

static bool listens(const struct agent *a)
{
	const struct upload_spread *s = &a->upload.spread;

	return a->upload.open && !a->upload.complete && s->listens &&
	       port_millis() - s->heard < SILENCE_MS &&
	       (!s->in_session || (a->session.open && a->session.started == s->session));
}

void spread_receive(struct agent *a, const uint8_t *message, size_t size)
{
	struct upload *u = &a->upload;
	struct ef_smp_header h;
	const uint8_t *d = message + EF_SMP_HEADER_SIZE;
	uint32_t at, end;

	if (!listens(a) || !ef_smp_header_decode(message, size, &h) || h.op != EF_SMP_WRITE ||
		h.group != EF_GROUP_EDGEFERRY || h.command != EF_EF_BLOCK ||
		h.length != size - EF_SMP_HEADER_SIZE || h.length <= EF_SPREAD_HEAD ||
		memcmp(d, u->approved_digest, EF_SPREAD_ID) != 0)
		return;
	at = ((uint32_t)d[EF_SPREAD_ID] << 8 | d[EF_SPREAD_ID + 1]) * u->spread.block;
	if (at >= u->image_size || u->wanted % AHEAD_UNIT)
		return;
	end = block_end(u, at);
	if (h.length - EF_SPREAD_HEAD != end - at)
		return;
	u->spread.heard = port_millis();
	d += EF_SPREAD_HEAD;
	if (at < u->wanted) {
		d += u->wanted - at < end - at ? u->wanted - at : end - at;
		at = u->wanted;
	}
	/* what is there, whatever it is, stays: the check of the whole image decides about it */
	if (missing(u, at, end) && ahead_write(u, at, d, end - at) < 0)
		u->open = false;
}

void spread_stop(struct upload *u)
{
	u->spread.block = 0;
}

void spread_forget(struct state *s)
{
	s->flags &= (uint8_t)~STATE_SPREAD;
}

bool spread_noted(const struct state *s)
{
	return s->flags & STATE_SPREAD;
}

int spread_advance(struct upload *u)
{
	while (u->spread.block && u->wanted < u->image_size) {
		uint32_t end = block_end(u, u->wanted);

		if (missing(u, u->wanted, end))
			return 0;
		if (upload_flush(u, u->wanted) < 0)
			return -1;
		u->wanted = u->from = end;
	}
	/* what stands behind the image is dropped, so it is there */
	if (!u->spread.block || u->wanted != u->image_size)
		return 0;
	u->wanted = u->size;
	return 1;
}

uint32_t spread_room(const struct upload *u)
{
	uint32_t at = u->wanted, end;

	if (!u->spread.block)
		return UINT32_MAX;
	while (at < u->image_size && at - u->wanted < PORT_MESSAGE_MAX) {
		end = block_end(u, at);
		if (!missing(u, at, end))
			break;
		at = end;
	}
	return at == u->image_size ? UINT32_MAX : at - u->wanted;
}

static struct outcome ef_spread(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	struct upload *u = &a->upload;
	struct upload_spread s = {.block = (uint16_t)v[0].number,
		.listens = true,
		.in_session = a->session.inside,
		.session = a->session.started,
		.heard = port_millis()};

	(void)w;
	if (!v[0].present || v[0].number > spread_block_max() || v[0].number % AHEAD_UNIT)
		return smp_error(EF_SMP_INVALID);
	if (!v[0].number) { /* enough */
		u->spread.listens = false;
		return DONE;
	}
	if (!u->open || u->complete || !u->vouched || u->patch || u->wanted % AHEAD_UNIT ||
		(u->spread.block && u->spread.block != s.block))
		return smp_error(EF_SMP_BAD_STATE);
	if ((u->image_size - 1) / s.block > UINT16_MAX)
		return smp_error(EF_SMP_INVALID);
	if (!(a->state.flags & STATE_SPREAD)) {
		a->state.flags |= STATE_SPREAD;
		if (state_store(&a->state) < 0)
			return refused(EF_REASON_NODE_FLASH);
	}
	u->spread = s;
	return DONE;
}

/* Which blocks are missing, from one on; bit 0 of the first byte is that one. */
static struct outcome ef_missing(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	struct upload *u = &a->upload;
	uint8_t bitmap[BITMAP_MAX] = {0};
	uint32_t from = v[0].number, n;

	if (!u->open || u->complete || !u->spread.block)
		return smp_error(EF_SMP_BAD_STATE);
	n = (u->image_size + u->spread.block - 1) / u->spread.block;
	if (from >= n)
		return smp_error(EF_SMP_INVALID);
	n -= from;
	if (n > 8 * BITMAP_MAX)
		n = 8 * BITMAP_MAX;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = (from + i) * u->spread.block, end = block_end(u, at);

		if (missing(u, at < u->wanted ? u->wanted : at, end))
			bitmap[i / 8] |= (uint8_t)(1u << i % 8);
	}
	put_uint(w, "from", from);
	put_bytes(w, "missing", bitmap, (n + 7) / 8);
	return DONE;
}

static const struct command commands[] = {
	{EF_EF_SPREAD, EF_SMP_WRITE, false, "block:u", ef_spread},
	{EF_EF_SPREAD, EF_SMP_READ, true, "from:u", ef_missing},
};
const struct command_group spread_group = COMMAND_GROUP(EF_GROUP_EDGEFERRY, false, commands);
