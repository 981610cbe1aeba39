/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "patch/patch.h"
#include "wire/patch-model.h"

/* Both with EF_PATCH_AHEAD zeros behind; the same with their addresses taken out. */
struct images {
	uint8_t *old, *new, *neutral_old, *neutral_new;
	uint32_t old_size, new_size;
};

/* The longest match of what begins at an offset of the new image. */
struct match {
	uint32_t at, size;
};

/* In 1/64 bit, learned from the alignment before. */
#define COST_BIT 64
#define RUNS 8u
struct costs {
	int32_t jump, self, literals; /* to begin a segment of each kind */
	int32_t hit[RUNS],
		miss[2][RUNS]; /* of a unit, by hits since the last miss; [1]: with an address */
	int32_t same[2];       /* a byte as guessed in a unit that is not */
	int32_t difference[2][256], literal[256];
};

/* Segments in order of to; what lies between is literals. */
struct alignment {
	struct ef_patch_segment *list;
	uint32_t n;
};

/* NULL: no memory. The caller frees them. */
struct match *match_old(const struct images *im);
struct match *match_self(const struct images *im);

void costs_default(struct costs *c);
void costs_learn(const struct images *im, const struct ef_patch *s, const struct alignment *a,
	struct costs *ret);
unsigned costs_run(uint32_t run);

/* Replaces a->list. predicted: by what s predicts, else by the neutral copies. 0 or -ENOMEM. */
int align(const struct images *im, const struct ef_patch *s, const struct costs *c, bool predicted,
	const struct match *old, const struct match *self, struct alignment *a);

/* What an alignment is as a map and the inserts in its ranges; both caller's to free. */
struct layout {
	struct ef_patch_segment *map, *inserts;
	uint32_t n_map, n_inserts;
};
int layout_make(const struct alignment *a, uint32_t least, uint32_t old_size, uint32_t new_size,
	struct layout *ret);
void layout_free(struct layout *l);

/* s->header and s->model are set. */
void state_map(struct ef_patch *s, const struct layout *l);
/* 0, -ENOMEM; -EFBIG as soon as it is not smaller than limit. */
int encode(const struct images *im, const struct ef_patch *s, const struct layout *l, size_t limit,
	uint8_t **ret, size_t *ret_size);
