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

/* The documents that say whose signatures those are. */
struct delegators {
	json_t *newest, *current;
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

/* Valid signatures by keys of who, each key once; *wanted: how many there have to be. */
static uint64_t count(const struct signing *s, const struct signers *who, uint64_t *wanted)
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
	*wanted = threshold;
	return have;
}

static bool enough(const struct signing *s, const struct signers *who)
{
	uint64_t threshold, have = count(s, who, &threshold);

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

static struct signers signers_in_targets(const json_t *targets, enum role_id role)
{
	const json_t *d = json_object_get(json_object_get(targets, "signed"), "delegations");
	const char *name;
	json_t *entry;
	size_t i;

	json_array_foreach (json_object_get(d, "roles"), i, entry)
		if (json_get_string(entry, "name", &name) && strcmp(name, role_names[role]) == 0)
			return (struct signers){entry, json_object_get(d, "keys")};
	return (struct signers){NULL, NULL};
}

static struct signers signers_in(const json_t *delegator, enum role_id role)
{
	return role_is_delegated(role) ? signers_in_targets(delegator, role)
				       : signers_in_root(delegator, role);
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

	if (s->role == ROLE_ROOT || role_is_delegated(s->role) ||
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

/*
 * Who has to sign role: whoever the newest document that delegates to it names; and while that one
 * waits for signatures, whoever the current one names as well. So what is signed can always be
 * verified from what is signed. For root, that is the rule of its rotation.
 */
static enum ef_reason find_signers(const struct workspace *w, enum role_id role,
	struct delegators *d, struct signers who[2], size_t *n, struct error *e)
{
	const enum role_id from = role_is_delegated(role) ? ROLE_TARGETS : ROLE_ROOT;
	struct error none = {0};
	enum ef_reason r = metadata_newest(w, from, &d->newest, e);

	*n = 1;
	if (r)
		return r;
	who[0] = signers_in(d->newest, role);
	r = metadata_current(w, from, &d->current, &none);
	if (r == EF_REASON_NOT_FOUND)
		return EF_REASON_OK;
	if (r)
		return error_set(e, r, "%s", none.detail);
	who[1] = signers_in(d->current, role);
	/* A role that the current one does not know yet waits for the newest. */
	if (metadata_version(d->current) != metadata_version(d->newest))
		*n = 2;
	return EF_REASON_OK;
}

static void delegators_done(struct delegators *d)
{
	json_decref(d->newest);
	json_decref(d->current);
}

static enum ef_reason begin(struct signing *s, struct error *e)
{
	s->signatures = json_get_array(s->document, "signatures");
	int c = canonical_json(json_object_get(s->document, "signed"), &s->bytes, &s->size);
	return c < 0 || !s->signatures
		       ? error_set(e, EF_REASON_STATE_UNREADABLE, "%s/%s: no document of metadata",
				 s->w->path, role_names[s->role])
		       : EF_REASON_OK;
}

static void end(struct signing *s)
{
	json_decref(s->document);
	free(s->bytes);
}

/* The pending document, and who has to sign it. */
static enum ef_reason open_pending(
	struct signing *s, struct delegators *d, struct signers who[2], size_t *n, struct error *e)
{
	enum ef_reason r = metadata_pending(s->w, s->role, &s->document, e);

	if (!r)
		r = begin(s, e);
	return r ? r : find_signers(s->w, s->role, d, who, n, e);
}

enum ef_reason metadata_sign(
	const struct workspace *w, enum role_id role, bool *complete, struct error *e)
{
	_cleanup_(end) struct signing s = {.w = w, .role = role};
	_cleanup_(delegators_done) struct delegators d = {0};
	struct signers who[2];
	size_t n;
	enum ef_reason r = open_pending(&s, &d, who, &n, e);

	return r ? r : sign_by(&s, who, n, complete, e);
}

bool metadata_is_signed(const struct workspace *w, enum role_id role, const json_t *document,
	const json_t *delegator)
{
	_cleanup_(end) struct signing s = {
		.w = w, .role = role, .document = json_incref((json_t *)document)};
	const struct signers who = signers_in(delegator, role);
	struct error none = {0};
	uint64_t wanted;

	return begin(&s, &none) == EF_REASON_OK && count(&s, &who, &wanted) >= wanted;
}

/* {"name" or "", "keyid", "type", "signed"} of each key that counts; new reference. */
static json_t *describe_signers(const struct signing *s, const struct signers *who)
{
	json_t *list = json_array(), *id;
	size_t i;

	json_array_foreach (json_object_get(who->role, "keyids"), i, id) {
		const char *text = json_string_value(id), *name = key_by_id(s->w, text), *type = "";
		const json_t *key = json_object_get(who->keys, text);
		json_get_string(key, "keytype", &type);
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:b}", "name", name ? name : "", "keyid",
				      text, "type", type, "signed", signature_of(s, text, key)));
	}
	return list;
}

