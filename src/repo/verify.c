/* SPDX-License-Identifier: Apache-2.0 */
/* verify: what a gateway would do with a bundle or a folder, up to the last byte of every object.
 */
#include "repo/check-objects.h"
#include "repo/keys.h"
#include "repo/metadata.h"
#include "repo/source.h"
#include "repo/verbs.h"
#include "trust/rollout.h"
#include "trust/tuf.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/json.h"
#include <errno.h>
#include <string.h>

#define MANIFEST_MAX ((size_t)1 << 20)
#define ROOT_MAX ((size_t)1 << 20)

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(struct manifest *, manifest_free)

/* Trusted metadata of this one run, in memory. */
struct memory_file {
	struct memory_file *next;
	char name[64];
	size_t size;
	uint8_t data[];
};

static struct memory_file **memory_find(struct memory_file **f, const char *name)
{
	while (*f && strcmp((*f)->name, name) != 0)
		f = &(*f)->next;
	return f;
}

static int memory_load(void *ctx, const char *name, uint8_t **ret, size_t *size)
{
	struct memory_file *f = *memory_find(ctx, name);

	if (!f)
		return -ENOENT;
	*ret = malloc(f->size + 1);
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, f->data, f->size);
	*size = f->size;
	return 0;
}

static int memory_remove(void *ctx, const char *name)
{
	struct memory_file **f = memory_find(ctx, name), *old = *f;

	if (old) {
		*f = old->next;
		free(old);
	}
	return 0;
}

static int memory_save(void *ctx, const char *name, const void *data, size_t size)
{
	struct memory_file *f = malloc(sizeof(*f) + size);

	if (!f)
		return -ENOMEM;
	memory_remove(ctx, name);
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->size = size;
	memcpy(f->data, data, size);
	f->next = *(struct memory_file **)ctx;
	*(struct memory_file **)ctx = f;
	return 0;
}

struct verification {
	const struct invocation *invocation;
	struct workspace progress_of; /* for --quiet and --json only */
	struct published from;
	struct memory_file *files;
	struct tuf *tuf;
	EVP_PKEY *edge_key;
	int64_t now;
	json_t *targets;  /* paths that releases signed for */
	json_t *releases; /* what was verified, for the report */
};

static void forget(struct verification *v)
{
	while (v->files)
		memory_remove(&v->files, v->files->name);
}

/* Serves the engine until its operation is over. */
static enum ef_reason pump(struct verification *v, struct error *e)
{
	struct tuf_request want;

	while (tuf_next(v->tuf, &want)) {
		_cleanup_free_ uint8_t *data = NULL;
		struct error why = {0};
		char name[sizeof(want.name) + 16];
		size_t size;
		snprintf(name, sizeof(name), "metadata/%s", want.name);
		enum ef_reason r =
			published_read(&v->from, name, (size_t)want.max_size, &data, &size, &why);
		if (!r)
			tuf_feed(v->tuf, data, size);
		else if (r == EF_REASON_NOT_FOUND)
			tuf_feed_absent(v->tuf);
		else
			tuf_feed_error(v->tuf, &why);
	}
	return tuf_result(v->tuf, e);
}

static enum ef_reason read_root(const struct verification *v, const char *file, uint8_t **ret,
	size_t *size, struct error *e)
{
	const char *workspace = v->invocation->common.workspace;
	_cleanup_free_ char *own = NULL;

	if (!file && asprintf(&own, "%s/metadata/1.root.json", workspace ? workspace : ".") < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "root");
	int r = file_read(file ? file : own, ROOT_MAX, ret, size);
	if (r == -ENOENT && !file)
		return error_set(e, EF_REASON_NO_TRUST, "say which root to trust with --root FILE");
	return r < 0 ? error_errno(e, r, "%s", file ? file : own) : EF_REASON_OK;
}

static int add_target(void *ctx, const struct tuf_target *target)
{
	return json_array_append_new(ctx, json_string(target->path));
}

