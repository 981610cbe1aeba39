/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/crypto.h"
#include <bearssl_ec.h>
#include <string.h>

static void sha256_init(void *ctx)
{
	struct crypto *c = ctx;
	br_sha256_init(&c->sha);
}

static void sha256_update(void *ctx, const void *data, size_t size)
{
	struct crypto *c = ctx;
	br_sha256_update(&c->sha, data, size);
}

static void sha256_final(void *ctx, uint8_t digest[32])
{
	struct crypto *c = ctx;
	br_sha256_out(&c->sha, digest);
}

static void sha256_resume(void *ctx, const uint8_t state[32], uint32_t hashed)
{
	struct crypto *c = ctx;
	br_sha256_set_state(&c->sha, state, hashed);
}

int crypto_p256_verify(void *ctx, const uint8_t point[65], const uint8_t digest[32],
	const uint8_t *sig, size_t sig_size)
{
	uint8_t raw[80]; /* DER of P-256 has 72 bytes at most */

	(void)ctx;
	if (sig_size > sizeof(raw))
		return 0;
	memcpy(raw, sig, sig_size);
	return crypto_p256_verify_raw(point, digest, raw, br_ecdsa_asn1_to_raw(raw, sig_size));
}

void crypto_init(struct crypto *c)
{
	c->primitives = (struct ef_image_crypto){
		.ctx = c,
		.sha256_init = sha256_init,
		.sha256_update = sha256_update,
		.sha256_final = sha256_final,
		.sha256_resume = sha256_resume,
		.p256_verify = crypto_p256_verify,
		.ed25519_verify = crypto_ed25519_verify,
	};
}
