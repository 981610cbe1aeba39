/* SPDX-License-Identifier: Apache-2.0 */
#include "links/framing.h"
#include <edgeferry/smp.h>
#include <string.h>

#define CONSOLE_PAYLOAD 93u /* bytes in the 124 characters of a line */

void framer_init(struct framer *f, enum framing kind, void *buf, size_t size)
{
	memset(f, 0, sizeof *f);
	f->kind = kind;
	f->buf = buf;
	f->size = size;
	frame_receiver_init(&f->cobs, buf, size);
	console_receiver_init(&f->console, buf, size);
}

size_t framing_max(enum framing kind, size_t size)
{
	switch (kind) {
	case FRAMING_CONSOLE:
		return ((size + 4) / CONSOLE_PAYLOAD + 1) * CONSOLE_LINE_MAX;
	case FRAMING_RAW:
		return size;
	default:
		return EF_SMP_FRAME_MAX(size);
	}
}

size_t framing_encode(enum framing kind, const uint8_t *message, size_t size, uint8_t *out)
{
	size_t at = 0, used = 0, n;

	if (kind == FRAMING_COBS)
		return frame_encode(message, size, out);
	if (kind == FRAMING_RAW) {
		memcpy(out, message, size);
		return size;
	}
	while ((n = console_encode(message, size, &at, out + used)))
		used += n;
	return used;
}

static size_t console_byte(struct framer *f, uint8_t b)
{
	uint8_t before = f->marker;

	if (f->console.line)
		return console_receive(&f->console, b);
	f->marker = b;
	if (before == CONSOLE_FIRST_0 && b == CONSOLE_FIRST_1)
		console_begin(&f->console, true);
	else if (before == CONSOLE_NEXT_0 && b == CONSOLE_NEXT_1)
		console_begin(&f->console, false);
	return 0;
}

/* Can what is in the buffer be the beginning of an answer? */
static bool raw_plausible(const struct framer *f)
{
	const uint8_t *m = f->buf;
	size_t length = (size_t)(m[2] << 8 | m[3]);

	return (m[0] & ~0x0au) == 1 && (f->used < 2 || m[1] == 0) &&
	       (f->used < 4 || (length && EF_SMP_HEADER_SIZE + length <= f->size)) &&
	       (f->used <= EF_SMP_HEADER_SIZE || m[EF_SMP_HEADER_SIZE] >> 5 == 5);
}

static size_t raw_byte(struct framer *f, uint64_t now_us, uint8_t b)
{
	size_t whole;

	if (now_us - f->heard_us >= FRAMING_RAW_IDLE_US)
		f->used = 0;
	f->heard_us = now_us;
	f->buf[f->used++] = b;
	while (f->used && !raw_plausible(f))
		memmove(f->buf, f->buf + 1, --f->used);
	if (f->used < EF_SMP_HEADER_SIZE)
		return 0;
	whole = EF_SMP_HEADER_SIZE + (size_t)(f->buf[2] << 8 | f->buf[3]);
	if (f->used < whole)
		return 0;
	f->used = 0;
	return whole;
}

size_t framer_receive(struct framer *f, uint64_t now_us, uint8_t b)
{
	switch (f->kind) {
	case FRAMING_CONSOLE:
		return console_byte(f, b);
	case FRAMING_RAW:
		return raw_byte(f, now_us, b);
	default:
		return frame_receive(&f->cobs, b);
	}
}
