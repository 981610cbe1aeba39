/* SPDX-License-Identifier: Apache-2.0 */
#include "repo.h"
#include "trust/canonical.h"
#include "trust/key.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include <openssl/rsa.h>
#include <stdlib.h>

static void must(bool ok)
{
	if (!ok)
		abort();
}

EVP_PKEY *key_make(enum key_kind kind)
{
	EVP_PKEY *k = kind == KEY_ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
		      : kind == KEY_P256  ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")
					  : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	must(k);
	return k;
}

uint8_t *key_sign(EVP_PKEY *k, const void *data, size_t size, size_t *sig_size)
{
	int id = EVP_PKEY_get_base_id(k);
	const char *digest = id == EVP_PKEY_ED25519 ? NULL : "SHA256";
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;

	must(ctx && EVP_DigestSignInit_ex(ctx, &pctx, digest, NULL, NULL, k, NULL) == 1);
	if (id == EVP_PKEY_RSA)
		must(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1);
	must(EVP_DigestSign(ctx, NULL, sig_size, data, size) == 1);
	uint8_t *sig = malloc(*sig_size);
	must(sig && EVP_DigestSign(ctx, sig, sig_size, data, size) == 1);
	EVP_MD_CTX_free(ctx);
	return sig;
}

json_t *key_signature(EVP_PKEY *k, const json_t *value)
{
	_cleanup_free_ char *text = NULL, *hex = NULL;
	_cleanup_free_ uint8_t *sig = NULL;
	size_t size, sig_size;
	char id[65];

	must(canonical_json(value, &text, &size) == 0);
	sig = key_sign(k, text, size, &sig_size);
	must((hex = malloc(2 * sig_size + 1)));
	json_t *public = tuf_key_to_json(k);
	tuf_key_id(public, id);
	json_decref(public);
	return json_pack("{s:s, s:s}", "keyid", id, "sig", hex_encode(sig, sig_size, hex));
}