static enum ef_reason refresh(
	struct verification *v, enum tuf_mode mode, int64_t now, struct error *e)
{
	enum ef_reason r = tuf_refresh(v->tuf, mode, now, e);

	return r ? r : pump(v, e);
}

static enum ef_reason verify_metadata(struct verification *v, const char *root, struct error *e)
{
	const struct tuf_store store = {&v->files, memory_load, memory_save, memory_remove, NULL};
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;
	enum ef_reason r = read_root(v, root, &data, &size, e);

	if (!r)
		r = tuf_bootstrap(&store, data, size, e);
	if (!r)
		r = tuf_open(&store, &v->tuf, e);
	if (!r)
		r = refresh(v, v->from.bundle ? TUF_OFFLINE : TUF_ONLINE, v->now, e);
	if (!r)
		r = tuf_load_role(v->tuf, "releases", e);
	if (!r)
		r = pump(v, e);
	if (!r && tuf_list(v->tuf, "releases", add_target, v->targets) != 0)
		r = error_set(e, EF_REASON_NO_MEMORY, "releases");
	return r;
}

/*
 * What this client did not look at, others will: from the first root that is published to the
 * timestamp, whatever is trusted here and however old it is.
 */
static enum ef_reason verify_rest(struct verification *v, struct error *e)
{
	struct verification own = {.from = v->from};
	const struct tuf_store store = {&own.files, memory_load, memory_save, memory_remove, NULL};
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;
	enum ef_reason r =
		published_read(&v->from, "metadata/1.root.json", ROOT_MAX, &data, &size, e);

	if (!r)
		r = tuf_bootstrap(&store, data, size, e);
	if (!r)
		r = tuf_open(&store, &own.tuf, e);
	if (!r)
		r = refresh(&own, TUF_ONLINE, 0, e);
	if (!r && tuf_version(own.tuf, "root") < tuf_version(v->tuf, "root"))
		r = error_set(e, EF_REASON_METADATA_ROLLBACK,
			"%s: the newest root in it is %llu, trusted is %llu", v->from.path,
			(unsigned long long)tuf_version(own.tuf, "root"),
			(unsigned long long)tuf_version(v->tuf, "root"));
	tuf_close(own.tuf);
	forget(&own);
	return r;
}

/* Where both speak, they must agree. */
static enum ef_reason check_custom(
	const struct tuf_target *t, const struct manifest *m, struct error *e)
{
	char path[RELEASE_PATH_MAX];
	const char *product, *version, *kind;
	uint64_t sequence;

	release_target(m->product, m->version, path);
	if (strcmp(path, t->path) != 0 || !json_get_string(t->custom, "product", &product) ||
		!json_get_string(t->custom, "version", &version) ||
		!json_get_string(t->custom, "kind", &kind) ||
		!json_get_uint(t->custom, "sequence", &sequence) ||
		strcmp(product, m->product) != 0 || strcmp(version, m->version) != 0 ||
		strcmp(kind, release_kind_word(m->kind)) != 0 || sequence != m->sequence)
		return error_set(e, EF_REASON_BAD_FORMAT,
			"%s: manifest and metadata contradict one another", t->path);
	return EF_REASON_OK;
}

static enum ef_reason check_manifest(struct verification *v, const struct tuf_target *t,
	const char *file, const uint8_t *data, size_t size, struct error *e)
{
	_cleanup_(manifest_freep) struct manifest *m = NULL;
	enum ef_reason r = tuf_target_check(t, data, size, e);

	if (!r)
		r = manifest_parse(data, size, &m, e);
	if (!r)
		r = check_custom(t, m, e);
	if (!r && v->from.bundle)
		r = bundle_check_members(v->from.bundle, m, file, e);
	for (size_t i = 0; !r && i < m->n_components; i++)
		r = check_component(&v->from, &m->components[i], v->edge_key, &v->progress_of, e);
	if (!r)
		json_array_append_new(v->releases,
			json_pack("{s:s, s:s, s:I, s:s, s:I}", "product", m->product, "version",
				m->version, "sequence", (json_int_t)m->sequence, "kind",
				release_kind_word(m->kind), "components",
				(json_int_t)m->n_components));
	return r;
}

