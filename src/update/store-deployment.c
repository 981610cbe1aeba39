/* SPDX-License-Identifier: Apache-2.0 */
/* Deployments and their parts in state.db. */
#include "update/machine.h"
#include "update/sql.h"
#include "update/store.h"
#include <errno.h>
#include <string.h>

#define COLUMNS                                                                          \
	"id, state, origin, reason, detail, release, sequence, wanted, before, bundle, " \
	"started, ended, server_before, nodes_before, trials, manifest_sha256, manifest"

/* What is over, for use in SQL. */
#define OVER "('confirmed', 'reverted', 'refused', 'failed', 'cancelled')"

struct deployment *deployment_free(struct deployment *d)
{
	if (!d)
		return NULL;
	manifest_free(d->manifest);
	free(d->parts);
	free(d->nodes_before);
	free(d);
	return NULL;
}

static void deployment_freep(struct deployment **d)
{
	deployment_free(*d);
}

enum ef_reason store_deployment_add(struct store *s, struct deployment *d, struct error *e)
{
	sql_run(s, e,
		"INSERT INTO deployments(state, origin, reason, detail, release, sequence, wanted, "
		"before,"
		" bundle, started, ended, server_before, nodes_before, trials, manifest_sha256)"
		" VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"sssssisssiiisib", deployment_state_word(d->state),
		deployment_origin_word(d->origin), reason_word(d->error.reason), d->error.detail,
		d->release, (int64_t)d->sequence, d->wanted, d->before, d->bundle, d->started,
		d->ended, (int64_t)d->server_before, d->nodes_before ? d->nodes_before : "",
		(int64_t)d->trials, d->manifest_sha256, sizeof(d->manifest_sha256));
	if (e->reason)
		return e->reason;
	d->id = (uint64_t)sqlite3_last_insert_rowid(s->db);
	/* the last confirmed ones stay whatever failed after them: rollback needs them */
	sql_run(s, e,
		"DELETE FROM deployments WHERE id <= ? AND id NOT IN"
		" (SELECT id FROM deployments WHERE state = 'confirmed' ORDER BY id DESC LIMIT 20)",
		"i", (int64_t)d->id - STORE_DEPLOYMENTS_MAX);
	if (e->reason)
		return e->reason;
	return sql_run(
		s, e, "DELETE FROM parts WHERE deployment NOT IN (SELECT id FROM deployments)", "");
}

enum ef_reason store_deployment_save(struct store *s, const struct deployment *d, struct error *e)
{
	return sql_run(s, e,
		"UPDATE deployments SET state = ?, reason = ?, detail = ?, release = ?, sequence = "
		"?,"
		" ended = ?, server_before = ?, nodes_before = ?, trials = ?, manifest_sha256 = ?"
		" WHERE id = ?",
		"ssssiiisibi", deployment_state_word(d->state), reason_word(d->error.reason),
		d->error.detail, d->release, (int64_t)d->sequence, d->ended,
		(int64_t)d->server_before, d->nodes_before ? d->nodes_before : "",
		(int64_t)d->trials, d->manifest_sha256, sizeof(d->manifest_sha256), (int64_t)d->id);
}

bool store_deployment_is(struct store *s, uint64_t id, enum deployment_state state)
{
	struct error e = {0};
	_cleanup_stmt_ sqlite3_stmt *q =
		sql_query(s, &e, "SELECT 1 FROM deployments WHERE id = ? AND state = ?", "is",
			(int64_t)id, deployment_state_word(state));

	return q && sql_row(s, q, &e);
}

enum ef_reason store_part_save(
	struct store *s, const struct deployment *d, size_t part, struct error *e)
{
	const struct part *p = &d->parts[part];

	return sql_run(s, e,
		"INSERT OR REPLACE INTO parts(deployment, number, component, place, from_version, "
		"state,"
		" required, hash, step, reason, detail) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"iissssibiss", (int64_t)d->id, (int64_t)part, p->component->name, p->place, p->from,
		component_state_word(p->state), (int64_t)p->required, p->hash, sizeof(p->hash),
		(int64_t)p->step, reason_word(p->error.reason), p->error.detail);
}

