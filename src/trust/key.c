/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/key.h"
#include "trust/canonical.h"
#include "trust/published-keys.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include "util/json.h"
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <string.h>

#define PEM_MAX 16384
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define ED25519_SIZE 32

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)
DEFINE_CLEANUP(BIO *, BIO_free)

struct scheme;

struct tuf_key {
	const struct scheme *scheme;
	EVP_PKEY *pkey;
};

/* A kind of key: how its public part is written, what it must be, how it signs. */
struct scheme {
	const char *keytype, *scheme;
	EVP_PKEY *(*decode)(const char *public);
	bool (*fits)(EVP_PKEY *pkey);
	json_t *(*encode)(EVP_PKEY *pkey);
	const char *digest; /* NULL: the scheme hashes by itself */
	int padding;	    /* RSA only */
};

static EVP_PKEY *decode_hex(const char *public)
{
	uint8_t raw[ED25519_SIZE];

	if (!hex_decode(public, raw, sizeof(raw)))
		return NULL;
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, sizeof(raw));
}

/* Without this, OpenSSL would ask for a pass phrase on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *ctx)
{
	return -1;
}

static EVP_PKEY *decode_pem(const char *public)
{
	size_t size = strnlen(public, PEM_MAX + 1);

	if (size > PEM_MAX)
		return NULL;
	_cleanup_(BIO_freep) BIO *bio = BIO_new_mem_buf(public, (int)size);
	return bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;
}

static json_t *encode_hex(EVP_PKEY *pkey)
{
	uint8_t raw[ED25519_SIZE];
	size_t size = sizeof(raw);
	char text[2 * ED25519_SIZE + 1];

	if (EVP_PKEY_get_raw_public_key(pkey, raw, &size) != 1)
		return NULL;
	return json_string(hex_encode(raw, size, text));
}

static json_t *encode_pem(EVP_PKEY *pkey)
{
	_cleanup_(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());
	char *text;

	if (!bio || PEM_write_bio_PUBKEY(bio, pkey) != 1)
		return NULL;
	long size = BIO_get_mem_data(bio, &text);
	return json_stringn(text, (size_t)size);
}

static bool fits_ed25519(EVP_PKEY *pkey)
{
	return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519;
}

static bool fits_p256(EVP_PKEY *pkey)
{
	char group[64];
	size_t size;

	return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC &&
	       EVP_PKEY_get_group_name(pkey, group, sizeof(group), &size) == 1 &&
	       strcmp(group, SN_X9_62_prime256v1) == 0;
}

static bool fits_rsa(EVP_PKEY *pkey)
{
	int bits = EVP_PKEY_get_bits(pkey);

	return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA && bits >= RSA_BITS_MIN &&
	       bits <= RSA_BITS_MAX;
}

/* Of two rows with one kind of key, tuf_key_to_json writes the first. */
static const struct scheme schemes[] = {
	{"ed25519", "ed25519", decode_hex, fits_ed25519, encode_hex, NULL, 0},
	{"ecdsa", "ecdsa-sha2-nistp256", decode_pem, fits_p256, encode_pem, "SHA256", 0},
	{"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", decode_pem, fits_p256, encode_pem, "SHA256",
		0},
	{"rsa", "rsassa-pss-sha256", decode_pem, fits_rsa, encode_pem, "SHA256",
		RSA_PKCS1_PSS_PADDING},
	/* not in the specification, but some tools publish with it */
	{"rsa", "rsa-pkcs1v15-sha256", decode_pem, fits_rsa, encode_pem, "SHA256",
		RSA_PKCS1_PADDING},
};

#define SCHEMES (sizeof(schemes) / sizeof(schemes[0]))

static const struct scheme *scheme_of(const json_t *object, struct error *e)
{
	const char *keytype, *scheme;

	if (!json_get_string(object, "keytype", &keytype) ||
		!json_get_string(object, "scheme", &scheme)) {
		error_set(e, EF_REASON_BAD_FORMAT, "key: no keytype or scheme");
		return NULL;
	}
	for (size_t i = 0; i < SCHEMES; i++)
		if (strcmp(schemes[i].keytype, keytype) == 0 &&
			strcmp(schemes[i].scheme, scheme) == 0)
			return &schemes[i];
	error_set(e, EF_REASON_BAD_FORMAT, "key: %s with %s is not supported", keytype, scheme);
	return NULL;
}

