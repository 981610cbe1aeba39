/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Makes patches for microcontrollers out of two images in memory (docs/SPEC-patch.md). Blocking. */
#include <edgeferry/patch.h>

#define PATCH_INPUT_MAX (4u << 20) /* bytes of an image that the encoder takes */

/* What is known of the images from elsewhere. */
struct patch_hints {
	const struct ef_patch_model *model; /* NULL: guessed */
	bool has_base;
	uint32_t base; /* address of their first byte; else guessed */
};

struct patch_image {
	const uint8_t *data;
	uint32_t size;
};

/* Model, regions and memory of the two, as far as they show. Wrong guesses cost size, never bytes.
 */
void patch_guess(const struct patch_image *old, const struct patch_image *new,
	const struct patch_hints *hints, struct ef_patch_header *ret);
/*
 * The patch, which the caller frees. 0; -ENOMEM; -EFBIG beyond PATCH_INPUT_MAX. The same bytes on
 * every machine.
 */
int patch_make(const struct patch_image *old, const struct patch_image *new,
	const struct patch_hints *hints, uint8_t **ret, size_t *ret_size);
/*
 * The image of which the patch says that it comes out of old; the caller frees it. NO_MEMORY, and
 * what ef_patch_step says. header, unless NULL: what the patch says of itself, as far as it was
 * read.
 */
enum ef_reason patch_apply(const struct patch_image *old, const uint8_t *patch, size_t size,
	struct ef_patch_header *header, uint8_t **ret, uint32_t *ret_size);
