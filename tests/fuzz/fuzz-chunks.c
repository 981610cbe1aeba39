/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/chunks.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chunk_index *x;
	struct error e = {0};
	uint8_t *back;
	size_t n;

	if (chunk_index_parse(data, size, &x, &e))
		return 0;
	const struct chunk *last = &x->chunks[x->n_chunks - 1];
	if (last->offset + last->size != x->image_size ||
		last->pack_offset + last->pack_size != x->pack_size)
		abort();
	/* there is one way to write it */
	if (chunk_index_format(x, &back, &n) || n != size || memcmp(back, data, n) != 0)
		abort();
	free(back);
	chunk_index_free(x);
	return 0;
}