struct tuf_key *tuf_key_from_json(const json_t *object, struct error *e)
{
	const char *public;
	const struct scheme *scheme = scheme_of(object, e);

	if (!scheme)
		return NULL;
	if (!json_get_string(json_get_object(object, "keyval"), "public", &public)) {
		error_set(e, EF_REASON_BAD_FORMAT, "key: no public part");
		return NULL;
	}
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = scheme->decode(public);
	if (!pkey || !scheme->fits(pkey)) {
		error_set(e, EF_REASON_BAD_FORMAT, "key: no %s key", scheme->scheme);
		ERR_clear_error();
		return NULL;
	}
	struct tuf_key *k = malloc(sizeof(*k));
	if (!k) {
		error_set(e, EF_REASON_NO_MEMORY, "key");
		return NULL;
	}
	*k = (struct tuf_key){.scheme = scheme, .pkey = TAKE_PTR(pkey)};
	return k;
}

json_t *tuf_key_to_json(EVP_PKEY *pkey)
{
	for (size_t i = 0; i < SCHEMES; i++) {
		if (!schemes[i].fits(pkey))
			continue;
		json_t *public = schemes[i].encode(pkey);
		return public ? json_pack("{s:s, s:s, s:{s:o}}", "keytype", schemes[i].keytype,
					"scheme", schemes[i].scheme, "keyval", "public", public)
			      : NULL;
	}
	return NULL;
}

void tuf_key_free(struct tuf_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

void tuf_key_id(const json_t *object, char out[65])
{
	_cleanup_free_ char *text = NULL;
	uint8_t digest[DIGEST_SIZE];
	size_t size;

	out[0] = 0;
	if (canonical_json(object, &text, &size) == 0 &&
		EVP_Digest(text, size, digest, NULL, EVP_sha256(), NULL) == 1)
		digest_hex(digest, out);
}

bool tuf_key_same(const struct tuf_key *a, const struct tuf_key *b)
{
	if (EVP_PKEY_get_base_id(a->pkey) != EVP_PKEY_get_base_id(b->pkey))
		return false;
	bool same = EVP_PKEY_eq(a->pkey, b->pkey) != 0;
	ERR_clear_error();
	return same;
}

const char *tuf_key_published(const struct tuf_key *k)
{
	uint8_t *spki = NULL, digest[32];
	int n = i2d_PUBKEY(k->pkey, &spki);
	bool done = n > 0 && EVP_Digest(spki, (size_t)n, digest, NULL, EVP_sha256(), NULL) == 1;

	OPENSSL_free(spki);
	return done ? published_key_name(digest) : NULL;
}

static bool verify(const struct tuf_key *k, EVP_MD_CTX *ctx, const void *data, size_t size,
	const void *sig, size_t sig_size)
{
	EVP_PKEY_CTX *pctx;

	if (EVP_DigestVerifyInit_ex(ctx, &pctx, k->scheme->digest, NULL, NULL, k->pkey, NULL) != 1)
		return false;
	if (k->scheme->padding && EVP_PKEY_CTX_set_rsa_padding(pctx, k->scheme->padding) != 1)
		return false;
	/* Signers differ in the length of the salt; it does not matter to the verifier. */
	if (k->scheme->padding == RSA_PKCS1_PSS_PADDING &&
		EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_AUTO) != 1)
		return false;
	return EVP_DigestVerify(ctx, sig, sig_size, data, size) == 1;
}

bool tuf_key_verify(
	const struct tuf_key *k, const void *data, size_t size, const void *sig, size_t sig_size)
{
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool valid = ctx && sig_size > 0 && verify(k, ctx, data, size, sig, sig_size);

	ERR_clear_error();
	return valid;
}
