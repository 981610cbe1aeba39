/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/tuf-role.h"
#include "trust/tuf-delegation.h"
#include "util/json.h"
#include "util/time-util.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define DELEGATIONS_MAX 16384u

void tuf_doc_free(struct tuf_doc *d)
{
	json_decref(d->envelope);
	*d = (struct tuf_doc){.envelope = NULL};
}

bool tuf_hashes_of(const void *data, size_t size, struct tuf_hashes *ret)
{
	ret->has_sha256 = EVP_Digest(data, size, ret->sha256, NULL, EVP_sha256(), NULL) == 1;
	ret->has_sha512 = EVP_Digest(data, size, ret->sha512, NULL, EVP_sha512(), NULL) == 1;
	return ret->has_sha256 && ret->has_sha512;
}

bool tuf_hashes_match(const struct tuf_hashes *given, const struct tuf_hashes *actual)
{
	if (given->has_sha256 &&
		(!actual->has_sha256 || memcmp(given->sha256, actual->sha256, DIGEST_SIZE) != 0))
		return false;
	if (given->has_sha512 &&
		(!actual->has_sha512 || memcmp(given->sha512, actual->sha512, SHA512_SIZE) != 0))
		return false;
	return given->has_sha256 || given->has_sha512;
}

/* An object of digests by algorithm. Unknown algorithms are passed over, bad digests are not. */
static bool hashes_read(const json_t *o, struct tuf_hashes *ret)
{
	json_t *object = (json_t *)o;
	const char *algorithm;
	json_t *v;

	*ret = (struct tuf_hashes){.has_sha256 = false};
	if (!json_is_object(o) || json_object_size(o) == 0)
		return false;
	json_object_foreach (object, algorithm, v)
		if (!json_is_string(v))
			return false;
	if (json_object_get(o, "sha256")) {
		if (!hex_decode(json_string_value(json_object_get(o, "sha256")), ret->sha256,
			    DIGEST_SIZE))
			return false;
		ret->has_sha256 = true;
	}
	if (json_object_get(o, "sha512")) {
		if (!hex_decode(json_string_value(json_object_get(o, "sha512")), ret->sha512,
			    SHA512_SIZE))
			return false;
		ret->has_sha512 = true;
	}
	return true;
}

static bool meta_read(const json_t *o, struct tuf_meta *ret)
{
	const json_t *length = json_object_get(o, "length"), *hashes = json_object_get(o, "hashes");

	*ret = (struct tuf_meta){.has_length = length, .has_hashes = hashes};
	return json_get_uint(o, "version", &ret->version) && ret->version > 0 &&
	       (!length || json_get_uint(o, "length", &ret->length)) &&
	       (!hashes || hashes_read(hashes, &ret->hashes));
}

bool tuf_target_read(const json_t *entry, uint64_t *length, struct tuf_hashes *ret)
{
	return json_get_uint(entry, "length", length) &&
	       hashes_read(json_object_get(entry, "hashes"), ret) &&
	       (ret->has_sha256 || ret->has_sha512);
}

static bool all_strings(const json_t *array)
{
	if (!json_is_array(array))
		return false;
	for (size_t i = 0; i < json_array_size(array); i++)
		if (!json_is_string(json_array_get(array, i)))
			return false;
	return true;
}

static bool all_objects(const json_t *object)
{
	const char *key;
	json_t *v;

	if (!json_is_object(object))
		return false;
	json_object_foreach ((json_t *)object, key, v)
		if (!json_is_object(v))
			return false;
	return true;
}

/* {keyids, threshold} */
static bool role_ok(const json_t *role)
{
	uint64_t threshold;

	return all_strings(json_object_get(role, "keyids")) &&
	       json_get_uint(role, "threshold", &threshold) && threshold > 0;
}

static enum ef_reason wrong(const char *name, const char *what, struct error *e)
{
	return error_set(e, EF_REASON_BAD_FORMAT, "%s: %s", name, what);
}

static enum ef_reason root_check(const json_t *body, const char *name, struct error *e)
{
	static const char *const roles[] = {"root", "timestamp", "snapshot", "targets"};
	const json_t *consistent = json_object_get(body, "consistent_snapshot");

	if (!all_objects(json_object_get(body, "keys")))
		return wrong(name, "keys", e);
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (!role_ok(json_object_get(json_get_object(body, "roles"), roles[i])))
			return wrong(name, roles[i], e);
	if (consistent && !json_is_boolean(consistent))
		return wrong(name, "consistent_snapshot", e);
	return EF_REASON_OK;
}

static enum ef_reason timestamp_check(const json_t *body, const char *name, struct error *e)
{
	struct tuf_meta meta;

	if (!meta_read(json_object_get(json_get_object(body, "meta"), "snapshot.json"), &meta))
		return wrong(name, "snapshot.json", e);
	return EF_REASON_OK;
}

static enum ef_reason snapshot_check(const json_t *body, const char *name, struct error *e)
{
	json_t *metas = json_get_object(body, "meta"), *v;
	struct tuf_meta meta;
	const char *file;

	if (!json_object_get(metas, "targets.json"))
		return wrong(name, "targets.json is not listed", e);
	json_object_foreach (metas, file, v)
		if (!meta_read(v, &meta))
			return wrong(name, file, e);
	return EF_REASON_OK;
}

