/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages over GATT (docs/SPEC-dfu.md, section 1): each is cut into values of a characteristic, of
 * at most MTU - 3 bytes, and put together again by the length in its header. A frame of a session
 * has no length in it and gets a header for that. Freestanding.
 */
#include <stddef.h>
#include <stdint.h>

#define BLE_HEADER_SIZE 4u  /* in front of a frame of a session */
#define BLE_VALUE_LEAST 20u /* bytes of a value with the smallest MTU, 23 */
#define BLE_VALUE_MAX 512u  /* of the longest one, whatever the MTU (Core 5.3, vol. 3, F, 3.2.9) */
#define BLE_AROUND 7u	    /* bytes of L2CAP and ATT around a value */
#define BLE_PACKET 251u	    /* of the link layer, with its data length extension */
/* Silence that ends a message that has begun. */
#define BLE_IDLE_US 1000000u

/* What goes in front of a message: the bytes written to out, none for an SMP message. */
size_t ble_put_header(uint8_t out[BLE_HEADER_SIZE], const uint8_t *message, size_t size);

/*
 * The size, at most value_max, of values that carry most in a packet: a last packet with little in
 * it takes as long as any, so 495 bytes go further than 512.
 */
size_t ble_value_size(size_t value_max);

/*
 * Bytes, at most size, of a message that fills its values: a last one with little in it takes as
 * long as any. around: of them, what is not payload.
 */
size_t ble_fit(size_t value_max, size_t size, size_t around);

struct ble_receiver {
	uint8_t *buf;
	size_t size;
	size_t used, whole; /* of the message under way, header included; whole 0: none is */
	uint64_t heard_us;
};

/* buf, the caller's, holds the longest message and BLE_HEADER_SIZE more. */
void ble_receiver_init(struct ble_receiver *r, void *buf, size_t size);

/*
 * One value. Returns the size of the message that it completed, which *message then points to until
 * the next call, else 0. What is no message is dropped: a beginning that cannot be one, one that
 * buf does not hold, with all its values, and one whose values do not add up to its length.
 */
size_t ble_receive(struct ble_receiver *r, uint64_t now_us, const uint8_t *value, size_t size,
	const uint8_t **message);
