/* SPDX-License-Identifier: Apache-2.0 */
/* Trust state at rest. What is there but does not hold is never treated as absent (S-14). */
#include "trust/tuf-delegation.h"
#include "trust/tuf-internal.h"
#include "trust/tuf-verify.h"
#include "util/cleanup.h"
#include "util/json.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum ef_reason tuf_unreadable(const char *file, const struct error *why, struct error *e)
{
	if (why->reason == EF_REASON_NO_MEMORY)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", file);
	return error_set(e, EF_REASON_STATE_UNREADABLE, "stored %s: %s", file, why->detail);
}

enum ef_reason tuf_stored_load(
	const struct tuf_store *s, const char *file, uint8_t **data, size_t *size, struct error *e)
{
	struct error why = {.reason = EF_REASON_OK};

	*data = NULL;
	*size = 0;
	int r = s->load(s->ctx, file, data, size);
	if (r == -ENOENT || (r == 0 && *data))
		return EF_REASON_OK;
	*data = NULL;
	error_errno(&why, r < 0 ? r : -EIO, "load");
	return tuf_unreadable(file, &why, e);
}

enum ef_reason tuf_stored_root(const struct tuf_store *s, struct tuf_doc *ret, struct error *e)
{
	static const char file[] = "root.json";
	struct error why = {.reason = EF_REASON_OK};
	_cleanup_free_ uint8_t *data = NULL;
	struct tuf_doc d = {.envelope = NULL};
	size_t size;

	if (tuf_stored_load(s, file, &data, &size, e) != EF_REASON_OK)
		return e->reason;
	if (!data)
		return error_set(e, EF_REASON_NO_TRUST, "no %s is stored", file);
	/* It names the keys that it is signed by itself: parsed first, for once. */
	d.envelope = tuf_envelope_read(data, size, file, &why);
	if (!d.envelope || tuf_doc_parse(&d, TUF_ROOT, file, &why) != EF_REASON_OK ||
		tuf_envelope_verify(d.envelope, tuf_root_keys(&d), tuf_root_role(&d, "root"), file,
			&why) != EF_REASON_OK) {
		tuf_doc_free(&d);
		return tuf_unreadable(file, &why, e);
	}
	*ret = d;
	return EF_REASON_OK;
}

enum ef_reason tuf_stored_fixed(const struct tuf *t, enum tuf_doc_type type, const char *role,
	struct tuf_doc *ret, struct error *e)
{
	struct error why = {.reason = EF_REASON_OK};
	_cleanup_free_ uint8_t *data = NULL;
	char file[TUF_FILE_MAX];
	size_t size;

	tuf_file_name(role, file);
	if (tuf_stored_load(&t->store, file, &data, &size, e) != EF_REASON_OK)
		return e->reason;
	if (data && tuf_doc_open(data, size, tuf_root_keys(&t->root), tuf_root_role(&t->root, role),
			    type, file, ret, &why) != EF_REASON_OK)
		return tuf_unreadable(file, &why, e);
	return EF_REASON_OK;
}

enum ef_reason tuf_stored_role(
	const struct tuf *t, const struct tuf_step *s, struct tuf_doc *ret, struct error *e)
{
	struct error why = {.reason = EF_REASON_OK};
	_cleanup_free_ uint8_t *data = NULL;
	char name[TUF_ROLE_NAME_SIZE], file[TUF_FILE_MAX];
	const json_t *role = s->delegation.role;
	size_t size;

	tuf_role_name(&s->delegation, name);
	tuf_file_name(name, file);
	if (tuf_stored_load(&t->store, file, &data, &size, e) != EF_REASON_OK || !data)
		return e->reason;
	if (tuf_doc_open(data, size, tuf_delegation_keys(tuf_role_doc(t, s->parent)), role,
		    TUF_TARGETS, file, ret, &why) == EF_REASON_OK)
		return EF_REASON_OK;
	if (why.reason == EF_REASON_BAD_SIGNATURE) {
		struct error ignored = {.reason = EF_REASON_OK};
		_cleanup_json_ json_t *envelope = tuf_envelope_read(data, size, file, &ignored);
		/* Stored on the word of someone else, or rotated away. */
		if (envelope && (s->parent || !tuf_envelope_claims(envelope, role)))
			return EF_REASON_OK;
	}
	return tuf_unreadable(file, &why, e);
}

