/* SPDX-License-Identifier: Apache-2.0 */
/* inspect: what a bundle, a folder or an image says of itself. Nothing here is verified. */
#include "bundle/manifest.h"
#include "repo/image.h"
#include "repo/keys.h"
#include "repo/metadata.h"
#include "repo/release.h"
#include "repo/source.h"
#include "repo/verbs.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include "util/json.h"
#include "util/text.h"
#include <errno.h>
#include <string.h>

#define METADATA_MAX ((size_t)64 << 20)
#define MANIFEST_MAX ((size_t)1 << 20)

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)

static enum ef_reason read_json(
	const struct published *p, const char *name, size_t max, json_t **ret, struct error *e)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;
	enum ef_reason r = published_read(p, name, max, &data, &size, e);

	if (r)
		return r;
	*ret = json_read(data, size, name, e);
	return *ret ? EF_REASON_OK : e->reason;
}

static enum ef_reason read_role(const struct published *p, enum role_id role, uint64_t version,
	json_t **ret, struct error *e)
{
	char file[64], name[80];

	role_file_name(role, version, file);
	snprintf(name, sizeof(name), "metadata/%s", file);
	return read_json(p, name, METADATA_MAX, ret, e);
}

static void describe_role(json_t *list, enum role_id role, const json_t *document)
{
	const char *expires = "";

	json_get_string(json_object_get(document, "signed"), "expires", &expires);
	json_array_append_new(list,
		json_pack("{s:s, s:I, s:s, s:I}", "role", role_names[role], "version",
			(json_int_t)metadata_version(document), "expires", expires, "signatures",
			(json_int_t)json_array_size(json_object_get(document, "signatures"))));
}

/* Version that meta names for a file; 0 when it names none. */
static uint64_t named(const json_t *document, const char *file)
{
	const json_t *meta = json_object_get(json_object_get(document, "signed"), "meta");
	uint64_t v = 0;

	json_get_uint(json_object_get(meta, file), "version", &v);
	return v;
}

/* Only a folder has it, and only once there has been a statement. */
static enum ef_reason walk_rollouts(const struct published *p, const json_t *snapshot, json_t *list,
	json_t **rollouts, struct error *e)
{
	uint64_t version = named(snapshot, "rollouts.json");

	if (version == 0 || p->bundle)
		return EF_REASON_OK;
	enum ef_reason r = read_role(p, ROLE_ROLLOUTS, version, rollouts, e);
	if (!r)
		describe_role(list, ROLE_ROLLOUTS, *rollouts);
	return r;
}

/* From timestamp downwards, as a client goes. Into *releases and *rollouts, those documents. */
static enum ef_reason walk_roles(const struct published *p, json_t *list, json_t **releases,
	json_t **rollouts, struct error *e)
{
	_cleanup_json_ json_t *timestamp = NULL, *snapshot = NULL, *targets = NULL;
	enum ef_reason r = EF_REASON_OK;

	for (uint64_t v = 1; !r; v++) {
		_cleanup_json_ json_t *root = NULL;
		struct error why = {0};
		r = read_role(p, ROLE_ROOT, v, &root, &why);
		if (!r)
			describe_role(list, ROLE_ROOT, root);
		else if (r != EF_REASON_NOT_FOUND || v == 1)
			return error_set(e, r, "%s", why.detail);
	}
	r = read_role(p, ROLE_TIMESTAMP, 0, &timestamp, e);
	if (!r)
		r = read_role(p, ROLE_SNAPSHOT, named(timestamp, "snapshot.json"), &snapshot, e);
	if (!r)
		r = read_role(p, ROLE_TARGETS, named(snapshot, "targets.json"), &targets, e);
	if (!r)
		r = read_role(p, ROLE_RELEASES, named(snapshot, "releases.json"), releases, e);
	if (r)
		return r;
	describe_role(list, ROLE_TARGETS, targets);
	describe_role(list, ROLE_RELEASES, *releases);
	r = walk_rollouts(p, snapshot, list, rollouts, e);
	describe_role(list, ROLE_SNAPSHOT, snapshot);
	describe_role(list, ROLE_TIMESTAMP, timestamp);
	return r;
}

