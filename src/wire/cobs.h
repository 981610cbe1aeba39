/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Consistent Overhead Byte Stuffing (Cheshire, Baker 1999) and the SMP frame on top of it
 * (<edgeferry/smp.h>). Freestanding.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Encodes a frame: COBS(data | CRC16) 00, without the CRC for a request or response of a session
 * (<edgeferry/session.h>), which has a tag. out holds at least EF_SMP_FRAME_MAX(size) bytes and
 * does not overlap data. Returns the bytes written, the closing 00 included.
 */
size_t frame_encode(const uint8_t *data, size_t size, uint8_t *out);

/*
 * The same without a second buffer: pieces of one byte and of the run of bytes behind it, which lie
 * in the data itself.
 */
struct frame_sender {
	const uint8_t *run; /* of this piece */
	size_t size;
	const uint8_t *at, *end; /* what is to come; at NULL: nothing */
	bool last;		 /* only the closing 00 is */
};

/* The CRC is put behind the size bytes of data: there is room for two more. */
void frame_send(struct frame_sender *s, uint8_t *data, size_t size);
/* The next piece: *code, then s->run. False when there are no more. */
bool frame_next(struct frame_sender *s, uint8_t *code);

/*
 * Receiver: one byte in at a time, decodes in place as bytes come, so that one buffer of
 * header + body + CRC is all it needs. A frame that is too long, torn or whose CRC is wrong and
 * stays so (those of a session that have none are passed on) is dropped and counted; the next 00
 * synchronises.
 */
struct frame_receiver {
	uint8_t *buf;
	size_t size, used;
	uint8_t run, code; /* bytes left in the COBS run, its code byte */
	bool bad;
	uint32_t dropped; /* frames */
};

void frame_receiver_init(struct frame_receiver *r, void *buf, size_t size);
/* Forgets the frame under way, if there is one. */
void frame_receiver_restart(struct frame_receiver *r);

/*
 * Bytes of header and body now in r->buf when b completed a good frame of at least
 * EF_SMP_HEADER_SIZE bytes, else 0. The bytes stay until the next call.
 */
size_t frame_receive(struct frame_receiver *r, uint8_t b);

/*
 * A program links repair.c or repair-none.c. Is the frame with a CRC at the end of its size bytes
 * to be taken? Both: when the CRC is right. repair.c: also after it has turned one bit back, in a
 * frame that a tag decides about; a checked request becomes the request that it was.
 */
bool frame_sound(uint8_t *frame, size_t size);
bool frame_repairs(void);
