/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Makes firmware images in MCUboot's format (docs/SPEC-dfu.md section 4), laid out as imgtool does.
 */
#include "util/reason.h"
#include <edgeferry/image.h>
#include <openssl/evp.h>

#define IMAGE_FILE_MAX ((size_t)64 << 20)

struct image_spec {
	struct ef_version version;
	uint16_t header_size; /* 32 to 1024 */
	bool has_security;
	uint32_t security;	/* security counter */
	const char *compatible; /* "vendor.example,class" or NULL */
	bool repeat_header;	/* in a signed TLV (EF_TLV_HEADER), so that a preflight proves it */
};

/* Whether size bytes begin as an MCUboot image does. */
bool image_is_one(const void *data, size_t size);
/* Checks structure and fills *ret; nothing is said about who signed. */
enum ef_reason image_look(const void *data, size_t size, const char *name,
	struct ef_image_info *ret, struct error *e);
/* The whole check with one public key. */
enum ef_reason image_verify(const void *data, size_t size, const char *name, EVP_PKEY *key,
	struct ef_image_info *ret, struct error *e);

/* The signed image of payload in a new buffer. */
enum ef_reason image_build(const struct image_spec *spec, EVP_PKEY *key, const void *payload,
	size_t payload_size, uint8_t **ret, size_t *size, struct error *e);

/*
 * Whether image was made of this payload by this key to this spec: what is signed once is not
 * signed again, so that the same release keeps the same bytes although ECDSA signatures vary.
 */
bool image_is_made_of(const void *image, size_t image_size, const struct image_spec *spec,
	EVP_PKEY *key, const void *payload, size_t payload_size);
