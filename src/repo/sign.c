/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/keys.h"
#include "repo/metadata.h"
#include "trust/canonical.h"
#include "trust/key.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include "util/json.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)

/* A document on its way to enough signatures. */
struct signing {
	const struct workspace *w;
	enum role_id role;
	json_t *document, *signatures;
	char *bytes; /* canonical form of "signed" */
	size_t size;
	bool changed;
};

/* Whose signatures count: one {"keyids", "threshold"} and the keys that it speaks of. */
struct signers {
	const json_t *role, *keys;
};

static bool signature_of(const struct signing *s, const char *id, const json_t *key_json)
{
	struct error none = {0};
	struct tuf_key *key = tuf_key_from_json(key_json, &none);
	bool valid = false;
	json_t *entry;
	size_t i;

	json_array_foreach (s->signatures, i, entry) {
		const char *have, *hex;
		uint8_t sig[2048];
		if (valid || !json_get_string(entry, "keyid", &have) || strcmp(have, id) != 0 ||
			!json_get_string(entry, "sig", &hex) || strlen(hex) % 2 ||
			strlen(hex) / 2 > sizeof(sig) || !hex_decode(hex, sig, strlen(hex) / 2))
			continue;
		valid = key && tuf_key_verify(key, s->bytes, s->size, sig, strlen(hex) / 2);
	}
	tuf_key_free(key);
	return valid;
}

static bool enough(const struct signing *s, const struct signers *who)
{
	uint64_t threshold = UINT64_MAX, have = 0;
	json_t *id;
	size_t i;

	json_get_uint(who->role, "threshold", &threshold);
	json_array_foreach (json_object_get(who->role, "keyids"), i, id) {
		const char *text = json_string_value(id);
		if (signature_of(s, text, json_object_get(who->keys, text)))
			have++;
	}
	if (have < threshold)
		note(s->w, "%s %llu: %llu of %llu signatures", role_names[s->role],
			(unsigned long long)metadata_version(s->document), (unsigned long long)have,
			(unsigned long long)threshold);
	return have >= threshold;
}

static enum ef_reason add_signature(
	struct signing *s, const char *id, const char *name, struct error *e)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	_cleanup_free_ char *sig = NULL;
	struct error why = {0};
	enum ef_reason r = key_open(s->w, name, &key, &why);

	if (r == EF_REASON_NOT_FOUND) {
		note(s->w, "%s: key %s is not at hand", role_names[s->role], name);
		return EF_REASON_OK;
	}
	if (!r)
		r = key_sign(key, s->bytes, s->size, &sig, &why);
	if (r)
		return error_set(e, r, "%s", why.detail);
	json_t *entry = json_pack("{s:s, s:s}", "keyid", id, "sig", sig);
	if (!entry || json_array_append_new(s->signatures, entry) < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", role_names[s->role]);
	s->changed = true;
	return EF_REASON_OK;
}

/* Signs with every key that counts here, has not signed yet and is at hand. */
static enum ef_reason add_signatures(struct signing *s, const struct signers *who, struct error *e)
{
	json_t *id;
	size_t i;

	json_array_foreach (json_object_get(who->role, "keyids"), i, id) {
		const char *text = json_string_value(id);
		const char *name = key_by_id(s->w, text);
		if (!name || signature_of(s, text, json_object_get(who->keys, text)))
			continue;
		enum ef_reason r = add_signature(s, text, name, e);
		if (r)
			return r;
	}
	return EF_REASON_OK;
}

static struct signers signers_in_root(const json_t *root, enum role_id role)
{
	const json_t *body = json_object_get(root, "signed");

	return (struct signers){json_object_get(json_object_get(body, "roles"), role_names[role]),
		json_object_get(body, "keys")};
}

static struct signers signers_in_targets(const json_t *targets)
{
	const json_t *d = json_object_get(json_object_get(targets, "signed"), "delegations");

