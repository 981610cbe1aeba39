/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/metadata.h"
#include "repo/keys.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/time-util.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define SPEC_VERSION "1.0.31"

const char *const role_names[ROLE_COUNT] = {
	[ROLE_ROOT] = "root",
	[ROLE_TARGETS] = "targets",
	[ROLE_RELEASES] = "releases",
	[ROLE_ROLLOUTS] = "rollouts",
	[ROLE_SNAPSHOT] = "snapshot",
	[ROLE_TIMESTAMP] = "timestamp",
};

bool role_is_delegated(enum role_id role)
{
	return role == ROLE_RELEASES || role == ROLE_ROLLOUTS;
}

bool role_from_name(const char *name, enum role_id *ret)
{
	for (int i = 0; i < ROLE_COUNT; i++)
		if (strcmp(role_names[i], name) == 0) {
			*ret = (enum role_id)i;
			return true;
		}
	return false;
}

void role_file_name(enum role_id role, uint64_t version, char out[64])
{
	if (role == ROLE_TIMESTAMP)
		snprintf(out, 64, "timestamp.json");
	else
		snprintf(out, 64, "%llu.%s.json", (unsigned long long)version, role_names[role]);
}

uint64_t metadata_version(const json_t *document)
{
	uint64_t v = 0;

	json_get_uint(json_object_get(document, "signed"), "version", &v);
	return v;
}

/* N of "N.ROLE.json", 0 for any other name. */
static uint64_t version_of_file(const char *name, enum role_id role)
{
	char want[64];
	uint64_t n = strtoull(name, NULL, 10);

	role_file_name(role, n, want);
	return strcmp(want, name) == 0 ? n : 0;
}

static int highest_version(const struct workspace *w, enum role_id role, uint64_t *ret)
{
	struct dirent *d;
	int fd = workspace_dir(w, "metadata");

	*ret = 0;
	if (fd < 0)
		return fd;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		ef_close(fd);
		return -ENOMEM;
	}
	while ((d = readdir(dir))) {
		uint64_t n = version_of_file(d->d_name, role);
		if (n > *ret)
			*ret = n;
	}
	closedir(dir);
	return 0;
}

enum ef_reason metadata_load(const struct workspace *w, enum role_id role, uint64_t version,
	json_t **ret, struct error *e)
{
	char name[64], path[80];

	role_file_name(role, version, name);
	snprintf(path, sizeof(path), "metadata/%s", name);
	enum ef_reason r = workspace_read_json(w, path, ret, e);
	if (!r && role != ROLE_TIMESTAMP && metadata_version(*ret) != version)
		return error_set(e, EF_REASON_STATE_UNREADABLE, "%s/%s has another version inside",
			w->path, path);
	return r;
}

enum ef_reason metadata_current(
	const struct workspace *w, enum role_id role, json_t **ret, struct error *e)
{
	uint64_t version = 0;

	if (role != ROLE_TIMESTAMP) {
		int r = highest_version(w, role, &version);
		if (r < 0)
			return error_errno(e, r, "%s/metadata", w->path);
		if (version == 0)
			return error_set(e, EF_REASON_NOT_FOUND,
				"%s has never been signed: run 'edgeferry-repo sign'",
				role_names[role]);
	}
	return metadata_load(w, role, version, ret, e);
}

static void pending_path(enum role_id role, char out[80])
{
	snprintf(out, 80, "pending/%s.json", role_names[role]);
}

enum ef_reason metadata_pending(
	const struct workspace *w, enum role_id role, json_t **ret, struct error *e)
{
	_cleanup_json_ json_t *current = NULL, *pending = NULL;
	struct error none = {0};
	char path[80];

	pending_path(role, path);
	enum ef_reason r = workspace_read_json(w, path, &pending, e);
	if (r)
		return r;
	/* Cut off between moving over and removing: what is current is no longer pending. */
	r = metadata_current(w, role, &current, &none);
	if (r && r != EF_REASON_NOT_FOUND)
		return error_set(e, r, "%s", none.detail);
	if (current && metadata_version(pending) <= metadata_version(current)) {
		unlinkat(w->fd, path, 0);
		return error_set(e, EF_REASON_NOT_FOUND, "%s", path);
	}
	*ret = TAKE_PTR(pending);
	return EF_REASON_OK;
}

bool metadata_is_pending(const struct workspace *w, enum role_id role)
{
	_cleanup_json_ json_t *document = NULL;
	struct error none = {0};

	/* One that cannot be read is there, too. */
	return metadata_pending(w, role, &document, &none) != EF_REASON_NOT_FOUND;
}

enum ef_reason metadata_newest(
	const struct workspace *w, enum role_id role, json_t **ret, struct error *e)
{
	struct error none = {0};
	enum ef_reason r = metadata_pending(w, role, ret, &none);

	if (r == EF_REASON_NOT_FOUND)
		return metadata_current(w, role, ret, e);
	return r ? error_set(e, r, "%s", none.detail) : r;
}

static enum ef_reason set_expiry(
	const struct workspace *w, enum role_id role, json_t *body, struct error *e)
{
	uint64_t days;
	char text[21];

	if (!json_get_uint(workspace_role(w, role_names[role]), "expire_days", &days))
		return error_set(e, EF_REASON_CONFIG, "workspace.json: role %s", role_names[role]);
	time_format_utc(w->now + (int64_t)days * 86400, text);
	return json_object_set_new(body, "expires", json_string(text)) < 0
		       ? error_set(e, EF_REASON_NO_MEMORY, "%s", role_names[role])
		       : EF_REASON_OK;
}

