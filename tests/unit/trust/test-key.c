/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of TUF metadata (S-02: the algorithm belongs to the key). */
#include "repo.h"
#include "trust/canonical.h"
#include "trust/key.h"
#include "unit.h"
#include "util/cleanup.h"
#include "util/json.h"
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(struct tuf_key *, tuf_key_free)
#define _cleanup_pkey_ _cleanup_(EVP_PKEY_freep)
#define _cleanup_key_ _cleanup_(tuf_key_freep)

static const char text[] = "what is signed";

static struct tuf_key *parse(const json_t *o)
{
	struct error e = {0};

	return tuf_key_from_json(o, &e);
}

START_TEST(test_round)
{
	_cleanup_pkey_ EVP_PKEY *pkey = key_make(_i);
	_cleanup_json_ json_t *o = tuf_key_to_json(pkey);
	_cleanup_key_ struct tuf_key *k = parse(o);
	size_t n;
	_cleanup_free_ uint8_t *sig = key_sign(pkey, text, sizeof(text), &n);

	ck_assert_ptr_nonnull(k);
	ck_assert(tuf_key_verify(k, text, sizeof(text), sig, n));
	ck_assert(!tuf_key_verify(k, text, sizeof(text) - 1, sig, n));
	ck_assert(!tuf_key_verify(k, "What is signed", sizeof(text), sig, n));
	ck_assert(!tuf_key_verify(k, text, sizeof(text), sig, 0));
	for (size_t cut = 1; cut < n; cut++)
		ck_assert(!tuf_key_verify(k, text, sizeof(text), sig, cut));
	for (size_t i = 0; i < n; i++) {
		sig[i] ^= 0x10;
		ck_assert(!tuf_key_verify(k, text, sizeof(text), sig, n));
		sig[i] ^= 0x10;
	}
	uint8_t longer[600] = {0};
	memcpy(longer, sig, n);
	ck_assert(!tuf_key_verify(k, text, sizeof(text), longer, n + 1));
}
END_TEST

/* A signature by one kind of key is nothing to another kind. */
START_TEST(test_cross)
{
	_cleanup_pkey_ EVP_PKEY *a = key_make(_i % 3), *b = key_make(_i / 3);
	_cleanup_json_ json_t *o = tuf_key_to_json(a);
	_cleanup_key_ struct tuf_key *k = parse(o);
	size_t n;
	_cleanup_free_ uint8_t *sig = key_sign(b, text, sizeof(text), &n);

	ck_assert(!tuf_key_verify(k, text, sizeof(text), sig, n));
}
END_TEST

/* PKCS #1 v1.5 by the right key is not what the scheme says. */
START_TEST(test_rsa_padding)
{
	_cleanup_pkey_ EVP_PKEY *pkey = key_make(KEY_RSA);
	_cleanup_json_ json_t *o = tuf_key_to_json(pkey);
	_cleanup_key_ struct tuf_key *k = parse(o);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[256];
	size_t n = sizeof(sig);

	ck_assert(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, pkey, NULL) == 1);
	ck_assert(EVP_DigestSign(ctx, sig, &n, (const void *)text, sizeof(text)) == 1);
	EVP_MD_CTX_free(ctx);
	ck_assert(!tuf_key_verify(k, text, sizeof(text), sig, n));
}
END_TEST

/* The scheme says which padding it is, and no other is taken. */
START_TEST(test_rsa_pkcs1)
{
	_cleanup_pkey_ EVP_PKEY *pkey = key_make(KEY_RSA);
	_cleanup_json_ json_t *o = tuf_key_to_json(pkey);
	ck_assert_str_eq(json_string_value(json_object_get(o, "scheme")), "rsassa-pss-sha256");
	json_object_set_new(o, "scheme", json_string("rsa-pkcs1v15-sha256"));
	_cleanup_key_ struct tuf_key *k = parse(o);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[256];
	size_t n = sizeof(sig), m;
	_cleanup_free_ uint8_t *pss = key_sign(pkey, text, sizeof(text), &m);

	ck_assert(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, pkey, NULL) == 1);
	ck_assert(EVP_DigestSign(ctx, sig, &n, (const void *)text, sizeof(text)) == 1);
	EVP_MD_CTX_free(ctx);
	ck_assert_ptr_nonnull(k);
	ck_assert(tuf_key_verify(k, text, sizeof(text), sig, n));
	ck_assert(!tuf_key_verify(k, text, sizeof(text), pss, m));
	sig[100] ^= 1;
	ck_assert(!tuf_key_verify(k, text, sizeof(text), sig, n));
}
END_TEST

