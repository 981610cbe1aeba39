/* SPDX-License-Identifier: Apache-2.0 */
/* The range encoder, driven by the walk that the decoder takes too. */
#include "patch/internal.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct encoder {
	struct ef_patch state; /* first */
	struct ef_patch_want want;
	const struct images *im;
	uint8_t *buf;
	size_t used, room, limit;
	uint64_t low, pending; /* pending: bytes that a carry may yet change */
	uint32_t range;
	uint8_t cache;
	bool begun;
	int error;
};

static void put(struct encoder *e, uint8_t byte)
{
	if (e->error)
		return;
	if (e->used == e->room) {
		size_t room = e->room ? 2 * e->room : 4096;
		uint8_t *buf = realloc(e->buf, room);

		if (!buf) {
			e->error = -ENOMEM;
			return;
		}
		e->buf = buf;
		e->room = room;
	}
	e->buf[e->used++] = byte;
	if (e->used >= e->limit)
		e->error = -EFBIG;
}

static void shift(struct encoder *e)
{
	uint8_t carry = (uint8_t)(e->low >> 32);

	if ((uint32_t)e->low < 0xff000000u || carry) {
		if (e->begun)
			put(e, (uint8_t)(e->cache + carry));
		for (; e->pending; e->pending--)
			put(e, (uint8_t)(0xff + carry));
		e->begun = true;
		e->cache = (uint8_t)(e->low >> 24);
	} else
		e->pending++;
	e->low = (e->low & 0x00ffffff) << 8;
}

static unsigned encode_bit(struct ef_patch *s, unsigned probability, unsigned bit)
{
	struct encoder *e = (struct encoder *)s;
	uint32_t bound = (e->range >> 12) * probability;

	if (bit)
		e->range = bound;
	else {
		e->low += bound;
		e->range -= bound;
	}
	for (; e->range < 1u << 24; e->range <<= 8)
		shift(e);
	return bit;
}

/* The number in the last interval that has most zeros at its end, without those. */
static void finish(struct encoder *e)
{
	uint64_t last = e->low + e->range - 1;
	size_t most;

	for (unsigned bits = 32; bits--;) {
		uint64_t v = last >> bits << bits;

		if (v >= e->low) {
			e->low = v;
			break;
		}
	}
	most = 4;
	for (unsigned k = 0; k < 5; k++)
		shift(e);
	while (most-- && e->used && !e->buf[e->used - 1])
		e->used--;
}

static void read_code(struct ef_patch *s, uint32_t from, uint8_t *buf)
{
	const struct images *im = ((struct encoder *)s)->im;

	memcpy(buf, from >= im->old_size ? im->new + (from - im->old_size) : im->old + from,
		EF_PATCH_AHEAD);
}

static bool sure(const struct ef_patch *state, unsigned units)
{
	struct encoder e; /* what is around the state: read_code looks there */
	struct ef_patch *s = &e.state;

	e.state = *state;
	e.im = ((const struct encoder *)state)->im;
	while (units-- && s->to < s->end) {
		struct patch_unit u;
		unsigned n = patch_next(s, &u);

		if (memcmp(u.bytes, s->want->image + s->to, n) != 0)
			return false;
		patch_follow(s, n, &u);
		s->to += n;
	}
	return true;
}

void state_map(struct ef_patch *s, const struct layout *l)
{
	s->n_segments = 0;
	for (uint32_t k = 0; k < l->n_map; k++) {
		s->map[k] = l->map[k];
		patch_map_add(s);
	}
}

int encode(const struct images *im, const struct ef_patch *s, const struct layout *l, size_t limit,
	uint8_t **ret, size_t *ret_size)
{
	struct encoder *e = calloc(1, sizeof(*e));
	uint8_t bytes[EF_PATCH_AHEAD];

	if (!e)
		return -ENOMEM;
	e->state.header = s->header;
	e->state.model = s->model;
	e->state.want = &e->want;
	e->want = (struct ef_patch_want){
		encode_bit, read_code, im->new, l->map, l->inserts, l->n_map, l->n_inserts, sure};
	e->im = im;
	e->range = UINT32_MAX;
	e->limit = limit;
	patch_code_start(&e->state);
	while (!patch_finished(&e->state) && !e->error) {
		uint32_t to = e->state.to;
		unsigned n = patch_step(&e->state, bytes);

		assert(!e->state.reason && memcmp(bytes, im->new + to, n) == 0);
	}
	if (!e->error)
		finish(e);
	int r = e->error;
	if (r)
		free(e->buf);
	else {
		*ret = e->buf;
		*ret_size = e->used;
	}
	free(e);
	return r;
}
