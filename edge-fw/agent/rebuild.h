/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An image for slot 1 out of a patch (docs/SPEC-patch.md) and the image in slot 0. What comes out
 * is an upload like any other: preflight, the slot erased before, blocks, the note in flash where
 * to go on after a reset, the whole check at the end.
 *
 *	rebuild_begin after an accepted preflight
 *	rebuild_step until rebuild_checked: nothing was written, a wrong patch ends here
 *	the upload's first request, with the image's header: it is opened, or gone on with
 *	rebuild_step until rebuild_done
 */
#include "agent/agent.h"
#include <edgeferry/patch.h>

struct rebuild {
	struct ef_patch patch;
	struct ef_patch_io io;
	struct agent *agent;
	struct port_area old;
	uint8_t block[UPLOAD_BLOCK]; /* bytes from upload.wanted on */
	uint32_t used;
	int (*next)(void *source); /* byte of the patch, from its beginning; negative: no more */
	void *source;
};

/* models: those that this program knows, then NULL. REQUIREMENT: no preflight was accepted. */
enum ef_reason rebuild_begin(struct rebuild *r, struct agent *a,
	const struct ef_patch_model *const *models, int (*next)(void *source), void *source);
/*
 * A page more; OK, or why it ended, for good: what ef_patch_step says, NODE_FLASH, or at the end
 * the reason why the image is none. What a wrong patch has left in slot 1 is not gone on with.
 */
enum ef_reason rebuild_step(struct rebuild *r);
/* The patch fits the image in slot 0 and the preflight. */
bool rebuild_checked(const struct rebuild *r);
/* The image was found good. */
bool rebuild_done(const struct rebuild *r);
