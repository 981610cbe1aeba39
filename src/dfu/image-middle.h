/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The digest of an image where its payload ends: what a preflight is computed on from. */
#include <edgeferry/image.h>

#define IMAGE_MIDDLE_MAX (32 + 63)

/*
 * State and tail (struct ef_image_middle), one after the other, of an image in memory whose info
 * says how long it is. Returns the size; 0 when OpenSSL fails.
 */
size_t image_middle(
	const uint8_t *image, const struct ef_image_info *info, uint8_t ret[IMAGE_MIDDLE_MAX]);
