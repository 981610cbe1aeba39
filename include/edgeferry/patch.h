/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <edgeferry/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EF_PATCH_PAGE 256u
#define EF_PATCH_IMAGE_MAX (16u << 20)	/* bytes of an image, old or new */
#ifndef SEGS
#define SEGS 128u
#endif
#define EF_PATCH_SEGMENTS SEGS
#define EF_PATCH_REGIONS 6u
#ifndef LEARN
#define LEARN 64u
#endif
#define EF_PATCH_LEARNED LEARN
#define EF_PATCH_KINDS 10u
#ifndef TABLE
#define TABLE 1280
#endif

struct ef_patch_segment {
	uint32_t to, from, size;
};
struct ef_patch_region {
	uint32_t offset, address;
};
struct ef_patch_model;

struct ef_patch_state {
	unsigned (*bit)(struct ef_patch_state *s, unsigned p, unsigned bit);
	const struct ef_patch_model *model;
	uint32_t old_size, new_size, ram, ram_size;
	struct ef_patch_segment now;
	uint32_t run, from_end;
	uint8_t history, blocks, n_learned, n_segments, n_regions[2];
	uint8_t last[2], diff, clock, blk;
	uint32_t regs[4][3];
	struct ef_patch_region regions[2][EF_PATCH_REGIONS];
	struct ef_patch_segment map[EF_PATCH_SEGMENTS];
	uint8_t order[EF_PATCH_SEGMENTS];
	uint32_t learned[EF_PATCH_LEARNED];
	int16_t shift[EF_PATCH_LEARNED];
	int16_t wf[EF_PATCH_KINDS][5], wb[EF_PATCH_KINDS * 2][5];
	uint16_t f1[EF_PATCH_KINDS * 16], f2[64], f3[64], f4[64], g1[256], g2[256];
	uint16_t block[16];
	uint16_t numbers[8][32];
	uint16_t table[TABLE], direct[4][256];
};
