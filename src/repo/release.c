/* SPDX-License-Identifier: Apache-2.0 */
/* release: from staged components to a manifest and the metadata that names it. */
#include "repo/release.h"
#include "repo/component.h"
#include "repo/verbs.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include "util/json.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTES_MAX 65536u
#define MANIFEST_MAX ((size_t)1 << 20)

DEFINE_CLEANUP(struct manifest *, manifest_free)

void release_target(const char *product, const char *version, char out[RELEASE_PATH_MAX])
{
	snprintf(out, RELEASE_PATH_MAX, "releases/%s/%s.json", product, version);
}

enum ef_reason release_file(
	const char *target, const json_t *entry, char out[RELEASE_PATH_MAX], struct error *e)
{
	const char *slash = strrchr(target, '/');
	uint8_t digest[32];
	char hex[DIGEST_HEX_MAX];

	if (!slash || !json_get_digest(json_object_get(entry, "hashes"), "sha256", digest))
		return error_set(e, EF_REASON_BAD_FORMAT, "releases: %s", target);
	int n = snprintf(out, RELEASE_PATH_MAX, "targets/%.*s/%s.%s", (int)(slash - target), target,
		digest_hex(digest, hex), slash + 1);
	return n < RELEASE_PATH_MAX ? EF_REASON_OK
				    : error_set(e, EF_REASON_BAD_FORMAT, "releases: %s", target);
}

enum ef_reason release_load(const struct workspace *w, const char *target, const json_t *entry,
	struct release *ret, struct error *e)
{
	uint8_t digest[32], want[32];

	*ret = (struct release){0};
	enum ef_reason r = release_file(target, entry, ret->file, e);
	if (r)
		return r;
	int n = file_read_at(w->fd, ret->file, MANIFEST_MAX, &ret->data, &ret->size);
	if (n < 0)
		return error_errno(e, n, "%s/%s", w->path, ret->file);
	json_get_digest(json_object_get(entry, "hashes"), "sha256", want);
	if (EVP_Digest(ret->data, ret->size, digest, NULL, EVP_sha256(), NULL) != 1 ||
		memcmp(digest, want, 32) != 0)
		r = error_set(e, EF_REASON_BAD_DIGEST, "%s/%s", w->path, ret->file);
	if (!r)
		r = manifest_parse(ret->data, ret->size, &ret->manifest, e);
	if (r)
		release_done(ret);
	return r;
}

void release_done(struct release *x)
{
	free(x->data);
	manifest_free(x->manifest);
	*x = (struct release){0};
}

struct release_options {
	const char *kind, *notes, *notes_file;
	uint64_t sequence;
	struct option_list components, order;
	bool force;
};

/* "a,b" or given several times */
static json_t *names_of(const struct option_list *list)
{
	json_t *names = json_array();

	for (size_t i = 0; i < list->n; i++)
		for (const char *p = list->items[i]; *p;) {
			size_t n = strcspn(p, ",");
			json_array_append_new(names, json_stringn(p, n));
			p += n + (p[n] == ',');
		}
	return names;
}

static enum ef_reason read_notes(const struct release_options *o, char **ret, struct error *e)
{
	if (!o->notes_file) {
		*ret = strdup(o->notes ? o->notes : "");
		return *ret ? EF_REASON_OK : error_set(e, EF_REASON_NO_MEMORY, "notes");
	}
	size_t size;
	int r = file_read(o->notes_file, NOTES_MAX, (uint8_t **)ret, &size);
	return r < 0 ? error_errno(e, r, "%s", o->notes_file) : EF_REASON_OK;
}

/* One above the highest that any release has; 1 for the first. */
static uint64_t next_sequence(const json_t *targets)
{
	uint64_t highest = 0, n;
	const char *path;
	json_t *entry;

	json_object_foreach ((json_t *)targets, path, entry)
		if (json_get_uint(json_object_get(entry, "custom"), "sequence", &n) && n > highest)
			highest = n;
	return highest + 1;
}

