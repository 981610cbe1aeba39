/* SPDX-License-Identifier: Apache-2.0 */
/* All roles in their order, and the snapshot and timestamp that make them count. */
#include "repo/metadata.h"
#include "util/cleanup.h"
#include "util/json.h"

/* Sets meta of snapshot or timestamp; *changed when it was otherwise before. */
static enum ef_reason update_meta(
	const struct workspace *w, enum role_id role, json_t *meta, bool *changed, struct error *e)
{
	_cleanup_json_ json_t *newest = NULL, *body = NULL, *owned = meta;
	struct error none = {0};

	if (!meta)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", role_names[role]);
	enum ef_reason r = metadata_newest(w, role, &newest, &none);
	if (r && r != EF_REASON_NOT_FOUND)
		return error_set(e, r, "%s", none.detail);
	*changed = !newest ||
		   !json_equal(json_object_get(json_object_get(newest, "signed"), "meta"), meta);
	if (!*changed)
		return EF_REASON_OK;
	r = metadata_edit(w, role, &body, e);
	if (!r && json_object_set(body, "meta", meta) < 0)
		r = error_set(e, EF_REASON_NO_MEMORY, "%s", role_names[role]);
	return r ? r : metadata_store(w, role, body, e);
}

/* NULL, and OK, while there is none; what cannot be read never counts as absent (S-14). */
static enum ef_reason current_or_none(
	const struct workspace *w, enum role_id role, json_t **ret, struct error *e)
{
	struct error why = {0};
	enum ef_reason r = metadata_current(w, role, ret, &why);

	if (r == EF_REASON_NOT_FOUND)
		return EF_REASON_OK;
	return r ? error_set(e, r, "%s", why.detail) : r;
}

static const enum role_id in_snapshot[] = {ROLE_TARGETS, ROLE_RELEASES, ROLE_ROLLOUTS};
#define IN_SNAPSHOT (sizeof(in_snapshot) / sizeof(in_snapshot[0]))

static enum ef_reason update_snapshot(const struct workspace *w, bool *changed, struct error *e)
{
	_cleanup_json_ json_t *meta = json_object();

	/* Versions only: a role may then be signed again by other keys without a new snapshot. */
	for (size_t i = 0; i < IN_SNAPSHOT; i++) {
		_cleanup_json_ json_t *document = NULL;
		char file[64];
		enum ef_reason r = current_or_none(w, in_snapshot[i], &document, e);
		if (r)
			return r;
		if (!document)
			continue;
		snprintf(file, sizeof(file), "%s.json", role_names[in_snapshot[i]]);
		json_object_set_new(meta, file,
			json_pack("{s:I}", "version", (json_int_t)metadata_version(document)));
	}
	return update_meta(w, ROLE_SNAPSHOT, json_incref(meta), changed, e);
}

static enum ef_reason update_timestamp(const struct workspace *w, bool *changed, struct error *e)
{
	_cleanup_json_ json_t *snapshot = NULL;
	enum ef_reason r = metadata_current(w, ROLE_SNAPSHOT, &snapshot, e);

	if (r)
		return r;
	return update_meta(w, ROLE_TIMESTAMP,
		json_pack("{s:{s:I}}", "snapshot.json", "version",
			(json_int_t)metadata_version(snapshot)),
		changed, e);
}

static enum ef_reason sign_if_pending(
	const struct workspace *w, enum role_id role, bool *complete, struct error *e)
{
	*complete = true;
	return metadata_is_pending(w, role) ? metadata_sign(w, role, complete, e) : EF_REASON_OK;
}

/*
 * Whether what is current fits together. A snapshot of a role whose new signers the current targets
 * do not name yet, or of one that waits for them, would offer what nobody can verify.
 */
static enum ef_reason check_consistent(const struct workspace *w, bool *ret, struct error *e)
{
	_cleanup_json_ json_t *root = NULL, *targets = NULL;
	enum ef_reason r = current_or_none(w, ROLE_ROOT, &root, e);

	if (!r)
		r = current_or_none(w, ROLE_TARGETS, &targets, e);
	*ret = !r && root && targets && metadata_is_signed(w, ROLE_TARGETS, targets, root);
	for (int i = 0; i < ROLE_COUNT && !r; i++) {
		_cleanup_json_ json_t *document = NULL;
		enum role_id role = (enum role_id)i;
		if (!role_is_delegated(role))
			continue;
		r = current_or_none(w, role, &document, e);
		if (document ? !metadata_is_signed(w, role, document, targets)
			     : role == ROLE_RELEASES)
			*ret = false;
	}
	return r;
}

