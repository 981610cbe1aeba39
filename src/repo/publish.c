/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publish: the signed state of the workspace into a folder. Everything new is put beside what is
 * there; timestamp.json, which makes it count, comes at once and after what it leads to.
 */
#include "repo/metadata.h"
#include "repo/progress.h"
#include "repo/release.h"
#include "repo/store.h"
#include "repo/upload.h"
#include "repo/verbs.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include "util/json.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define METADATA_MAX ((size_t)64 << 20)

struct publication {
	const struct workspace *w;
	const char *path;
	int fd, objects_from, objects_to;
	uint64_t files, bytes; /* written */
	struct progress progress;
	json_t *snapshot; /* what is published is what this names */
	struct upload upload;
};

static void count_bytes(void *ctx, uint64_t bytes)
{
	struct publication *p = ctx;

	p->bytes += bytes;
	progress_add(&p->progress, bytes);
}

/* Small file of the workspace to the same name; what is there already must be the same. */
static enum ef_reason put_file(
	struct publication *p, const char *file, bool replace, struct error *e)
{
	_cleanup_free_ uint8_t *data = NULL, *there = NULL;
	size_t size, there_size;
	char path[PATH_MAX], dir[PATH_MAX];

	upload_add(&p->upload, file);
	int r = file_read_at(p->w->fd, file, METADATA_MAX, &data, &size);
	if (r < 0)
		return error_errno(e, r, "%s/%s", p->w->path, file);
	r = file_read_at(p->fd, file, METADATA_MAX, &there, &there_size);
	if (r < 0 && r != -ENOENT)
		return error_errno(e, r, "%s/%s", p->path, file);
	if (r == 0 && size == there_size && memcmp(data, there, size) == 0)
		return EF_REASON_OK;
	if (r == 0 && !replace)
		return error_set(e, EF_REASON_BAD_DIGEST, "%s/%s was published with other content",
			p->path, file);
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", p->path, file) >= sizeof(path))
		return error_errno(e, -ENAMETOOLONG, "%s", file);
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	r = dir_make(dir, 0755);
	if (r == 0)
		r = atomic_file_write(path, data, size, 0644);
	if (r < 0)
		return error_errno(e, r, "%s", path);
	p->files++;
	count_bytes(p, size);
	return EF_REASON_OK;
}

static enum ef_reason put_object(struct publication *p, const struct object *o, struct error *e)
{
	char hex[DIGEST_HEX_MAX], name[sizeof("objects/") + DIGEST_HEX_MAX];
	bool copied;

	snprintf(name, sizeof(name), "objects/%s", digest_hex(o->sha256, hex));
	upload_add(&p->upload, name);
	enum ef_reason r =
		store_copy(p->objects_from, p->objects_to, o, &copied, count_bytes, p, e);

	p->files += copied;
	return r;
}

static enum ef_reason put_release(
	struct publication *p, const char *target, const json_t *entry, struct error *e)
{
	_cleanup_(release_done) struct release x;
	enum ef_reason r = release_load(p->w, target, entry, &x, e);

	for (size_t i = 0; !r && i < x.manifest->n_components; i++) {
		const struct object *o[COMPONENT_OBJECTS_MAX];
		size_t n = component_objects(&x.manifest->components[i], o);
		for (size_t k = 0; k < n && !r; k++)
			r = put_object(p, o[k], e);
	}
	return r ? r : put_file(p, x.file, false, e);
}

static enum ef_reason put_statement(
	struct publication *p, const char *target, const json_t *entry, struct error *e)
{
	char file[RELEASE_PATH_MAX];
	enum ef_reason r = release_file(target, entry, file, e);

	return r ? r : put_file(p, file, false, e);
}

/* The targets of a delegated role, as far as the snapshot names it. */
static enum ef_reason put_targets(struct publication *p, enum role_id role,
	enum ef_reason (*put)(
		struct publication *p, const char *target, const json_t *entry, struct error *e),
	struct error *e)
{
	_cleanup_json_ json_t *document = NULL;
	uint64_t version = metadata_named(p->snapshot, role);
	const char *target;
	json_t *entry;

	if (version == 0)
		return EF_REASON_OK;
	enum ef_reason r = metadata_load(p->w, role, version, &document, e);
	json_object_foreach (
		json_object_get(json_object_get(document, "signed"), "targets"), target, entry)
		if (!r)
			r = put(p, target, entry, e);
	return r;
}

static enum ef_reason put_metadata(
	struct publication *p, enum role_id role, uint64_t version, struct error *e)
{
	char name[64], file[80];

	role_file_name(role, version, name);
	snprintf(file, sizeof(file), "metadata/%s", name);
	return put_file(p, file, role == ROLE_TIMESTAMP, e);
}

static enum ef_reason put_roots(struct publication *p, struct error *e)
{
	_cleanup_json_ json_t *root = NULL;
	enum ef_reason r = metadata_current(p->w, ROLE_ROOT, &root, e);

	/* Clients walk every step from the root that they know. */
	for (uint64_t v = 1; !r && v <= metadata_version(root); v++)
		r = put_metadata(p, ROLE_ROOT, v, e);
	return r;
}

/* Never back, and never beside: another workspace may have published here. */
static enum ef_reason check_there(struct publication *p, struct error *e)
{
	_cleanup_json_ json_t *ours = NULL, *theirs = NULL;
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;
	enum ef_reason r = metadata_current(p->w, ROLE_TIMESTAMP, &ours, e);

