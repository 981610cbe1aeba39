/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the documents of the roles say. tuf_doc_parse checks a document through and through, so that
 * the readers below it need not doubt its shape. Only for documents whose signatures hold (S-01).
 */
#include "trust/tuf-delegation.h"
#include "util/hex.h"
#include "util/reason.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA512_SIZE 64

/* Digests of a file, as far as they are known. */
struct tuf_hashes {
	bool has_sha256, has_sha512;
	uint8_t sha256[DIGEST_SIZE], sha512[SHA512_SIZE];
};

struct tuf_doc {
	json_t *envelope;   /* NULL: there is none */
	const json_t *body; /* "signed" */
	uint64_t version;
	int64_t expires;
	uint64_t size; /* of the bytes it was read from, and their digests */
	struct tuf_hashes hashes;
};

/* What a parent says of a metadata file. */
struct tuf_meta {
	uint64_t version;
	bool has_length, has_hashes;
	uint64_t length;
	struct tuf_hashes hashes; /* none of them known although has_hashes: nothing matches */
};

enum tuf_doc_type { TUF_ROOT, TUF_TIMESTAMP, TUF_SNAPSHOT, TUF_TARGETS };

void tuf_doc_free(struct tuf_doc *d); /* and empties it */
/* Both known digests of bytes; false when that failed. */
bool tuf_hashes_of(const void *data, size_t size, struct tuf_hashes *ret);
/* False when one of them is given and differs, and when none is given. */
bool tuf_hashes_match(const struct tuf_hashes *given, const struct tuf_hashes *actual);

/* Fills d from envelope: type, spec_version, version, expires and everything the type asks for. */
enum ef_reason tuf_doc_parse(
	struct tuf_doc *d, enum tuf_doc_type type, const char *name, struct error *e);

/* Readers of documents that were parsed. Borrowed references. */
const json_t *tuf_root_keys(const struct tuf_doc *root);
const json_t *tuf_root_role(const struct tuf_doc *root, const char *role);
bool tuf_root_consistent(const struct tuf_doc *root);
/* What snapshot or timestamp says of a role's file ("targets" → "targets.json"). */
bool tuf_meta_of(const struct tuf_doc *d, const char *role, struct tuf_meta *ret);
/* The role that a document lists as file: "targets.json" → "targets". */
bool tuf_listed_role(const char *file, char out[TUF_ROLE_NAME_SIZE]);
bool tuf_meta_matches(const struct tuf_meta *m, uint64_t size, const struct tuf_hashes *actual);
const json_t *tuf_targets(const struct tuf_doc *targets);
const json_t *tuf_delegation_keys(const struct tuf_doc *targets);
/* "roles" and "succinct_roles": one is there, the other is NULL; both are when nothing is
 * delegated. */
const json_t *tuf_delegations(const struct tuf_doc *targets);
const json_t *tuf_bins(const struct tuf_doc *targets);
struct tuf_delegation tuf_delegation_to(const struct tuf_doc *targets, const char *name);
/* length, digests of a target's entry; false when no digest is of a kind we know. */
bool tuf_target_read(const json_t *entry, uint64_t *length, struct tuf_hashes *ret);
