/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Private keys are reached by URI through OpenSSL's store: a file, or pkcs11: where a provider is
 * configured. Their public parts lie in the workspace, so that metadata can be made, and signatures
 * of others counted, where the private keys are not (S-33).
 */
#include "repo/workspace.h"
#include <openssl/evp.h>

/* Private key; a file name is a URI too. NOT_FOUND when it is not at hand. */
enum ef_reason key_open_uri(const char *uri, EVP_PKEY **ret, struct error *e);
/* Public key, or the public part of a private one. */
enum ef_reason key_open_public_uri(const char *uri, EVP_PKEY **ret, struct error *e);
/* By its name in the workspace. */
enum ef_reason key_open(
	const struct workspace *w, const char *name, EVP_PKEY **ret, struct error *e);
enum ef_reason key_public(
	const struct workspace *w, const char *name, EVP_PKEY **ret, struct error *e);

/* type: "ed25519", "ecdsa" (P-256) or "rsa" (3072 bits). The file is there or nothing is. */
enum ef_reason key_make(struct workspace *w, const char *name, const char *type, struct error *e);
/* Takes a key that exists elsewhere, or its public part, into workspace.json under a name. */
enum ef_reason key_register(
	struct workspace *w, const char *name, const char *uri, struct error *e);
bool key_name_valid(const char *name);

/* {keytype, scheme, keyval} and the id of a workspace's key. New reference. */
enum ef_reason key_object(
	const struct workspace *w, const char *name, json_t **ret, char id[65], struct error *e);
/* Name of the key with this id; NULL when the workspace has none. Borrowed. */
const char *key_by_id(const struct workspace *w, const char *id);

/* The signature of metadata in hex, in the scheme that tuf_key_to_json names for the key. */
enum ef_reason key_sign(EVP_PKEY *key, const void *data, size_t size, char **ret, struct error *e);
/* The same as bytes. */
enum ef_reason key_sign_raw(EVP_PKEY *key, const void *data, size_t size, uint8_t **ret,
	size_t *ret_size, struct error *e);
/* ECDSA P-256 with SHA-256, DER: for images. USAGE for any other key. */
enum ef_reason key_sign_p256(EVP_PKEY *key, const void *data, size_t size, uint8_t **ret,
	size_t *ret_size, struct error *e);

/* DER SubjectPublicKeyInfo; SHA-256 of it is MCUboot's key hash. */
enum ef_reason key_spki(EVP_PKEY *key, uint8_t **ret, size_t *size, struct error *e);
/* PEM of the public part, NUL-terminated. NULL: no memory. */
char *key_public_pem(EVP_PKEY *key);
