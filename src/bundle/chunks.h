/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Chunk index of a root filesystem image (docs/SPEC-repository.md, "Chunk index"): how the image is
 * cut, what each piece's digest is and where its compressed bytes lie in the pack. The index is a
 * signed object; the reader is independent of how the publisher cut.
 */
#include "util/reason.h"
#include <stddef.h>
#include <stdint.h>

#define CHUNK_MAX (1u << 20)	/* bytes, uncompressed and compressed */
#define CHUNK_DIGEST_SIZE 16	/* SHA-256, first half */

struct chunk {
	uint64_t offset;	/* in the image */
	uint64_t pack_offset;	/* in the pack */
	uint32_t size;		/* uncompressed, 1..CHUNK_MAX */
	uint32_t pack_size;	/* compressed; 0: the chunk is all zeros and not in the pack */
	uint8_t digest[CHUNK_DIGEST_SIZE];	/* of the uncompressed bytes */
	uint8_t pack_digest[CHUNK_DIGEST_SIZE];	/* of the compressed bytes */
};

struct chunk_index {
	uint64_t image_size, pack_size;
	uint8_t image_sha256[32], pack_sha256[32];
	struct chunk *chunks;
	size_t n_chunks;
};

/* data stays the caller's. Offsets are computed, sums overflow-checked and must match exactly (S-07). */
enum ef_reason chunk_index_parse(const void *data, size_t size, struct chunk_index **ret,
	struct error *e);
void chunk_index_free(struct chunk_index *x);

/* For the publisher: new buffer in *ret. */
int chunk_index_format(const struct chunk_index *x, uint8_t **ret, size_t *size);
