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

uint32_t crc32_ieee(uint32_t crc, const void *data, size_t size)
{
	static const uint32_t nibble[16] = {
		0x00000000,
		0x1db71064,
		0x3b6e20c8,
		0x26d930ac,
		0x76dc4190,
		0x6b6b51f4,
		0x4db26158,
		0x5005713c,
		0xedb88320,
		0xf00f9344,
		0xd6d6a3e8,
		0xcb61b38c,
		0x9b64c2b0,
		0x86d3d2d4,
		0xa00ae278,
		0xbdbdf21c,
	};
	const uint8_t *p = data;

	crc = ~crc;
	while (size--) {
		crc ^= *p++;
		crc = crc >> 4 ^ nibble[crc & 15];
		crc = crc >> 4 ^ nibble[crc & 15];
	}
	return ~crc;
}
