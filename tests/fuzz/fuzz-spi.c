/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken from an exchange lies in it, and is what our own end makes of it again. */
#include "wire/spi.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *in = malloc(size ? size : 1), out[4096];
	size_t n = 0;
	enum spi_got got;

	if (!in || size > 4000) {
		free(in);
		return 0;
	}
	memcpy(in, data, size);
	got = spi_get(in, size, &n);
	if (got == SPI_MESSAGE &&
		(n + SPI_OVERHEAD > size ||
			spi_put(out, in + SPI_HEADER_SIZE, n) != n + SPI_OVERHEAD ||
			memcmp(out, in, n + SPI_OVERHEAD) != 0))
		abort();
	if (got == SPI_CUT && n + SPI_OVERHEAD <= size)
		abort();
	/* Most inputs have no valid CRC; as a message, each has. */
	if (size && (spi_get(out, spi_put(out, in, size), &n) != SPI_MESSAGE || n != size))
		abort();
	free(in);
	return 0;
}