static enum ef_reason take_components(
	const struct workspace *w, const json_t *names, json_t **ret, struct error *e)
{
	_cleanup_json_ json_t *list = json_array();
	json_t *name;
	size_t i;

	if (json_array_size(names) == 0)
		return error_set(
			e, EF_REASON_NOT_FOUND, "nothing is staged: add a component first");
	json_array_foreach (names, i, name) {
		json_t *component = NULL;
		char path[64];
		if (!manifest_name_valid(json_string_value(name)))
			return error_set(e, EF_REASON_USAGE, "'%s' is no component",
				json_string_value(name));
		snprintf(path, sizeof(path), "staged/%s.json", json_string_value(name));
		enum ef_reason r = workspace_read_json(w, path, &component, e);
		if (r)
			return r;
		json_array_append_new(list, component);
	}
	*ret = TAKE_PTR(list);
	return EF_REASON_OK;
}

static enum ef_reason make_manifest(const struct workspace *w, const char *version,
	const struct release_options *o, uint64_t sequence, json_t **ret, struct error *e)
{
	_cleanup_json_ json_t *names = NULL, *order = NULL, *components = NULL;
	_cleanup_free_ char *notes = NULL;
	enum ef_reason r = EF_REASON_OK;

	if (o->components.n > 0)
		names = names_of(&o->components);
	else
		r = component_staged(w, &names, e);
	if (!r)
		r = take_components(w, names, &components, e);
	if (!r)
		r = read_notes(o, &notes, e);
	if (r)
		return r;
	order = o->order.n > 0 ? names_of(&o->order) : json_incref(names);
	*ret = json_pack("{s:i, s:s, s:s, s:I, s:s, s:s, s:O, s:O}", "schema", 1, "product",
		workspace_product(w), "version", version, "sequence", (json_int_t)sequence, "kind",
		o->kind, "notes", notes, "components", components, "order", order);
	return *ret ? EF_REASON_OK : error_set(e, EF_REASON_USAGE, "notes are not UTF-8");
}

/* Whether the parts agree with one another; what --force overrides. */
static enum ef_reason check_release(
	const struct workspace *w, const struct manifest *m, bool force, struct error *e)
{
	for (size_t i = 0; i < m->n_components; i++) {
		struct error why = {0};
		char text[1024];
		if (component_check(w, &m->components[i], &why) == EF_REASON_OK)
			continue;
		if (!force || why.reason == EF_REASON_NOT_FOUND ||
			why.reason == EF_REASON_BAD_DIGEST)
			return error_set(e, why.reason, "%s", why.detail);
		error_format(&why, text, sizeof(text));
		note(w, "forced: %s", text);
	}
	for (size_t i = 0; i < m->n_components; i++)
		for (size_t k = 0; k < m->components[i].n_requires; k++) {
			const struct component *c =
				manifest_component(m, m->components[i].requires[k].name);
			if (!c || ef_version_compare(
					  &c->version, &m->components[i].requires[k].min) >= 0)
				continue;
			if (!force)
				return error_set(e, EF_REASON_REQUIREMENT,
					"%s asks for a newer %s than this", m->components[i].name,
					c->name);
			note(w, "forced: %s asks for a newer %s than this", m->components[i].name,
				c->name);
		}
	return EF_REASON_OK;
}

static enum ef_reason write_manifest(
	const struct workspace *w, const char *file, const char *text, struct error *e)
{
	char path[PATH_MAX], dir[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", w->path, file) >= sizeof(path))
		return error_errno(e, -ENAMETOOLONG, "%s", file);
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	int r = dir_make(dir, 0755);
	if (r == 0)
		r = atomic_file_write(path, text, strlen(text), 0644);
	return r < 0 ? error_errno(e, r, "%s", path) : EF_REASON_OK;
}

/* The manifest as a target of the role "releases". */
static json_t *target_entry(const struct manifest *m, const char *text)
{
	uint8_t digest[32];
	char hex[DIGEST_HEX_MAX];

	if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) != 1)
		return NULL;
	return json_pack("{s:I, s:{s:s}, s:{s:s, s:s, s:I, s:s}}", "length",
		(json_int_t)strlen(text), "hashes", "sha256", digest_hex(digest, hex), "custom",
		"product", m->product, "version", m->version, "sequence", (json_int_t)m->sequence,
		"kind", release_kind_word(m->kind));
}

