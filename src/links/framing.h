/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How messages lie on a byte stream (docs/SPEC-dfu.md, section 1), as the gateway sends and takes
 * them: in one framing, chosen for the node. No I/O.
 */
#include "wire/line.h"

/* Silence that ends a raw message that has begun. */
#define FRAMING_RAW_IDLE_US 1000000u

struct framer {
	enum framing kind;
	struct frame_receiver cobs;
	struct console_receiver console;
	uint8_t *buf;
	size_t size, used; /* of a raw message */
	uint8_t marker;	   /* the first half of a console line's, just seen */
	uint64_t heard_us;
};

/* buf, the caller's, holds the longest message and its CRC. */
void framer_init(struct framer *f, enum framing kind, void *buf, size_t size);

/* Bytes that size of message take at most. */
size_t framing_max(enum framing kind, size_t size);
size_t framing_encode(enum framing kind, const uint8_t *message, size_t size, uint8_t *out);

/*
 * Size of the message, now in buf, that b completed, else 0. What is no message (a boot log, a
 * shell's prompt, noise) is passed over.
 */
size_t framer_receive(struct framer *f, uint64_t now_us, uint8_t b);
