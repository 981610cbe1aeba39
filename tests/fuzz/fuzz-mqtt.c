/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker sends: a topic, a NUL, a payload. */
#include "sources/source.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct source_identity who = {.id = "g", .product = "p", .prefix = "e"};
	const uint8_t *end = memchr(data, 0, size);
	struct source_offer offer;

	if (!end)
		return 0;
	size_t n = (size_t)(end - data) + 1;
	bool look = source_tuf.decode(&who, (const char *)data, data + n, size - n, &offer);
	if (look != offer.look || (!look && offer.version[0]) ||
		strnlen(offer.version, sizeof(offer.version)) == sizeof(offer.version))
		abort();
	for (const char *p = offer.version; *p; p++)
		if (*p <= ' ' || *p > '~')
			abort();
	return 0;
}