	return (struct signers){
		json_array_get(json_object_get(d, "roles"), 0), json_object_get(d, "keys")};
}

static enum ef_reason store_signed(struct signing *s, bool complete, struct error *e)
{
	char name[64], pending[80];

	snprintf(pending, sizeof(pending), "%s.json", role_names[s->role]);
	if (!complete)
		return s->changed ? workspace_write_json(s->w, "pending", pending, s->document, e)
				  : EF_REASON_OK;
	role_file_name(s->role, metadata_version(s->document), name);
	enum ef_reason r = workspace_write_json(s->w, "metadata", name, s->document, e);
	if (r)
		return r;
	snprintf(pending, sizeof(pending), "pending/%s.json", role_names[s->role]);
	if (unlinkat(s->w->fd, pending, 0) < 0)
		return error_errno(e, -errno, "%s/%s", s->w->path, pending);
	note(s->w, "%s %llu signed", role_names[s->role],
		(unsigned long long)metadata_version(s->document));
	return EF_REASON_OK;
}

/*
 * While the root with new keys is on its way to the server, clients still hold the one that was
 * published before: what both can verify leaves no moment in which one of them is stuck.
 */
static enum ef_reason sign_for_published(struct signing *s, struct error *e)
{
	_cleanup_json_ json_t *root = NULL;
	struct error none = {0};
	uint64_t version;
	char path[80], name[64];

	if (s->role == ROLE_ROOT || s->role == ROLE_RELEASES ||
		!json_get_uint(s->w->config, "published_root", &version))
		return EF_REASON_OK;
	role_file_name(ROLE_ROOT, version, name);
	snprintf(path, sizeof(path), "metadata/%s", name);
	if (workspace_read_json(s->w, path, &root, &none) != EF_REASON_OK)
		return EF_REASON_OK;
	const struct signers old = signers_in_root(root, s->role);
	return add_signatures(s, &old, e);
}

static enum ef_reason sign_by(
	struct signing *s, const struct signers *who, size_t n, bool *complete, struct error *e)
{
	enum ef_reason r = sign_for_published(s, e);

	for (size_t i = 0; i < n && !r; i++)
		r = add_signatures(s, &who[i], e);
	*complete = true;
	for (size_t i = 0; i < n && !r; i++)
		if (!enough(s, &who[i]))
			*complete = false;
	return r ? r : store_signed(s, *complete, e);
}

/* Who has to sign role: itself, old and new, for root; else whoever delegates to it. */
static enum ef_reason find_signers(const struct signing *s, json_t **delegator, json_t **old,
	struct signers who[2], size_t *n, struct error *e)
{
	struct error none = {0};
	enum ef_reason r;

	*n = 1;
	if (s->role == ROLE_RELEASES) {
		r = metadata_newest(s->w, ROLE_TARGETS, delegator, e);
		who[0] = signers_in_targets(*delegator);
		return r;
	}
	r = metadata_newest(s->w, ROLE_ROOT, delegator, e);
	if (r)
		return r;
	who[0] = signers_in_root(*delegator, s->role);
	if (s->role != ROLE_ROOT)
		return EF_REASON_OK;
	r = metadata_current(s->w, ROLE_ROOT, old, &none);
	if (r == EF_REASON_NOT_FOUND)
		return EF_REASON_OK;
	if (r)
		return error_set(e, r, "%s", none.detail);
	who[1] = signers_in_root(*old, ROLE_ROOT);
	*n = 2;
	return EF_REASON_OK;
}

