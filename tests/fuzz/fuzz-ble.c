/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notifications: each value is a byte of length (as they come, so that 0 is a long one), a byte of
 * time and its bytes. A message lies in the receiver's memory, and the next good one is taken.
 */
#include "wire/ble.h"
#include <stdlib.h>
#include <string.h>

#define ROOM 600u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t good[] = {0xf0, 0, 0, 10, 0xe0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
	uint8_t *buf = malloc(ROOM), *value;
	struct ble_receiver r;
	const uint8_t *message;
	uint64_t now = BLE_IDLE_US;
	size_t n;

	if (!buf)
		return 0;
	ble_receiver_init(&r, buf, ROOM);
	while (size > 2) {
		n = data[0] ? data[0] : BLE_VALUE_MAX;
		now += data[1] * 5000u;
		data += 2;
		size -= 2;
		if (n > size)
			n = size;
		value = malloc(n ? n : 1);
		memcpy(value, data, n);
		data += n;
		size -= n;
		n = ble_receive(&r, now, value, n, &message);
		if (n && (message < buf || message + n > buf + ROOM || r.whole || r.used))
			abort();
		free(value);
	}
	now += BLE_IDLE_US;
	n = ble_receive(&r, now, good, sizeof good, &message);
	if (n != sizeof good - BLE_HEADER_SIZE || memcmp(message, good + BLE_HEADER_SIZE, n) != 0)
		abort();
	free(buf);
	return 0;
}
