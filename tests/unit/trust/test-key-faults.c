/* SPDX-License-Identifier: Apache-2.0 */
/*
 * S-03: a call of OpenSSL that fails makes a key unusable or a signature invalid, never the other
 * way round. What fails is chosen here by name, which is what K-04's counting does not reach.
 */
#include "repo.h"
#include "trust/key.h"
#include "unit.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/json.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(struct tuf_key *, tuf_key_free)
#define _cleanup_pkey_ _cleanup_(EVP_PKEY_freep)
#define _cleanup_key_ _cleanup_(tuf_key_freep)

static const char *failing; /* name of the function */

static bool fails(const char *name)
{
	return failing && strcmp(failing, name) == 0;
}

/* The linker leads calls of ours here (--wrap). */
#define WRAPS(type, failure, name, params, args)                    \
	type __real_##name params;                                  \
	type __wrap_##name params;                                  \
	type __wrap_##name params                                   \
	{                                                           \
		return fails(#name) ? failure : __real_##name args; \
	}

WRAPS(BIO *, NULL, BIO_new_mem_buf, (const void *buf, int size), (buf, size))
WRAPS(BIO *, NULL, BIO_new, (const BIO_METHOD *m), (m))
WRAPS(int, 0, PEM_write_bio_PUBKEY, (BIO * bio, const EVP_PKEY *k), (bio, k))
WRAPS(int, 0, EVP_PKEY_get_raw_public_key, (const EVP_PKEY *k, unsigned char *p, size_t *n),
	(k, p, n))
WRAPS(int, 0, EVP_PKEY_get_group_name, (const EVP_PKEY *k, char *p, size_t size, size_t *n),
	(k, p, size, n))
WRAPS(int, 0, EVP_PKEY_CTX_set_rsa_padding, (EVP_PKEY_CTX * c, int padding), (c, padding))
WRAPS(int, 0, EVP_PKEY_CTX_set_rsa_pss_saltlen, (EVP_PKEY_CTX * c, int size), (c, size))
WRAPS(int, 0, EVP_DigestVerifyInit_ex,
	(EVP_MD_CTX * c, EVP_PKEY_CTX **p, const char *digest, OSSL_LIB_CTX *lib, const char *props,
		EVP_PKEY *k, const OSSL_PARAM *params),
	(c, p, digest, lib, props, k, params))
WRAPS(int, -1, i2d_PUBKEY, (const EVP_PKEY *k, unsigned char **p), (k, p))
WRAPS(int, 0, EVP_Digest,
	(const void *data, size_t n, unsigned char *md, unsigned int *size, const EVP_MD *type,
		ENGINE *engine),
	(data, n, md, size, type, engine))

static const char text[] = "what is signed";

static const struct {
	const char *name;
	enum key_kind kind;
	bool written, read, valid; /* what goes on to be so */
} rows[] = {
	{"none", KEY_RSA, true, true, true},
	{"EVP_PKEY_get_raw_public_key", KEY_ED25519, false, true, true},
	{"BIO_new", KEY_P256, false, true, true},
	{"PEM_write_bio_PUBKEY", KEY_P256, false, true, true},
	{"EVP_PKEY_get_group_name", KEY_P256, false, false, true},
	{"BIO_new_mem_buf", KEY_RSA, true, false, true},
	{"EVP_DigestVerifyInit_ex", KEY_RSA, true, true, false},
	{"EVP_PKEY_CTX_set_rsa_padding", KEY_RSA, true, true, false},
	{"EVP_PKEY_CTX_set_rsa_pss_saltlen", KEY_RSA, true, true, false},
};

START_TEST(a_call_that_fails)
{
	_cleanup_pkey_ EVP_PKEY *pkey = key_make(rows[_i].kind);
	_cleanup_json_ json_t *whole = tuf_key_to_json(pkey);
	struct error e = {0};
	_cleanup_key_ struct tuf_key *k = tuf_key_from_json(whole, &e);
	size_t n;
	_cleanup_free_ uint8_t *sig = key_sign(pkey, text, sizeof(text), &n);

	failing = rows[_i].name;
	_cleanup_json_ json_t *written = tuf_key_to_json(pkey);
	_cleanup_key_ struct tuf_key *read = tuf_key_from_json(whole, &e);
	bool valid = tuf_key_verify(k, text, sizeof(text), sig, n);
	failing = NULL;
	ck_assert_msg((written != NULL) == rows[_i].written, "%s", rows[_i].name);
	ck_assert_msg((read != NULL) == rows[_i].read, "%s", rows[_i].name);
	ck_assert_int_eq(e.reason, rows[_i].read ? EF_REASON_OK : EF_REASON_BAD_FORMAT);
	ck_assert_msg(valid == rows[_i].valid, "%s", rows[_i].name);
	/* and nothing of it is left */
	ck_assert(tuf_key_verify(k, text, sizeof(text), sig, n));
}
END_TEST

static struct tuf_key *read_pem(const char *keytype, const char *scheme, const char *pem)
{
	_cleanup_json_ json_t *o = json_pack(
		"{s:s,s:s,s:{s:s}}", "keytype", keytype, "scheme", scheme, "keyval", "public", pem);
	struct error e = {0};

	return tuf_key_from_json(o, &e);
}

START_TEST(ids_of_what_cannot_be_digested) /* none, rather than a wrong one */
{
	_cleanup_json_ json_t *o = json_pack("{s:s}", "keytype", "ed25519");
	char id[65] = "x";

	failing = "EVP_Digest";
	tuf_key_id(o, id);
	failing = NULL;
	ck_assert_str_eq(id, "");
	tuf_key_id(o, id);
	ck_assert_uint_eq(strlen(id), 64);
}
END_TEST

/* S-28: a key that is too long to be one is not given to OpenSSL at all. */
START_TEST(pem_without_end)
{
	_cleanup_free_ uint8_t *pem = NULL;
	size_t size;
	char padded[16384 + 2];

	ck_assert_int_eq(file_read(VECTORS "/p256.pub.pem", 4096, &pem, &size), 0);
	memset(padded, '\n', sizeof(padded) - 1);
	padded[sizeof(padded) - 1] = 0;
	memcpy(padded, pem, size);
	ck_assert_ptr_null(read_pem("ecdsa", "ecdsa-sha2-nistp256", padded));
	padded[16384] = 0;
	_cleanup_key_ struct tuf_key *k = read_pem("ecdsa", "ecdsa-sha2-nistp256", padded);
	ck_assert_ptr_nonnull(k);
}
END_TEST

/* A public key of so many bits; no private one belongs to it. */
static EVP_PKEY *rsa_of(int bits)
{
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	BIGNUM *n = BN_new(), *e = BN_new();
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *pkey = NULL;

	BN_set_bit(n, bits - 1);
	BN_set_bit(n, 0);
	BN_set_word(e, 65537);
	OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, n);
	OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, e);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
	ck_assert_int_eq(EVP_PKEY_fromdata_init(c), 1);
	ck_assert_int_eq(EVP_PKEY_fromdata(c, &pkey, EVP_PKEY_PUBLIC_KEY, params), 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	EVP_PKEY_CTX_free(c);
	BN_free(n);
	BN_free(e);
	return pkey;
}

