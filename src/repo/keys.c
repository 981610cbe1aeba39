/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/keys.h"
#include "bundle/manifest.h"
#include "repo/known-keys.h"
#include "token/token.h"
#include "trust/key.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include "util/json.h"
#include "util/token-uri.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/store.h>
#include <openssl/x509.h>
#include <string.h>

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)
DEFINE_CLEANUP(BIO *, BIO_free_all)

#define PEM_MAX 65536

/* OpenSSL's own last words, and its queue emptied. */
static const char *openssl_says(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return text ? text : "no reason given";
}

static bool has_scheme(const char *uri)
{
	size_t n = strspn(uri, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

	return n > 1 && uri[n] == ':';
}

/* The first key of a kind in the store. */
static EVP_PKEY *first_key(OSSL_STORE_CTX *store, bool public)
{
	EVP_PKEY *key = NULL;

	while (!key && !OSSL_STORE_eof(store)) {
		OSSL_STORE_INFO *info = OSSL_STORE_load(store);
		if (!info)
			break;
		int type = OSSL_STORE_INFO_get_type(info);
		if (type == OSSL_STORE_INFO_PKEY)
			key = OSSL_STORE_INFO_get1_PKEY(info);
		else if (public && type == OSSL_STORE_INFO_PUBKEY)
			key = OSSL_STORE_INFO_get1_PUBKEY(info);
		OSSL_STORE_INFO_free(info);
	}
	return key;
}

/* The public part of a key in a token comes with the key. */
static enum ef_reason open_by_engine(const char *uri, EVP_PKEY **ret, struct error *e)
{
	struct error why = {0};

	return token_open(uri, ret, &why)
		       ? error_set(e, EF_REASON_NOT_FOUND, "private key %s", why.detail)
		       : EF_REASON_OK;
}

static enum ef_reason open_uri(const char *uri, bool public, EVP_PKEY **ret, struct error *e)
{
	const char *what = public ? "key" : "private key";
	char shown[256];

	if (!has_scheme(uri) && access(uri, R_OK) < 0)
		return error_errno(e, -errno, "%s %s", what, uri);
	token_uri_shown(uri, shown);
	ERR_clear_error();
	if (token_uri_is(uri) && !token_in_store())
		return open_by_engine(uri, ret, e);
	OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
	if (!store)
		return error_set(e, EF_REASON_NOT_FOUND, "%s %s: %s", what, shown, openssl_says());
	*ret = first_key(store, public);
	OSSL_STORE_close(store);
	if (!*ret)
		return error_set(
			e, EF_REASON_NOT_FOUND, "no %s in %s: %s", what, shown, openssl_says());
	return EF_REASON_OK;
}

enum ef_reason key_open_uri(const char *uri, EVP_PKEY **ret, struct error *e)
{
	return open_uri(uri, false, ret, e);
}

enum ef_reason key_open_public_uri(const char *uri, EVP_PKEY **ret, struct error *e)
{
	return open_uri(uri, true, ret, e);
}

static const char *key_uri(const struct workspace *w, const char *name)
{
	const json_t *key = json_object_get(json_object_get(w->config, "keys"), name);

	return json_string_value(json_object_get(key, "uri"));
}

enum ef_reason key_open(
	const struct workspace *w, const char *name, EVP_PKEY **ret, struct error *e)
{
	const char *uri = key_uri(w, name);
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	_cleanup_free_ char *path = NULL;

	if (!uri)
		return error_set(e, EF_REASON_NOT_FOUND, "no key '%s' in the workspace", name);
	if (!has_scheme(uri) && uri[0] != '/' && asprintf(&path, "%s/%s", w->path, uri) < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	enum ef_reason r = key_open_uri(path ? path : uri, &key, e);
	/* Also one that got into the workspace by hand. */
	if (!r)
		r = known_key_refuse(key, name, w->allow_test_keys, e);
	if (!r)
		*ret = TAKE_PTR(key);
	return r;
}

enum ef_reason key_public(
	const struct workspace *w, const char *name, EVP_PKEY **ret, struct error *e)
{
	_cleanup_free_ uint8_t *pem = NULL;
	char file[64];
	size_t size;

	snprintf(file, sizeof(file), "keys/%s.pub.pem", name);
	int r = file_read_at(w->fd, file, PEM_MAX, &pem, &size);
	if (r < 0)
		return error_errno(e, r, "%s/%s", w->path, file);
	_cleanup_(BIO_free_allp) BIO *bio = BIO_new_mem_buf(pem, (int)size);
	*ret = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	if (!*ret)
		return error_set(
			e, EF_REASON_BAD_FORMAT, "%s/%s: %s", w->path, file, openssl_says());
	return EF_REASON_OK;
}

bool key_name_valid(const char *name)
{
	return manifest_name_valid(name);
}

static char *take_text(BIO *bio)
{
	char *data;
	long size = BIO_get_mem_data(bio, &data);

	return size > 0 ? strndup(data, (size_t)size) : NULL;
}

char *key_public_pem(EVP_PKEY *key)
{
	_cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());

	return bio && PEM_write_bio_PUBKEY(bio, key) == 1 ? take_text(bio) : NULL;
}

static char *private_pem(EVP_PKEY *key)
{
	/* secure memory: erased when it is freed */
	_cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_secmem());

	return bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1
		       ? take_text(bio)
		       : NULL;
}

