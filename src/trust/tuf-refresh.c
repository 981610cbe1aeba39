/* SPDX-License-Identifier: Apache-2.0 */
/* Sections 5.3 to 5.6 of the specification: root, timestamp, snapshot, targets. */
#include "trust/tuf-delegation.h"
#include "trust/tuf-internal.h"
#include "trust/tuf-verify.h"
#include "util/cleanup.h"
#include "util/json.h"

typedef unsigned long long ull;

static void doc_replace(struct tuf_doc *d, struct tuf_doc *with)
{
	tuf_doc_free(d);
	*d = *with;
	*with = (struct tuf_doc){.envelope = NULL};
}

#define _cleanup_doc_ _cleanup_(tuf_doc_free)

/* 5.3: root */

static enum ef_reason want_root(struct tuf *t, struct error *e)
{
	if (t->roots >= ROOTS_MAX || t->root.version >= INT64_MAX)
		return tuf_no_root(t, e);
	return tuf_want(t, WANT_ROOT, ROOT_SIZE_MAX, "%llu.root.json", (ull)t->root.version + 1);
}

enum ef_reason tuf_refresh_begin(struct tuf *t, struct error *e)
{
	return want_root(t, e);
}

enum ef_reason tuf_feed_root(struct tuf *t, const void *data, size_t size, struct error *e)
{
	_cleanup_doc_ struct tuf_doc new = {.envelope = NULL};
	const char *name = t->request.name;

	/* By the old keys first; only then is it asked which keys the new ones are (S-01). */
	if (tuf_doc_open(data, size, tuf_root_keys(&t->root), tuf_root_role(&t->root, "root"),
		    TUF_ROOT, name, &new, e) != EF_REASON_OK ||
		tuf_envelope_verify(new.envelope, tuf_root_keys(&new), tuf_root_role(&new, "root"),
			name, e) != EF_REASON_OK)
		return e->reason;
	if (new.version == t->root.version)
		return tuf_no_root(t, e);
	if (new.version < t->root.version)
		return error_set(e, EF_REASON_METADATA_ROLLBACK, "%s: is version %llu", name,
			(ull) new.version);
	if (new.version != t->root.version + 1)
		return error_set(
			e, EF_REASON_BAD_FORMAT, "%s: is version %llu", name, (ull) new.version);
	if (tuf_rotate_root(t, &new, e) != EF_REASON_OK ||
		tuf_save(t, "root.json", data, size, e) != EF_REASON_OK)
		return e->reason;
	doc_replace(&t->root, &new);
	t->roots++;
	return want_root(t, e);
}

enum ef_reason tuf_no_root(struct tuf *t, struct error *e)
{
	if (tuf_check_expiry(t, &t->root, "root.json", e) != EF_REASON_OK)
		return e->reason;
	if (t->mode == TUF_OFFLINE)
		return tuf_want_targets(t, WANT_TARGETS, "targets", e);
	return tuf_want(t, WANT_TIMESTAMP, TIMESTAMP_SIZE_MAX, "timestamp.json");
}

/* 5.4: timestamp */

static enum ef_reason after_timestamp(struct tuf *t, struct error *e)
{
	struct tuf_meta meta;

	if (tuf_check_expiry(t, &t->timestamp, "timestamp.json", e) != EF_REASON_OK)
		return e->reason;
	if (!tuf_meta_of(&t->timestamp, "snapshot", &meta))
		return error_set(e, EF_REASON_BAD_FORMAT, "timestamp.json: snapshot.json");
	if (t->snapshot.envelope && t->snapshot.version == meta.version &&
		tuf_meta_matches(&meta, t->snapshot.size, &t->snapshot.hashes) &&
		t->snapshot.expires > t->now)
		return tuf_want_targets(t, WANT_TARGETS, "targets", e);
	uint64_t max = meta.has_length ? meta.length : SNAPSHOT_SIZE_MAX;
	if (tuf_root_consistent(&t->root))
		return tuf_want(t, WANT_SNAPSHOT, max, "%llu.snapshot.json", (ull)meta.version);
	return tuf_want(t, WANT_SNAPSHOT, max, "snapshot.json");
}

enum ef_reason tuf_feed_timestamp(struct tuf *t, const void *data, size_t size, struct error *e)
{
	_cleanup_doc_ struct tuf_doc new = {.envelope = NULL};
	const char *name = t->request.name;
	struct tuf_meta old_meta, new_meta;

