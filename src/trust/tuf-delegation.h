/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Delegations of targets: names of roles, and which paths a role is trusted with. Bins are those of
 * TAP 15, "Succinct hashed bin delegations".
 */
#include "util/hex.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TUF_ROLE_NAME_MAX 200 /* bytes, once percent-encoded */
#define TUF_ROLE_NAME_SIZE (TUF_ROLE_NAME_MAX + 1)

/*
 * That one role trusts another: an entry of "roles", or one of the bins that "succinct_roles"
 * stands for, which have keys and threshold in common. Borrowed from a document that was parsed.
 */
struct tuf_delegation {
	const json_t *role; /* keyids, threshold and the rest; NULL: there is none */
	bool is_bin;
	uint32_t bin; /* its number, from 0 */
};

void tuf_role_name(const struct tuf_delegation *d, char out[TUF_ROLE_NAME_SIZE]);
const char *tuf_delegation_name(const json_t *entry); /* of an entry of "roles" */

/* Not empty, not too long, and not the name of a top-level role, whose file it would replace. */
bool tuf_role_name_ok(const char *name);

/*
 * The file of a role as one path segment, for URLs and stores alike: all of its name but
 * [A-Za-z0-9_.~-] is percent-encoded (S-25), then ".json".
 */
#define TUF_FILE_MAX (TUF_ROLE_NAME_MAX + sizeof(".json"))
void tuf_file_name(const char *role, char out[TUF_FILE_MAX]);

/* glob(7), segment by segment: no wildcard stands for a slash. */
bool tuf_path_match(const char *pattern, const char *path);

/* Hex SHA-256 of a path, which hash bins go by. False when that failed: then nobody can be said not
 * to be asked for the path (S-03). */
bool tuf_path_hash(const char *path, char out[DIGEST_HEX_MAX]);

/* Whether a delegation trusts its role with path, whose hash is given. */
bool tuf_delegation_allows(const struct tuf_delegation *d, const char *path, const char *hash);

/* bit_length and name_prefix of "succinct_roles": 1 to 32 bits, and names that roles may have. */
bool tuf_bins_ok(const json_t *succinct);
/* The bin for a path, whose hash is given: the first bit_length bits of it are the number. */
struct tuf_delegation tuf_bin_for(const json_t *succinct, const char *hash);
/* The bin of this name, byte by byte; no role when there is none. */
struct tuf_delegation tuf_bin_named(const json_t *succinct, const char *name);
