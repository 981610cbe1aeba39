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
#include <openssl/ui.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#ifndef OPENSSL_NO_ENGINE
#include <openssl/engine.h>
#endif

#define MODULE_VARIABLE "PKCS11_MODULE_PATH" /* libp11's */
#define PROVIDER_VARIABLE "PKCS11_PROVIDER_MODULE"

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
		setenv(PROVIDER_VARIABLE, EF_TOKEN_CLIENT, 1) < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", path);
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

static enum ef_reason refused(const char *uri, enum ef_reason r, struct error *e)
{
	char shown[256];

	ERR_clear_error();
	token_uri_shown(uri, shown);
	if (r == EF_REASON_DENIED)
		return error_set(e, r, "%.150s: the token refuses the PIN", shown);
	if (r == EF_REASON_NET_UNREACHABLE)
		return error_set(e, r, "%.150s: the token went away", shown);
	return error_set(e, r, "%.150s: no such key in a token%s", shown,
		strchr(uri, '?') ? "" : ", or none without a PIN");
}

/* ---- by a provider ---- */

/* Nobody is asked for a PIN: there is nobody. */
static int no_pin(char *text, int size, int writing, void *ctx)
{
	return -1;
}

static EVP_PKEY *first_key(const char *uri)
{
	UI_METHOD *ui = UI_UTIL_wrap_read_pem_callback(no_pin, 0);
	OSSL_STORE_CTX *store = ui ? OSSL_STORE_open(uri, ui, NULL, NULL, NULL) : NULL;
	EVP_PKEY *key = NULL;

	if (store)
		OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY);
	while (store && !key && !OSSL_STORE_eof(store)) {
		OSSL_STORE_INFO *info = OSSL_STORE_load(store);
		if (!info)
			break;
		key = OSSL_STORE_INFO_get1_PKEY(info); /* NULL of another kind */
		OSSL_STORE_INFO_free(info);
	}
	OSSL_STORE_close(store);
	UI_destroy_method(ui);
	return key;
}

/* It does not say why it has no key. With a PIN that is taken for the worse. */
static enum ef_reason from_store(const char *uri, EVP_PKEY **ret, struct error *e)
{
	char shown[256];

	*ret = first_key(uri);
	if (*ret)
		return EF_REASON_OK;
	if (!strstr(uri, "?pin-value="))
		return refused(uri, EF_REASON_NOT_FOUND, e);
	ERR_clear_error();
	return error_set(e, EF_REASON_DENIED,
		"%.150s: no such key in a token, or the token refuses the PIN",
		token_uri_shown(uri, shown));
}

/* By the system's configuration, or by hand; the default one first, so that it is for all else. */
static bool have_provider(void)
{
	if (!token_in_store() && getenv(PROVIDER_VARIABLE)) {
		OSSL_PROVIDER_load(NULL, "default");
		OSSL_PROVIDER_load(NULL, "pkcs11");
	}
	return token_in_store();
}

/* ---- by an engine ---- */

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

/* Its errors are of a library of its own, and their reasons PKCS #11's return values. */
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

/* False: there is none. */
static bool from_engine(const char *uri, EVP_PKEY **ret, struct error *e)
{
	ENGINE *engine = load_engine();

	ERR_clear_error();
	if (!engine)
		return false;
	*ret = ENGINE_load_private_key(engine, uri, NULL, NULL);
	ENGINE_finish(engine);
	ENGINE_free(engine);
	if (!*ret)
		refused(uri, cause(), e);
	return true;
}
#else
static bool from_engine(const char *uri, EVP_PKEY **ret, struct error *e)
{
	return false;
}
#endif

/* The provider first: libp11 0.4.13 waits for ever for a token that went away. */
enum ef_reason token_open(const char *uri, EVP_PKEY **ret, struct error *e)
{
	char shown[256];

	*ret = NULL;
	if (have_provider())
		return from_store(uri, ret, e);
	if (from_engine(uri, ret, e))
		return e->reason;
	return error_set(e, EF_REASON_NOT_FOUND,
		"%.150s: OpenSSL has neither a provider nor an engine for PKCS #11",
		token_uri_shown(uri, shown));
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
