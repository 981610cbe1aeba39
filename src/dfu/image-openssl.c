/* SPDX-License-Identifier: Apache-2.0 */
#include "dfu/image-openssl.h"
#include "util/cleanup.h"
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <string.h>

#define CURVE "prime256v1"
#define SPKI_MAX 91 /* P-256 */

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)
DEFINE_CLEANUP(BIO *, BIO_free_all)

struct image_openssl {
	struct ef_image_crypto crypto;
	EVP_MD_CTX *sha;
	bool failed; /* the digest under way is void */
};

static void sha256_init(void *ctx)
{
	struct image_openssl *o = ctx;

	o->failed = EVP_DigestInit_ex(o->sha, EVP_sha256(), NULL) != 1;
}

static void sha256_update(void *ctx, const void *data, size_t size)
{
	struct image_openssl *o = ctx;

	if (!o->failed)
		o->failed = EVP_DigestUpdate(o->sha, data, size) != 1;
}

static void sha256_final(void *ctx, uint8_t digest[32])
{
	struct image_openssl *o = ctx;

	if (!o->failed)
		o->failed = EVP_DigestFinal_ex(o->sha, digest, NULL) != 1;
	/* No image's digest is all zeros as far as anybody can know: a void digest matches nothing.
	 */
	if (o->failed)
		memset(digest, 0, 32);
}

static EVP_PKEY *key_from_point(const uint8_t point[65])
{
	uint8_t copy[65];
	char curve[] = CURVE;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, sizeof copy),
		OSSL_PARAM_construct_end(),
	};
	_cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx =
		EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;

	memcpy(copy, point, sizeof copy);
	if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return NULL;
	return key;
}

static int p256_verify(void *unused, const uint8_t point[65], const uint8_t digest[32],
	const uint8_t *sig, size_t sig_size)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = key_from_point(point);
	_cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = NULL;

	if (!key)
		return -1;
	ctx = EVP_PKEY_CTX_new(key, NULL);
	if (!ctx || EVP_PKEY_verify_init(ctx) != 1)
		return -1;
	return EVP_PKEY_verify(ctx, sig, sig_size, digest, 32);
}

static int ed25519_verify(
	void *unused, const uint8_t raw[32], const uint8_t digest[32], const uint8_t sig[64])
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key =
		EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, 32);
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!key || !ctx || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) != 1)
		return -1;
	return EVP_DigestVerify(ctx, sig, 64, digest, 32);
}

struct image_openssl *image_openssl_new(void)
{
	struct image_openssl *o = calloc(1, sizeof *o);

	if (!o)
		return NULL;
	o->sha = EVP_MD_CTX_new();
	if (!o->sha) {
		free(o);
		return NULL;
	}
	o->crypto = (struct ef_image_crypto){
		.ctx = o,
		.sha256_init = sha256_init,
		.sha256_update = sha256_update,
		.sha256_final = sha256_final,
		.p256_verify = p256_verify,
		.ed25519_verify = ed25519_verify,
	};
	return o;
}

void image_openssl_free(struct image_openssl *o)
{
	if (!o)
		return;
	EVP_MD_CTX_free(o->sha);
	free(o);
}

const struct ef_image_crypto *image_openssl_crypto(struct image_openssl *o)
{
	return &o->crypto;
}

static int memory_read(void *ctx, uint32_t offset, void *buf, size_t size)
{
	const struct image_memory *m = ctx;

	if (offset > m->size || size > m->size - offset)
		return -1;
	memcpy(buf, m->data + offset, size);
	return 0;
}

void image_source_memory(struct ef_image_source *ret, const struct image_memory *buf)
{
	ret->ctx = (void *)buf;
	ret->limit = buf->size > UINT32_MAX ? UINT32_MAX : (uint32_t)buf->size;
	ret->read = memory_read;
}

static bool take_ed25519(EVP_PKEY *key, struct ef_image_key *ret)
{
	size_t size = 32;

	ret->point[0] = EF_KEY_ED25519;
	return EVP_PKEY_get_raw_public_key(key, ret->point + 1, &size) == 1 && size == 32;
}

static bool take_p256(EVP_PKEY *key, struct ef_image_key *ret)
{
	char group[32];
	size_t size = 0;

	if (EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1 ||
		strcmp(group, CURVE) != 0)
		return false;
	/* The hash is over the form that MCUboot hashes, not over whatever form the file had. */
	EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
		OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED);
	EVP_PKEY_set_utf8_string_param(
		key, OSSL_PKEY_PARAM_EC_ENCODING, OSSL_PKEY_EC_ENCODING_GROUP);
	return EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, ret->point,
		       sizeof ret->point, &size) == 1 &&
	       size == sizeof ret->point && ret->point[0] == EF_KEY_P256;
}

enum ef_reason image_key_from_pem(
	const char *pem, size_t size, struct ef_image_key *ret, struct error *e)
{
	_cleanup_(BIO_free_allp) BIO *bio = NULL;
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	unsigned char der[SPKI_MAX], *p = der;
	struct ef_image_key k = {0};
	int n;

	if (size > INT_MAX)
		return error_set(e, EF_REASON_BAD_FORMAT, "edge key: too long");
	bio = BIO_new_mem_buf(pem, (int)size);
	if (bio)
		key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	if (!key || !(EVP_PKEY_is_a(key, "ED25519") ? take_ed25519(key, &k) : take_p256(key, &k)))
		return error_set(e, EF_REASON_BAD_FORMAT,
			"edge key: not a public key of P-256 or Ed25519 in PEM");
	n = i2d_PUBKEY(key, NULL);
	if (n <= 0 || n > SPKI_MAX || i2d_PUBKEY(key, &p) != n || !SHA256(der, (size_t)n, k.hash))
		return error_set(e, EF_REASON_BAD_FORMAT, "edge key: unexpected encoding");
	*ret = k;
	return EF_REASON_OK;
}
