/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Roles of a workspace: how many keys, how many of them sign, how long it holds. */
#include "repo/metadata.h"

#define ROLE_KEYS_MAX 16u

struct role_plan {
	uint64_t keys, threshold, days;
	const char *uris[ROLE_KEYS_MAX];
	size_t n_uris;
};

/* What a role gets unless somebody says otherwise. */
struct role_plan role_plan_default(enum role_id role);
/* Keys, made or taken over by URI, and the role's entry in workspace.json. */
enum ef_reason role_make(struct workspace *w, enum role_id role, const char *type,
	const struct role_plan *plan, struct error *e);
/* A new key for a role, its name appended to list. */
enum ef_reason role_new_key(struct workspace *w, enum role_id role, const char *type,
	const char *uri, json_t *list, struct error *e);