	if (tuf_doc_open(data, size, tuf_root_keys(&t->root), tuf_root_role(&t->root, "timestamp"),
		    TUF_TIMESTAMP, name, &new, e) != EF_REASON_OK)
		return e->reason;
	if (t->timestamp.envelope && new.version < t->timestamp.version)
		return error_set(e, EF_REASON_METADATA_ROLLBACK, "%s: version %llu after %llu",
			name, (ull) new.version, (ull)t->timestamp.version);
	/* Nothing new: what is trusted already stays, and may have been left half way. */
	if (t->timestamp.envelope && new.version == t->timestamp.version)
		return after_timestamp(t, e);
	if (!tuf_meta_of(&new, "snapshot", &new_meta))
		return error_set(e, EF_REASON_BAD_FORMAT, "%s: snapshot.json", name);
	if (t->timestamp.envelope && (!tuf_meta_of(&t->timestamp, "snapshot", &old_meta) ||
					     new_meta.version < old_meta.version))
		return error_set(e, EF_REASON_METADATA_ROLLBACK, "%s: goes back to snapshot %llu",
			name, (ull)new_meta.version);
	if (tuf_check_expiry(t, &new, name, e) != EF_REASON_OK ||
		tuf_save(t, "timestamp.json", data, size, e) != EF_REASON_OK)
		return e->reason;
	doc_replace(&t->timestamp, &new);
	return after_timestamp(t, e);
}

/* 5.5: snapshot */

/* By the parent's word, before anything in the file is looked at: size and digests. */
static enum ef_reason check_bytes(const struct tuf_meta *meta, const void *data, size_t size,
	const char *name, struct error *e)
{
	struct tuf_hashes hashes;

	if (meta->has_length && meta->length != size)
		return error_set(e, EF_REASON_BAD_SIZE, "%s: %zu bytes instead of %llu", name, size,
			(ull)meta->length);
	if (!meta->has_hashes)
		return EF_REASON_OK;
	if (!tuf_hashes_of(data, size, &hashes))
		return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	if (!tuf_hashes_match(&meta->hashes, &hashes))
		return error_set(e, EF_REASON_BAD_DIGEST, "%s", name);
	return EF_REASON_OK;
}

/* A file that is not the version that its parent lists: older ones are named as what they are. */
static enum ef_reason check_version(
	const struct tuf_meta *meta, const struct tuf_doc *d, const char *name, struct error *e)
{
	if (d->version == meta->version)
		return EF_REASON_OK;
	return error_set(e,
		d->version < meta->version ? EF_REASON_METADATA_ROLLBACK : EF_REASON_BAD_FORMAT,
		"%s: is version %llu instead of %llu", name, (ull)d->version, (ull)meta->version);
}

/* 5.5.5: no role goes back or falls out. */
static enum ef_reason check_listed(
	const struct tuf_doc *old, const struct tuf_doc *new, const char *name, struct error *e)
{
	json_t *metas = json_object_get(old->body, "meta"), *was, *is;
	const char *file;
	uint64_t v, w;

	json_object_foreach (metas, file, was) {
		is = json_object_get(json_object_get(new->body, "meta"), file);
		if (!is)
			return error_set(e, EF_REASON_METADATA_ROLLBACK, "%s: no longer lists %s",
				name, file);
		if (!json_get_uint(was, "version", &w) || !json_get_uint(is, "version", &v) ||
			v < w)
			return error_set(e, EF_REASON_METADATA_ROLLBACK,
				"%s: goes back to an older %s", name, file);
	}
	return EF_REASON_OK;
}

enum ef_reason tuf_feed_snapshot(struct tuf *t, const void *data, size_t size, struct error *e)
{
	_cleanup_doc_ struct tuf_doc new = {.envelope = NULL};
	const char *name = t->request.name;
	struct tuf_meta meta;

	if (!tuf_meta_of(&t->timestamp, "snapshot", &meta))
		return error_set(e, EF_REASON_INTERNAL, "%s", name);
	if (check_bytes(&meta, data, size, name, e) != EF_REASON_OK ||
		tuf_doc_open(data, size, tuf_root_keys(&t->root),
			tuf_root_role(&t->root, "snapshot"), TUF_SNAPSHOT, name, &new,
			e) != EF_REASON_OK ||
		check_version(&meta, &new, name, e) != EF_REASON_OK)
		return e->reason;
	if (t->snapshot.envelope && check_listed(&t->snapshot, &new, name, e) != EF_REASON_OK)
		return e->reason;
	if (tuf_check_expiry(t, &new, name, e) != EF_REASON_OK)
		return e->reason;
	/* The first one, or the first after a rotation: its word alone counts (S-17). */
	if (!t->snapshot.envelope && tuf_forget_newer(t, &new, e) != EF_REASON_OK)
		return e->reason;
	if (tuf_save(t, "snapshot.json", data, size, e) != EF_REASON_OK)
		return e->reason;
	doc_replace(&t->snapshot, &new);
	return tuf_want_targets(t, WANT_TARGETS, "targets", e);
}

