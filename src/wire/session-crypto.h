/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the session needs of a cryptographic library. One implementation is linked: OpenSSL
 * (src/dfu/session-crypto.c) or BearSSL (edge-fw/boot/session-crypto*.c). False: the library
 * failed, and the output means nothing. Freestanding.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SHA-256 of a, then b. out may be one of them. */
bool noise_hash(uint8_t out[32], const void *a, size_t a_size, const void *b, size_t b_size);

/* HKDF-SHA256 (RFC 5869) with empty info; size is a multiple of 32, at most 96. */
bool noise_hkdf(
	const uint8_t salt[32], const void *input, size_t input_size, uint8_t *out, size_t size);

/* X25519 (RFC 7748): with the base point, and with another's public key. */
bool noise_public(uint8_t out[32], const uint8_t secret[32]);
bool noise_shared(uint8_t out[32], const uint8_t secret[32], const uint8_t public_key[32]);

/* ChaCha20-Poly1305 (RFC 8439) in place; the 96-bit nonce is four zero bytes and nonce, LE. */
bool noise_encrypt(const uint8_t key[32], uint64_t nonce, const void *ad, size_t ad_size,
	uint8_t *data, size_t size, uint8_t tag[16]);
/* False also when the tag is wrong; compared in constant time. */
bool noise_decrypt(const uint8_t key[32], uint64_t nonce, const void *ad, size_t ad_size,
	uint8_t *data, size_t size, const uint8_t tag[16]);
