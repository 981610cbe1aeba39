/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "wire/patch-model.h"

struct images {
	const uint8_t *old, *new;	/* PATCH_AHEAD zero bytes behind each */
	uint32_t old_size, new_size;
};
struct match {
	int32_t pos;
	uint32_t len;
};
#define RUNS 7u
struct costs {	/* 1/64 bit */
	int jump, self, to_literal;
	int hit[RUNS], miss[2][RUNS];	/* by units since the last miss */
	int same[2];			/* a byte as predicted in a unit that is not */
	int diff[2][256], literal[256];
};
struct alignment {
	struct ef_patch_segment *list;
	uint32_t n;
};
void neutralise(const struct ef_patch_state *s, const uint8_t *data, uint32_t size, unsigned which, uint8_t *out);
int match_old(const uint8_t *old, uint32_t old_size, const uint8_t *new, uint32_t new_size, struct match *ret);
void match_self(const uint8_t *new, uint32_t size, struct match *ret);
int align(const struct images *im, const struct ef_patch_state *s, const uint8_t *no, const uint8_t *nn, bool predicted,
	const struct match *old, const struct match *self, const struct costs *c, struct alignment *ret);
