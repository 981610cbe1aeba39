/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/chunks.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct chunk chunks[CHUNK_LEAF_CHUNKS_MAX];
static uint8_t again[CHUNK_LEAF_MAX];
static struct cut_group cut;

/* What follows "leaf" is one, of sizes that it says itself first. */
static void leaf(const uint8_t *data, size_t size)
{
	struct chunk_group g = {.leaf_size = (uint32_t)(size - 8)};
	struct error e = {0};
	size_t n;

	memcpy(&g.body.size, data, 4);
	memcpy(&g.body.pack_size, data + 4, 4);
	if (size - 8 > CHUNK_LEAF_MAX || chunk_leaf_parse(&g, data + 8, chunks, &n, &e))
		return;
	size_t written = chunk_leaf_format(chunks, n, again);
	if (written != 0 && (written != g.leaf_size || memcmp(again, data + 8, written) != 0))
		abort();
}

static void cuts(const struct cut *c, const uint8_t *data, size_t size)
{
	size_t n;

	for (size_t at = 0; at < size; at += n) {
		cut_group(c, data + at, size - at, at, &cut);
		n = cut.size;
		if (n == 0 || n > size - at)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chunk_index *x;
	struct error e = {0};
	uint8_t *back;
	size_t n;

	if (size >= 12 && memcmp(data, "leaf", 4) == 0) {
		leaf(data + 4, size - 4);
		return 0;
	}
	if (chunk_index_parse(data, size, &x, &e))
		return 0;
	const struct chunk_group *last = &x->groups[x->n_groups - 1];
	if (last->body.offset + last->body.size != x->image_size ||
		last->leaf_offset + last->leaf_size != x->pack_size)
		abort();
	if (cut_known(&x->cut))
		cuts(&x->cut, data, size);
	/* there is one way to write it */
	if (chunk_index_format(x, &back, &n) || n != size || memcmp(back, data, n) != 0)
		abort();
	free(back);
	chunk_index_free(x);
	return 0;
}