enum ef_reason metadata_sign(
	const struct workspace *w, enum role_id role, bool *complete, struct error *e)
{
	_cleanup_json_ json_t *document = NULL, *delegator = NULL, *old = NULL;
	_cleanup_free_ char *bytes = NULL;
	struct signing s = {.w = w, .role = role};
	struct signers who[2];
	size_t n;
	enum ef_reason r = metadata_pending(w, role, &document, e);

	if (r)
		return r;
	s.document = document;
	s.signatures = json_get_array(document, "signatures");
	int c = canonical_json(json_object_get(document, "signed"), &bytes, &s.size);
	if (c < 0 || !s.signatures)
		return error_set(e, EF_REASON_STATE_UNREADABLE, "%s/pending/%s.json", w->path,
			role_names[role]);
	s.bytes = bytes;
	r = find_signers(&s, &delegator, &old, who, &n, e);
	return r ? r : sign_by(&s, who, n, complete, e);
}

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

static enum ef_reason update_snapshot(const struct workspace *w, bool *changed, struct error *e)
{
	_cleanup_json_ json_t *targets = NULL, *releases = NULL;
	enum ef_reason r = metadata_current(w, ROLE_TARGETS, &targets, e);

	if (!r)
		r = metadata_current(w, ROLE_RELEASES, &releases, e);
	if (r)
		return r;
	/* Versions only: a role may then be signed again by other keys without a new snapshot. */
	return update_meta(w, ROLE_SNAPSHOT,
		json_pack("{s:{s:I}, s:{s:I}}", "targets.json", "version",
			(json_int_t)metadata_version(targets), "releases.json", "version",
			(json_int_t)metadata_version(releases)),
		changed, e);
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

enum ef_reason metadata_sign_all(const struct workspace *w, bool *complete, struct error *e)
{
	static const enum role_id offline[] = {ROLE_ROOT, ROLE_TARGETS, ROLE_RELEASES};
	bool changed, done;
	enum ef_reason r = EF_REASON_OK;

	*complete = true;
	for (size_t i = 0; i < sizeof(offline) / sizeof(offline[0]) && !r; i++) {
		r = sign_if_pending(w, offline[i], &done, e);
		*complete = *complete && done;
	}
	/* A snapshot of what lacks signatures would offer what nobody can verify. */
	if (r || !*complete)
		return r;
	r = update_snapshot(w, &changed, e);
	if (!r)
		r = sign_if_pending(w, ROLE_SNAPSHOT, complete, e);
	if (r || !*complete)
		return r;
	r = update_timestamp(w, &changed, e);
	return r ? r : sign_if_pending(w, ROLE_TIMESTAMP, complete, e);
}

static bool names_current(
	const struct workspace *w, const json_t *meta, const char *file, enum role_id role)
{
	_cleanup_json_ json_t *document = NULL;
	struct error none = {0};
	uint64_t named;

	return metadata_current(w, role, &document, &none) == EF_REASON_OK &&
	       json_get_uint(json_object_get(meta, file), "version", &named) &&
	       named == metadata_version(document);
}

enum ef_reason metadata_check_complete(const struct workspace *w, struct error *e)
{
	_cleanup_json_ json_t *snapshot = NULL, *timestamp = NULL;

	for (int i = 0; i < ROLE_COUNT; i++)
		if (metadata_is_pending(w, (enum role_id)i))
			return error_set(e, EF_REASON_BAD_SIGNATURE,
				"%s lacks signatures: run 'edgeferry-repo sign'", role_names[i]);
	enum ef_reason r = metadata_current(w, ROLE_SNAPSHOT, &snapshot, e);
	if (!r)
		r = metadata_current(w, ROLE_TIMESTAMP, &timestamp, e);
	if (r)
		return r;
	const json_t *meta = json_object_get(json_object_get(snapshot, "signed"), "meta");
	const json_t *newest = json_object_get(json_object_get(timestamp, "signed"), "meta");
	if (!names_current(w, meta, "targets.json", ROLE_TARGETS) ||
		!names_current(w, meta, "releases.json", ROLE_RELEASES) ||
		!names_current(w, newest, "snapshot.json", ROLE_SNAPSHOT))
		return error_set(e, EF_REASON_BAD_SIGNATURE,
			"snapshot and timestamp are behind: run 'edgeferry-repo sign'");
	return EF_REASON_OK;
}
