/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Is what lies there an image that this device may run? */
#include "boot/factory.h"
#include "boot/state.h"

/* Signature by one of the keys in f, digest, vendor, class, floor: the higher of this and f's. */
enum ef_reason verify_image(const struct port_area *where, uint32_t floor, const struct factory *f,
	struct ef_image_info *ret);

/* The digest alone, against one that verify_image approved before. */
enum ef_reason verify_digest(
	const struct port_area *where, const uint8_t digest[32], struct ef_image_info *ret);

/* Header and TLVs that came over the wire, of a file of size bytes, nothing of it in flash yet
 * (E-01). */
struct preflight {
	const uint8_t *header; /* EF_IMAGE_HEADER_SIZE bytes */
	const uint8_t *tlv;
	uint32_t tlv_size, size;
	struct ef_image_middle middle;
};
enum ef_reason verify_preflight(const struct preflight *p, uint32_t floor, const struct factory *f,
	struct ef_image_info *ret);
