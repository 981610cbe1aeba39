/* SPDX-License-Identifier: Apache-2.0 */
#include "flash-keys.h"
#include "wire/crc.h"
#include <openssl/ecdsa.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

static void require(int good)
{
	if (!good)
		abort();
}

static int by_point(const void *a, const void *b)
{
	struct ef_image_key x, y;

	test_key_public(*(EVP_PKEY *const *)a, &x);
	test_key_public(*(EVP_PKEY *const *)b, &y);
	return memcmp(x.point, y.point, sizeof(x.point));
}

static size_t signed_size(const struct test_document *d)
{
	return 8 + d->data[4] * 64u;
}

void test_document_make(struct test_document *ret, struct test_keyset *s)
{
	struct ef_image_key key;

	qsort(s->keys, s->n, sizeof(EVP_PKEY *), by_point);
	memcpy(ret->data, "EFK1", 4);
	ret->data[4] = (uint8_t)s->n;
	ret->data[5] = (uint8_t)s->threshold;
	ret->data[6] = (uint8_t)s->number;
	ret->data[7] = (uint8_t)(s->number >> 8);
	ret->size = 8;
	for (unsigned i = 0; i < s->n; i++) {
		test_key_public(s->keys[i], &key);
		memcpy(ret->data + ret->size, key.point + 1, 64);
		ret->size += 64;
	}
}

void test_document_sign(struct test_document *d, EVP_PKEY *key, unsigned i, bool old)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
	uint8_t digest[32], der[80], *to = d->data + d->size;
	const uint8_t *p = der;
	size_t size = sizeof(der);
	ECDSA_SIG *sig;

	require(d->size + 65 <= sizeof(d->data));
	SHA256(d->data, signed_size(d), digest);
	require(c && EVP_PKEY_sign_init(c) == 1 && EVP_PKEY_sign(c, der, &size, digest, 32) == 1);
	sig = d2i_ECDSA_SIG(NULL, &p, (long)size);
	require(sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), to + 1, 32) == 32 &&
		BN_bn2binpad(ECDSA_SIG_get0_s(sig), to + 33, 32) == 32);
	ECDSA_SIG_free(sig);
	EVP_PKEY_CTX_free(c);
	*to = (uint8_t)(i | (old ? 0x80u : 0));
	d->size += 65;
}

void test_document_whole(struct test_document *ret, struct test_keyset *s,
	const struct test_keyset *before, unsigned n_new, unsigned n_old)
{
	test_document_make(ret, s);
	for (unsigned i = 0; i < n_new; i++)
		test_document_sign(ret, s->keys[i], i, false);
	for (unsigned i = 0; i < n_old; i++)
		test_document_sign(ret, before->keys[i], i, true);
}

void test_factory_keys(struct factory *f, const struct test_keyset *s)
{
	memset(f->keys, 0, sizeof(f->keys));
	f->n_keys = (uint8_t)s->n;
	f->threshold = (uint8_t)s->threshold;
	f->key_set = (uint16_t)s->number;
	for (unsigned i = 0; i < s->n; i++)
		test_key_public(s->keys[i], &f->keys[i]);
	f->crc = crc32_ieee(0, f, offsetof(struct factory, crc));
}
