/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL behind the session's primitives (wire/session-crypto.h). */
#include "wire/session-crypto.h"
#include "util/cleanup.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)
DEFINE_CLEANUP(EVP_KDF *, EVP_KDF_free)
DEFINE_CLEANUP(EVP_KDF_CTX *, EVP_KDF_CTX_free)
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)
DEFINE_CLEANUP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free)

bool noise_hash(uint8_t out[32], const void *a, size_t a_size, const void *b, size_t b_size)
{
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *c = EVP_MD_CTX_new();

	return c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1 &&
	       EVP_DigestUpdate(c, a, a_size) == 1 && EVP_DigestUpdate(c, b, b_size) == 1 &&
	       EVP_DigestFinal_ex(c, out, NULL) == 1;
}

bool noise_hkdf(
	const uint8_t salt[32], const void *input, size_t input_size, uint8_t *out, size_t size)
{
	_cleanup_(EVP_KDF_freep) EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	_cleanup_(EVP_KDF_CTX_freep) EVP_KDF_CTX *c = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	char digest[] = "SHA256", nothing[] = "";
	void *key = input_size ? (void *)(uintptr_t)input : nothing;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, 32),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key, input_size),
		OSSL_PARAM_construct_end(),
	};

	return c && EVP_KDF_derive(c, out, size, params) == 1;
}

bool noise_public(uint8_t out[32], const uint8_t secret[32])
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key =
		EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, 32);
	size_t size = 32;

	return key && EVP_PKEY_get_raw_public_key(key, out, &size) == 1 && size == 32;
}

bool noise_shared(uint8_t out[32], const uint8_t secret[32], const uint8_t public_key[32])
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *mine =
		EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, 32);
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *theirs =
		EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public_key, 32);
	_cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *c = mine ? EVP_PKEY_CTX_new(mine, NULL) : NULL;
	size_t size = 32;

	return theirs && c && EVP_PKEY_derive_init(c) == 1 &&
	       EVP_PKEY_derive_set_peer(c, theirs) == 1 && EVP_PKEY_derive(c, out, &size) == 1 &&
	       size == 32;
}

static EVP_CIPHER_CTX *cipher_new(
	const uint8_t key[32], uint64_t nonce, const void *ad, size_t ad_size, int encrypt)
{
	_cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t iv[12] = {0};
	int n;

	for (int i = 0; i < 8; i++)
		iv[4 + i] = (uint8_t)(nonce >> 8 * i);
	if (!c || EVP_CipherInit_ex(c, EVP_chacha20_poly1305(), NULL, key, iv, encrypt) != 1 ||
		(ad_size && EVP_CipherUpdate(c, NULL, &n, ad, (int)ad_size) != 1))
		return NULL;
	return TAKE_PTR(c);
}

bool noise_encrypt(const uint8_t key[32], uint64_t nonce, const void *ad, size_t ad_size,
	uint8_t *data, size_t size, uint8_t tag[16])
{
	_cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *c = cipher_new(key, nonce, ad, ad_size, 1);
	uint8_t rest[16];
	int n = 0;

	return c && (size == 0 || EVP_CipherUpdate(c, data, &n, data, (int)size) == 1) &&
	       (size_t)n == size && EVP_CipherFinal_ex(c, rest, &n) == 1 && n == 0 &&
	       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1;
}

bool noise_decrypt(const uint8_t key[32], uint64_t nonce, const void *ad, size_t ad_size,
	uint8_t *data, size_t size, const uint8_t tag[16])
{
	_cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *c = cipher_new(key, nonce, ad, ad_size, 0);
	uint8_t rest[16];
	int n = 0;

	return c && (size == 0 || EVP_CipherUpdate(c, data, &n, data, (int)size) == 1) &&
	       (size_t)n == size &&
	       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, 16, (void *)(uintptr_t)tag) == 1 &&
	       EVP_CipherFinal_ex(c, rest, &n) == 1;
}
