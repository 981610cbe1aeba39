/* SPDX-License-Identifier: Apache-2.0 */
/* What comes on a stock node's line: the receiver stays in its buffer. First byte: framing, then
 * room. */
#include "links/framing.h"
#include <edgeferry/smp.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = size > 1 ? 16u + data[1] : 16u;
	uint8_t *buf = malloc(room);
	struct framer f;

	if (!buf || !size) {
		free(buf);
		return 0;
	}
	framer_init(&f, (enum framing)(data[0] % 3), buf, room);
	for (size_t i = 0; i < size; i++) {
		/* a byte now and then comes late */
		size_t n = framer_receive(&f, i * (data[0] + 1000ull) * 100, data[i]);

		if (n > room || (n && n < EF_SMP_HEADER_SIZE))
			abort();
	}
	free(buf);
	return 0;
}