START_TEST(test_rsa_salt)
{
	static const int salts[] = {0, 20, 32, RSA_PSS_SALTLEN_MAX};
	_cleanup_pkey_ EVP_PKEY *pkey = key_make(KEY_RSA);
	_cleanup_json_ json_t *o = tuf_key_to_json(pkey);
	_cleanup_key_ struct tuf_key *k = parse(o);

	for (size_t i = 0; i < 4; i++) {
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		EVP_PKEY_CTX *p;
		uint8_t sig[256];
		size_t n = sizeof(sig);
		ck_assert(EVP_DigestSignInit_ex(ctx, &p, "SHA256", NULL, NULL, pkey, NULL) == 1);
		ck_assert(EVP_PKEY_CTX_set_rsa_padding(p, RSA_PKCS1_PSS_PADDING) == 1);
		ck_assert(EVP_PKEY_CTX_set_rsa_pss_saltlen(p, salts[i]) == 1);
		ck_assert(EVP_DigestSign(ctx, sig, &n, (const void *)text, sizeof(text)) == 1);
		EVP_MD_CTX_free(ctx);
		ck_assert(tuf_key_verify(k, text, sizeof(text), sig, n));
	}
}
END_TEST

/* A valid key under another scheme's name is no key. */
START_TEST(test_swapped)
{
	static const char *const names[][2] = {{"ed25519", "ed25519"},
		{"ecdsa", "ecdsa-sha2-nistp256"}, {"rsa", "rsassa-pss-sha256"}};

	for (int kind = 0; kind < 3; kind++) {
		_cleanup_pkey_ EVP_PKEY *pkey = key_make(kind);
		_cleanup_json_ json_t *o = tuf_key_to_json(pkey);
		for (int other = 0; other < 3; other++) {
			json_object_set_new(o, "keytype", json_string(names[other][0]));
			json_object_set_new(o, "scheme", json_string(names[other][1]));
			_cleanup_key_ struct tuf_key *k = parse(o);
			ck_assert_int_eq(k != NULL, other == kind);
		}
		json_object_set_new(o, "keytype", json_string(names[kind][0]));
		json_object_set_new(o, "scheme", json_string(names[(kind + 1) % 3][1]));
		ck_assert_ptr_null(parse(o));
	}
}
END_TEST

START_TEST(test_legacy_ecdsa)
{
	_cleanup_pkey_ EVP_PKEY *pkey = key_make(KEY_P256);
	_cleanup_json_ json_t *o = tuf_key_to_json(pkey);
	ck_assert_str_eq(json_string_value(json_object_get(o, "keytype")), "ecdsa");
	json_object_set_new(o, "keytype", json_string("ecdsa-sha2-nistp256"));
	_cleanup_key_ struct tuf_key *k = parse(o);
	size_t n;
	_cleanup_free_ uint8_t *sig = key_sign(pkey, text, sizeof(text), &n);

	ck_assert_ptr_nonnull(k);
	ck_assert(tuf_key_verify(k, text, sizeof(text), sig, n));
}
END_TEST

START_TEST(test_unusable)
{
	static const char hex[] =
		"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
	static const char *const bad[] = {
		"[]",
		"{}",
		"{\"keytype\":\"ed25519\"}",
		"{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\"}",
		"{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":\"x\"}",
		"{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{}}",
		"{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":1}}",
		"{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":\"\"}}",
		"{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":\"d75a\"}}",
		"{\"keytype\":\"ed448\",\"scheme\":\"ed448\",\"keyval\":{\"public\":\"d75a\"}}",
		"{\"keytype\":\"ecdsa\",\"scheme\":\"ecdsa-sha2-nistp256\",\"keyval\":{\"public\":"
		"\"-----BEGIN PUBLIC KEY-----\\n-----END PUBLIC KEY-----\\n\"}}",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup_json_ json_t *o = json_loads(bad[i], 0, NULL);
		struct error e = {0};
		ck_assert_msg(!tuf_key_from_json(o, &e), "%s", bad[i]);
		ck_assert_int_eq(e.reason, EF_REASON_BAD_FORMAT);
	}
	/* S-06: upper case, short and padded are errors; only the exact form is a key */
	for (int i = 0; i < 4; i++) {
		char v[80];
		strcpy(v, hex);
		if (i == 1)
			v[0] = 'D';
		else if (i == 2)
			v[63] = 0;
		else if (i == 3)
			strcat(v, " ");
		_cleanup_json_ json_t *o = json_pack("{s:s,s:s,s:{s:s}}", "keytype", "ed25519",
			"scheme", "ed25519", "keyval", "public", v);
		_cleanup_key_ struct tuf_key *k = parse(o);
		ck_assert_int_eq(k != NULL, i == 0);
	}
}
END_TEST