enum ef_reason store_deployment_plan(struct store *s, const struct deployment *d,
	const void *manifest, size_t size, struct error *e)
{
	if (sql_run(s, e, "UPDATE deployments SET manifest = ? WHERE id = ?", "bi", manifest, size,
		    (int64_t)d->id))
		return e->reason;
	if (sql_run(s, e, "DELETE FROM parts WHERE deployment = ?", "i", (int64_t)d->id))
		return e->reason;
	for (size_t i = 0; i < d->n_parts; i++)
		if (store_part_save(s, d, i, e))
			return e->reason;
	return EF_REASON_OK;
}

static enum ef_reason unreadable(struct error *e, int64_t id, const char *what)
{
	return error_set(e, EF_REASON_STATE_UNREADABLE, "state.db: deployment %lld: %s",
		(long long)id, what);
}

static bool part_read(sqlite3_stmt *q, const struct manifest *m, struct part *p)
{
	char word[33];

	*p = (struct part){.phase = ""};
	if (!sql_text(q, 0, word, sizeof(word)))
		return false;
	p->component = manifest_component(m, word);
	if (!p->component)
		return false;
	p->required = sqlite3_column_int64(q, 4) != 0;
	p->step = (unsigned)sqlite3_column_int64(q, 6);
	return sql_text(q, 1, p->place, sizeof(p->place)) &&
	       sql_text(q, 2, p->from, sizeof(p->from)) && sql_text(q, 3, word, sizeof(word)) &&
	       component_state_from_word(word, &p->state) &&
	       sql_blob(q, 5, p->hash, sizeof(p->hash)) && sql_reason(q, 7, &p->error);
}

static enum ef_reason parts_read(struct store *s, struct deployment *d, struct error *e)
{
	_cleanup_stmt_ sqlite3_stmt *q = sql_query(s, e,
		"SELECT component, place, from_version, state, required, hash, step, reason, detail"
		" FROM parts WHERE deployment = ? ORDER BY number",
		"i", (int64_t)d->id);

	while (q && sql_row(s, q, e)) {
		struct part *parts = reallocarray(d->parts, d->n_parts + 1, sizeof(*parts));
		if (!parts)
			return error_set(e, EF_REASON_NO_MEMORY, "parts");
		d->parts = parts;
		if (!part_read(q, d->manifest, &d->parts[d->n_parts]))
			return unreadable(e, (int64_t)d->id, "part");
		d->n_parts++;
	}
	return e->reason;
}

static bool columns_read(sqlite3_stmt *q, struct deployment *d)
{
	char state[33], origin[33];

	d->id = (uint64_t)sqlite3_column_int64(q, 0);
	d->sequence = (uint64_t)sqlite3_column_int64(q, 6);
	d->started = sqlite3_column_int64(q, 10);
	d->ended = sqlite3_column_int64(q, 11);
	d->server_before = sqlite3_column_int64(q, 12) != 0;
	d->trials = (unsigned)sqlite3_column_int64(q, 14);
	const char *nodes = (const char *)sqlite3_column_text(q, 13);
	d->nodes_before = nodes ? strdup(nodes) : NULL;
	return d->nodes_before && sql_text(q, 1, state, sizeof(state)) &&
	       deployment_state_from_word(state, &d->state) &&
	       sql_text(q, 2, origin, sizeof(origin)) &&
	       deployment_origin_from_word(origin, &d->origin) && sql_reason(q, 3, &d->error) &&
	       sql_text(q, 5, d->release, sizeof(d->release)) &&
	       sql_text(q, 7, d->wanted, sizeof(d->wanted)) &&
	       sql_text(q, 8, d->before, sizeof(d->before)) &&
	       sql_text(q, 9, d->bundle, sizeof(d->bundle)) &&
	       sql_blob(q, 15, d->manifest_sha256, sizeof(d->manifest_sha256));
}

