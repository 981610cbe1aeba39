/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys change: what was signed by the old ones must go, before the document that changes them is
 * stored. A power cut between the two then finds the old document, and forgets once more; the other
 * way round it would leave state that no longer verifies, which is unreadable for good (S-14).
 */
#include "trust/tuf-delegation.h"
#include "trust/tuf-internal.h"
#include "trust/tuf-verify.h"
#include "util/cleanup.h"
#include "util/json.h"
#include <stdio.h>
#include <string.h>

#define _cleanup_doc_ _cleanup_(tuf_doc_free)

/* Where the keys of a role are found. */
struct key_set {
	const json_t *keys, *role;
};

static const json_t *key_at(const struct key_set *s, size_t i, const char **keyid)
{
	*keyid = json_string_value(json_array_get(json_object_get(s->role, "keyids"), i));
	return json_object_get(s->keys, *keyid);
}

static size_t key_count(const struct key_set *s)
{
	return json_array_size(json_object_get(s->role, "keyids"));
}

static bool same_key(const json_t *a, const json_t *b)
{
	static const char *const members[] = {"keytype", "scheme", "keyval"};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (!json_equal(json_object_get(a, members[i]), json_object_get(b, members[i])))
			return false;
	return true;
}

/* Whether s has the key, under the id keyid or, when that is NULL, under any. */
static bool has_key(const struct key_set *s, const json_t *key, const char *keyid)
{
	const char *id;

	for (size_t i = 0; i < key_count(s); i++) {
		const json_t *k = key_at(s, i, &id);
		if (k && same_key(k, key) && (!keyid || strcmp(id, keyid) == 0))
			return true;
	}
	return false;
}

static bool lost_key(const struct key_set *old, const struct key_set *new)
{
	const char *keyid;

	for (size_t i = 0; i < key_count(old); i++) {
		const json_t *key = key_at(old, i, &keyid);
		if (key && !has_key(new, key, NULL))
			return true;
	}
	return false;
}

/* Whether everything that old signed for holds under new as well; needs no signature checked. */
static bool covers(const struct key_set *old, const struct key_set *new)
{
	uint64_t was, is;
	const char *keyid;

	if (!json_get_uint(old->role, "threshold", &was) ||
		!json_get_uint(new->role, "threshold", &is) || is > was)
		return false;
	for (size_t i = 0; i < key_count(old); i++) {
		const json_t *key = key_at(old, i, &keyid);
		if (key && !has_key(new, key, keyid))
			return false;
	}
	return true;
}

static struct key_set of_root(const struct tuf_doc *root, const char *role)
{
	return (struct key_set){tuf_root_keys(root), tuf_root_role(root, role)};
}

/*
 * *ret: whether d, good under the old root, is good under the new one. Verification fails as well
 * when memory is short, and that must not pass for a rotation (S-03): it is taken as failed only
 * when it fails before and after one that has to succeed.
 */
static enum ef_reason still_good(const struct tuf *t, const struct tuf_doc *new, const char *role,
	const struct tuf_doc *d, bool *ret, struct error *e)
{
	struct key_set was = of_root(&t->root, role), is = of_root(new, role);
	struct error why[3] = {{.reason = EF_REASON_OK}};

	*ret = !d->envelope || covers(&was, &is) ||
	       tuf_envelope_verify(d->envelope, is.keys, is.role, role, &why[0]) == EF_REASON_OK;
	if (*ret)
		return EF_REASON_OK;
	if (tuf_envelope_verify(d->envelope, was.keys, was.role, role, &why[1]) != EF_REASON_OK)
		return error_set(e, EF_REASON_NO_MEMORY, "%s cannot be verified", role);
	*ret = tuf_envelope_verify(d->envelope, is.keys, is.role, role, &why[2]) == EF_REASON_OK;
	return why[2].reason == EF_REASON_NO_MEMORY
		       ? error_set(e, EF_REASON_NO_MEMORY, "%s", why[2].detail)
		       : EF_REASON_OK;
}

static enum ef_reason forget(struct tuf *t, const char *file, struct tuf_doc *d, struct error *e)
{
	if (tuf_forget(t, file, e) == EF_REASON_OK)
		tuf_doc_free(d);
	return e->reason;
}

