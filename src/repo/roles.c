/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of roles that change: rotate, key revoke; and export-root for whoever trusts the result. */
#include "repo/keys.h"
#include "repo/role-plan.h"
#include "repo/verbs.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/json.h"
#include <string.h>

/* Replaces keys in a role's list: one by name, or all. */
static enum ef_reason replace_keys(struct workspace *w, enum role_id role, const char *old,
	bool all, const char *type, const char *uri, struct error *e)
{
	json_t *object = workspace_role(w, role_names[role]);

	/* A workspace from before there were rollouts gets the role now. */
	if (!object && role == ROLE_ROLLOUTS) {
		struct role_plan plan = role_plan_default(role);
		plan.uris[0] = uri;
		plan.n_uris = uri != NULL;
		return role_make(w, role, type, &plan, e);
	}
	json_t *list = json_object_get(object, "keys"), *fresh = json_array(), *name;
	size_t n = json_array_size(list), i, replaced = 0;
	enum ef_reason r = EF_REASON_OK;

	if (n > 1 && !old && !all)
		r = error_set(e, EF_REASON_USAGE,
			"%s has %zu keys: name one with --replace, or say --all", role_names[role],
			n);
	json_array_foreach (list, i, name) {
		if (r)
			break;
		if (old && strcmp(json_string_value(name), old) != 0) {
			json_array_append(fresh, name);
			continue;
		}
		r = role_new_key(w, role, type, replaced++ == 0 ? uri : NULL, fresh, e);
	}
	if (!r && replaced == 0)
		r = error_set(e, EF_REASON_NOT_FOUND, "%s has no key '%s'", role_names[role], old);
	if (r)
		json_decref(fresh);
	else
		json_object_set_new(object, "keys", fresh);
	return r;
}

/* Until there is a first statement, the role "rollouts" has signed nothing. */
static bool has_document(const struct workspace *w, enum role_id role)
{
	_cleanup_json_ json_t *document = NULL;
	struct error none = {0};

	return metadata_newest(w, role, &document, &none) != EF_REASON_NOT_FOUND;
}

/*
 * After a change to a role's keys: who names it signs that, and what it has signed is signed anew.
 * Saved before the metadata: a key that metadata names is never unknown here.
 */
static enum ef_reason sign_anew(struct workspace *w, enum role_id role, struct error *e)
{
	bool complete;
	enum ef_reason r = workspace_save(w, e);

	if (!r)
		r = role_is_delegated(role) ? metadata_edit_targets(w, e)
					    : metadata_edit_root(w, e);
	if (!r && role == ROLE_TARGETS)
		r = metadata_edit_targets(w, e);
	else if (!r && role != ROLE_ROOT && has_document(w, role))
		r = metadata_refresh(w, role, e);
	return r ? r : metadata_sign_all(w, &complete, e);
}

enum ef_reason verb_rotate(struct invocation *i, struct error *e)
{
	const char *type = "ed25519", *old = NULL, *uri = NULL;
	bool all = false;
	const struct option options[] = {
		{"replace", OPTION_TEXT, &old, "NAME", "the key to replace"},
		{"all", OPTION_FLAG, &all, NULL, "replace every key of the role"},
		{"key-type", OPTION_TEXT, &type, "TYPE", "ed25519 (default), ecdsa or rsa"},
		{"key", OPTION_TEXT, &uri, "URI", "use this key rather than a new one"},
		{0},
	};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	enum role_id role;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	if (!role_from_name(i->words.items[0], &role))
		return error_set(e, EF_REASON_USAGE, "'%s' is no role", i->words.items[0]);
	r = verb_workspace(i, &w, e);
	if (!r)
		r = replace_keys(&w, role, old, all, type, uri, e);
	return r ? r : sign_anew(&w, role, e);
}

static enum ef_reason drop_key(
	struct workspace *w, enum role_id role, const char *name, bool *found, struct error *e)
{
	json_t *object = workspace_role(w, role_names[role]);
	json_t *list = json_object_get(object, "keys"), *key;
	uint64_t threshold = 1;
	size_t i;

	*found = false;
	json_get_uint(object, "threshold", &threshold);
	json_array_foreach (list, i, key) {
		if (strcmp(json_string_value(key), name) != 0)
			continue;
		*found = true;
		if (json_array_size(list) <= threshold)
			return error_set(e, EF_REASON_USAGE,
				"%s needs %llu keys and has no more: 'rotate %s --replace %s'",
				role_names[role], (unsigned long long)threshold, role_names[role],
				name);
		json_array_remove(list, i);
		break;
	}
	return EF_REASON_OK;
}

enum ef_reason verb_key_revoke(struct invocation *i, struct error *e)
{
	const struct option options[] = {{0}};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	bool found = false;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = verb_workspace(i, &w, e);
	for (int k = 0; k < ROLE_COUNT && !r && !found; k++) {
		r = drop_key(&w, (enum role_id)k, i->words.items[0], &found, e);
		if (!r && found)
			r = sign_anew(&w, (enum role_id)k, e);
	}
	if (!r && !found)
		r = error_set(e, EF_REASON_NOT_FOUND, "no role has a key '%s'", i->words.items[0]);
	return r;
}

enum ef_reason verb_export_root(struct invocation *i, struct error *e)
{
	const struct option options[] = {{0}};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	_cleanup_json_ json_t *root = NULL;
	_cleanup_free_ char *text = NULL;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = verb_workspace(i, &w, e);
	if (!r)
		r = metadata_current(&w, ROLE_ROOT, &root, e);
	if (r)
		return r;
	text = json_file_text(root);
	int n = text ? atomic_file_write(i->words.items[0], text, strlen(text), 0644) : -1;
	if (n < 0)
		return error_errno(e, n, "%s", i->words.items[0]);
	note(&w, "%s: root %llu", i->words.items[0], (unsigned long long)metadata_version(root));
	return EF_REASON_OK;
}
