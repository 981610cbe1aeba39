/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/console.h"
#include "wire/crc.h"
#include <edgeferry/smp.h>

#define LINE_TAKEN_MAX 128u
#define LENGTH_SIZE 2u
#define CRC_SIZE 2u

static char digit(unsigned v)
{
	if (v < 26)
		return (char)('A' + v);
	if (v < 52)
		return (char)('a' + v - 26);
	if (v < 62)
		return (char)('0' + v - 52);
	return v == 62 ? '+' : '/';
}

/* 64 and more: not base64. */
static unsigned value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26u;
	if (c >= '0' && c <= '9')
		return c - '0' + 52u;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

bool console_is_base64(uint8_t b)
{
	return value(b) < 64;
}

/* Byte i of length | message | CRC. */
static uint8_t decoded(const uint8_t *message, size_t size, uint16_t crc, size_t i)
{
	if (i < LENGTH_SIZE)
		return (uint8_t)((size + CRC_SIZE) >> (i ? 0 : 8));
	i -= LENGTH_SIZE;
	return i < size ? message[i] : (uint8_t)(crc >> (i == size ? 8 : 0));
}

size_t console_encode(
	const uint8_t *message, size_t size, size_t *at, uint8_t out[CONSOLE_LINE_MAX])
{
	size_t all = LENGTH_SIZE + size + CRC_SIZE, used = 2;
	uint16_t crc = crc16_xmodem(0, message, size);

	if (*at >= all)
		return 0;
	out[0] = *at ? CONSOLE_NEXT_0 : CONSOLE_FIRST_0;
	out[1] = *at ? CONSOLE_NEXT_1 : CONSOLE_FIRST_1;
	for (; *at < all && used < CONSOLE_LINE_MAX - 1; *at += 3, used += 4) {
		uint32_t bits = 0;

		for (size_t i = *at; i < *at + 3; i++)
			bits = bits << 8 | (i < all ? decoded(message, size, crc, i) : 0u);
		for (unsigned i = 0; i < 4; i++)
			out[used + i] =
				i > all - *at ? '=' : (uint8_t)digit(bits >> (18 - 6 * i) & 63);
	}
	out[used++] = '\n';
	return used;
}

void console_receiver_init(struct console_receiver *r, void *buf, size_t size)
{
	*r = (struct console_receiver){.buf = buf, .size = size};
}

void console_begin(struct console_receiver *r, bool first)
{
	r->line = true;
	r->bad = !first && !r->message;
	r->length = 2;
	r->chars = r->padding = 0;
	r->bits = 0;
	if (!first)
		return;
	if (r->message)
		r->dropped++; /* the one before has no end */
	r->message = true;
	r->seen = 0;
	r->total = 0;
	r->used = 0;
}

static void take(struct console_receiver *r, uint8_t b)
{
	if (r->seen < LENGTH_SIZE) {
		r->total = (uint16_t)(r->total << 8 | b);
		r->seen++;
	} else if (r->used < r->total && r->used < r->size) {
		r->buf[r->used++] = b;
	} else {
		r->bad = true;
	}
}

static size_t end_line(struct console_receiver *r)
{
	bool good = !r->bad && r->chars % 4 == 0;

	r->line = false;
	if (good && (r->seen < LENGTH_SIZE || r->used < r->total))
		return 0; /* the next line goes on */
	r->message = false;
	/* The CRC over data and CRC is 0 exactly when the CRC is that of the data. */
	if (good && r->used >= EF_SMP_HEADER_SIZE + CRC_SIZE &&
		crc16_xmodem(0, r->buf, r->used) == 0)
		return r->used - CRC_SIZE;
	r->dropped++;
	return 0;
}

size_t console_receive(struct console_receiver *r, uint8_t b)
{
	unsigned v = value(b);

	r->bad |= b == 0 || ++r->length > LINE_TAKEN_MAX;
	if (b == '\n' || b == 0)
		return end_line(r);
	if (r->bad || b == '\r')
		return 0;
	r->chars++;
	if (b == '=') {
		r->bad = ++r->padding > 2;
		return 0;
	}
	r->bad = v > 63 || r->padding;
	r->bits = r->bits << 6 | v;
	/* of four characters the second, third and fourth complete a byte */
	if (!r->bad && r->chars % 4 != 1)
		take(r, (uint8_t)(r->bits >> (-r->chars % 4u * 2)));
	return 0;
}