/* Curves and sizes that the schemes do not name. */
START_TEST(test_wrong_strength)
{
	_cleanup_pkey_ EVP_PKEY *p384 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
	_cleanup_pkey_ EVP_PKEY *k256 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1");
	_cleanup_pkey_ EVP_PKEY *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	static const char *const names[][2] = {{"ecdsa", "ecdsa-sha2-nistp256"},
		{"ecdsa", "ecdsa-sha2-nistp256"}, {"rsa", "rsassa-pss-sha256"}};
	EVP_PKEY *keys[] = {p384, k256, rsa};

	for (int i = 0; i < 3; i++) {
		ck_assert_ptr_null(tuf_key_to_json(keys[i]));
		BIO *bio = BIO_new(BIO_s_mem());
		char *pem;
		PEM_write_bio_PUBKEY(bio, keys[i]);
		long n = BIO_get_mem_data(bio, &pem);
		_cleanup_json_ json_t *o = json_pack("{s:s,s:s,s:{s:s%}}", "keytype", names[i][0],
			"scheme", names[i][1], "keyval", "public", pem, (size_t)n);
		BIO_free(bio);
		ck_assert_ptr_null(parse(o));
	}
}
END_TEST

START_TEST(test_same)
{
	_cleanup_pkey_ EVP_PKEY *a = key_make(_i), *b = key_make(_i);
	_cleanup_json_ json_t *oa = tuf_key_to_json(a), *ob = tuf_key_to_json(b);
	_cleanup_key_ struct tuf_key *ka = parse(oa), *ka2 = parse(oa), *kb = parse(ob);

	ck_assert(tuf_key_same(ka, ka2));
	ck_assert(!tuf_key_same(ka, kb));
	for (int kind = 0; kind < 3; kind++) {
		_cleanup_pkey_ EVP_PKEY *c = key_make(kind);
		_cleanup_json_ json_t *oc = tuf_key_to_json(c);
		_cleanup_key_ struct tuf_key *kc = parse(oc);
		ck_assert(!tuf_key_same(ka, kc));
	}
}
END_TEST

/* S-02: a point written compressed is the same key. */
START_TEST(test_same_compressed)
{
	_cleanup_pkey_ EVP_PKEY *pkey = key_make(KEY_P256);
	_cleanup_json_ json_t *oa = tuf_key_to_json(pkey);
	ck_assert_int_eq(EVP_PKEY_set_utf8_string_param(
				 pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed"),
		1);
	_cleanup_json_ json_t *ob = tuf_key_to_json(pkey);
	ck_assert(!json_equal(oa, ob));
	_cleanup_key_ struct tuf_key *ka = parse(oa), *kb = parse(ob);
	ck_assert_ptr_nonnull(kb);
	ck_assert(tuf_key_same(ka, kb));
}
END_TEST

/* The key and id that the TUF specification prints in its example of root.json. */
START_TEST(test_id)
{
	_cleanup_json_ json_t *o = json_pack("{s:s,s:s,s:{s:s}}", "scheme", "ed25519", "keytype",
		"ed25519", "keyval", "public",
		"72378e5bc588793e58f81c8533da64a2e8f1565c1fcc7f253496394ffc52542c");
	char id[65];

	tuf_key_id(o, id);
	ck_assert_str_eq(id, "1bf1c6e3cdd3d3a8420b19199e27511999850f4b376c4547b2f32fba7e80fca3");
	json_object_set_new(o, "extra", json_real(0.5));
	tuf_key_id(o, id);
	ck_assert_str_eq(id, "");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/key");
	TCase *t = tcase_create("key");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, test_round, 0, 3);
	tcase_add_loop_test(t, test_cross, 0, 9);
	tcase_add_test(t, test_rsa_padding);
	tcase_add_test(t, test_rsa_pkcs1);
	tcase_add_test(t, test_rsa_salt);
	tcase_add_test(t, test_swapped);
	tcase_add_test(t, test_legacy_ecdsa);
	tcase_add_test(t, test_unusable);
	tcase_add_test(t, test_wrong_strength);
	tcase_add_loop_test(t, test_same, 0, 3);
	tcase_add_test(t, test_same_compressed);
	tcase_add_test(t, test_id);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
