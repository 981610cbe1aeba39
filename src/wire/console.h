/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * SMP on a console: what MCUboot's serial recovery, Zephyr and their clients speak
 * (docs/SPEC-dfu.md, section 1). A message travels as lines of text: 06 09 in front of the first,
 * 04 14 in front of the others, base64, line feed. Decoded, the lines are u16 length | message |
 * CRC16, big-endian; the length counts message and CRC. Freestanding.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_FIRST_0 0x06u
#define CONSOLE_FIRST_1 0x09u
#define CONSOLE_NEXT_0 0x04u
#define CONSOLE_NEXT_1 0x14u
#define CONSOLE_LINE_MAX 127u /* bytes of a line that is sent: marker, 124 of base64, line feed */

/*
 * The next line of a message. *at is 0 before the first and belongs to this function. Returns the
 * bytes written to out, 0 when there are no more lines.
 */
size_t console_encode(
	const uint8_t *message, size_t size, size_t *at, uint8_t out[CONSOLE_LINE_MAX]);

/*
 * Receiver: the caller has seen a marker and hands over what follows, byte by byte, until the line
 * is over. One buffer of message + CRC is all it needs. Lines of more than 128 bytes, with anything
 * in them that is not base64, and messages that are too long or whose CRC is wrong are dropped and
 * counted.
 */
struct console_receiver {
	uint8_t *buf;
	size_t size, used;
	uint32_t dropped;		/* messages */
	uint32_t bits;			/* of base64, not yet a byte */
	uint16_t total;			/* bytes announced, CRC included */
	uint8_t seen;			/* bytes of total that came */
	uint8_t length, chars, padding; /* of this line */
	bool line;			/* one is under way */
	bool message;			/* more lines are to come */
	bool bad;
};

void console_receiver_init(struct console_receiver *r, void *buf, size_t size);

bool console_is_base64(uint8_t b);

/* A line begins; first: its marker was 06 09. */
void console_begin(struct console_receiver *r, bool first);

/*
 * Bytes of header and body now in r->buf when b ended the last line of a good message of at least
 * EF_SMP_HEADER_SIZE bytes, else 0. r->line is false once the line is over.
 */
size_t console_receive(struct console_receiver *r, uint8_t b);