enum ef_reason metadata_sign_all(const struct workspace *w, bool *complete, struct error *e)
{
	static const enum role_id order[] = {ROLE_ROOT, ROLE_TARGETS, ROLE_RELEASES, ROLE_ROLLOUTS};
	_cleanup_json_ json_t *snapshot = NULL;
	bool changed, done = true;
	enum ef_reason r = EF_REASON_OK;

	*complete = true;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && !r; i++) {
		r = sign_if_pending(w, order[i], &done, e);
		*complete = *complete && done;
	}
	if (r)
		return r;
	r = check_consistent(w, &done, e);
	*complete = *complete && done;
	if (!r && done)
		r = update_snapshot(w, &changed, e);
	if (!r)
		r = sign_if_pending(w, ROLE_SNAPSHOT, &done, e);
	*complete = *complete && done;
	/* Freshness goes on whatever else waits for a signature. */
	if (!r)
		r = current_or_none(w, ROLE_SNAPSHOT, &snapshot, e);
	if (r || !snapshot)
		return r;
	r = update_timestamp(w, &changed, e);
	if (!r)
		r = sign_if_pending(w, ROLE_TIMESTAMP, &done, e);
	*complete = *complete && done;
	return r;
}

uint64_t metadata_named(const json_t *document, enum role_id role)
{
	const json_t *meta = json_object_get(json_object_get(document, "signed"), "meta");
	uint64_t version = 0;
	char file[64];

	snprintf(file, sizeof(file), "%s.json", role_names[role]);
	json_get_uint(json_object_get(meta, file), "version", &version);
	return version;
}

/* Whether document names the current version of a role; true where there is no such role yet. */
static enum ef_reason names_current(const struct workspace *w, const json_t *document,
	enum role_id role, bool *ret, struct error *e)
{
	_cleanup_json_ json_t *current = NULL;
	enum ef_reason r = current_or_none(w, role, &current, e);

	if (!r && current && metadata_named(document, role) != metadata_version(current))
		*ret = false;
	return r;
}

enum ef_reason metadata_check_complete(const struct workspace *w, struct error *e)
{
	_cleanup_json_ json_t *snapshot = NULL, *timestamp = NULL;
	bool current = true;

	for (int i = 0; i < ROLE_COUNT; i++)
		if (metadata_is_pending(w, (enum role_id)i))
			return error_set(e, EF_REASON_BAD_SIGNATURE,
				"%s lacks signatures: run 'edgeferry-repo sign'", role_names[i]);
	enum ef_reason r = metadata_current(w, ROLE_SNAPSHOT, &snapshot, e);
	if (!r)
		r = metadata_current(w, ROLE_TIMESTAMP, &timestamp, e);
	if (!r)
		r = names_current(w, timestamp, ROLE_SNAPSHOT, &current, e);
	for (size_t i = 0; i < IN_SNAPSHOT && !r; i++)
		r = names_current(w, snapshot, in_snapshot[i], &current, e);
	if (!r && !current)
		return error_set(e, EF_REASON_BAD_SIGNATURE,
			"snapshot and timestamp are behind: run 'edgeferry-repo sign'");
	return r;
}

/* One of the documents that are in use, checked against who has to have signed it. */
static enum ef_reason check_one(const struct workspace *w, enum role_id role, uint64_t version,
	const json_t *delegator, json_t **ret, struct error *e)
{
	enum ef_reason r = metadata_load(w, role, version, ret, e);

	if (!r && !metadata_is_signed(w, role, *ret, delegator))
		r = error_set(e, EF_REASON_BAD_SIGNATURE,
			"%s that is in use is not signed by its keys: run 'edgeferry-repo sign'",
			role_names[role]);
	return r;
}

enum ef_reason metadata_check_signed(const struct workspace *w, struct error *e)
{
	_cleanup_json_ json_t *root = NULL, *timestamp = NULL, *snapshot = NULL, *targets = NULL;
	enum ef_reason r = metadata_current(w, ROLE_ROOT, &root, e);

	if (!r)
		r = check_one(w, ROLE_TIMESTAMP, 0, root, &timestamp, e);
	if (!r)
		r = check_one(w, ROLE_SNAPSHOT, metadata_named(timestamp, ROLE_SNAPSHOT), root,
			&snapshot, e);
	if (!r)
		r = check_one(
			w, ROLE_TARGETS, metadata_named(snapshot, ROLE_TARGETS), root, &targets, e);
	for (int i = 0; i < ROLE_COUNT && !r; i++) {
		_cleanup_json_ json_t *document = NULL;
		enum role_id role = (enum role_id)i;
		uint64_t version = metadata_named(snapshot, role);
		if (role_is_delegated(role) && version > 0)
			r = check_one(w, role, version, targets, &document, e);
	}
	return r;
}
