/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ble.h"
#include <edgeferry/smp.h>
#include <string.h>

#define SESSION_MARK \
	0xf0u	       /* neither the first byte of an SMP message nor a type of session frame */
#define RESERVED 0xe0u /* bits of the first byte that an SMP message has clear */

size_t ble_put_header(uint8_t out[BLE_HEADER_SIZE], const uint8_t *message, size_t size)
{
	if (size == 0 || !(message[0] & RESERVED))
		return 0;
	out[0] = SESSION_MARK;
	out[1] = 0;
	out[2] = (uint8_t)(size >> 8);
	out[3] = (uint8_t)size;
	return BLE_HEADER_SIZE;
}

size_t ble_value_size(size_t value_max)
{
	size_t whole = (value_max + BLE_AROUND) / BLE_PACKET;
	size_t full = whole * BLE_PACKET - BLE_AROUND;

	if (!whole || full * (whole + 1) <= value_max * whole)
		return value_max;
	return full;
}

size_t ble_fit(size_t value_max, size_t size, size_t around)
{
	size_t whole = (size + BLE_HEADER_SIZE) / value_max;
	size_t full = whole * value_max - BLE_HEADER_SIZE;

	if (!whole || full <= around || (full - around) * (whole + 1) <= (size - around) * whole)
		return size;
	return full;
}

void ble_receiver_init(struct ble_receiver *r, void *buf, size_t size)
{
	*r = (struct ble_receiver){.buf = buf, .size = size};
}

/* Bytes of the message that begins so, with its header; 0: none does. */
static size_t whole(const uint8_t *value, size_t size)
{
	size_t length;

	if (size < BLE_HEADER_SIZE)
		return 0;
	length = (size_t)(value[2] << 8 | value[3]);
	if (!(value[0] & RESERVED))
		return EF_SMP_HEADER_SIZE + length;
	return value[0] == SESSION_MARK && value[1] == 0 && length ? BLE_HEADER_SIZE + length : 0;
}

static size_t completed(struct ble_receiver *r, const uint8_t **message)
{
	size_t header = r->buf[0] == SESSION_MARK ? BLE_HEADER_SIZE : 0, n = r->whole;

	r->whole = r->used = 0;
	if (n > r->size)
		return 0;
	*message = r->buf + header;
	return n - header;
}

size_t ble_receive(struct ble_receiver *r, uint64_t now_us, const uint8_t *value, size_t size,
	const uint8_t **message)
{
	/* one that would go past its end has lost a value: what comes now may be another's
	 * beginning */
	if (now_us - r->heard_us >= BLE_IDLE_US || size > r->whole - r->used)
		r->whole = r->used = 0;
	r->heard_us = now_us;
	if (r->whole == 0)
		r->whole = whole(value, size);
	if (r->whole == 0 || size > r->whole) {
		r->whole = 0;
		return 0;
	}
	/* of one that is too long the bytes are counted only */
	if (r->whole <= r->size)
		memcpy(r->buf + r->used, value, size);
	r->used += size;
	return r->used == r->whole ? completed(r, message) : 0;
}
