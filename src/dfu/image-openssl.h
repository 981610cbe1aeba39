/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * OpenSSL behind the primitives of <edgeferry/image.h>, and edge keys and images from memory.
 * Used by gateway, publisher and tests.
 */
#include "util/reason.h"
#include <edgeferry/image.h>
#include <stddef.h>
#include <stdint.h>

struct image_openssl;

/* NULL: out of memory. */
struct image_openssl *image_openssl_new(void);
void image_openssl_free(struct image_openssl *o);

/* Valid as long as o is; one check at a time. A failure inside OpenSSL is never a valid signature.
 */
const struct ef_image_crypto *image_openssl_crypto(struct image_openssl *o);

/* An image in memory. ret points at *buf, both stay the caller's. */
struct image_memory {
	const uint8_t *data;
	size_t size;
};
void image_source_memory(struct ef_image_source *ret, const struct image_memory *buf);

/* BAD_FORMAT when pem is not one public key of P-256 or Ed25519 in PEM. */
enum ef_reason image_key_from_pem(
	const char *pem, size_t size, struct ef_image_key *ret, struct error *e);