/* 5.6: targets, and delegated roles, which are the same kind of document */

bool tuf_targets_current(const struct tuf *t, const char *name, const struct tuf_doc *d)
{
	struct tuf_meta meta;

	return t->mode == TUF_ONLINE && d->envelope && tuf_meta_of(&t->snapshot, name, &meta) &&
	       d->version == meta.version && tuf_meta_matches(&meta, d->size, &d->hashes) &&
	       d->expires > t->now;
}

enum ef_reason tuf_want_targets(
	struct tuf *t, enum tuf_state state, const char *name, struct error *e)
{
	char file[TUF_FILE_MAX];
	struct tuf_meta meta = {.version = 0};

	if (state == WANT_TARGETS && tuf_targets_current(t, name, &t->targets)) {
		t->refreshed = true;
		return tuf_done(t);
	}
	if (t->mode == TUF_ONLINE && !tuf_meta_of(&t->snapshot, name, &meta))
		return error_set(e, EF_REASON_BAD_FORMAT, "snapshot.json: does not list %s", name);
	uint64_t max = meta.has_length ? meta.length : TARGETS_SIZE_MAX;
	tuf_file_name(name, file);
	if (t->mode == TUF_ONLINE && tuf_root_consistent(&t->root))
		return tuf_want(t, state, max, "%llu.%s", (ull)meta.version, file);
	return tuf_want(t, state, max, "%s", file);
}

static enum ef_reason store_targets(struct tuf *t, const struct tuf_step *s, const char *name,
	const void *data, size_t size, const struct tuf_doc *stored, const struct tuf_doc *new,
	struct error *e)
{
	char file[TUF_FILE_MAX];
	bool may = true;

	if (s ? tuf_may_store(t, s, new, &may, e) != EF_REASON_OK
	      : tuf_rotate_delegations(t, stored, new, e) != EF_REASON_OK)
		return e->reason;
	if (!may)
		return EF_REASON_OK;
	tuf_file_name(name, file);
	return s && s->parent ? tuf_save_copy(t, file, data, size, e)
			      : tuf_save(t, file, data, size, e);
}

enum ef_reason tuf_take_targets(struct tuf *t, const void *data, size_t size,
	const struct tuf_step *s, const struct tuf_doc *stored, struct tuf_doc *ret,
	struct error *e)
{
	_cleanup_doc_ struct tuf_doc new = {.envelope = NULL};
	const char *file = t->request.name;
	char name[TUF_ROLE_NAME_SIZE] = "targets";
	const json_t *keys =
		s ? tuf_delegation_keys(tuf_role_doc(t, s->parent)) : tuf_root_keys(&t->root);
	const json_t *role = s ? s->delegation.role : tuf_root_role(&t->root, "targets");
	struct tuf_meta meta = {.version = 0};

	if (s)
		tuf_role_name(&s->delegation, name);
	bool listed = t->snapshot.envelope && tuf_meta_of(&t->snapshot, name, &meta);
	if (t->mode == TUF_ONLINE &&
		(!listed || check_bytes(&meta, data, size, file, e) != EF_REASON_OK))
		return error_set(e, EF_REASON_INTERNAL, "%s", file);
	if (tuf_doc_open(data, size, keys, role, TUF_TARGETS, file, &new, e) != EF_REASON_OK ||
		(t->mode == TUF_ONLINE && check_version(&meta, &new, file, e) != EF_REASON_OK))
		return e->reason;
	/* From a bundle, nothing but what was seen before says which version is too old. */
	uint64_t floor = stored->envelope ? stored->version : 0;
	if (listed && meta.version > floor)
		floor = meta.version;
	if (new.version < floor)
		return error_set(e, EF_REASON_METADATA_ROLLBACK, "%s: version %llu after %llu",
			file, (ull) new.version, (ull)floor);
	if (tuf_check_expiry(t, &new, file, e) != EF_REASON_OK ||
		store_targets(t, s, name, data, size, stored, &new, e) != EF_REASON_OK)
		return e->reason;
	*ret = new;
	new = (struct tuf_doc){.envelope = NULL};
	return EF_REASON_OK;
}

enum ef_reason tuf_feed_targets(struct tuf *t, const void *data, size_t size, struct error *e)
{
	struct tuf_doc new;

	if (tuf_take_targets(t, data, size, NULL, &t->targets, &new, e) != EF_REASON_OK)
		return e->reason;
	doc_replace(&t->targets, &new);
	t->refreshed = true;
	return tuf_done(t);
}
