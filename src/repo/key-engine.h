/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keys in tokens (PKCS #11, RFC 7512 URIs). OpenSSL's store reads such a URI where a provider for it
 * is loaded; on systems that have only the engine "pkcs11" (libp11), the engine does.
 */
#include "util/reason.h"
#include <openssl/evp.h>
#include <stdbool.h>

bool key_is_pkcs11(const char *uri);
/* Whether a provider serves pkcs11: URIs in OpenSSL's store. */
bool key_store_has_pkcs11(void);
/* NOT_FOUND when there is no engine, no such token or key, or the PIN is wrong. */
enum ef_reason key_open_engine(const char *uri, EVP_PKEY **ret, struct error *e);
/* Without its PIN, for messages; out holds 256 bytes. */
const char *key_uri_shown(const char *uri, char out[256]);
