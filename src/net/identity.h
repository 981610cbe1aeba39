/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What this gateway proves itself with to a server that asks: a certificate, those that it was
 * issued by, and its key, which is PEM or lies in a token and signs there. A fault is kept, for
 * whoever wants to connect: it is the error of that connection and of no other.
 */
#include "util/reason.h"
#include <openssl/ssl.h>
#include <stdbool.h>

struct identity;

/* The key in a token was there and is not any more. */
typedef void (*identity_lost)(void *ctx, const struct identity *id);

/*
 * cert: PEM; key: PEM, or an address with its PIN (util/token-uri.h). *ret is NULL without one of
 * them. name: for messages, a static text. -ENOMEM; everything else is a fault of it. With a token
 * it blocks, needs calls that the filter denies, and wants token_use_socket() to have been tried:
 * its failure is handed over as the fault no_token.
 */
int identity_new(struct identity **ret, const char *name, const char *cert, const char *key,
	const struct error *no_token, identity_lost lost, void *ctx);
void identity_free(struct identity *id);

bool identity_in_token(const struct identity *id);
/* NULL: none, also of a NULL identity. Its reason is the token's or CONFIG. */
const struct error *identity_fault(const struct identity *id);

/* Shown to a server that asks for it, and to no other. */
bool identity_use(const struct identity *id, SSL_CTX *tls);

/* After a handshake that failed: does the key still sign? Blocks as long as the token does. */
void identity_check(struct identity *id);
