/* SPDX-License-Identifier: Apache-2.0 */
/* The publisher's roles and keys: init, key …, rotate, export-root. */
#include "repo/keys.h"
#include "repo/metadata.h"
#include "repo/verbs.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/json.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define EDGE_KEY "edge"
#define KEYS_MAX 16u /* a role */

static const struct {
	unsigned keys, threshold, days;
} role_defaults[ROLE_COUNT] = {
	[ROLE_ROOT] = {2, 1, 3650},
	[ROLE_TARGETS] = {1, 1, 1825},
	[ROLE_RELEASES] = {1, 1, 730},
	[ROLE_ROLLOUTS] = {1, 1, 30},
	[ROLE_SNAPSHOT] = {1, 1, 90},
	[ROLE_TIMESTAMP] = {1, 1, 30},
};

struct role_plan {
	uint64_t keys, threshold, days;
	const char *uris[KEYS_MAX];
	size_t n_uris;
};

/* "ROLE=REST" of an option. */
static enum ef_reason split(const char *text, const char *option, enum role_id *role,
	const char **rest, struct error *e)
{
	const char *equals = strchr(text, '=');
	char name[16];

	if (equals && (size_t)(equals - text) < sizeof(name)) {
		snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
		*rest = equals + 1;
		if (role_from_name(name, role))
			return EF_REASON_OK;
	}
	return error_set(e, EF_REASON_USAGE, "--%s %s: begins with no role", option, text);
}

static enum ef_reason take_thresholds(
	const struct option_list *list, struct role_plan *plan, struct error *e)
{
	for (size_t i = 0; i < list->n; i++) {
		enum role_id role;
		const char *rest;
		unsigned k, n;
		char end;
		enum ef_reason r = split(list->items[i], "threshold", &role, &rest, e);
		if (r)
			return r;
		if (sscanf(rest, "%u/%u%c", &k, &n, &end) != 2 || k == 0 || k > n || n > KEYS_MAX)
			return error_set(e, EF_REASON_USAGE,
				"--threshold %s: ROLE=K/N with K of N keys, N at most %u",
				list->items[i], KEYS_MAX);
		plan[role].threshold = k;
		plan[role].keys = n;
	}
	return EF_REASON_OK;
}

static enum ef_reason take_expiries(
	const struct option_list *list, struct role_plan *plan, struct error *e)
{
	for (size_t i = 0; i < list->n; i++) {
		enum role_id role;
		const char *rest;
		enum ef_reason r = split(list->items[i], "expire", &role, &rest, e);
		if (!r)
			r = option_number(rest, "--expire", 36500, &plan[role].days, e);
		if (!r && plan[role].days == 0)
			r = error_set(e, EF_REASON_USAGE, "--expire %s: zero days", list->items[i]);
		if (r)
			return r;
	}
	return EF_REASON_OK;
}

static enum ef_reason take_uris(
	const struct option_list *list, struct role_plan *plan, struct error *e)
{
	for (size_t i = 0; i < list->n; i++) {
		enum role_id role;
		const char *rest;
		enum ef_reason r = split(list->items[i], "key", &role, &rest, e);
		if (r)
			return r;
		if (plan[role].n_uris == KEYS_MAX)
			return error_set(e, EF_REASON_USAGE, "--key: too many for a role");
		plan[role].uris[plan[role].n_uris++] = rest;
		if (plan[role].keys < plan[role].n_uris)
			plan[role].keys = plan[role].n_uris;
	}
	return EF_REASON_OK;
}

/* "root-3": the first number that no key has, nor a file that a cut-off run left. */
static void free_name(const struct workspace *w, enum role_id role, char out[33])
{
	const json_t *keys = json_object_get(w->config, "keys");
	char file[64];
	unsigned n = 1;

	do {
		snprintf(out, 33, "%s-%u", role_names[role], n++);
		snprintf(file, sizeof(file), "keys/%s.pem", out);
	} while (json_object_get(keys, out) || faccessat(w->fd, file, F_OK, 0) == 0);
}

/* A new key for a role, its name appended to list. */
static enum ef_reason new_key(struct workspace *w, enum role_id role, const char *type,
	const char *uri, json_t *list, struct error *e)
{
	char name[33];

	free_name(w, role, name);
	enum ef_reason r = uri ? key_register(w, name, uri, e) : key_make(w, name, type, e);
	if (!r && json_array_append_new(list, json_string(name)) < 0)
		r = error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	return r;
}

