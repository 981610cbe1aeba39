/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/cobs.h"
#include "wire/crc.h"
#include <edgeferry/session.h>
#include <edgeferry/smp.h>

#define CRC_SIZE 2u
#define RUN_FULL 0xffu /* code of 254 bytes that no zero follows */

/* What has a tag, which says more than a CRC, has none. */
static size_t crc_size(const uint8_t *data)
{
	return ef_session_is_tagged(data) ? 0 : CRC_SIZE;
}

size_t frame_encode(const uint8_t *data, size_t size, uint8_t *out)
{
	uint16_t crc = crc16_xmodem(0, data, size);
	size_t code = 0, used = 1, end = size + crc_size(data);

	for (size_t i = 0; i < end; i++) {
		uint8_t b;

		if (i < size)
			b = data[i];
		else
			b = (uint8_t)(i == size ? crc >> 8 : crc);
		/* A full run is closed only when more comes: it needs no empty run behind it. */
		if (used - code == RUN_FULL) {
			out[code] = RUN_FULL;
			code = used++;
		}
		if (b) {
			out[used++] = b;
		} else {
			out[code] = (uint8_t)(used - code);
			code = used++;
		}
	}
	out[code] = (uint8_t)(used - code);
	out[used++] = 0;
	return used;
}

void frame_send(struct frame_sender *s, uint8_t *data, size_t size)
{
	uint16_t crc = crc16_xmodem(0, data, size);

	data[size] = (uint8_t)(crc >> 8);
	data[size + 1] = (uint8_t)crc;
	*s = (struct frame_sender){.at = data, .end = data + size + crc_size(data)};
}

bool frame_next(struct frame_sender *s, uint8_t *code)
{
	bool zero;

	s->run = s->at;
	s->size = 0;
	if (!s->at)
		return false;
	if (s->last) {
		*code = 0;
		s->at = NULL;
		return true;
	}
	while (s->at + s->size < s->end && s->run[s->size] && s->size < RUN_FULL - 1)
		s->size++;
	*code = (uint8_t)(s->size + 1);
	s->at += s->size;
	/* a zero that ends the data has an empty run behind it, a full run at the end has not */
	zero = s->at < s->end && *code != RUN_FULL;
	s->at += zero;
	s->last = !zero && s->at == s->end;
	return true;
}

void frame_receiver_restart(struct frame_receiver *r)
{
	r->used = 0;
	r->run = 0;
	r->code = RUN_FULL; /* no zero stands before the first run */
	r->bad = false;
}

void frame_receiver_init(struct frame_receiver *r, void *buf, size_t size)
{
	r->buf = buf;
	r->size = size;
	r->dropped = 0;
	frame_receiver_restart(r);
}

static size_t frame_end(struct frame_receiver *r)
{
	bool empty = r->used == 0 && r->run == 0 && r->code == RUN_FULL;
	size_t size = 0, crc = crc_size(r->buf);

	if (!r->bad && r->run == 0 && r->used >= EF_SMP_HEADER_SIZE + crc &&
		(!crc || frame_sound(r->buf, r->used)))
		size = r->used - crc;
	else if (!empty || r->bad)
		r->dropped++;
	frame_receiver_restart(r);
	return size;
}

size_t frame_receive(struct frame_receiver *r, uint8_t b)
{
	bool emits = true;

	if (b == 0)
		return frame_end(r);
	if (r->run) {
		r->run--;
	} else {
		emits = r->code != RUN_FULL;
		r->code = b;
		r->run = (uint8_t)(b - 1);
		b = 0; /* the one between two runs */
	}
	if (!emits)
		return 0;
	if (r->used < r->size)
		r->buf[r->used++] = b;
	else
		r->bad = true;
	return 0;
}
