/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What an SPI exchange carries each way (docs/SPEC-dfu.md, section 1): a header that says whether a
 * message follows and how long it is, the message, its CRC, then nothing that counts. Freestanding.
 */
#include <stddef.h>
#include <stdint.h>

#define SPI_HEADER_SIZE 6u
#define SPI_OVERHEAD (SPI_HEADER_SIZE + 2u) /* bytes around a message */
#define SPI_LEAST 64u			    /* bytes of the shortest exchange */

/* Writes header, message and CRC; size 0: the header that says there is none. Returns the bytes. */
size_t spi_put(uint8_t *out, const uint8_t *message, size_t size);

enum spi_got {
	SPI_ABSENT, /* no header: nobody drove the wire, or it was spoiled */
	SPI_EMPTY,
	SPI_CUT,     /* *size: an exchange of size + SPI_OVERHEAD bytes carries it */
	SPI_SPOILED, /* its CRC differs */
	SPI_MESSAGE, /* size bytes at in + SPI_HEADER_SIZE */
};
enum spi_got spi_get(const uint8_t *in, size_t n, size_t *size);
