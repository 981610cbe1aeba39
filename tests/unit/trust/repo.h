/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the tests of src/trust publish with: keys, signed documents, and a repository in memory
 * that can be bent in every way. Failures in here abort: they are no result of a test.
 */
#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum key_kind { KEY_ED25519, KEY_P256, KEY_RSA };

EVP_PKEY *key_make(enum key_kind kind);
/* Raw signature by the scheme of the key; caller frees. */
uint8_t *key_sign(EVP_PKEY *k, const void *data, size_t size, size_t *sig_size);
/* {"keyid", "sig"} over the canonical form of value. */
json_t *key_signature(EVP_PKEY *k, const json_t *value);