enum ef_reason tuf_rotate_root(struct tuf *t, const struct tuf_doc *new, struct error *e)
{
	static const char *const fresh[] = {"timestamp", "snapshot"};
	struct tuf_doc *docs[] = {&t->timestamp, &t->snapshot};
	bool rotated = false, good;

	/* 5.3.11: fast-forwarded counters are cured by a rotation of these keys (S-17). */
	for (size_t i = 0; i < 2; i++) {
		struct key_set old_keys = of_root(&t->root, fresh[i]);
		struct key_set new_keys = of_root(new, fresh[i]);
		if (still_good(t, new, fresh[i], docs[i], &good, e) != EF_REASON_OK)
			return e->reason;
		rotated |= !good || lost_key(&old_keys, &new_keys);
	}
	if (rotated && (forget(t, "snapshot.json", &t->snapshot, e) != EF_REASON_OK ||
			       forget(t, "timestamp.json", &t->timestamp, e) != EF_REASON_OK))
		return e->reason;
	if (still_good(t, new, "targets", &t->targets, &good, e) != EF_REASON_OK)
		return e->reason;
	return good ? EF_REASON_OK : forget(t, "targets.json", &t->targets, e);
}

static bool is_named(const json_t *delegation, const char *name)
{
	const char *s = tuf_delegation_name(delegation);

	return s && strcmp(s, name) == 0;
}

/* Lists seldom change their order: it is looked for at the same place first. */
static const json_t *delegation_to(const struct tuf_doc *d, const char *name, size_t hint)
{
	const json_t *list = tuf_delegations(d);

	if (is_named(json_array_get(list, hint), name))
		return json_array_get(list, hint);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (is_named(json_array_get(list, i), name))
			return json_array_get(list, i);
	return NULL;
}

/* What is stored of a delegated role, when its delegation has changed. */
static enum ef_reason recheck(
	struct tuf *t, const struct key_set *new, const char *name, struct error *e)
{
	_cleanup_doc_ struct tuf_doc d = {.envelope = NULL};
	struct error why = {.reason = EF_REASON_OK};
	_cleanup_free_ uint8_t *data = NULL;
	char file[TUF_FILE_MAX];
	size_t size;

	tuf_file_name(name, file);
	if (tuf_stored_load(&t->store, file, &data, &size, e) != EF_REASON_OK || !data)
		return e->reason;
	for (int tries = 0; tries < 2; tries++) { /* once more, as above */
		error_clear(&why);
		if (tuf_doc_open(data, size, new->keys, new->role, TUF_TARGETS, file, &d, &why) !=
			EF_REASON_BAD_SIGNATURE)
			break;
	}
	if (why.reason == EF_REASON_BAD_SIGNATURE)
		return tuf_forget(t, file, e);
	return why.reason == EF_REASON_OK ? EF_REASON_OK : tuf_unreadable(file, &why, e);
}

/* Bins are too many to try every name: what is stored of them is what the snapshot lists. */
static enum ef_reason rotate_bins(
	struct tuf *t, const struct key_set *was, const struct key_set *is, struct error *e)
{
	json_t *metas = json_object_get(t->snapshot.body, "meta"), *meta;
	char name[TUF_ROLE_NAME_SIZE];
	const char *file;

	if (was->role && covers(was, is))
		return EF_REASON_OK;
	json_object_foreach (metas, file, meta)
		if (tuf_listed_role(file, name) && tuf_bin_named(is->role, name).role &&
			recheck(t, is, name, e) != EF_REASON_OK)
			return e->reason;
	return EF_REASON_OK;
}

enum ef_reason tuf_rotate_delegations(
	struct tuf *t, const struct tuf_doc *old, const struct tuf_doc *new, struct error *e)
{
	const json_t *list = tuf_delegations(new);
	struct key_set old_bins = {tuf_delegation_keys(old), tuf_bins(old)};
	struct key_set new_bins = {tuf_delegation_keys(new), tuf_bins(new)};

	if (new_bins.role)
		return rotate_bins(t, &old_bins, &new_bins, e);
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct key_set is = {tuf_delegation_keys(new), json_array_get(list, i)};
		const char *name = tuf_delegation_name(is.role);
		struct key_set was = {tuf_delegation_keys(old), delegation_to(old, name, i)};
		if ((!was.role || !covers(&was, &is)) && recheck(t, &is, name, e) != EF_REASON_OK)
			return e->reason;
	}
	return EF_REASON_OK;
}