static enum ef_reason verify_target(struct verification *v, const char *path, struct error *e)
{
	struct tuf_target t;
	_cleanup_free_ uint8_t *data = NULL;
	char file[600] = "targets/";
	size_t size;
	enum ef_reason r = tuf_find(v->tuf, path, e);

	if (!r)
		r = pump(v, e);
	if (!r)
		r = tuf_found(v->tuf, &t, e);
	if (r)
		return r;
	tuf_target_file(&t, file + strlen(file), sizeof(file) - strlen(file));
	/* A bundle has one of the releases that are signed for. */
	if (v->from.bundle && !bundle_find(v->from.bundle, file))
		return EF_REASON_OK;
	r = published_read(&v->from, file, MANIFEST_MAX, &data, &size, e);
	return r ? r : check_manifest(v, &t, file, data, size, e);
}

/* The snapshot that was verified names rollouts.json once there has been a statement. */
static enum ef_reason has_statement(struct verification *v, bool *ret, struct error *e)
{
	_cleanup_free_ uint8_t *data = NULL;
	_cleanup_json_ json_t *snapshot = NULL;
	size_t size;
	int n = memory_load(&v->files, "snapshot.json", &data, &size);

	*ret = false;
	if (n == -ENOENT)
		return EF_REASON_OK; /* a bundle: whoever hands it over has decided */
	if (n < 0)
		return error_errno(e, n, "snapshot");
	snapshot = json_read(data, size, "snapshot.json", e);
	if (!snapshot)
		return e->reason;
	*ret = metadata_named(snapshot, ROLE_ROLLOUTS) > 0;
	return EF_REASON_OK;
}

/* Whatever it lets go on has to be a release that is signed for. */
static enum ef_reason check_statement(
	struct verification *v, const char *product, const struct rollout *s, struct error *e)
{
	json_t *release;
	size_t i;

	for (size_t k = 0; k < s->n_releases; k++) {
		const struct rollout_release *x = &s->releases[k];
		bool known = false;
		json_array_foreach (v->releases, i, release) {
			const char *p, *version;
			uint64_t sequence;
			known = known || (json_get_string(release, "product", &p) &&
						 json_get_string(release, "version", &version) &&
						 json_get_uint(release, "sequence", &sequence) &&
						 strcmp(p, product) == 0 &&
						 strcmp(version, x->version) == 0 &&
						 sequence == x->sequence);
		}
		if (!known)
			return error_set(e, EF_REASON_NOT_SIGNED_FOR,
				"rollout statement: no release %s, sequence %llu", x->version,
				(unsigned long long)x->sequence);
	}
	return EF_REASON_OK;
}

static enum ef_reason verify_statement(struct verification *v, const char *product, struct error *e)
{
	_cleanup_free_ struct rollout *s = malloc(sizeof(*s));
	_cleanup_free_ uint8_t *data = NULL;
	char path[ROLLOUT_TARGET_MAX], file[TUF_TARGET_FILE_MAX + 16] = "targets/";
	struct tuf_target t;
	const char *foreign;
	size_t size;
	enum ef_reason r = s ? EF_REASON_OK : error_set(e, EF_REASON_NO_MEMORY, "statement");

	rollout_target(product, path);
	if (!r)
		r = tuf_find(v->tuf, path, e);
	if (!r)
		r = pump(v, e);
	if (!r)
		r = tuf_found(v->tuf, &t, e);
	if (!r && (foreign = tuf_overstep(v->tuf, role_names[ROLE_ROLLOUTS])))
		r = error_set(e, EF_REASON_NOT_SIGNED_FOR, "the role %s names %s",
			role_names[ROLE_ROLLOUTS], foreign);
	if (r)
		return r;
	tuf_target_file(&t, file + strlen(file), sizeof(file) - strlen(file));
	r = published_read(&v->from, file, ROLLOUT_SIZE_MAX, &data, &size, e);
	if (!r)
		r = tuf_target_check(&t, data, size, e);
	if (!r)
		r = rollout_parse(data, size, product, s, e);
	return r ? r : check_statement(v, product, s, e);
}

