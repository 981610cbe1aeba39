/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the bootloader lends the application: its cryptography, so that there is one copy of it on
 * the chip. The table lies at the end of the bootloader's area, where every application that comes
 * later looks for it: entries are appended, a change of what is there is another magic.
 */
#include "boot/crypto.h"

#define ROM_MAGIC 0x32524645u /* "EFR2" */

struct rom_table {
	uint32_t magic;
	uint32_t size; /* of the table as this bootloader knows it */
	void (*crypto_init)(struct crypto *c);
	struct rom_noise { /* wire/session-crypto.h */
		bool (*hash)(uint8_t out[32], const void *a, size_t a_size, const void *b,
			size_t b_size);
		bool (*hkdf)(const uint8_t salt[32], const void *input, size_t input_size,
			uint8_t *out, size_t size);
		bool (*public)(uint8_t out[32], const uint8_t secret[32]);
		bool (*shared)(
			uint8_t out[32], const uint8_t secret[32], const uint8_t public_key[32]);
		bool (*encrypt)(const uint8_t key[32], uint64_t nonce, const void *ad,
			size_t ad_size, uint8_t *data, size_t size, uint8_t tag[16]);
		bool (*decrypt)(const uint8_t key[32], uint64_t nonce, const void *ad,
			size_t ad_size, uint8_t *data, size_t size, const uint8_t tag[16]);
	} noise;
	int (*p256_verify_raw)(const uint8_t point[65], const uint8_t digest[32],
		const uint8_t *sig, size_t sig_size); /* crypto_p256_verify_raw */
};

/* Of the bootloader: rom.c; of an application: an address, by the linker script. */
extern const struct rom_table rom_table;
