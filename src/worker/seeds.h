/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Chunks that lie somewhere in the running slot: where, by the first bytes of their digest. A hint,
 * not a promise: what is read there is checked by the whole digest before it is used.
 */
#include "bundle/chunks.h"
#include <stdbool.h>

#define SEEDS_MAX 524288u /* 6 MiB of them */

struct seed {
	uint32_t key;
	uint32_t size : 21; /* at most CHUNK_MAX */
	uint32_t offset_high : 11;
	uint32_t offset_low;
};

struct seeds {
	struct seed *list;
	size_t n, room;
};

/* -ENOMEM; beyond SEEDS_MAX, or beyond 8 TiB, it is left out. */
int seeds_add(
	struct seeds *s, const uint8_t digest[CHUNK_DIGEST_SIZE], uint64_t offset, uint32_t size);
/* Once, after the last was added and before the first is looked for. */
void seeds_sort(struct seeds *s);
/* Where a chunk is thought to lie. False: nowhere. */
bool seeds_find(const struct seeds *s, const struct chunk *c, uint64_t *offset);
void seeds_free(struct seeds *s);
