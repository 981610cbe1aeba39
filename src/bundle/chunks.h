/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Chunk index of a root filesystem image (docs/SPEC-repository.md, "Chunk index"): a tree of two
 * levels. The index, a signed object, lists groups of chunks; the leaf of a group, in the pack,
 * lists its chunks and is fetched only where the group is not there already. The reader is
 * independent of how the publisher cut; the cut it names is a hint where to look for seeds.
 */
#include "bundle/cut.h"
#include "util/reason.h"
#include <stddef.h>
#include <stdint.h>

#define CHUNK_MAX (1u << 20)	   /* bytes of a group or chunk, and of a chunk's compressed form */
#define CHUNK_ZEROS_MAX (1u << 30) /* bytes of a group of zeros */
#define CHUNK_DIGEST_SIZE 16	   /* SHA-256, first half */
#define CHUNK_INDEX_HEAD 96u
#define CHUNK_GROUPS_MAX 4194304u
#define CHUNK_LEAF_MAX 65536u /* bytes of a leaf */
#define CHUNK_LEAF_CHUNKS_MAX 2048u

struct chunk {
	uint64_t offset;      /* in the image */
	uint64_t pack_offset; /* in the pack */
	uint32_t size;	      /* uncompressed, 1..CHUNK_MAX */
	uint32_t pack_size;   /* compressed; 0: the chunk is all zeros and not in the pack */
	uint8_t digest[CHUNK_DIGEST_SIZE];	/* of the uncompressed bytes */
	uint8_t pack_digest[CHUNK_DIGEST_SIZE]; /* of the compressed bytes; of a group: of its leaf
						 */
};

struct chunk_group {
	struct chunk body;    /* pack_size: of all its chunks; zeros: size up to CHUNK_ZEROS_MAX */
	uint64_t leaf_offset; /* in the pack */
	uint32_t leaf_size;
};

struct chunk_index {
	uint64_t image_size, pack_size;
	uint8_t image_sha256[32], pack_sha256[32];
	struct cut cut;
	struct chunk_group *groups;
	size_t n_groups;
};

/* data stays the caller's. Offsets are computed, sums overflow-checked and must match exactly
 * (S-07). */
enum ef_reason chunk_index_parse(
	const void *data, size_t size, struct chunk_index **ret, struct error *e);
void chunk_index_free(struct chunk_index *x);
/* The leaf of g, leaf_size bytes whose digest the caller has checked: room for
 * CHUNK_LEAF_CHUNKS_MAX in chunks, *n of them filled. */
enum ef_reason chunk_leaf_parse(const struct chunk_group *g, const void *data, struct chunk *chunks,
	size_t *n, struct error *e);

/* For the publisher: new buffer in *ret. */
int chunk_index_format(const struct chunk_index *x, uint8_t **ret, size_t *size);
/* Bytes written to out, which has room for CHUNK_LEAF_MAX; 0: too many. */
size_t chunk_leaf_format(const struct chunk *chunks, size_t n, uint8_t *out);
