/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle is a closed world (S-05): its members are the chain of roots, the metadata, one manifest
 * and the objects that this names. What TUF did not ask for offline is looked at here: roots that
 * do not follow on the trusted one, timestamp and snapshot, documents of roles that nobody read.
 */
#include "trust/tuf.h"
#include "update/internal.h"
#include <inttypes.h>
#include <string.h>

#define METADATA "metadata/"
#define TIMESTAMP_MAX (64u << 10)
#define SNAPSHOT_MAX (4u << 20)

/* N of "N.ROLE.json", and "ROLE.json"; 0 when there is none. */
static uint64_t numbered(const char *file, const char **rest)
{
	size_t n = strspn(file, "0123456789");

	*rest = file;
	if (n == 0 || n > 18 || file[n] != '.')
		return 0;
	*rest = file + n + 1;
	return strtoull(file, NULL, 10);
}

/* The newest root in the bundle; the ones between the trusted one and it must have been taken. */
static enum ef_reason check_roots(struct update *u, bool *ours, struct error *e)
{
	uint64_t newest = 0, trusted = tuf_version(u->tuf, "root");
	size_t n;
	const struct bundle_member *m = bundle_members(u->bundle, &n);

	for (size_t i = 0; i < n; i++) {
		const char *rest;
		if (strncmp(m[i].name, METADATA, strlen(METADATA)) != 0)
			break;
		uint64_t v = numbered(m[i].name + strlen(METADATA), &rest);
		if (strcmp(rest, "root.json") == 0 && v > newest)
			newest = v;
	}
	*ours = newest == trusted;
	if (newest > trusted)
		return error_set(e, EF_REASON_BAD_FORMAT,
			"root %" PRIu64 " of the bundle does not follow on root %" PRIu64, newest,
			trusted);
	return EF_REASON_OK;
}

static enum ef_reason read_file(struct update *u, const char *name, size_t max, uint8_t **data,
	struct tuf_file *ret, struct error *e)
{
	if (!bundle_find(u->bundle, name))
		return EF_REASON_OK;
	if (bundle_read(u->bundle, name, max, data, &ret->size, e))
		return e->reason;
	ret->data = *data;
	return EF_REASON_OK;
}

/* Each document once; what is no root, timestamp or snapshot is named by what was verified. */
static enum ef_reason check_members(
	struct update *u, const struct tuf_file *snapshot, struct error *e)
{
	size_t n;
	unsigned snapshots = 0;
	const struct bundle_member *m = bundle_members(u->bundle, &n);

	for (size_t i = 0; i < n && strncmp(m[i].name, METADATA, strlen(METADATA)) == 0; i++) {
		const char *file = m[i].name + strlen(METADATA), *rest;
		bool has_number = numbered(file, &rest) > 0;
		bool good = strcmp(rest, "root.json") == 0	  ? has_number
			    : strcmp(rest, "timestamp.json") == 0 ? !has_number
			    : strcmp(rest, "snapshot.json") == 0
				    ? ++snapshots == 1
				    : tuf_carried_named(u->tuf, snapshot, file);
		if (!good)
			return error_set(e, EF_REASON_NOT_SIGNED_FOR, "%s", m[i].name);
	}
	return EF_REASON_OK;
}

static enum ef_reason check_metadata(struct update *u, struct error *e)
{
	_cleanup_free_ uint8_t *ts = NULL, *sn = NULL;
	struct tuf_file timestamp = {0}, snapshot = {0};

	if (read_file(u, METADATA "timestamp.json", TIMESTAMP_MAX, &ts, &timestamp, e) ||
		read_file(u, METADATA "snapshot.json", SNAPSHOT_MAX, &sn, &snapshot, e) ||
		tuf_carried(u->tuf, timestamp.data ? &timestamp : NULL,
			snapshot.data ? &snapshot : NULL, e))
		return e->reason;
	return check_members(u, snapshot.data ? &snapshot : NULL, e);
}

enum ef_reason bundle_judge(struct update *u, const struct look_release *r, struct error *e)
{
	char file[TUF_TARGET_FILE_MAX], name[TUF_TARGET_FILE_MAX + 16];
	bool ours;

	if (check_roots(u, &ours, e))
		return e->reason;
	/* an older bundle's are signed by keys that may have been withdrawn since; nobody reads
	 * them then */
	if (ours && check_metadata(u, e))
		return e->reason;
	if (!r->known.manifest)
		return EF_REASON_OK; /* said by whoever takes it */
	tuf_target_file(&r->target, file, sizeof(file));
	snprintf(name, sizeof(name), "targets/%s", file);
	return bundle_check_members(u->bundle, r->known.manifest, name, e);
}
