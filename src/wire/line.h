/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A serial line on which every message may come in another framing (docs/SPEC-dfu.md, section 1):
 * COBS frames, console lines, or header and body as they are. Which it is shows in the first bytes;
 * no two can be taken for one another. Freestanding.
 */
#include "wire/cobs.h"
#include "wire/console.h"

#define LINE_IDLE_MS 1000u     /* silence in the midst of a message that ends it */
#define LINE_RAW_IDLE_MS 3000u /* the same for a raw one, as elsewhere */
#define LINE_LOOK_AHEAD 10u

enum framing { FRAMING_COBS, FRAMING_CONSOLE, FRAMING_RAW };

struct line_receiver {
	struct frame_receiver frame; /* its buffer is that of all three */
	struct console_receiver console;
	uint8_t framing; /* of the message under way or returned last */
	uint8_t state;
	uint8_t queued;
	uint8_t queue[LINE_LOOK_AHEAD]; /* seen, and not yet known what it is */
	uint16_t left;			/* bytes of a raw message that are to come */
	uint32_t messages, dropped;	/* dropped: raw, and torn by silence */
};

/* buf holds the longest message and its CRC. */
void line_receiver_init(struct line_receiver *r, void *buf, size_t size);

/*
 * Bytes of header and body now in the buffer when b completed a message, else 0; r->framing then
 * says how it came. The bytes stay until the next call.
 */
size_t line_receive(struct line_receiver *r, uint8_t b);

/* Nothing came for ms: a message that has begun and should have gone on by now is given up. */
void line_idle(struct line_receiver *r, uint32_t ms);

/* Messages that were begun and dropped: bad checksum, too long, torn. */
uint32_t line_dropped(const struct line_receiver *r);
