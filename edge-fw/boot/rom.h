/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the bootloader lends the application: its cryptography, the checker of images and the
 * engine of a session's frames, so that there is one copy of them on the chip, and what accepts an
 * image is what will decide about it at boot. The table lies at the end of the bootloader's area,
 * where every application that comes later looks for it: entries are appended, a change of what is
 * there is another magic.
 */
#include "boot/crypto.h"
#include <edgeferry/session.h>

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
	struct rom_image {			      /* edgeferry/image.h */
		enum ef_reason (*parse_header)(const uint8_t buf[EF_IMAGE_HEADER_SIZE],
			uint32_t limit, struct ef_image_header *ret);
		enum ef_reason (*preflight)(const struct ef_image_source *src,
			const struct ef_image_policy *policy, const struct ef_image_crypto *crypto,
			const struct ef_image_middle *middle, struct ef_image_info *ret);
		enum ef_reason (*check)(const struct ef_image_source *src,
			const struct ef_image_policy *policy, const struct ef_image_crypto *crypto,
			struct ef_image_info *ret);
	} image;
	struct rom_session { /* edgeferry/session.h */
		size_t (*seal)(struct ef_session *s, uint8_t *frame, size_t size);
		enum ef_session_verdict (*open)(struct ef_session *s, uint8_t *frame, size_t size);
	} session;
};

/* Of the bootloader: rom.c; of an application: an address, by the linker script. */
extern const struct rom_table rom_table;
