/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/keys.h"
#include "repo/metadata.h"
#include "repo/verbs.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include "util/json.h"
#include <errno.h>
#include <limits.h>
#include <string.h>

#define SIGNATURE_MAX ((size_t)2048)

/* What signing may change: the newest version of each role, signed or not. */
static uint64_t sum_of_versions(const struct workspace *w)
{
	uint64_t sum = 0;

	for (int i = 0; i < ROLE_COUNT; i++) {
		_cleanup_json_ json_t *document = NULL;
		struct error none = {0};
		if (metadata_current(w, (enum role_id)i, &document, &none) == EF_REASON_OK)
			sum += metadata_version(document);
	}
	return sum;
}

/* A later version of what there is: a first statement is not made by the way. */
static enum ef_reason refresh_role(const struct workspace *w, const char *name, struct error *e)
{
	_cleanup_json_ json_t *document = NULL;
	enum role_id role;

	if (!role_from_name(name, &role))
		return error_set(e, EF_REASON_USAGE, "'%s' is no role", name);
	enum ef_reason r = metadata_newest(w, role, &document, e);
	return r ? r : metadata_refresh(w, role, e);
}

enum ef_reason verb_sign(struct invocation *i, struct error *e)
{
	struct option_list refresh = {0};
	const struct option options[] = {
		{"refresh", OPTION_LIST, &refresh, "ROLE",
			"first make a new version with a later expiry"},
		{0},
	};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	bool complete = true;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = verb_workspace(i, &w, e);
	for (size_t k = 0; k < refresh.n && !r; k++)
		r = refresh_role(&w, refresh.items[k], e);
	if (r)
		return r;
	uint64_t before = sum_of_versions(&w);
	r = metadata_sign_all(&w, &complete, e);
	i->nothing_to_do = complete && sum_of_versions(&w) == before;
	return r;
}

static enum ef_reason write_in(
	const char *dir, const char *name, const void *data, size_t size, struct error *e)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return error_set(e, EF_REASON_USAGE, "%s: too long", dir);
	int r = atomic_file_write(path, data, size, 0644);
	return r < 0 ? error_errno(e, r, "%s", path) : EF_REASON_OK;
}

/* ROLE.VERSION.bytes: what a key signs, as it is. */
static enum ef_reason export_role(const struct workspace *w, enum role_id role, const char *dir,
	json_t *list, struct error *e)
{
	_cleanup_json_ json_t *document = NULL, *signers = NULL;
	_cleanup_free_ char *bytes = NULL;
	char name[64];
	size_t size;
	enum ef_reason r = metadata_pending(w, role, &document, e);

	if (!r)
		r = metadata_signers(w, role, &signers, &bytes, &size, e);
	if (r)
		return r;
	snprintf(name, sizeof(name), "%s.%llu.bytes", role_names[role],
		(unsigned long long)metadata_version(document));
	json_array_append_new(list,
		json_pack("{s:s, s:I, s:s, s:O}", "role", role_names[role], "version",
			(json_int_t)metadata_version(document), "file", name, "signers", signers));
	note(w, "%s/%s: %zu bytes to sign", dir, name, size);
	return write_in(dir, name, bytes, size, e);
}

enum ef_reason verb_sign_export(struct invocation *i, struct error *e)
{
	const struct option options[] = {{0}};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	_cleanup_json_ json_t *list = json_array();
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	const char *dir = i->words.items[0];
	r = verb_workspace(i, &w, e);
	int n = r ? 0 : dir_make(dir, 0755);
	if (n < 0)
		return error_errno(e, n, "%s", dir);
	for (int k = 0; k < ROLE_COUNT && !r; k++)
		if (metadata_is_pending(&w, (enum role_id)k))
			r = export_role(&w, (enum role_id)k, dir, list, e);
	if (r)
		return r;
	i->nothing_to_do = json_array_size(list) == 0;
	_cleanup_free_ char *text = json_file_text(list);
	return text ? write_in(dir, "to-sign.json", text, strlen(text), e)
		    : error_set(e, EF_REASON_NO_MEMORY, "to-sign.json");
}

/* A key's id: itself, or of a key in the workspace. */
static enum ef_reason find_id(
	const struct workspace *w, const char *name, char out[65], struct error *e)
{
	_cleanup_json_ json_t *object = NULL;
	uint8_t raw[32];

	if (hex_decode(name, raw, sizeof(raw))) {
		snprintf(out, 65, "%s", name);
		return EF_REASON_OK;
	}
	return key_name_valid(name) ? key_object(w, name, &object, out, e)
				    : error_set(e, EF_REASON_USAGE, "'%s' is no key", name);
}

enum ef_reason verb_sign_attach(struct invocation *i, struct error *e)
{
	const struct option options[] = {{0}};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	_cleanup_free_ uint8_t *sig = NULL;
	char id[65], hex[2 * SIGNATURE_MAX + 1];
	enum role_id role;
	bool complete;
	size_t size;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	if (!role_from_name(i->words.items[0], &role))
		return error_set(e, EF_REASON_USAGE, "'%s' is no role", i->words.items[0]);
	r = verb_workspace(i, &w, e);
	if (!r)
		r = find_id(&w, i->words.items[1], id, e);
	if (r)
		return r;
	int n = file_read(i->words.items[2], SIGNATURE_MAX, &sig, &size);
	if (n < 0)
		return error_errno(e, n, "%s", i->words.items[2]);
	return metadata_attach(&w, role, id, hex_encode(sig, size, hex), &complete, e);
}

/* What another workspace has of a role: pending, or signed by enough there. */
static enum ef_reason read_other(
	const char *dir, enum role_id role, uint64_t version, json_t **ret, struct error *e)
{
	char file[64], paths[2][PATH_MAX];

	role_file_name(role, version, file);
	snprintf(paths[0], sizeof(paths[0]), "%s/pending/%s.json", dir, role_names[role]);
	snprintf(paths[1], sizeof(paths[1]), "%s/metadata/%s", dir, file);
	for (int i = 0; i < 2; i++) {
		_cleanup_free_ uint8_t *data = NULL;
		size_t size;
		int r = file_read(paths[i], (size_t)64 << 20, &data, &size);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return error_errno(e, r, "%s", paths[i]);
		*ret = json_read(data, size, paths[i], e);
		return *ret ? EF_REASON_OK : e->reason;
	}
	return error_set(e, EF_REASON_NOT_FOUND, "%s has no %s", dir, role_names[role]);
}

static enum ef_reason merge_role(const struct workspace *w, enum role_id role, const char *dir,
	bool *changed, struct error *e)
{
	_cleanup_json_ json_t *mine = NULL, *other = NULL;
	struct error why = {0};
	bool complete;
	enum ef_reason r = metadata_pending(w, role, &mine, e);

	if (r)
		return r;
	r = read_other(dir, role, metadata_version(mine), &other, &why);
	if (r == EF_REASON_NOT_FOUND)
		return EF_REASON_OK;
	return r ? error_set(e, r, "%s", why.detail)
		 : metadata_merge(w, role, other, changed, &complete, e);
}

enum ef_reason verb_sign_merge(struct invocation *i, struct error *e)
{
	const struct option options[] = {{0}};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	bool any = false;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = verb_workspace(i, &w, e);
	for (int k = 0; k < ROLE_COUNT && !r; k++) {
		bool changed = false;
		if (metadata_is_pending(&w, (enum role_id)k))
			r = merge_role(&w, (enum role_id)k, i->words.items[0], &changed, e);
		any = any || changed;
	}
	i->nothing_to_do = !any;
	return r;
}
