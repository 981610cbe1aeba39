/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/crypto.h"

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

void crypto_init(struct crypto *c)
{
	c->primitives = (struct ef_image_crypto){
		.ctx = c,
		.sha256_init = sha256_init,
		.sha256_update = sha256_update,
		.sha256_final = sha256_final,
		.p256_verify = crypto_p256_verify,
		.ed25519_verify = crypto_ed25519_verify,
	};
}