/* What a delegated role's document names: manifests, or statements. */
static enum ef_reason walk_targets(
	const struct published *p, const json_t *releases, json_t *list, struct error *e)
{
	const char *target;
	json_t *entry;

	json_object_foreach (
		json_object_get(json_object_get(releases, "signed"), "targets"), target, entry) {
		json_t *manifest = NULL;
		char file[RELEASE_PATH_MAX];
		enum ef_reason r = release_file(target, entry, file, e);
		if (!r && p->bundle && !bundle_find(p->bundle, file))
			continue; /* a bundle has one of those that are signed for */
		if (!r)
			r = read_json(p, file, MANIFEST_MAX, &manifest, e);
		if (r)
			return r;
		json_array_append_new(list, manifest);
	}
	return EF_REASON_OK;
}

static void list_members(const struct published *p, json_t *list)
{
	size_t n = 0;
	const struct bundle_member *m = p->bundle ? bundle_members(p->bundle, &n) : NULL;

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:I, s:I}", "name", m[i].name, "offset",
				      (json_int_t)m[i].offset, "size", (json_int_t)m[i].size));
}

/* A member of a document as text fit for a terminal (S-35). */
static const char *text_of(const json_t *o, const char *key, char out[256])
{
	const json_t *v = json_object_get(o, key);

	if (json_is_integer(v))
		snprintf(out, 256, "%lld", (long long)json_integer_value(v));
	else
		snprintf(out, 256, "%s", json_is_string(v) ? json_string_value(v) : "?");
	return text_clean(out);
}

static void print_release(const json_t *release)
{
	char a[256], b[256], c[256], d[256], f[256];
	json_t *component;
	size_t i;

	printf("\n%s %s, sequence %s, %s\n", text_of(release, "product", a),
		text_of(release, "version", b), text_of(release, "sequence", c),
		text_of(release, "kind", d));
	if (text_of(release, "notes", a)[0])
		printf("  %s\n", a);
	printf("  %-14s %-7s %-12s %-9s %-9s %12s  %s\n", "COMPONENT", "TYPE", "VERSION",
		"SECURITY", "POLICY", "BYTES", "MADE FOR");
	json_array_foreach (json_object_get(release, "components"), i, component) {
		char size[256];
		printf("  %-14s %-7s %-12s %-9s %-9s %12s  ", text_of(component, "name", a),
			text_of(component, "type", b), text_of(component, "version", c),
			text_of(component, "security", d), text_of(component, "policy", f),
			text_of(json_object_get(component, "image"), "size", size));
		printf("%s\n", text_of(component, "compatible", a));
	}
}

static void print_rollout(const json_t *statement)
{
	char a[256], b[256], c[256];
	json_t *item;
	size_t i;

	printf("\nRollout of %s, statement %s, until %s\n", text_of(statement, "product", a),
		text_of(statement, "counter", b), text_of(statement, "expires", c));
	json_array_foreach (json_object_get(statement, "releases"), i, item)
		printf("  %-14s %5s of 1000%s\n", text_of(item, "version", a),
			text_of(item, "share", b),
			json_is_true(json_object_get(item, "halted")) ? ", halted" : "");
}

static void print_all(const json_t *all)
{
	char a[256], b[256], c[256], d[256];
	json_t *item;
	size_t i;

	printf("%s: %s, not verified\n\n%-10s %8s %11s  %s\n", text_of(all, "path", a),
		text_of(all, "kind", b), "ROLE", "VERSION", "SIGNATURES", "EXPIRES");
	json_array_foreach (json_object_get(all, "roles"), i, item)
		printf("%-10s %8s %11s  %s\n", text_of(item, "role", a),
			text_of(item, "version", b), text_of(item, "signatures", c),
			text_of(item, "expires", d));
	json_array_foreach (json_object_get(all, "releases"), i, item)
		print_release(item);
	json_array_foreach (json_object_get(all, "rollouts"), i, item)
		print_rollout(item);
	if (json_array_size(json_object_get(all, "members")) > 0)
		puts("\nMembers");
	json_array_foreach (json_object_get(all, "members"), i, item)
		printf("%12s  %s\n", text_of(item, "size", a), text_of(item, "name", b));
}