	if (r)
		return r;
	int n = file_read_at(p->fd, "metadata/timestamp.json", METADATA_MAX, &data, &size);
	if (n == -ENOENT)
		return EF_REASON_OK;
	if (n < 0)
		return error_errno(e, n, "%s/metadata/timestamp.json", p->path);
	theirs = json_read(data, size, "timestamp.json", e);
	if (!theirs)
		return e->reason;
	uint64_t here = metadata_version(ours), there = metadata_version(theirs);
	if (there > here)
		return error_set(e, EF_REASON_METADATA_ROLLBACK,
			"%s has timestamp %llu, this workspace %llu", p->path,
			(unsigned long long)there, (unsigned long long)here);
	if (there == here && !json_equal(ours, theirs))
		return error_set(e, EF_REASON_BAD_DIGEST, "%s was published from another workspace",
			p->path);
	return EF_REASON_OK;
}

static enum ef_reason open_folder(struct publication *p, struct error *e)
{
	char objects[PATH_MAX];

	if ((size_t)snprintf(objects, sizeof(objects), "%s/objects", p->path) >= sizeof(objects))
		return error_errno(e, -ENAMETOOLONG, "%s", p->path);
	int r = dir_make(objects, 0755);
	if (r < 0)
		return error_errno(e, r, "%s", objects);
	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	p->objects_to = open(objects, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	p->objects_from = workspace_dir(p->w, "objects");
	if (p->fd < 0 || p->objects_to < 0)
		return error_errno(e, -errno, "%s", p->path);
	if (p->objects_from < 0)
		return error_errno(e, p->objects_from, "%s/objects", p->w->path);
	if (flock(p->fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(
			e, EF_REASON_BUSY, "%s: another edgeferry-repo publishes there", p->path);
	return EF_REASON_OK;
}

/*
 * Timestamp after what it leads to. Root last: until the keys of the root before are gone,
 * everything else is signed by both (sign.c), while an old timestamp is not signed by what a new
 * root names.
 */
static enum ef_reason put_all(struct publication *p, struct error *e)
{
	static const enum role_id named[] = {
		ROLE_RELEASES, ROLE_ROLLOUTS, ROLE_TARGETS, ROLE_SNAPSHOT};
	enum ef_reason r = put_targets(p, ROLE_RELEASES, put_release, e);

	if (!r)
		r = put_targets(p, ROLE_ROLLOUTS, put_statement, e);
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]) && !r; i++) {
		uint64_t version = named[i] == ROLE_SNAPSHOT
					   ? metadata_version(p->snapshot)
					   : metadata_named(p->snapshot, named[i]);
		if (version > 0)
			r = put_metadata(p, named[i], version, e);
	}
	upload_next(&p->upload);
	if (!r)
		r = put_metadata(p, ROLE_TIMESTAMP, 0, e);
	upload_next(&p->upload);
	return r ? r : put_roots(p, e);
}

/* From now on clients hold this root. */
static enum ef_reason remember_root(struct workspace *w, struct error *e)
{
	_cleanup_json_ json_t *root = NULL;
	uint64_t before = 0;
	enum ef_reason r = metadata_current(w, ROLE_ROOT, &root, e);

	json_get_uint(w->config, "published_root", &before);
	if (r || before == metadata_version(root))
		return r;
	json_object_set_new(
		w->config, "published_root", json_integer((json_int_t)metadata_version(root)));
	return workspace_save(w, e);
}

static enum ef_reason load_snapshot(struct publication *p, struct error *e)
{
	_cleanup_json_ json_t *timestamp = NULL;
	enum ef_reason r = metadata_current(p->w, ROLE_TIMESTAMP, &timestamp, e);

	return r ? r
		 : metadata_load(p->w, ROLE_SNAPSHOT, metadata_named(timestamp, ROLE_SNAPSHOT),
			   &p->snapshot, e);
}

static enum ef_reason publish(struct publication *p, bool signed_only, struct error *e)
{
	enum ef_reason r = signed_only ? EF_REASON_OK : metadata_check_complete(p->w, e);

	if (!r)
		r = metadata_check_signed(p->w, e);
	if (!r)
		r = load_snapshot(p, e);
	if (!r)
		r = open_folder(p, e);
	if (!r)
		r = check_there(p, e);
	if (r)
		return r;
	progress_begin(&p->progress, p->w, "published", 0);
	r = put_all(p, e);
	progress_end(&p->progress);
	return r;
}

static void done(struct publication *p)
{
	ef_close(p->objects_from);
	ef_close(p->objects_to);
	ef_close(p->fd);
	json_decref(p->snapshot);
	upload_done(&p->upload);
}

enum ef_reason verb_publish(struct invocation *i, struct error *e)
{
	struct option_list hook = {0};
	bool signed_only = false, all = false;
	const struct option options[] = {
		{"hook", OPTION_LIST, &hook, "WORD",
			"then run this command, a word each time: the names of new files on its "
			"standard input, or one run a file with its name for {}"},
		{"hook-all", OPTION_FLAG, &all, NULL,
			"tell the hook of every file, as if it had run for none before"},
		{"signed-only", OPTION_FLAG, &signed_only, NULL,
			"publish what is signed although something else lacks signatures"},
		{0},
	};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	_cleanup_(done) struct publication p = {
		.w = &w, .fd = -1, .objects_from = -1, .objects_to = -1};
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	p.path = i->words.items[0];
	r = verb_workspace(i, &w, e);
	if (!r)
		r = upload_begin(&p.upload, e);
	if (!r)
		r = publish(&p, signed_only, e);
	if (!r)
		r = remember_root(&w, e);
	if (!r && hook.n > 0)
		r = upload_run(&p.upload, &w, p.path, &hook, all, e);
	if (r)
		return r;
	i->nothing_to_do = p.files == 0 && p.upload.n_sent == 0;
	note(&w, "%s: %llu files written, %llu bytes", p.path, (unsigned long long)p.files,
		(unsigned long long)p.bytes);
	return r;
}
