/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Public keys of TUF metadata: ed25519, ecdsa (P-256) and rsa (PSS or PKCS #1 v1.5 with SHA-256),
 * verified by OpenSSL.
 * The scheme belongs to the key, never to the signature (S-02).
 */
#include "util/reason.h"
#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>

struct tuf_key;

/* From a TUF key object {keytype, scheme, keyval:{public}}. NULL with e set when unusable. */
struct tuf_key *tuf_key_from_json(const json_t *object, struct error *e);
/* The TUF object of an OpenSSL key, public part. New reference, NULL when the type is not
 * supported. */
json_t *tuf_key_to_json(EVP_PKEY *pkey);
void tuf_key_free(struct tuf_key *k);

/* Key id: hex SHA-256 of the canonical JSON of the key object. "" when there is no canonical form.
 */
void tuf_key_id(const json_t *object, char out[65]);

/* Whose key it is whose private half is published (published-keys.h); NULL: none of them. */
const char *tuf_key_published(const struct tuf_key *k);

/*
 * Whether two keys are one and the same, whatever they are called and however they are encoded.
 * True in doubt: a key that cannot be told apart from another must not count beside it.
 */
bool tuf_key_same(const struct tuf_key *a, const struct tuf_key *b);

/* True only when sig (raw bytes) over data is valid. */
bool tuf_key_verify(
	const struct tuf_key *k, const void *data, size_t size, const void *sig, size_t sig_size);
