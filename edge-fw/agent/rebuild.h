/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An image for slot 1 out of a patch that lies in flash (docs/SPEC-patch.md) and the image in slot
 * 0. What comes out is an upload like any other that was vouched for: the slot erased before, the
 * note in flash where to go on after a reset, the whole check at the end.
 */
#include "agent/agent.h"
#include <edgeferry/patch.h>

enum rebuild_state { REBUILD_NONE, REBUILD_MAKING, REBUILD_MADE, REBUILD_FAILED };

struct rebuild {
	enum rebuild_state state;
	enum ef_reason reason; /* FAILED: why */
	struct ef_patch patch;
	struct ef_patch_io io;
	struct upload image;	     /* what is made */
	uint32_t old;		     /* where the old image begins in flash */
	uint32_t source, source_end; /* the next byte of the patch in flash, and its end */
};

/*
 * MAKING from now on: of the image of the preflight, with a patch that was uploaded. models: those
 * that this program knows, then NULL.
 */
void rebuild_begin(
	struct rebuild *r, const struct agent *a, const struct ef_patch_model *const *models);
/*
 * MAKING: a page more, and at the end the check of the image. FAILED: what ef_patch_step says,
 * NODE_FLASH, or why the image is none. Until the patch has shown that it is for the image in slot
 * 0 and the one of the preflight nothing is written; what a wrong one has made after that is not
 * gone on with.
 */
void rebuild_step(struct rebuild *r, struct agent *a);
/* Bytes of the image that are made. */
uint32_t rebuild_made(const struct rebuild *r);
