/* SPDX-License-Identifier: Apache-2.0 */
/* init: a workspace with roles, keys and first metadata. */
#include "repo/keys.h"
#include "repo/metadata.h"
#include "repo/role-plan.h"
#include "repo/verbs.h"
#include "util/cleanup.h"
#include "util/json.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define EDGE_KEY "edge"

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

struct role_plan role_plan_default(enum role_id role)
{
	return (struct role_plan){.keys = role_defaults[role].keys,
		.threshold = role_defaults[role].threshold,
		.days = role_defaults[role].days};
}

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
		if (sscanf(rest, "%u/%u%c", &k, &n, &end) != 2 || k == 0 || k > n ||
			n > ROLE_KEYS_MAX)
			return error_set(e, EF_REASON_USAGE,
				"--threshold %s: ROLE=K/N with K of N keys, N at most %u",
				list->items[i], ROLE_KEYS_MAX);
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
		if (plan[role].n_uris == ROLE_KEYS_MAX)
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

enum ef_reason role_new_key(struct workspace *w, enum role_id role, const char *type,
	const char *uri, json_t *list, struct error *e)
{
	char name[33];

	free_name(w, role, name);
	enum ef_reason r = uri ? key_register(w, name, uri, e) : key_make(w, name, type, e);
	if (!r && json_array_append_new(list, json_string(name)) < 0)
		r = error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	return r;
}

enum ef_reason role_make(struct workspace *w, enum role_id role, const char *type,
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
		r = role_new_key(w, role, type, i < plan->n_uris ? plan->uris[i] : NULL, list, e);
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
		plan[k] = role_plan_default((enum role_id)k);
	r = take_thresholds(&thresholds, plan, e);
	if (!r)
		r = take_expiries(&expiries, plan, e);
	if (!r)
		r = take_uris(&uris, plan, e);
	if (!r)
		r = verb_now(i, &w.now, e);
	w.quiet = i->common.quiet;
	w.allow_test_keys = i->common.allow_test_keys;
	if (!r)
		r = workspace_create(
			&w, i->common.workspace ? i->common.workspace : ".", i->words.items[0], e);
	for (int k = 0; k < ROLE_COUNT && !r; k++)
		r = role_make(&w, (enum role_id)k, type, &plan[k], e);
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