START_TEST(sizes_of_rsa) /* a long one would cost a slow machine minutes */
{
	static const struct {
		int bits;
		bool fits;
	} sizes[] = {{2047, false}, {2048, true}, {4096, true}, {8192, true}, {8193, false}};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		_cleanup_pkey_ EVP_PKEY *pkey = rsa_of(sizes[i].bits);
		_cleanup_json_ json_t *o = tuf_key_to_json(pkey);
		ck_assert_msg((o != NULL) == sizes[i].fits, "%d bits", sizes[i].bits);
	}
}
END_TEST

START_TEST(keys_that_everybody_has)
{
	_cleanup_free_ uint8_t *pem = NULL;
	_cleanup_pkey_ EVP_PKEY *pkey = key_make(KEY_P256);
	_cleanup_json_ json_t *o = tuf_key_to_json(pkey);
	struct error e = {0};
	_cleanup_key_ struct tuf_key *own = tuf_key_from_json(o, &e);
	size_t size;

	ck_assert_int_eq(file_read(VECTORS "/p256-other.pub.pem", 4096, &pem, &size), 0);
	_cleanup_key_ struct tuf_key *k = read_pem("ecdsa", "ecdsa-sha2-nistp256", (char *)pem);
	ck_assert_str_eq(tuf_key_published(k), "edgeferry's test key p256-other.pem");
	ck_assert_ptr_null(tuf_key_published(own));
	/* a warning that is lost, and nothing else */
	failing = "i2d_PUBKEY";
	ck_assert_ptr_null(tuf_key_published(k));
	failing = "EVP_Digest";
	ck_assert_ptr_null(tuf_key_published(k));
	failing = NULL;
	tuf_key_free(NULL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/key-faults");
	TCase *t = tcase_create("key");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, a_call_that_fails, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(t, ids_of_what_cannot_be_digested);
	tcase_add_test(t, pem_without_end);
	tcase_add_test(t, sizes_of_rsa);
	tcase_add_test(t, keys_that_everybody_has);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
