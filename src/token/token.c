/* SPDX-License-Identifier: Apache-2.0 */
/* ENGINE is deprecated, and on OpenSSL 3.0 without a PKCS #11 provider the only way to a token. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "token/token.h"
#include "util/cleanup.h"
#include "util/token-uri.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#ifndef OPENSSL_NO_ENGINE
#include <openssl/engine.h>
#endif

#define MODULE_VARIABLE "PKCS11_MODULE_PATH" /* libp11's */

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

/* ---- by a socket ---- */

/* p11-kit's client does not say why it fails. */
static int try_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0
		       ? -errno
		       : 0;
}

enum ef_reason token_use_socket(const char *path, struct error *e)
{
	char address[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 16];
	int r = try_socket(path);

	if (r == -EAFNOSUPPORT || r == -EPERM)
		return error_set(e, EF_REASON_CONFIG,
			"%s: no sockets of this kind are allowed: edgeferry-net@.service needs "
			"RestrictAddressFamilies=AF_UNIX",
			path);
	if (r < 0)
		return error_set(e, EF_REASON_NET_UNREACHABLE, "%s: %s", path, strerror(-r));
	if (access(EF_TOKEN_CLIENT, R_OK) < 0)
		return error_set(e, EF_REASON_CONFIG, "%s: %s", EF_TOKEN_CLIENT, strerror(errno));
	snprintf(address, sizeof(address), "unix:path=%s", path);
	if (setenv("P11_KIT_SERVER_ADDRESS", address, 1) < 0 ||
		setenv(MODULE_VARIABLE, EF_TOKEN_CLIENT, 1) < 0 ||
		setenv("PKCS11_PROVIDER_MODULE", EF_TOKEN_CLIENT, 1) < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", path);
	/* Loaded by hand; the default one first, so that it stays the one for all else. */
	OSSL_PROVIDER_load(NULL, "default");
	OSSL_PROVIDER_load(NULL, "pkcs11");
	ERR_clear_error();
	return EF_REASON_OK;
}

/* ---- keys ---- */

bool token_in_store(void)
{
	OSSL_STORE_LOADER *loader = OSSL_STORE_LOADER_fetch(NULL, "pkcs11", NULL);
	bool have = loader != NULL;

	OSSL_STORE_LOADER_free(loader);
	ERR_clear_error();
	return have;
}

/* Both raise errors of libraries of their own, whose reasons are PKCS #11's return values. */
static enum ef_reason cause(void)
{
	enum ef_reason r = EF_REASON_NOT_FOUND;
	unsigned long code;

	while ((code = ERR_get_error())) {
		int value = ERR_GET_LIB(code) >= ERR_LIB_USER ? ERR_GET_REASON(code) : 0;
		if (value >= 0xa0 && value <= 0xa4) /* CKR_PIN_INCORRECT … CKR_PIN_LOCKED */
			r = EF_REASON_DENIED;
		else if (value >= 0x30 && value <= 0x32 &&
			 r == EF_REASON_NOT_FOUND) /* CKR_DEVICE_… */
			r = EF_REASON_NET_UNREACHABLE;
	}
	return r;
}

static enum ef_reason refused(const char *uri, struct error *e)
{
	enum ef_reason r = cause();
	char shown[256];

	token_uri_shown(uri, shown);
	if (r == EF_REASON_DENIED)
		return error_set(e, r, "%.150s: the token refuses the PIN", shown);
	if (r == EF_REASON_NET_UNREACHABLE)
		return error_set(e, r, "%.150s: the token went away", shown);
	return error_set(e, r, "%.150s: no such key in a token%s", shown,
		strchr(uri, '?') ? "" : ", or none without a PIN");
}

static EVP_PKEY *from_store(const char *uri)
{
	OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
	EVP_PKEY *key = NULL;

	if (!store)
		return NULL;
	OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY);
	while (!key && !OSSL_STORE_eof(store)) {
		OSSL_STORE_INFO *info = OSSL_STORE_load(store);
		if (!info)
			break;
		key = OSSL_STORE_INFO_get1_PKEY(info); /* NULL of another kind */
		OSSL_STORE_INFO_free(info);
	}
	OSSL_STORE_close(store);
	return key;
}

#ifndef OPENSSL_NO_ENGINE
/* One engine a process, kept until its end: keys in use belong to it. */
static ENGINE *load_engine(void)
{
	const char *module = getenv(MODULE_VARIABLE);
	ENGINE *engine = ENGINE_by_id("pkcs11");

	if (!engine) {
		ENGINE_load_dynamic();
		engine = ENGINE_by_id("pkcs11");
	}
	if (!engine)
		return NULL;
	/* It would print URIs, PINs in them included (S-31), and what is no error here. */
	ENGINE_ctrl_cmd_string(engine, "QUIET", NULL, 0);
	if ((module && ENGINE_ctrl_cmd_string(engine, "MODULE_PATH", module, 0) != 1) ||
		!ENGINE_init(engine)) {
		ENGINE_free(engine);
		return NULL;
	}
	return engine;
}

static enum ef_reason from_engine(const char *uri, EVP_PKEY **ret, struct error *e)
{
	ENGINE *engine = load_engine();
	char shown[256];

	if (!engine) {
		ERR_clear_error();
		return error_set(e, EF_REASON_CONFIG,
			"%.150s: OpenSSL has neither a provider nor an engine for PKCS #11",
			token_uri_shown(uri, shown));
	}
	ERR_clear_error();
	*ret = ENGINE_load_private_key(engine, uri, NULL, NULL);
	ENGINE_finish(engine);
	ENGINE_free(engine);
	return *ret ? EF_REASON_OK : refused(uri, e);
}
#else
static enum ef_reason from_engine(const char *uri, EVP_PKEY **ret, struct error *e)
{
	char shown[256];

	return error_set(e, EF_REASON_CONFIG, "%.150s: OpenSSL has no provider for PKCS #11",
		token_uri_shown(uri, shown));
}
#endif

enum ef_reason token_open(const char *uri, EVP_PKEY **ret, struct error *e)
{
	*ret = NULL;
	if (!token_in_store())
		return from_engine(uri, ret, e);
	ERR_clear_error();
	*ret = from_store(uri);
	return *ret ? EF_REASON_OK : refused(uri, e);
}

bool token_signs(EVP_PKEY *key)
{
	static const unsigned char text[] = "edgeferry";
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ed25519 = EVP_PKEY_is_a(key, "ED25519") == 1;
	unsigned char signature[1024];
	size_t size = sizeof(signature);
	bool good = md &&
		    EVP_DigestSignInit_ex(
			    md, NULL, ed25519 ? NULL : "SHA256", NULL, NULL, key, NULL) == 1 &&
		    EVP_DigestSign(md, signature, &size, text, sizeof(text)) == 1;

	ERR_clear_error();
	return good;
}
