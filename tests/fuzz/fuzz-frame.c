/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiver stays in its buffer; what it takes, it takes again from our own encoding of it; and
 * a checked request also with one bit wrong, unless COBS's own bytes are.
 */
#include "wire/cobs.h"
#include <edgeferry/session.h>
#include <edgeferry/smp.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t feed(const uint8_t *line, size_t n, uint8_t *buf, size_t room)
{
	struct frame_receiver r;
	size_t got = 0, one;

	frame_receiver_init(&r, buf, room);
	for (size_t i = 0; i < n; i++)
		if ((one = frame_receive(&r, line[i])))
			got = one;
	return got;
}

static void repair(const uint8_t *data, size_t size)
{
	uint8_t message[300], frame[EF_SMP_FRAME_MAX(300)], buf[302];
	size_t n, at, code = 0, got;
	unsigned bit = 1u << data[1] % 8;

	memcpy(message, data, size);
	message[0] = EF_SESSION_CHECKED;
	n = frame_encode(message, size, frame);
	message[0] = EF_SESSION_REQUEST;
	at = (data[2] << 8 | data[3]) % (n - 1);
	while (code < at)
		code += frame[code];
	frame[at] ^= (uint8_t)bit;
	got = feed(frame, n, buf, sizeof buf);
	if (got > 300)
		abort();
	if (code == at || !frame[at])
		return;
	if (got != size || memcmp(buf, message, size) != 0)
		abort();
}

static void again(const uint8_t *message, size_t size)
{
	uint8_t frame[EF_SMP_FRAME_MAX(300)], buf[302];
	struct frame_receiver r;
	size_t n = frame_encode(message, size, frame), got = 0;

	if (n > EF_SMP_FRAME_MAX(size))
		abort();
	frame_receiver_init(&r, buf, sizeof buf);
	for (size_t i = 0; i < n; i++)
		got = frame_receive(&r, frame[i]);
	if (buf[0] == EF_SESSION_REQUEST && message[0] == EF_SESSION_CHECKED)
		buf[0] = EF_SESSION_CHECKED;
	if (got != size || memcmp(buf, message, size) != 0 || r.dropped)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = size ? 10 + data[0] : 10;
	uint8_t *buf = malloc(room);
	struct frame_receiver r;

	if (!buf)
		return 0;
	frame_receiver_init(&r, buf, room);
	for (size_t i = 0; i < size; i++) {
		size_t n = frame_receive(&r, data[i]);

		if (n > room || (n && n < EF_SMP_HEADER_SIZE))
			abort();
		if (n)
			again(buf, n);
	}
	/* Most inputs have no valid CRC; as a message, each has. */
	if (size >= EF_SMP_HEADER_SIZE && size <= 300) {
		again(data, size);
		repair(data, size);
	}
	free(buf);
	return 0;
}
