/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/spi.h"
#include "wire/crc.h"
#include <string.h>

#define MAGIC 0xe5u /* neither what a floating wire gives nor what a driven one rests at */
#define FORM 1u

static void put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint16_t get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

size_t spi_put(uint8_t *out, const uint8_t *message, size_t size)
{
	out[0] = MAGIC;
	out[1] = FORM;
	put_be16(out + 2, (uint16_t)size);
	put_be16(out + 4, crc16_xmodem(0, out, 4));
	if (size == 0)
		return SPI_HEADER_SIZE;
	memcpy(out + SPI_HEADER_SIZE, message, size);
	put_be16(out + SPI_HEADER_SIZE + size, crc16_xmodem(0, message, size));
	return size + SPI_OVERHEAD;
}

enum spi_got spi_get(const uint8_t *in, size_t n, size_t *size)
{
	if (n < SPI_HEADER_SIZE || in[0] != MAGIC || in[1] != FORM ||
		get_be16(in + 4) != crc16_xmodem(0, in, 4))
		return SPI_ABSENT;
	*size = get_be16(in + 2);
	if (*size == 0)
		return SPI_EMPTY;
	if (n < *size + SPI_OVERHEAD)
		return SPI_CUT;
	if (get_be16(in + SPI_HEADER_SIZE + *size) != crc16_xmodem(0, in + SPI_HEADER_SIZE, *size))
		return SPI_SPOILED;
	return SPI_MESSAGE;
}
