/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Chunks that lie somewhere in the running slot: where, by the first half of their digest. A hint, not
 * a promise: what is read there is checked by the whole digest before it is used.
 */
#include "bundle/chunks.h"
#include <stdbool.h>

#define SEEDS_MAX 524288u	/* 12 MiB of them */

struct seed {
	uint64_t key, offset;
	uint32_t size;
};

struct seeds {
	struct seed *list;
	size_t n, room;
};

/* -ENOMEM; beyond SEEDS_MAX it is left out. */
int seeds_add(struct seeds *s, const uint8_t digest[CHUNK_DIGEST_SIZE], uint64_t offset, uint32_t size);
/* Once, after the last was added and before the first is looked for. */
void seeds_sort(struct seeds *s);
/* NULL: none. */
const struct seed *seeds_find(const struct seeds *s, const struct chunk *c);
void seeds_free(struct seeds *s);