static enum ef_reason make_role(struct workspace *w, enum role_id role, const char *type,
	const struct role_plan *plan, struct error *e)
{
	json_t *list = json_array();
	json_t *object = json_pack("{s:o, s:I, s:I}", "keys", list, "threshold",
		(json_int_t)plan->threshold, "expire_days", (json_int_t)plan->days);
	enum ef_reason r = EF_REASON_OK;

	if (!object || json_object_set_new(
			       json_object_get(w->config, "roles"), role_names[role], object) < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", role_names[role]);
	for (uint64_t i = 0; i < plan->keys && !r; i++)
		r = new_key(w, role, type, i < plan->n_uris ? plan->uris[i] : NULL, list, e);
	return r;
}

static enum ef_reason first_metadata(struct workspace *w, struct error *e)
{
	bool complete;
	enum ef_reason r = metadata_edit_root(w, e);

	if (!r)
		r = metadata_edit_targets(w, e);
	if (!r)
		r = metadata_refresh(w, ROLE_RELEASES, e);
	/* Last, so that a workspace without it was not finished and may be made again. */
	if (!r)
		r = workspace_save(w, e);
	return r ? r : metadata_sign_all(w, &complete, e);
}

enum ef_reason verb_init(struct invocation *i, struct error *e)
{
	struct role_plan plan[ROLE_COUNT] = {0};
	struct option_list thresholds = {0}, expiries = {0}, uris = {0};
	const char *type = "ed25519", *edge = NULL;
	bool no_edge = false;
	const struct option options[] = {
		{"key-type", OPTION_TEXT, &type, "TYPE", "ed25519 (default), ecdsa or rsa"},
		{"threshold", OPTION_LIST, &thresholds, "ROLE=K/N", "K of N keys have to sign"},
		{"expire", OPTION_LIST, &expiries, "ROLE=DAYS", "how long its metadata holds"},
		{"key", OPTION_LIST, &uris, "ROLE=URI", "use this key rather than a new one"},
		{"edge-key", OPTION_TEXT, &edge, "URI", "sign firmware images with this key"},
		{"no-edge-key", OPTION_FLAG, &no_edge, NULL, "make no key for firmware images"},
		{0},
	};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	for (int k = 0; k < ROLE_COUNT; k++)
		plan[k] = (struct role_plan){.keys = role_defaults[k].keys,
			.threshold = role_defaults[k].threshold,
			.days = role_defaults[k].days};
	r = take_thresholds(&thresholds, plan, e);
	if (!r)
		r = take_expiries(&expiries, plan, e);
	if (!r)
		r = take_uris(&uris, plan, e);
	if (!r)
		r = verb_now(i, &w.now, e);
	w.quiet = i->common.quiet;
	if (!r)
		r = workspace_create(
			&w, i->common.workspace ? i->common.workspace : ".", i->words.items[0], e);
	for (int k = 0; k < ROLE_COUNT && !r; k++)
		r = make_role(&w, (enum role_id)k, type, &plan[k], e);
	if (!r && edge)
		r = key_register(&w, EDGE_KEY, edge, e);
	else if (!r && !no_edge)
		r = key_make(&w, EDGE_KEY, "ecdsa", e);
	if (!r)
		r = first_metadata(&w, e);
	if (!r)
		note(&w, "%s: workspace of product %s", w.path, workspace_product(&w));
	return r;
}

/* Replaces keys in a role's list: one by name, or all. */
static enum ef_reason replace_keys(struct workspace *w, enum role_id role, const char *old,
	bool all, const char *type, const char *uri, struct error *e)
{
	json_t *object = workspace_role(w, role_names[role]);

	/* A workspace from before there were rollouts gets the role now. */
	if (!object && role == ROLE_ROLLOUTS) {
		const struct role_plan plan = {role_defaults[role].keys,
			role_defaults[role].threshold, role_defaults[role].days, {uri},
			uri != NULL};
		return make_role(w, role, type, &plan, e);
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
		r = new_key(w, role, type, replaced++ == 0 ? uri : NULL, fresh, e);
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

enum ef_reason verb_rotate(struct invocation *i, struct error *e)
{
	const char *type = "ed25519", *old = NULL, *uri = NULL;
	bool all = false, complete;
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
	/* Saved before the metadata: a key that metadata names is never unknown here. */
	if (!r)
		r = workspace_save(&w, e);
	if (!r)
		r = role_is_delegated(role) ? metadata_edit_targets(&w, e)
					    : metadata_edit_root(&w, e);
	if (!r && role == ROLE_TARGETS)
		r = metadata_edit_targets(&w, e);
	else if (!r && role != ROLE_ROOT && has_document(&w, role))
		r = metadata_refresh(&w, role, e);
	return r ? r : metadata_sign_all(&w, &complete, e);
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