enum ef_reason metadata_signers(const struct workspace *w, enum role_id role, json_t **ret,
	char **bytes, size_t *size, struct error *e)
{
	_cleanup_(end) struct signing s = {.w = w, .role = role};
	_cleanup_(delegators_done) struct delegators d = {0};
	_cleanup_json_ json_t *list = json_array();
	struct signers who[2];
	uint64_t wanted;
	size_t n;
	enum ef_reason r = open_pending(&s, &d, who, &n, e);

	for (size_t i = 0; i < n && !r; i++) {
		uint64_t have = count(&s, &who[i], &wanted);
		json_array_append_new(list,
			json_pack("{s:I, s:I, s:o}", "signatures", (json_int_t)have, "threshold",
				(json_int_t)wanted, "keys", describe_signers(&s, &who[i])));
	}
	if (r)
		return r;
	*ret = TAKE_PTR(list);
	if (bytes) {
		*bytes = TAKE_PTR(s.bytes);
		*size = s.size;
	}
	return EF_REASON_OK;
}

/* Takes a signature that counts and holds. */
static enum ef_reason take_signature(struct signing *s, const struct signers who[2], size_t n,
	const char *id, const char *hex, struct error *e)
{
	const json_t *key = NULL, *known;
	json_t *entry;
	size_t i, k;

	for (i = 0; i < n && !key; i++)
		json_array_foreach (json_object_get(who[i].role, "keyids"), k, known)
			if (strcmp(json_string_value(known), id) == 0)
				key = json_object_get(who[i].keys, id);
	if (!key)
		return error_set(
			e, EF_REASON_USAGE, "%.12s is no key of %s", id, role_names[s->role]);
	if (signature_of(s, id, key))
		return EF_REASON_OK;
	/* What is there under this key does not hold. */
	json_array_foreach (s->signatures, i, entry) {
		const char *have;
		if (json_get_string(entry, "keyid", &have) && strcmp(have, id) == 0)
			json_array_remove(s->signatures, i--);
	}
	if (json_array_append_new(s->signatures, json_pack("{s:s, s:s}", "keyid", id, "sig", hex)) <
		0)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", role_names[s->role]);
	if (!signature_of(s, id, key))
		return error_set(e, EF_REASON_BAD_SIGNATURE,
			"%s %llu was not signed by %.12s with this", role_names[s->role],
			(unsigned long long)metadata_version(s->document), id);
	s->changed = true;
	return EF_REASON_OK;
}

/* Moves the document over when that was the last signature it waited for. */
static enum ef_reason settle(
	struct signing *s, const struct signers who[2], size_t n, bool *complete, struct error *e)
{
	*complete = true;
	for (size_t i = 0; i < n; i++)
		if (!enough(s, &who[i]))
			*complete = false;
	return store_signed(s, *complete, e);
}

enum ef_reason metadata_attach(const struct workspace *w, enum role_id role, const char *id,
	const char *hex, bool *complete, struct error *e)
{
	_cleanup_(end) struct signing s = {.w = w, .role = role};
	_cleanup_(delegators_done) struct delegators d = {0};
	struct signers who[2];
	size_t n;
	enum ef_reason r = open_pending(&s, &d, who, &n, e);

	if (!r)
		r = take_signature(&s, who, n, id, hex, e);
	return r ? r : settle(&s, who, n, complete, e);
}

enum ef_reason metadata_merge(const struct workspace *w, enum role_id role, const json_t *other,
	bool *changed, bool *complete, struct error *e)
{
	_cleanup_(end) struct signing s = {.w = w, .role = role};
	_cleanup_(delegators_done) struct delegators d = {0};
	struct signers who[2];
	json_t *entry;
	size_t n, i;
	enum ef_reason r = open_pending(&s, &d, who, &n, e);

	*changed = *complete = false;
	if (r)
		return r;
	if (!json_equal(json_object_get(s.document, "signed"), json_object_get(other, "signed")))
		return error_set(e, EF_REASON_BAD_SIGNATURE,
			"%s %llu is another document there: it cannot be merged", role_names[role],
			(unsigned long long)metadata_version(s.document));
	json_array_foreach (json_get_array(other, "signatures"), i, entry) {
		_cleanup_json_ json_t *before = json_deep_copy(s.signatures);
		struct error why = {0};
		const char *id, *hex;
		if (!before || !json_get_string(entry, "keyid", &id) ||
			!json_get_string(entry, "sig", &hex) ||
			take_signature(&s, who, n, id, hex, &why) == EF_REASON_OK)
			continue;
		/* keys that do not count here, or signatures that do not hold: left out */
		json_array_clear(s.signatures);
		json_array_extend(s.signatures, before);
	}
	*changed = s.changed;
	return settle(&s, who, n, complete, e);
}
