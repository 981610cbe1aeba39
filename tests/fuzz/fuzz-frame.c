/* SPDX-License-Identifier: Apache-2.0 */
/* The receiver stays in its buffer; what it takes, it takes again from our own encoding of it. */
#include "wire/cobs.h"
#include <edgeferry/smp.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	if (size >= EF_SMP_HEADER_SIZE && size <= 300)
		again(data, size);
	free(buf);
	return 0;
}