static bool delegation_ok(const json_t *d)
{
	const json_t *paths = json_object_get(d, "paths");
	const json_t *prefixes = json_object_get(d, "path_hash_prefixes");
	const json_t *terminating = json_object_get(d, "terminating");

	return role_ok(d) && tuf_role_name_ok(tuf_delegation_name(d)) &&
	       (!paths || all_strings(paths)) && (!prefixes || all_strings(prefixes)) &&
	       !(paths && prefixes) && (!terminating || json_is_boolean(terminating));
}

static enum ef_reason delegations_check(const json_t *o, const char *name, struct error *e)
{
	_cleanup_json_ json_t *seen = json_object();
	const json_t *roles = json_get_array(o, "roles");
	json_t *d;
	size_t i;

	if (!seen)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	if (json_object_get(o, "succinct_roles"))
		return error_set(e, EF_REASON_BAD_FORMAT,
			"%s: succinct_roles (TAP 15) are not supported", name);
	if (!all_objects(json_object_get(o, "keys")) || !roles ||
		json_array_size(roles) > DELEGATIONS_MAX)
		return wrong(name, "delegations", e);
	json_array_foreach (roles, i, d) {
		if (!delegation_ok(d))
			return error_set(e, EF_REASON_BAD_FORMAT, "%s: delegation %zu", name, i);
		const char *role = tuf_delegation_name(d);
		if (json_object_get(seen, role))
			return error_set(
				e, EF_REASON_BAD_FORMAT, "%s: two delegations to %s", name, role);
		if (json_object_set_new(seen, role, json_true()) < 0)
			return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	}
	return EF_REASON_OK;
}

static enum ef_reason targets_check(const json_t *body, const char *name, struct error *e)
{
	json_t *targets = json_get_object(body, "targets"), *v;
	const json_t *delegations = json_object_get(body, "delegations");
	struct tuf_hashes hashes;
	const char *path;
	uint64_t length;

	if (!targets)
		return wrong(name, "targets", e);
	json_object_foreach (targets, path, v) {
		const json_t *custom = json_object_get(v, "custom");
		if (!json_get_uint(v, "length", &length) ||
			!hashes_read(json_object_get(v, "hashes"), &hashes) ||
			(custom && !json_is_object(custom)))
			return wrong(name, path, e);
	}
	return delegations ? delegations_check(delegations, name, e) : EF_REASON_OK;
}

static const struct {
	const char *word;
	enum ef_reason (*check)(const json_t *body, const char *name, struct error *e);
} types[] = {
	[TUF_ROOT] = {"root", root_check},
	[TUF_TIMESTAMP] = {"timestamp", timestamp_check},
	[TUF_SNAPSHOT] = {"snapshot", snapshot_check},
	[TUF_TARGETS] = {"targets", targets_check},
};

/* Any 1.x or 1.x.y: within one major version documents stay readable. */
static bool spec_version_ok(const char *v)
{
	if (strncmp(v, "1.", 2) != 0)
		return false;
	for (v += 2;; v++) {
		size_t n = strspn(v, "0123456789");
		if (n == 0)
			return false;
		v += n;
		if (*v != '.')
			return *v == 0;
	}
}

enum ef_reason tuf_doc_parse(
	struct tuf_doc *d, enum tuf_doc_type type, const char *name, struct error *e)
{
	const char *text;

	d->body = json_get_object(d->envelope, "signed");
	if (!json_get_string(d->body, "_type", &text) || strcmp(text, types[type].word) != 0)
		return error_set(
			e, EF_REASON_BAD_FORMAT, "%s: is not of type %s", name, types[type].word);
	if (!json_get_string(d->body, "spec_version", &text) || !spec_version_ok(text))
		return wrong(name, "spec_version is not 1.x", e);
	if (!json_get_uint(d->body, "version", &d->version) || d->version == 0)
		return wrong(name, "version", e);
	if (!json_get_string(d->body, "expires", &text) || !time_parse_utc(text, &d->expires))
		return wrong(name, "expires", e);
	return types[type].check(d->body, name, e);
}

const json_t *tuf_root_keys(const struct tuf_doc *root)
{
	return json_object_get(root->body, "keys");
}

const json_t *tuf_root_role(const struct tuf_doc *root, const char *role)
{
	return json_object_get(json_object_get(root->body, "roles"), role);
}

bool tuf_root_consistent(const struct tuf_doc *root)
{
	return json_is_true(json_object_get(root->body, "consistent_snapshot"));
}

bool tuf_meta_of(const struct tuf_doc *d, const char *role, struct tuf_meta *ret)
{
	char file[TUF_ROLE_NAME_MAX + sizeof(".json")];

	if ((size_t)snprintf(file, sizeof(file), "%s.json", role) >= sizeof(file))
		return false;
	return meta_read(json_object_get(json_object_get(d->body, "meta"), file), ret);
}

bool tuf_meta_matches(const struct tuf_meta *m, uint64_t size, const struct tuf_hashes *actual)
{
	return (!m->has_length || m->length == size) &&
	       (!m->has_hashes || tuf_hashes_match(&m->hashes, actual));
}

const json_t *tuf_targets(const struct tuf_doc *targets)
{
	return json_object_get(targets->body, "targets");
}

const json_t *tuf_delegation_keys(const struct tuf_doc *targets)
{
	return json_object_get(json_object_get(targets->body, "delegations"), "keys");
}

const json_t *tuf_delegations(const struct tuf_doc *targets)
{
	return json_object_get(json_object_get(targets->body, "delegations"), "roles");
}

const char *tuf_delegation_name(const json_t *delegation)
{
	return json_string_value(json_object_get(delegation, "name"));
}