/* Of every product that there are releases of. */
static enum ef_reason verify_statements(struct verification *v, struct error *e)
{
	json_t *release;
	size_t i;
	bool have;
	enum ef_reason r = has_statement(v, &have, e);

	json_array_foreach (v->releases, i, release)
		if (!r && have)
			r = verify_statement(
				v, json_string_value(json_object_get(release, "product")), e);
	return r;
}

static enum ef_reason verify_all(struct verification *v, const char *root, struct error *e)
{
	enum ef_reason r = verify_metadata(v, root, e);
	json_t *path;
	size_t i;

	json_array_foreach (v->targets, i, path)
		if (!r)
			r = verify_target(v, json_string_value(path), e);
	if (!r)
		r = verify_statements(v, e);
	if (!r)
		r = verify_rest(v, e);
	if (!r && v->from.bundle && json_array_size(v->releases) == 0)
		r = error_set(e, EF_REASON_NOT_SIGNED_FOR, "%s: no release in it is signed for",
			v->from.path);
	return r;
}

static enum ef_reason report(const struct verification *v, struct error *e)
{
	json_t *release;
	size_t i;

	if (v->invocation->common.json) {
		_cleanup_json_ json_t *all = json_pack("{s:b, s:s, s:I, s:I, s:O}", "ok", 1, "path",
			v->from.path, "root", (json_int_t)tuf_version(v->tuf, "root"), "targets",
			(json_int_t)tuf_version(v->tuf, "targets"), "releases", v->releases);
		_cleanup_free_ char *text = all ? json_file_text(all) : NULL;
		fputs(text ? text : "", stdout);
		return text ? EF_REASON_OK : error_set(e, EF_REASON_NO_MEMORY, "report");
	}
	json_array_foreach (v->releases, i, release)
		printf("%s %s, sequence %lld: %lld components verified\n",
			json_string_value(json_object_get(release, "product")),
			json_string_value(json_object_get(release, "version")),
			json_integer_value(json_object_get(release, "sequence")),
			json_integer_value(json_object_get(release, "components")));
	printf("%s: good under root %llu\n", v->from.path,
		(unsigned long long)tuf_version(v->tuf, "root"));
	return EF_REASON_OK;
}

static void done(struct verification *v)
{
	tuf_close(v->tuf);
	forget(v);
	published_close(&v->from);
	EVP_PKEY_free(v->edge_key);
	json_decref(v->targets);
	json_decref(v->releases);
}

enum ef_reason verb_verify(struct invocation *i, struct error *e)
{
	const char *root = NULL, *edge = NULL;
	const struct option options[] = {
		{"root", OPTION_TEXT, &root, "FILE",
			"root.json to trust (default: the workspace's first)"},
		{"edge-key", OPTION_TEXT, &edge, "FILE",
			"check the signatures of firmware images with this public or private key"},
		{0},
	};
	_cleanup_(done) struct verification v = {.invocation = i,
		.from = PUBLISHED_EMPTY,
		.progress_of = WORKSPACE_EMPTY,
		.targets = json_array(),
		.releases = json_array()};
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	v.progress_of.quiet = i->common.quiet;
	v.progress_of.json = i->common.json;
	r = verb_now(i, &v.now, e);
	if (!r && edge)
		r = key_open_public_uri(edge, &v.edge_key, e);
	if (!r)
		r = published_open(&v.from, i->words.items[0], e);
	if (!r)
		r = verify_all(&v, root, e);
	return r ? r : report(&v, e);
}
