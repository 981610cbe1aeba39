/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BearSSL behind the session's primitives (wire/session-crypto.h). What has no way to fail says so
 * in a line that the compiler sees at every call: what would have to be done otherwise is left out.
 */
#include "boot/session-crypto.h"
#include "wire/session-crypto.h"
#include <bearssl_block.h>
#include <bearssl_ec.h>
#include <bearssl_hash.h>
#include <bearssl_kdf.h>
#include <string.h>

bool crypto_hash(uint8_t out[32], const void *a, size_t a_size, const void *b, size_t b_size)
{
	br_sha256_context c;

	br_sha256_init(&c);
	br_sha256_update(&c, a, a_size);
	br_sha256_update(&c, b, b_size);
	br_sha256_out(&c, out);
	return true;
}

bool crypto_hkdf(
	const uint8_t salt[32], const void *input, size_t input_size, uint8_t *out, size_t size)
{
	br_hkdf_context c;

	br_hkdf_init(&c, &br_sha256_vtable, salt, 32);
	br_hkdf_inject(&c, input, input_size);
	br_hkdf_flip(&c);
	br_hkdf_produce(&c, NULL, 0, out, size);
	return true;
}

bool noise_shared(uint8_t out[32], const uint8_t secret[32], const uint8_t public_key[32])
{
	memcpy(out, public_key, 32);
	return crypto_x25519->mul(out, 32, secret, 32, BR_EC_curve25519) == 1;
}

bool noise_public(uint8_t out[32], const uint8_t secret[32])
{
	static const uint8_t base[32] = {9};

	return noise_shared(out, secret, base);
}

static void run(const uint8_t key[32], uint64_t nonce, const void *ad, size_t ad_size,
	uint8_t *data, size_t size, uint8_t tag[16], int encrypt)
{
	uint8_t iv[12] = {0};

	for (int i = 4; i < 12; i++, nonce >>= 8)
		iv[i] = (uint8_t)nonce;
	crypto_poly1305(key, iv, data, size, ad, ad_size, tag, br_chacha20_ct_run, encrypt);
}

bool crypto_encrypt(const uint8_t key[32], uint64_t nonce, const void *ad, size_t ad_size,
	uint8_t *data, size_t size, uint8_t tag[16])
{
	run(key, nonce, ad, ad_size, data, size, tag, 1);
	return true;
}

bool noise_decrypt(const uint8_t key[32], uint64_t nonce, const void *ad, size_t ad_size,
	uint8_t *data, size_t size, const uint8_t tag[16])
{
	uint8_t right[16];
	uint32_t differs = 0;

	run(key, nonce, ad, ad_size, data, size, right, 0);
	/* the library has no comparison of its own for this tag; every byte is looked at */
	for (int i = 0; i < 16; i++)
		differs |= (uint32_t)(tag[i] ^ right[i]);
	return differs == 0;
}

bool noise_hash(uint8_t out[32], const void *a, size_t a_size, const void *b, size_t b_size)
{
	return crypto_hash(out, a, a_size, b, b_size), true;
}

bool noise_hkdf(
	const uint8_t salt[32], const void *input, size_t input_size, uint8_t *out, size_t size)
{
	return crypto_hkdf(salt, input, input_size, out, size), true;
}

bool noise_encrypt(const uint8_t key[32], uint64_t nonce, const void *ad, size_t ad_size,
	uint8_t *data, size_t size, uint8_t tag[16])
{
	return crypto_encrypt(key, nonce, ad, ad_size, data, size, tag), true;
}
