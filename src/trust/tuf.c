/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/tuf.h"
#include "trust/tuf-internal.h"
#include "trust/tuf-verify.h"
#include "util/cleanup.h"
#include "util/json.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What is done with the file that a state waits for. Without absent, absence is an error. */
static const struct {
	enum ef_reason (*feed)(struct tuf *t, const void *data, size_t size, struct error *e);
	enum ef_reason (*absent)(struct tuf *t, struct error *e);
} steps[] = {
	[WANT_ROOT] = {tuf_feed_root, tuf_no_root},
	[WANT_TIMESTAMP] = {tuf_feed_timestamp, NULL},
	[WANT_SNAPSHOT] = {tuf_feed_snapshot, NULL},
	[WANT_TARGETS] = {tuf_feed_targets, NULL},
	[WANT_ROLE] = {tuf_feed_role, NULL},
};

enum ef_reason tuf_want(
	struct tuf *t, enum tuf_state state, uint64_t max_size, const char *format, ...)
{
	va_list ap;

	t->state = state;
	t->request.max_size = max_size;
	t->request.may_be_absent = steps[state].absent;
	va_start(ap, format);
	vsnprintf(t->request.name, sizeof(t->request.name), format, ap);
	va_end(ap);
	return EF_REASON_OK;
}

enum ef_reason tuf_done(struct tuf *t)
{
	t->state = NOTHING;
	return EF_REASON_OK;
}

enum ef_reason tuf_doc_open(const void *data, size_t size, const json_t *keys, const json_t *role,
	enum tuf_doc_type type, const char *name, struct tuf_doc *ret, struct error *e)
{
	struct tuf_doc d = {.size = size};

	if (!tuf_hashes_of(data, size, &d.hashes))
		return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	d.envelope = tuf_envelope_read(data, size, name, e);
	if (!d.envelope || tuf_envelope_verify(d.envelope, keys, role, name, e) != EF_REASON_OK ||
		tuf_doc_parse(&d, type, name, e) != EF_REASON_OK) {
		tuf_doc_free(&d);
		return e->reason;
	}
	*ret = d;
	return EF_REASON_OK;
}

enum ef_reason tuf_check_expiry(
	const struct tuf *t, const struct tuf_doc *d, const char *name, struct error *e)
{
	const char *text;

	if (d->expires > t->now)
		return EF_REASON_OK;
	if (!json_get_string(d->body, "expires", &text))
		text = "";
	return error_set(e, EF_REASON_EXPIRED, "%s: since %s", name, text);
}

enum ef_reason tuf_open(const struct tuf_store *store, struct tuf **ret, struct error *e)
{
	struct tuf *t = calloc(1, sizeof(*t));

	if (!t)
		return error_set(e, EF_REASON_NO_MEMORY, "trust");
	t->store = *store;
	if (tuf_stored_root(store, &t->root, e) != EF_REASON_OK ||
		tuf_stored_fixed(t, TUF_TIMESTAMP, "timestamp", &t->timestamp, e) != EF_REASON_OK ||
		tuf_stored_fixed(t, TUF_SNAPSHOT, "snapshot", &t->snapshot, e) != EF_REASON_OK ||
		tuf_stored_fixed(t, TUF_TARGETS, "targets", &t->targets, e) != EF_REASON_OK)
		goto fail;
	/* The snapshot is stored after the timestamp, and removed before it. */
	if (t->snapshot.envelope && !t->timestamp.envelope) {
		error_set(e, EF_REASON_STATE_UNREADABLE, "stored timestamp.json is gone");
		goto fail;
	}
	*ret = t;
	return EF_REASON_OK;
fail:
	tuf_close(t);
	return e->reason;
}

void tuf_close(struct tuf *t)
{
	if (!t)
		return;
	tuf_walk_reset(t);
	tuf_roles_free(t);
	tuf_doc_free(&t->targets);
	tuf_doc_free(&t->snapshot);
	tuf_doc_free(&t->timestamp);
	tuf_doc_free(&t->root);
	free(t);
}