static json_t *empty_body(enum role_id role)
{
	const char *type = role_is_delegated(role) ? "targets" : role_names[role];
	json_t *body = json_pack(
		"{s:s, s:s, s:i}", "_type", type, "spec_version", SPEC_VERSION, "version", 1);

	if (body && strcmp(type, "targets") == 0)
		json_object_set_new(body, "targets", json_object());
	if (body && (role == ROLE_SNAPSHOT || role == ROLE_TIMESTAMP))
		json_object_set_new(body, "meta", json_object());
	return body;
}

enum ef_reason metadata_edit(
	const struct workspace *w, enum role_id role, json_t **ret, struct error *e)
{
	_cleanup_json_ json_t *newest = NULL, *body = NULL;
	struct error none = {0};
	enum ef_reason r = metadata_newest(w, role, &newest, &none);

	if (r && r != EF_REASON_NOT_FOUND)
		return error_set(e, r, "%s", none.detail);
	if (r == EF_REASON_NOT_FOUND) {
		body = empty_body(role);
	} else {
		uint64_t version = metadata_version(newest) + !metadata_is_pending(w, role);
		body = json_deep_copy(json_object_get(newest, "signed"));
		json_object_set_new(body, "version", json_integer((json_int_t)version));
	}
	if (!body)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", role_names[role]);
	r = set_expiry(w, role, body, e);
	if (!r)
		*ret = TAKE_PTR(body);
	return r;
}

enum ef_reason metadata_store(
	const struct workspace *w, enum role_id role, json_t *body, struct error *e)
{
	_cleanup_json_ json_t *document = json_pack("{s:O, s:[]}", "signed", body, "signatures");
	char name[64];

	if (!document)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", role_names[role]);
	snprintf(name, sizeof(name), "%s.json", role_names[role]);
	return workspace_write_json(w, "pending", name, document, e);
}

enum ef_reason metadata_refresh(const struct workspace *w, enum role_id role, struct error *e)
{
	_cleanup_json_ json_t *body = NULL;
	enum ef_reason r = metadata_edit(w, role, &body, e);

	return r ? r : metadata_store(w, role, body, e);
}

/* {"keyids": […], "threshold": n}; the keys' objects go into keys. New reference. */
static enum ef_reason role_keys(
	const struct workspace *w, enum role_id role, json_t *keys, json_t **ret, struct error *e)
{
	const json_t *config = workspace_role(w, role_names[role]);
	_cleanup_json_ json_t *ids = json_array();
	json_t *name;
	size_t i;

	json_array_foreach (json_object_get(config, "keys"), i, name) {
		json_t *object = NULL;
		char id[65];
		enum ef_reason r = key_object(w, json_string_value(name), &object, id, e);
		if (r)
			return r;
		if (json_object_set_new(keys, id, object) < 0 ||
			json_array_append_new(ids, json_string(id)) < 0)
			return error_set(e, EF_REASON_NO_MEMORY, "%s", role_names[role]);
	}
	*ret = json_pack(
		"{s:O, s:O}", "keyids", ids, "threshold", json_object_get(config, "threshold"));
	return *ret ? EF_REASON_OK : error_set(e, EF_REASON_NO_MEMORY, "%s", role_names[role]);
}

enum ef_reason metadata_edit_root(const struct workspace *w, struct error *e)
{
	static const enum role_id top[] = {ROLE_ROOT, ROLE_TARGETS, ROLE_SNAPSHOT, ROLE_TIMESTAMP};
	_cleanup_json_ json_t *body = NULL, *keys = json_object(), *roles = json_object();
	enum ef_reason r = metadata_edit(w, ROLE_ROOT, &body, e);

	for (size_t i = 0; i < sizeof(top) / sizeof(top[0]) && !r; i++) {
		json_t *role = NULL;
		r = role_keys(w, top[i], keys, &role, e);
		if (!r && json_object_set_new(roles, role_names[top[i]], role) < 0)
			r = error_set(e, EF_REASON_NO_MEMORY, "root");
	}
	if (r)
		return r;
	if (json_object_set(body, "keys", keys) < 0 || json_object_set(body, "roles", roles) < 0 ||
		json_object_set_new(body, "consistent_snapshot", json_true()) < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "root");
	return metadata_store(w, ROLE_ROOT, body, e);
}

/* Which paths a role is trusted with. Terminating: for these nobody else is asked. */
static json_t *delegation(enum role_id id, const json_t *role)
{
	static const char *const paths[ROLE_COUNT] = {
		[ROLE_RELEASES] = "releases/*/*",
		[ROLE_ROLLOUTS] = "rollouts/*",
	};

	return json_pack("{s:s, s:O, s:O, s:b, s:[s]}", "name", role_names[id], "keyids",
		json_object_get(role, "keyids"), "threshold", json_object_get(role, "threshold"),
		"terminating", 1, "paths", paths[id]);
}

enum ef_reason metadata_edit_targets(const struct workspace *w, struct error *e)
{
	_cleanup_json_ json_t *body = NULL, *keys = json_object(), *roles = json_array();
	enum ef_reason r = metadata_edit(w, ROLE_TARGETS, &body, e);

	for (int i = 0; i < ROLE_COUNT && !r; i++) {
		_cleanup_json_ json_t *role = NULL;
		enum role_id id = (enum role_id)i;
		if (!role_is_delegated(id) || !workspace_role(w, role_names[id]))
			continue;
		r = role_keys(w, id, keys, &role, e);
		if (!r && json_array_append_new(roles, delegation(id, role)) < 0)
			r = error_set(e, EF_REASON_NO_MEMORY, "targets");
	}
	if (r)
		return r;
	json_t *delegations = json_pack("{s:O, s:O}", "keys", keys, "roles", roles);
	if (!delegations || json_object_set_new(body, "delegations", delegations) < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "targets");
	return metadata_store(w, ROLE_TARGETS, body, e);
}