static enum ef_reason deployment_read(
	struct store *s, sqlite3_stmt *q, struct deployment **ret, struct error *e)
{
	_cleanup_(deployment_freep) struct deployment *d = calloc(1, sizeof(*d));

	if (!d)
		return error_set(e, EF_REASON_NO_MEMORY, "deployment");
	if (!columns_read(q, d))
		return unreadable(e, sqlite3_column_int64(q, 0), "row");
	const void *manifest = sqlite3_column_blob(q, 16);
	if (manifest) {
		struct error why = {0};
		/* it was verified before it was stored; a later reader may be stricter */
		if (manifest_parse(
			    manifest, (size_t)sqlite3_column_bytes(q, 16), &d->manifest, &why))
			return unreadable(e, (int64_t)d->id, why.detail);
		if (parts_read(s, d, e))
			return e->reason;
	}
	*ret = TAKE_PTR(d);
	return EF_REASON_OK;
}

enum ef_reason store_deployment_current(struct store *s, struct deployment **ret, struct error *e)
{
	_cleanup_stmt_ sqlite3_stmt *q = sql_query(s, e,
		"SELECT " COLUMNS " FROM deployments WHERE state NOT IN " OVER
		" ORDER BY id DESC LIMIT 1",
		"");

	*ret = NULL;
	if (q && sql_row(s, q, e))
		deployment_read(s, q, ret, e);
	return e->reason;
}

/* The row of q, which a step has found. */
static enum ef_reason read_with_manifest(struct store *s, sqlite3_stmt *q, struct deployment **ret,
	uint8_t **manifest, size_t *size, struct error *e)
{
	*size = (size_t)sqlite3_column_bytes(q, 16);
	*manifest = malloc(*size);
	if (!*manifest)
		return error_set(e, EF_REASON_NO_MEMORY, "manifest");
	memcpy(*manifest, sqlite3_column_blob(q, 16), *size);
	if (deployment_read(s, q, ret, e)) {
		free(*manifest);
		*manifest = NULL;
	}
	return e->reason;
}

enum ef_reason store_deployment_before(struct store *s, const char *release,
	struct deployment **ret, uint8_t **manifest, size_t *size, struct error *e)
{
	_cleanup_stmt_ sqlite3_stmt *q = sql_query(s, e,
		"SELECT " COLUMNS " FROM deployments WHERE state = 'confirmed' AND release != ?"
		" AND manifest IS NOT NULL ORDER BY id DESC LIMIT 1",
		"s", release);

	*ret = NULL;
	if (!q || !sql_row(s, q, e))
		return error_set(e, EF_REASON_NOT_FOUND, "no release before this one is on record");
	return read_with_manifest(s, q, ret, manifest, size, e);
}

enum ef_reason store_deployment_of(struct store *s, const char *release, struct deployment **ret,
	uint8_t **manifest, size_t *size, struct error *e)
{
	_cleanup_stmt_ sqlite3_stmt *q = sql_query(s, e,
		"SELECT " COLUMNS " FROM deployments WHERE state = 'confirmed' AND release = ?"
		" AND manifest IS NOT NULL ORDER BY id DESC LIMIT 1",
		"s", release);

	*ret = NULL;
	if (!q || !sql_row(s, q, e))
		return e->reason;
	return manifest ? read_with_manifest(s, q, ret, manifest, size, e)
			: deployment_read(s, q, ret, e);
}

int store_deployments(
	struct store *s, unsigned max, int (*cb)(void *ctx, const struct deployment *d), void *ctx)
{
	struct error e = {0};
	int r = 0;

	_cleanup_stmt_ sqlite3_stmt *q =
		sql_query(s, &e, "SELECT " COLUMNS " FROM deployments ORDER BY id DESC LIMIT ?",
			"i", max > 0 ? (int64_t)max : (int64_t)STORE_DEPLOYMENTS_MAX);
	while (r == 0 && q && sql_row(s, q, &e)) {
		_cleanup_(deployment_freep) struct deployment *d = NULL;
		if (deployment_read(s, q, &d, &e))
			break;
		r = cb(ctx, d);
	}
	return e.reason ? -EIO : r;
}