enum ef_reason tuf_bootstrap(
	const struct tuf_store *store, const void *root, size_t size, struct error *e)
{
	static const char file[] = "root.json";
	_cleanup_free_ uint8_t *stored = NULL;
	struct tuf_doc d = {.envelope = NULL};
	size_t stored_size;

	if (tuf_stored_load(store, file, &stored, &stored_size, e) != EF_REASON_OK || stored)
		return e->reason;
	if (size > ROOT_SIZE_MAX)
		return error_set(e, EF_REASON_BAD_SIZE, "%s: too large", file);
	d.envelope = tuf_envelope_read(root, size, file, e);
	if (d.envelope && tuf_doc_parse(&d, TUF_ROOT, file, e) == EF_REASON_OK &&
		tuf_envelope_verify(d.envelope, tuf_root_keys(&d), tuf_root_role(&d, "root"), file,
			e) == EF_REASON_OK) {
		int r = store->save(store->ctx, file, root, size);
		if (r < 0)
			error_errno(e, r, "cannot store %s", file);
	}
	tuf_doc_free(&d);
	return e->reason;
}

enum ef_reason tuf_refresh(struct tuf *t, enum tuf_mode mode, int64_t now, struct error *e)
{
	if (t->state != NOTHING)
		return error_set(e, EF_REASON_BUSY, "trust");
	tuf_walk_reset(t);
	tuf_roles_free(t);
	error_clear(&t->error);
	t->refreshed = false;
	t->mode = mode;
	t->now = now;
	t->roots = 0;
	if (tuf_refresh_begin(t, &t->error) != EF_REASON_OK)
		return error_set(e, t->error.reason, "%s", t->error.detail);
	return EF_REASON_OK;
}

bool tuf_next(struct tuf *t, struct tuf_request *ret)
{
	if (t->state == NOTHING)
		return false;
	*ret = t->request;
	return true;
}

/* A step failed: so did the operation. */
static void settle(struct tuf *t, enum ef_reason r)
{
	if (r != EF_REASON_OK)
		t->state = NOTHING;
}

void tuf_feed(struct tuf *t, const void *data, size_t size)
{
	if (t->state == NOTHING)
		return;
	if (size > t->request.max_size)
		settle(t, error_set(&t->error, EF_REASON_BAD_SIZE,
				  "%s: %zu bytes where at most %llu are expected", t->request.name,
				  size, (unsigned long long)t->request.max_size));
	else
		settle(t, steps[t->state].feed(t, data, size, &t->error));
}

void tuf_feed_absent(struct tuf *t)
{
	if (t->state == NOTHING)
		return;
	if (steps[t->state].absent)
		settle(t, steps[t->state].absent(t, &t->error));
	else
		settle(t, error_set(&t->error, EF_REASON_NOT_FOUND, "%s", t->request.name));
}

void tuf_feed_error(struct tuf *t, const struct error *e)
{
	enum ef_reason reason = e->reason != EF_REASON_OK ? e->reason : EF_REASON_INTERNAL;

	if (t->state != NOTHING)
		settle(t, error_set(&t->error, reason, "%s: %s", t->request.name, e->detail));
}

enum ef_reason tuf_result(const struct tuf *t, struct error *e)
{
	if (t->state != NOTHING)
		return error_set(e, EF_REASON_BUSY, "trust");
	return error_set(e, t->error.reason, "%s", t->error.detail);
}

const struct tuf_doc *tuf_role_doc(const struct tuf *t, const struct tuf_role *role)
{
	return role ? &role->doc : &t->targets;
}

static const struct tuf_doc *doc_by_name(const struct tuf *t, const char *role)
{
	const struct {
		const char *name;
		const struct tuf_doc *doc;
	} top[] = {{"root", &t->root}, {"timestamp", &t->timestamp}, {"snapshot", &t->snapshot},
		{"targets", &t->targets}};

	for (size_t i = 0; i < sizeof(top) / sizeof(top[0]); i++)
		if (strcmp(top[i].name, role) == 0)
			return top[i].doc;
	const struct tuf_role *r = tuf_role_find(t, role);
	return r ? &r->doc : NULL;
}

uint64_t tuf_version(const struct tuf *t, const char *role)
{
	const struct tuf_doc *d = doc_by_name(t, role);

	return d ? d->version : 0;
}

int64_t tuf_expires(const struct tuf *t, const char *role)
{
	const struct tuf_doc *d = doc_by_name(t, role);

	return d ? d->expires : 0;
}
