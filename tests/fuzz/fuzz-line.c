/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three framings on one line: the receiver stays in its buffer, and after a silence it takes every
 * message in every framing, whatever came before. First byte: the buffer's size.
 */
#include "wire/line.h"
#include <edgeferry/smp.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX 300u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t encode(enum framing framing, const uint8_t *m, size_t size, uint8_t *out)
{
	size_t used = 0, at = 0, n;

	if (framing == FRAMING_COBS)
		return frame_encode(m, size, out);
	if (framing == FRAMING_RAW) {
		memcpy(out, m, size);
		return size;
	}
	while ((n = console_encode(m, size, &at, out + used)))
		used += n;
	return used;
}

/* The same bytes as a request whose header fits them. */
static void again(struct line_receiver *r, const uint8_t *data, size_t size)
{
	uint8_t m[MESSAGE_MAX], line[2 * MESSAGE_MAX];
	struct ef_smp_header h = {.op = EF_SMP_WRITE, .version = 1};

	memcpy(m, data, size);
	h.length = (uint16_t)(size - EF_SMP_HEADER_SIZE);
	h.seq = m[6];
	h.command = m[7];
	ef_smp_header_encode(&h, m);
	m[EF_SMP_HEADER_SIZE] = 0xbf;
	for (unsigned f = FRAMING_COBS; f <= FRAMING_RAW; f++) {
		size_t n = encode((enum framing)f, m, size, line), got = 0;

		line_idle(r, LINE_RAW_IDLE_MS);
		for (size_t i = 0; i < n; i++)
			got = line_receive(r, line[i]);
		if (got != size || r->framing != f || memcmp(r->frame.buf, m, size) != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = size ? 10 + data[0] : 10;
	uint8_t *buf = malloc(room);
	struct line_receiver r;

	if (!buf)
		return 0;
	line_receiver_init(&r, buf, room);
	for (size_t i = 0; i < size; i++) {
		size_t n = line_receive(&r, data[i]);

		if (n > room || (n && n < EF_SMP_HEADER_SIZE))
			abort();
	}
	if (size > EF_SMP_HEADER_SIZE && size <= MESSAGE_MAX && size + 2 <= room)
		again(&r, data, size);
	free(buf);
	return 0;
}
