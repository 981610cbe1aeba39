/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Delegations of targets: names of roles, and which paths a role is trusted with. */
#include "util/hex.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define TUF_ROLE_NAME_MAX 200	/* bytes, once percent-encoded */

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

/* Whether a delegation (an object that was parsed) trusts its role with path, whose hash is given. */
bool tuf_delegation_allows(const json_t *delegation, const char *path, const char *hash);
