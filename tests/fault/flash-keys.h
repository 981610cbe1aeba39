/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Key sets and the documents that bring them, made with OpenSSL, for tests. */
#include "boot/keyset.h"
#include "flash-image.h"

struct test_keyset {
	EVP_PKEY *keys[FACTORY_KEYS_MAX]; /* in any order; borrowed */
	unsigned n, threshold, number;
};

struct test_document {
	uint8_t data[KEYSET_DOCUMENT_MAX + 128];
	size_t size;
};

/* The unsigned document. Sorts s->keys the way it wants them. */
void test_document_make(struct test_document *ret, struct test_keyset *s);

/* Adds the signature of key i of the new set; or with old, of key i of the set before. */
void test_document_sign(struct test_document *d, EVP_PKEY *key, unsigned i, bool old);

/* Signed by the first n keys of each. */
void test_document_whole(struct test_document *ret, struct test_keyset *s,
	const struct test_keyset *before, unsigned n_new, unsigned n_old);

/* Set 0: into a factory page, keys in s's order. */
void test_factory_keys(struct factory *f, const struct test_keyset *s);
