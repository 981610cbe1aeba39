/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/crc.h"

/* One byte in a handful of shifts: no table, and fast enough for a Cortex-M0 at 1 Mbaud. */
uint16_t crc16_xmodem(uint16_t crc, const void *data, size_t size)
{
	const uint8_t *p = data;

	while (size--) {
		uint32_t c = ((uint32_t)crc >> 8 | (uint32_t)crc << 8) & 0xffff;

		c ^= *p++;
		c ^= (c & 0xff) >> 4;
		c ^= c << 12;
		c ^= (c & 0xff) << 5;
		crc = (uint16_t)c;
	}
	return crc;
}

/* Bit by bit: it is used on records of some hundred bytes at most. */
uint32_t crc32_ieee(uint32_t crc, const void *data, size_t size)
{
	const uint8_t *p = data;

	crc = ~crc;
	while (size--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
	}
	return ~crc;
}