enum ef_reason tuf_may_store(const struct tuf *t, const struct tuf_step *s, const struct tuf_doc *d,
	bool *ret, struct error *e)
{
	struct tuf_delegation owner = {.role = NULL};
	struct error why = {.reason = EF_REASON_OK};
	char name[TUF_ROLE_NAME_SIZE];

	tuf_role_name(&s->delegation, name);
	if (s->parent)
		owner = tuf_delegation_to(&t->targets, name);
	*ret = !owner.role || tuf_envelope_verify(d->envelope, tuf_delegation_keys(&t->targets),
				      owner.role, name, &why) == EF_REASON_OK;
	return why.reason == EF_REASON_NO_MEMORY
		       ? error_set(e, EF_REASON_NO_MEMORY, "%s", why.detail)
		       : EF_REASON_OK;
}

enum ef_reason tuf_save(
	struct tuf *t, const char *file, const void *data, size_t size, struct error *e)
{
	int r = t->store.save(t->store.ctx, file, data, size);

	return r < 0 ? error_errno(e, r, "cannot store %s", file) : EF_REASON_OK;
}

enum ef_reason tuf_save_copy(
	struct tuf *t, const char *file, const void *data, size_t size, struct error *e)
{
	if (!t->store.save_copy)
		return tuf_save(t, file, data, size, e);
	int r = t->store.save_copy(t->store.ctx, file, data, size);
	return r < 0 ? error_errno(e, r, "cannot store %s", file) : EF_REASON_OK;
}

enum ef_reason tuf_forget(struct tuf *t, const char *file, struct error *e)
{
	int r = t->store.remove(t->store.ctx, file);

	return r < 0 ? error_errno(e, r, "cannot remove %s", file) : EF_REASON_OK;
}

/* The version that a stored file claims. It was verified when it was stored. */
static enum ef_reason claimed_version(
	struct tuf *t, const char *file, uint64_t *ret, struct error *e)
{
	struct error why = {.reason = EF_REASON_OK};
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;

	*ret = 0;
	if (tuf_stored_load(&t->store, file, &data, &size, e) != EF_REASON_OK || !data)
		return e->reason;
	_cleanup_json_ json_t *envelope = tuf_envelope_read(data, size, file, &why);
	if (!envelope)
		return tuf_unreadable(file, &why, e);
	if (!json_get_uint(json_get_object(envelope, "signed"), "version", ret)) {
		error_set(&why, EF_REASON_BAD_FORMAT, "version");
		return tuf_unreadable(file, &why, e);
	}
	return EF_REASON_OK;
}

enum ef_reason tuf_forget_newer(struct tuf *t, const struct tuf_doc *snapshot, struct error *e)
{
	json_t *metas = json_object_get(snapshot->body, "meta"), *v;
	const char *listed;
	struct tuf_meta meta;
	uint64_t version;

	json_object_foreach (metas, listed, v) {
		char role[TUF_ROLE_NAME_SIZE], file[TUF_FILE_MAX];
		if (!tuf_listed_role(listed, role) ||
			(strcmp(role, "targets") != 0 && !tuf_role_name_ok(role)) ||
			!tuf_meta_of(snapshot, role, &meta))
			continue;
		tuf_file_name(role, file);
		if (claimed_version(t, file, &version, e) != EF_REASON_OK)
			return e->reason;
		if (version > meta.version && tuf_forget(t, file, e) != EF_REASON_OK)
			return e->reason;
		if (version > meta.version && strcmp(role, "targets") == 0)
			tuf_doc_free(&t->targets);
	}
	return EF_REASON_OK;
}