static enum ef_reason add_target(const struct workspace *w, json_t *body, const struct manifest *m,
	const char *text, struct error *e)
{
	char target[RELEASE_PATH_MAX], file[RELEASE_PATH_MAX];
	json_t *targets = json_object_get(body, "targets");
	_cleanup_json_ json_t *entry = target_entry(m, text);

	release_target(m->product, m->version, target);
	enum ef_reason r = release_file(target, entry, file, e);
	if (!r)
		r = write_manifest(w, file, text, e);
	if (!r && json_object_set(targets, target, entry) < 0)
		r = error_set(e, EF_REASON_NO_MEMORY, "%s", target);
	return r ? r : metadata_store(w, ROLE_RELEASES, body, e);
}

/* What has been signed stands; what is only pending may be made again. */
static enum ef_reason check_new(const struct workspace *w, const char *version,
	const json_t *pending, json_t *targets, struct error *e)
{
	_cleanup_json_ json_t *current = NULL;
	char target[RELEASE_PATH_MAX];

	release_target(workspace_product(w), version, target);
	enum ef_reason r = metadata_current(w, ROLE_RELEASES, &current, e);
	if (r)
		return r;
	if (json_object_get(json_object_get(json_object_get(current, "signed"), "targets"), target))
		return error_set(e, EF_REASON_USAGE,
			"%s is released already; a release never changes", version);
	json_object_del(targets, target);
	return EF_REASON_OK;
}

static enum ef_reason make_release(const struct workspace *w, const char *version,
	const struct release_options *o, struct error *e)
{
	_cleanup_json_ json_t *body = NULL, *json = NULL;
	_cleanup_(manifest_freep) struct manifest *m = NULL;
	_cleanup_free_ char *text = NULL;
	enum ef_reason r = metadata_edit(w, ROLE_RELEASES, &body, e);
	json_t *targets = json_object_get(body, "targets");

	if (!r)
		r = check_new(w, version, body, targets, e);
	if (r)
		return r;
	uint64_t next = next_sequence(targets);
	if (o->sequence != UINT64_MAX && o->sequence < next && !o->force)
		return error_set(e, EF_REASON_DOWNGRADE, "sequence %llu: the next is %llu",
			(unsigned long long)o->sequence, (unsigned long long)next);
	r = make_manifest(w, version, o, o->sequence == UINT64_MAX ? next : o->sequence, &json, e);
	if (r)
		return r;
	text = json_file_text(json);
	if (!text)
		return error_set(e, EF_REASON_NO_MEMORY, "manifest");
	struct error why = {0};
	if (manifest_parse(text, strlen(text), &m, &why) != EF_REASON_OK)
		return error_set(e, EF_REASON_USAGE, "%s", why.detail);
	r = check_release(w, m, o->force, e);
	if (!r)
		r = add_target(w, body, m, text, e);
	if (!r)
		note(w, "release %s, sequence %llu: %zu components; to be signed", m->version,
			(unsigned long long)m->sequence, m->n_components);
	return r;
}

enum ef_reason verb_release(struct invocation *i, struct error *e)
{
	struct release_options o = {.kind = "feature", .sequence = UINT64_MAX};
	const struct option options[] = {
		{"kind", OPTION_TEXT, &o.kind, "KIND", "feature (default) or security"},
		{"notes", OPTION_TEXT, &o.notes, "TEXT", "what is new, for people"},
		{"notes-file", OPTION_TEXT, &o.notes_file, "FILE", "the same from a file"},
		{"sequence", OPTION_NUMBER, &o.sequence, "N",
			"order of releases (default: the next)"},
		{"component", OPTION_LIST, &o.components, "NAME,…", "which (default: all staged)"},
		{"order", OPTION_LIST, &o.order, "NAME,…",
			"of activation (default: mcu, then rootfs)"},
		{"force", OPTION_FLAG, &o.force, NULL,
			"also when its parts contradict one another"},
		{0},
	};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = verb_workspace(i, &w, e);
	return r ? r : make_release(&w, i->words.items[0], &o, e);
}
