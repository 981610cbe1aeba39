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
 * Encodes a frame: COBS(data | CRC16) 00. out holds at least EF_SMP_FRAME_MAX(size) bytes and
 * does not overlap data. Returns the bytes written, the closing 00 included.
 */
size_t frame_encode(const uint8_t *data, size_t size, uint8_t *out);

/*
 * Receiver: one byte in at a time, decodes in place as bytes come, so that one buffer of
 * header + body + CRC is all it needs. A frame that is too long, torn or whose CRC is wrong
 * is dropped and counted; the next 00 synchronises.
 */
struct frame_receiver {
	uint8_t *buf;
	size_t size, used;
	uint8_t run, code;	/* bytes left in the COBS run, its code byte */
	bool bad;
	uint32_t dropped;	/* frames */
};

void frame_receiver_init(struct frame_receiver *r, void *buf, size_t size);

/*
 * Bytes of header and body now in r->buf when b completed a good frame of at least
 * EF_SMP_HEADER_SIZE bytes, else 0. The bytes stay until the next call.
 */
size_t frame_receive(struct frame_receiver *r, uint8_t b);
