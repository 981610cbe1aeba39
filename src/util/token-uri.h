/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The address of a key in a token (PKCS #11, RFC 7512), as text:
 * "pkcs11:token=gateway;object=tls?pin-source=file:/etc/edgeferry/secrets/pin".
 */
#include <stdbool.h>

#define TOKEN_PIN_MAX 255u

bool token_uri_is(const char *text);

/*
 * NULL, or what is expected instead. Attributes that name a token and a key, each once, and where
 * the PIN is: file:/PATH or credential:NAME. The PIN itself is not taken: what this stands in is
 * for everybody to read (S-31).
 */
const char *token_uri_fault(const char *uri);

/* "/PATH" or "credential:NAME" of one without fault; NULL: the token asks for no PIN. */
const char *token_uri_pin_source(const char *uri);

/* The same key with the PIN in its address, a secret from then on. NULL: no memory. */
char *token_uri_with_pin(const char *uri, const char *pin);

/* For messages, of any text: of an address nothing of the query, and never a PIN. out holds 256
 * bytes. */
const char *token_uri_shown(const char *uri, char out[256]);
