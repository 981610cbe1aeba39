/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where content says that a new chunk begins: the publisher cuts by it, and the gateway cuts what
 * it has in the same way to find equal chunks at any offset. Nothing depends on it but how much is
 * found. docs/SPEC-repository.md, "Where to cut", has every constant.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CUT_WINDOW (1u << 20) /* bytes of the longest group */
#define CUT_CHUNKS_MAX 1024u  /* in a group */

/* Logarithms to base 2; all zero: the publisher does not tell. */
struct cut {
	uint8_t min, average, max; /* bytes of a chunk */
	uint8_t group;		   /* chunks of a group */
};

struct cut_piece {
	uint32_t size;
	bool zero; /* zeros and nothing else */
};

struct cut_group {
	uint32_t size;
	bool zero; /* zeros and nothing else, and so long that they stand by themselves */
	size_t n;
	struct cut_piece pieces[CUT_CHUNKS_MAX];
};

extern const struct cut cut_default;

bool cut_valid(const struct cut *c);
bool cut_known(const struct cut *c);
/*
 * The group that begins at p, which is at offset of the image and has size bytes from there: at
 * least CUT_WINDOW, or all that are left. Equal bytes give equal groups, whatever stands around
 * them.
 */
void cut_group(const struct cut *cut, const uint8_t *p, size_t size, uint64_t offset,
	struct cut_group *ret);
