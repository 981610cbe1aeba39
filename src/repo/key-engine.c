/* SPDX-License-Identifier: Apache-2.0 */
/* ENGINE is deprecated, and on OpenSSL 3.0 without a PKCS #11 provider the only way to a token. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "repo/key-engine.h"
#include "util/cleanup.h"
#include <openssl/err.h>
#include <openssl/store.h>
#include <string.h>
#include <strings.h>
#ifndef OPENSSL_NO_ENGINE
#include <openssl/engine.h>
#endif

bool key_is_pkcs11(const char *uri)
{
	return strncasecmp(uri, "pkcs11:", 7) == 0;
}

bool key_store_has_pkcs11(void)
{
	OSSL_STORE_LOADER *loader = OSSL_STORE_LOADER_fetch(NULL, "pkcs11", NULL);
	bool have = loader != NULL;

	OSSL_STORE_LOADER_free(loader);
	ERR_clear_error();
	return have;
}

/* Only what stands before the query, where PINs are, and never a PIN that stands elsewhere (S-31).
 */
const char *key_uri_shown(const char *uri, char out[256])
{
	const char *pin = key_is_pkcs11(uri) ? strcasestr(uri, "pin-value") : NULL;
	size_t n = key_is_pkcs11(uri) ? strcspn(uri, "?") : strlen(uri);

	if (pin && (size_t)(pin - uri) < n)
		n = (size_t)(pin - uri);
	snprintf(out, 256, "%.*s", (int)(n < 255 ? n : 255), uri);
	return out;
}

#ifndef OPENSSL_NO_ENGINE
/* One engine a process, kept until its end: keys in use belong to it. */
static ENGINE *load_engine(void)
{
	ENGINE *engine = ENGINE_by_id("pkcs11");

	if (!engine) {
		ENGINE_load_dynamic();
		engine = ENGINE_by_id("pkcs11");
	}
	/* It would print URIs, PINs in them included (S-31), and what is no error here. */
	if (engine)
		ENGINE_ctrl_cmd_string(engine, "QUIET", NULL, 0);
	if (engine && !ENGINE_init(engine)) {
		ENGINE_free(engine);
		return NULL;
	}
	return engine;
}

enum ef_reason key_open_engine(const char *uri, EVP_PKEY **ret, struct error *e)
{
	char shown[256];
	ENGINE *engine = load_engine();

	if (!engine) {
		ERR_clear_error();
		return error_set(e, EF_REASON_NOT_FOUND,
			"key %s: OpenSSL has neither a provider nor an engine for PKCS #11",
			key_uri_shown(uri, shown));
	}
	*ret = ENGINE_load_private_key(engine, uri, NULL, NULL);
	ENGINE_finish(engine);
	ENGINE_free(engine);
	ERR_clear_error();
	return *ret ? EF_REASON_OK
		    : error_set(e, EF_REASON_NOT_FOUND, "no key %s in a token, or a wrong PIN",
			      key_uri_shown(uri, shown));
}
#else
enum ef_reason key_open_engine(const char *uri, EVP_PKEY **ret, struct error *e)
{
	char shown[256];

	return error_set(e, EF_REASON_NOT_FOUND, "key %s: OpenSSL has no provider for PKCS #11",
		key_uri_shown(uri, shown));
}
#endif
