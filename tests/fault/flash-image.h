/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Signed images and factory pages for tests, made with OpenSSL. */
#include "boot/factory.h"
#include <openssl/evp.h>

#define TEST_IMAGE_MAX (96u * 1024u)

struct test_image {
	uint8_t data[TEST_IMAGE_MAX];
	uint32_t size, tlv_at,
		signed_size; /* of all; where the TLVs begin; what the digest covers */
	uint8_t digest[32];
};

EVP_PKEY *test_key_new(void);
EVP_PKEY *test_key_read(const char *public_pem);
void test_key_public(EVP_PKEY *key, struct ef_image_key *ret);

/* version major.0.0; payload of the given size, the same for the same version. */
void test_image_make(
	struct test_image *ret, EVP_PKEY *key, uint8_t major, uint32_t counter, uint32_t payload);

/* The first `same` bytes of the payload are those of version 1.0.0. */
void test_image_make_like(struct test_image *ret, EVP_PKEY *key, uint8_t major, uint32_t counter,
	uint32_t payload, uint32_t same);

/* Vendor and class are the ones that test_image_make puts into images. */
void test_factory_make(struct factory *f, EVP_PKEY *key, uint32_t floor);
