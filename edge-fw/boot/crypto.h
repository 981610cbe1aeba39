/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* BearSSL and tinyssh behind the image checker's table of primitives. */
#include <bearssl_hash.h>
#include <edgeferry/image.h>

struct crypto {
	br_sha256_context sha;
	struct ef_image_crypto primitives; /* ctx points back to this struct */
};

void crypto_init(struct crypto *c);

/* 1: valid. sig is DER. */
int crypto_p256_verify(void *ctx, const uint8_t point[65], const uint8_t digest[32],
	const uint8_t *sig, size_t sig_size);
/* r and s as they are, one after the other. In crypto-i15.c (small) or crypto-m31.c (fast). */
int crypto_p256_verify_raw(
	const uint8_t point[65], const uint8_t digest[32], const uint8_t *sig, size_t sig_size);

/* NULL where crypto-ed25519-none.c is linked: boards without the room for it. 1: valid. */
extern int (*const crypto_ed25519_verify)(
	void *ctx, const uint8_t key[32], const uint8_t digest[32], const uint8_t sig[64]);
