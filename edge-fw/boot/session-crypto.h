/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* What depends on the core's multiplier. One of session-crypto-i15.c and -m31.c is linked. */
#include <bearssl_block.h>
#include <bearssl_ec.h>

extern const br_ec_impl *const crypto_x25519;
extern const br_poly1305_run crypto_poly1305;

/* noise_hash, noise_hkdf and noise_encrypt as functions that an application may be lent: always
 * true. */
bool crypto_hash(uint8_t out[32], const void *a, size_t a_size, const void *b, size_t b_size);
bool crypto_hkdf(
	const uint8_t salt[32], const void *input, size_t input_size, uint8_t *out, size_t size);
bool crypto_encrypt(const uint8_t key[32], uint64_t nonce, const void *ad, size_t ad_size,
	uint8_t *data, size_t size, uint8_t tag[16]);
