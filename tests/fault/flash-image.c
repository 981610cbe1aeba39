/* SPDX-License-Identifier: Apache-2.0 */
#include "flash-image.h"
#include "wire/crc.h"
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define HEADER 64u

static void require(int good)
{
	if (!good)
		abort();
}

EVP_PKEY *test_key_new(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	require(key != NULL);
	return key;
}

EVP_PKEY *test_key_read(const char *public_pem)
{
	FILE *f = fopen(public_pem, "re");
	EVP_PKEY *key;

	if (!f)
		return NULL;
	key = PEM_read_PUBKEY(f, NULL, NULL, NULL);
	fclose(f);
	return key;
}

void test_key_public(EVP_PKEY *key, struct ef_image_key *ret)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);

	require(n == 91 || n == 44);
	SHA256(der, (size_t)n, ret->hash);
	memset(ret->point, 0, sizeof(ret->point));
	if (n == 91)
		memcpy(ret->point, der + 26, 65);
	else
		memcpy(ret->point + 1, der + 12, 32);
	ret->point[0] = n == 91 ? EF_KEY_P256 : EF_KEY_ED25519;
	OPENSSL_free(der);
}

static uint8_t *put(uint8_t *p, uint32_t n, unsigned bytes)
{
	for (; bytes--; n >>= 8)
		*p++ = (uint8_t)n;
	return p;
}

static uint8_t *put_tlv(uint8_t *p, uint32_t type, const void *data, uint32_t size)
{
	p = put(p, type, 2);
	p = put(p, size, 2);
	memcpy(p, data, size);
	return p + size;
}

static uint32_t sign(EVP_PKEY *key, const uint8_t digest[32], uint8_t *sig, size_t max)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);

	require(c && EVP_PKEY_sign_init(c) == 1 && EVP_PKEY_sign(c, sig, &max, digest, 32) == 1);
	EVP_PKEY_CTX_free(c);
	return (uint32_t)max;
}

void test_image_make(
	struct test_image *ret, EVP_PKEY *key, uint8_t major, uint32_t counter, uint32_t payload)
{
	test_image_make_like(ret, key, major, counter, payload, 0);
}

void test_image_make_like(struct test_image *ret, EVP_PKEY *key, uint8_t major, uint32_t counter,
	uint32_t payload, uint32_t same)
{
	uint8_t *p = ret->data, *tlv, uuid[16], sig[80];
	uint32_t protected_size = 4 + 36 + 8 + 20 + 20, sig_size;
	struct ef_image_key public;

	require(HEADER + payload + 512 <= TEST_IMAGE_MAX);
	memset(ret, 0, sizeof(*ret));
	p = put(p, EF_IMAGE_MAGIC, 4);
	p = put(p, 0, 4);
	p = put(p, HEADER, 2);
	p = put(p, protected_size, 2);
	p = put(p, payload, 4);
	p = put(p, 0, 4);
	*p = major;
	p = ret->data + HEADER;
	for (uint32_t i = 0; i < payload; i++)
		*p++ = (uint8_t)(i * 7 + (i < same ? 1 : major) * 31 + (i >> 8));
	ret->tlv_at = HEADER + payload;
	p = put(p, EF_IMAGE_TLV_PROT_INFO, 2);
	p = put(p, protected_size, 2);
	p = put_tlv(p, EF_TLV_HEADER, ret->data, EF_IMAGE_HEADER_SIZE);
	put(uuid, counter, 4);
	p = put_tlv(p, EF_TLV_SEC_CNT, uuid, 4);
	memset(uuid, 0x11, 16);
	p = put_tlv(p, EF_TLV_UUID_VID, uuid, 16);
	memset(uuid, 0x22, 16);
	p = put_tlv(p, EF_TLV_UUID_CID, uuid, 16);
	ret->signed_size = (uint32_t)(p - ret->data);
	SHA256(ret->data, ret->signed_size, ret->digest);
	sig_size = sign(key, ret->digest, sig, sizeof(sig));
	test_key_public(key, &public);
	tlv = p;
	p = put(p, EF_IMAGE_TLV_INFO, 2);
	p = put(p, 4 + 36 + 36 + 4 + sig_size, 2);
	p = put_tlv(p, EF_TLV_SHA256, ret->digest, 32);
	p = put_tlv(p, EF_TLV_KEYHASH, public.hash, 32);
	p = put_tlv(p, EF_TLV_ECDSA_SIG, sig, sig_size);
	require((uint32_t)(p - tlv) == 4 + 36 + 36 + 4 + sig_size);
	ret->size = (uint32_t)(p - ret->data);
}

void test_factory_make(struct factory *f, EVP_PKEY *key, uint32_t floor)
{
	memset(f, 0, sizeof(*f));
	f->magic = FACTORY_MAGIC;
	f->version = FACTORY_VERSION;
	f->size = sizeof(*f);
	memset(f->device_id, 0xd1, 16);
	memset(f->vendor, 0x11, 16);
	memset(f->class_id, 0x22, 16);
	f->hardware_revision = 3;
	f->floor = floor;
	f->n_keys = 1;
	test_key_public(key, &f->keys[0]);
	f->crc = crc32_ieee(0, f, offsetof(struct factory, crc));
}