static enum ef_reason write_public(
	const struct workspace *w, const char *name, EVP_PKEY *key, struct error *e)
{
	_cleanup_close_ int dir = workspace_dir(w, "keys");
	_cleanup_free_ char *pem = key_public_pem(key);
	char file[64];

	snprintf(file, sizeof(file), "%s.pub.pem", name);
	int r = dir < 0 ? dir
		: pem	? atomic_file_write_at(dir, file, pem, strlen(pem), 0644)
			: -ENOMEM;
	return r < 0 ? error_errno(e, r, "%s/keys/%s", w->path, file) : EF_REASON_OK;
}

static enum ef_reason write_private(
	const struct workspace *w, const char *name, EVP_PKEY *key, struct error *e)
{
	_cleanup_close_ int dir = workspace_dir(w, "keys");
	char *pem = private_pem(key);
	char file[64];

	snprintf(file, sizeof(file), "%s.pem", name);
	int r = dir < 0 ? dir
		: pem	? atomic_file_write_at(dir, file, pem, strlen(pem), 0600)
			: -ENOMEM;
	if (pem)
		OPENSSL_clear_free(pem, strlen(pem) + 1);
	return r < 0 ? error_errno(e, r, "%s/keys/%s", w->path, file) : EF_REASON_OK;
}

static enum ef_reason remember(
	struct workspace *w, const char *name, const char *uri, EVP_PKEY *key, struct error *e)
{
	json_t *keys = json_object_get(w->config, "keys");
	_cleanup_json_ json_t *object = tuf_key_to_json(key);

	if (!object)
		return error_set(e, EF_REASON_USAGE,
			"key %s: only ed25519, ECDSA on P-256 and RSA of 2048 bits and more are "
			"used",
			name);
	enum ef_reason r = write_public(w, name, key, e);
	if (!r && json_object_set_new(keys, name, json_pack("{s:s}", "uri", uri)) < 0)
		r = error_set(e, EF_REASON_NO_MEMORY, "key %s", name);
	return r;
}

static enum ef_reason check_new(const struct workspace *w, const char *name, struct error *e)
{
	char file[64];

	if (!key_name_valid(name))
		return error_set(
			e, EF_REASON_USAGE, "key '%s': 1 to 32 of a-z, 0-9 and - are taken", name);
	snprintf(file, sizeof(file), "keys/%s.pem", name);
	if (key_uri(w, name) || faccessat(w->fd, file, F_OK, 0) == 0)
		return error_set(e, EF_REASON_USAGE, "there is a key '%s' already", name);
	return EF_REASON_OK;
}

static EVP_PKEY *generate(const char *type)
{
	if (strcmp(type, "ed25519") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (strcmp(type, "ecdsa") == 0)
		return EVP_EC_gen("P-256");
	if (strcmp(type, "rsa") == 0)
		return EVP_RSA_gen(3072);
	return NULL;
}

enum ef_reason key_make(struct workspace *w, const char *name, const char *type, struct error *e)
{
	char uri[64];
	enum ef_reason r = check_new(w, name, e);

	if (r)
		return r;
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = generate(type);
	if (!key)
		return error_set(
			e, EF_REASON_USAGE, "key type '%s': ed25519, ecdsa or rsa are made", type);
	r = write_private(w, name, key, e);
	snprintf(uri, sizeof(uri), "keys/%s.pem", name);
	return r ? r : remember(w, name, uri, key, e);
}

enum ef_reason key_register(struct workspace *w, const char *name, const char *uri, struct error *e)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	_cleanup_free_ char *full = NULL;
	enum ef_reason r = check_new(w, name, e);

	/* workspace.json is no place for secrets (S-31). */
	if (!r && token_uri_is(uri) && strcasestr(uri, "pin-value"))
		r = error_set(e, EF_REASON_USAGE,
			"key %s: put the PIN into a file and say ?pin-source=file:PATH", name);
	if (!r && !has_scheme(uri) && !(full = realpath(uri, NULL)))
		r = error_errno(e, -errno, "key %s", uri);
	/* A public key is enough: its signatures come from elsewhere (S-33). */
	if (!r)
		r = key_open_public_uri(full ? full : uri, &key, e);
	if (!r)
		r = known_key_refuse(key, uri, w->allow_test_keys, e);
	return r ? r : remember(w, name, full ? full : uri, key, e);
}

