/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Private keys in tokens (PKCS #11), by their address (util/token-uri.h): through OpenSSL's
 * provider for them or, on systems that have only that, the engine "pkcs11" of libp11.
 */
#include "util/reason.h"
#include <openssl/evp.h>
#include <stdbool.h>

/* Where edgeferry-token.service listens. */
#define TOKEN_SOCKET "/run/edgeferry-token/pkcs11"

/*
 * From now on this process knows no tokens but those that a "p11-kit server" offers at a socket,
 * and loads no token's module. Before anything else is asked of OpenSSL. NET_UNREACHABLE when
 * nobody listens there, CONFIG when this machine lacks p11-kit's client or OpenSSL a way to it.
 */
enum ef_reason token_use_socket(const char *path, struct error *e);

/* Whether a provider serves pkcs11: addresses in OpenSSL's store. */
bool token_in_store(void);

/*
 * NOT_FOUND: no such key in a token, or no way to one; DENIED: the PIN was refused, or may have
 * been (not to be tried again: tokens lock themselves); NET_UNREACHABLE: the token went away. Asks
 * nobody for a PIN. Blocks for as long as the token does.
 */
enum ef_reason token_open(const char *uri, EVP_PKEY **ret, struct error *e);

/* Whether the key still signs, tried out: the token may be gone. */
bool token_signs(EVP_PKEY *key);