static enum ef_reason output(
	const json_t *all, bool json, void (*people)(const json_t *all), struct error *e)
{
	if (!json) {
		people(all);
		return EF_REASON_OK;
	}
	_cleanup_free_ char *text = json_file_text(all);
	fputs(text ? text : "", stdout);
	return text ? EF_REASON_OK : error_set(e, EF_REASON_NO_MEMORY, "inspect");
}

enum ef_reason verb_inspect(struct invocation *i, struct error *e)
{
	const struct option options[] = {{0}};
	_cleanup_(published_close) struct published p = PUBLISHED_EMPTY;
	_cleanup_json_ json_t *roles = json_array(), *releases = json_array(),
			      *members = json_array(), *statements = json_array();
	_cleanup_json_ json_t *document = NULL, *rollouts = NULL, *all = NULL;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = published_open(&p, i->words.items[0], e);
	if (!r)
		r = walk_roles(&p, roles, &document, &rollouts, e);
	if (!r)
		r = walk_targets(&p, document, releases, e);
	if (!r)
		r = walk_targets(&p, rollouts, statements, e);
	if (r)
		return r;
	list_members(&p, members);
	all = json_pack("{s:s, s:s, s:O, s:O, s:O, s:O}", "path", p.path, "kind",
		p.bundle ? "bundle" : "folder", "roles", roles, "releases", releases, "rollouts",
		statements, "members", members);
	return all ? output(all, i->common.json, print_all, e)
		   : error_set(e, EF_REASON_NO_MEMORY, "inspect");
}

static json_t *describe_image(const char *path, const struct ef_image_info *info, bool verified)
{
	char version[EF_VERSION_TEXT_MAX], digest[65], vendor[33], class_id[33];

	ef_version_format(&info->header.version, version);
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:b}", "path", path,
		"version", version, "header", (json_int_t)info->header.hdr_size, "payload",
		(json_int_t)info->header.img_size, "size", (json_int_t)info->total_size, "security",
		(json_int_t)info->security_counter, "digest", hex_encode(info->digest, 32, digest),
		"vendor", info->has_vendor ? hex_encode(info->vendor, 16, vendor) : "", "class",
		info->has_class ? hex_encode(info->class_id, 16, class_id) : "", "verified",
		verified);
}

static void print_image(const json_t *all)
{
	static const char *const keys[] = {
		"version", "security", "header", "payload", "size", "vendor", "class", "digest"};
	char a[256];

	printf("%s: %s\n", text_of(all, "path", a),
		json_is_true(json_object_get(all, "verified")) ? "signature verified"
							       : "not verified");
	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
		printf("  %-9s %s\n", keys[k], text_of(all, keys[k], a));
}

enum ef_reason verb_image_inspect(struct invocation *i, struct error *e)
{
	const char *key_name = NULL;
	const struct option options[] = {
		{"key", OPTION_TEXT, &key_name, "FILE", "check digest and signature with this key"},
		{0},
	};
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	_cleanup_free_ uint8_t *data = NULL;
	_cleanup_json_ json_t *all = NULL;
	struct ef_image_info info;
	size_t size;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	const char *file = i->words.items[0];
	if (key_name)
		r = key_open_public_uri(key_name, &key, e);
	int n = r ? 0 : file_read(file, IMAGE_FILE_MAX, &data, &size);
	if (n < 0)
		return error_errno(e, n, "%s", file);
	if (!r)
		r = key ? image_verify(data, size, file, key, &info, e)
			: image_look(data, size, file, &info, e);
	if (r)
		return r;
	all = describe_image(file, &info, key != NULL);
	return all ? output(all, i->common.json, print_image, e)
		   : error_set(e, EF_REASON_NO_MEMORY, "inspect");
}