enum ef_reason key_object(
	const struct workspace *w, const char *name, json_t **ret, char id[65], struct error *e)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	enum ef_reason r = key_public(w, name, &key, e);

	if (r)
		return r;
	*ret = tuf_key_to_json(key);
	if (!*ret)
		return error_set(e, EF_REASON_BAD_FORMAT, "key %s is of no kind supported", name);
	tuf_key_id(*ret, id);
	return EF_REASON_OK;
}

const char *key_by_id(const struct workspace *w, const char *id)
{
	const char *name;
	json_t *value;

	json_object_foreach (json_object_get(w->config, "keys"), name, value) {
		_cleanup_json_ json_t *object = NULL;
		struct error ignored = {0};
		char have[65];
		if (key_object(w, name, &object, have, &ignored) == EF_REASON_OK &&
			strcmp(have, id) == 0)
			return name;
	}
	return NULL;
}

#ifdef OSSL_SIGNATURE_PARAM_NONCE_TYPE
/* RFC 6979: the same bytes give the same signature (OpenSSL 3.2 and later). */
static void want_deterministic(EVP_PKEY_CTX *ctx)
{
	unsigned type = 1;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_uint(OSSL_SIGNATURE_PARAM_NONCE_TYPE, &type),
		OSSL_PARAM_construct_end(),
	};

	if (EVP_PKEY_CTX_set_params(ctx, params) != 1)
		ERR_clear_error(); /* a token or an older provider: a random nonce then */
}
#else
static void want_deterministic(EVP_PKEY_CTX *ctx)
{
}
#endif

static bool prepare(EVP_PKEY *key, EVP_MD_CTX *md)
{
	EVP_PKEY_CTX *ctx; /* belongs to md */
	bool ed25519 = EVP_PKEY_is_a(key, "ED25519") == 1;

	if (EVP_DigestSignInit_ex(md, &ctx, ed25519 ? NULL : "SHA256", NULL, NULL, key, NULL) != 1)
		return false;
	if (EVP_PKEY_is_a(key, "EC") == 1)
		want_deterministic(ctx);
	if (EVP_PKEY_is_a(key, "RSA") != 1)
		return true;
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
}

enum ef_reason key_sign_raw(EVP_PKEY *key, const void *data, size_t size, uint8_t **ret,
	size_t *ret_size, struct error *e)
{
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *md = EVP_MD_CTX_new();
	_cleanup_free_ uint8_t *sig = NULL;

	if (!md || !prepare(key, md) || EVP_DigestSign(md, NULL, ret_size, data, size) != 1)
		return error_set(e, EF_REASON_INTERNAL, "cannot sign: %s", openssl_says());
	sig = malloc(*ret_size);
	if (!sig || EVP_DigestSign(md, sig, ret_size, data, size) != 1)
		return error_set(e, EF_REASON_INTERNAL, "cannot sign: %s", openssl_says());
	*ret = TAKE_PTR(sig);
	return EF_REASON_OK;
}

enum ef_reason key_sign(EVP_PKEY *key, const void *data, size_t size, char **ret, struct error *e)
{
	_cleanup_free_ uint8_t *sig = NULL;
	size_t n;
	enum ef_reason r = key_sign_raw(key, data, size, &sig, &n, e);

	if (r)
		return r;
	*ret = malloc(2 * n + 1);
	if (!*ret)
		return error_set(e, EF_REASON_NO_MEMORY, "signature");
	hex_encode(sig, n, *ret);
	return EF_REASON_OK;
}

enum ef_reason key_sign_p256(EVP_PKEY *key, const void *data, size_t size, uint8_t **ret,
	size_t *ret_size, struct error *e)
{
	char group[64];

	if (EVP_PKEY_is_a(key, "EC") != 1 ||
		EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1 ||
		strcmp(group, SN_X9_62_prime256v1) != 0)
		return error_set(e, EF_REASON_USAGE,
			"images are signed by ECDSA keys on P-256 or Ed25519 keys");
	return key_sign_raw(key, data, size, ret, ret_size, e);
}

enum ef_reason key_spki(EVP_PKEY *key, uint8_t **ret, size_t *size, struct error *e)
{
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(key, &der);

	if (n <= 0)
		return error_set(
			e, EF_REASON_INTERNAL, "cannot encode the key: %s", openssl_says());
	*ret = malloc((size_t)n);
	if (*ret)
		memcpy(*ret, der, (size_t)n);
	OPENSSL_free(der);
	*size = (size_t)n;
	return *ret ? EF_REASON_OK : error_set(e, EF_REASON_NO_MEMORY, "key");
}
