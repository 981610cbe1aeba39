/* SPDX-License-Identifier: Apache-2.0 */
/* What a bundle carries of timestamp and snapshot: signed and about this bundle, at whatever age.
 */
#include "trust/tuf-delegation.h"
#include "trust/tuf-internal.h"
#include "trust/tuf-verify.h"
#include "util/cleanup.h"
#include "util/json.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define _cleanup_doc_ _cleanup_(tuf_doc_free)

static enum ef_reason not_listed(
	const char *by, const char *role, uint64_t version, struct error *e)
{
	return error_set(e, EF_REASON_NOT_SIGNED_FOR, "%s does not list version %" PRIu64 " of %s",
		by, version, role);
}

/* The document is the one that by lists. */
static enum ef_reason check_listed(const struct tuf_doc *by, const char *by_name,
	const struct tuf_doc *d, const char *role, struct error *e)
{
	struct tuf_meta meta;

	if (!tuf_meta_of(by, role, &meta) || meta.version != d->version ||
		!tuf_meta_matches(&meta, d->size, &d->hashes))
		return not_listed(by_name, role, d->version, e);
	return EF_REASON_OK;
}

static enum ef_reason check_roles(
	const struct tuf *t, const struct tuf_doc *snapshot, struct error *e)
{
	enum ef_reason r = check_listed(snapshot, "snapshot.json", &t->targets, "targets", e);

	for (const struct tuf_role *role = t->roles; role && !r; role = role->next)
		r = check_listed(snapshot, "snapshot.json", &role->doc, role->name, e);
	return r;
}

enum ef_reason tuf_carried(const struct tuf *t, const struct tuf_file *timestamp,
	const struct tuf_file *snapshot, struct error *e)
{
	_cleanup_doc_ struct tuf_doc ts = {.envelope = NULL}, sn = {.envelope = NULL};
	const json_t *keys = tuf_root_keys(&t->root);

	if (!t->refreshed)
		return error_set(e, EF_REASON_USAGE, "nothing is trusted yet");
	if (timestamp && tuf_doc_open(timestamp->data, timestamp->size, keys,
				 tuf_root_role(&t->root, "timestamp"), TUF_TIMESTAMP,
				 "timestamp.json", &ts, e) != EF_REASON_OK)
		return e->reason;
	if (!snapshot)
		return EF_REASON_OK;
	if (tuf_doc_open(snapshot->data, snapshot->size, keys, tuf_root_role(&t->root, "snapshot"),
		    TUF_SNAPSHOT, "snapshot.json", &sn, e) != EF_REASON_OK ||
		(timestamp &&
			check_listed(&ts, "timestamp.json", &sn, "snapshot", e) != EF_REASON_OK))
		return e->reason;
	return check_roles(t, &sn, e);
}

static bool is_named(const char *role, uint64_t version, const char *name)
{
	char file[TUF_FILE_MAX], want[TUF_FILE_MAX + 24];

	if (strlen(role) > TUF_ROLE_NAME_MAX)
		return false;
	tuf_file_name(role, file);
	snprintf(want, sizeof(want), "%" PRIu64 ".%s", version, file);
	return strcmp(want, name) == 0;
}

static bool is_listed(const json_t *envelope, const char *name)
{
	json_t *metas = json_object_get(json_object_get(envelope, "signed"), "meta"), *meta;
	const char *file;

	json_object_foreach (metas, file, meta) {
		size_t n = strlen(file);
		json_int_t v = json_integer_value(json_object_get(meta, "version"));
		_cleanup_free_ char *role = n > 5 ? strndup(file, n - 5) : NULL;
		if (role && v > 0 && is_named(role, (uint64_t)v, name))
			return true;
	}
	return false;
}

bool tuf_carried_named(const struct tuf *t, const struct tuf_file *snapshot, const char *name)
{
	struct error e = {0};

	if (is_named("targets", t->targets.version, name))
		return true;
	for (const struct tuf_role *r = t->roles; r; r = r->next)
		if (is_named(r->name, r->doc.version, name))
			return true;
	if (!snapshot)
		return false;
	_cleanup_json_ json_t *envelope =
		tuf_envelope_read(snapshot->data, snapshot->size, "snapshot.json", &e);
	return envelope && is_listed(envelope, name);
}
