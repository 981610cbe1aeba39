/* SPDX-License-Identifier: Apache-2.0 */
/* bundle: one release, with all that it takes to verify and install it, in one file. */
#include "bundle/bundle.h"
#include "repo/metadata.h"
#include "repo/progress.h"
#include "repo/release.h"
#include "repo/verbs.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include "util/json.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define METADATA_MAX ((size_t)64 << 20)

struct making {
	const struct workspace *w;
	struct bundle_writer *writer;
	int objects;
	struct object done[3 * 64]; /* of 64 components at most */
	size_t n_done;
};

static enum ef_reason wrote(int r, const char *name, struct error *e)
{
	return r < 0 ? error_errno(e, r, "writing %s", name) : EF_REASON_OK;
}

static enum ef_reason add_metadata(
	struct making *m, enum role_id role, uint64_t version, struct error *e)
{
	_cleanup_free_ uint8_t *data = NULL;
	char name[64], file[80];
	size_t size;

	role_file_name(role, version, name);
	snprintf(file, sizeof(file), "metadata/%s", name);
	int r = file_read_at(m->w->fd, file, METADATA_MAX, &data, &size);
	if (r < 0)
		return error_errno(e, r, "%s/%s", m->w->path, file);
	return wrote(bundle_writer_add(m->writer, file, data, size), file, e);
}

static enum ef_reason add_roles(struct making *m, struct error *e)
{
	static const enum role_id order[] = {
		ROLE_ROOT, ROLE_TIMESTAMP, ROLE_SNAPSHOT, ROLE_TARGETS, ROLE_RELEASES};
	enum ef_reason r = EF_REASON_OK;

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && !r; i++) {
		_cleanup_json_ json_t *document = NULL;
		r = metadata_current(m->w, order[i], &document, e);
		uint64_t last = metadata_version(document);
		for (uint64_t v = order[i] == ROLE_ROOT ? 1 : last; v <= last && !r; v++)
			r = add_metadata(m, order[i], v, e);
	}
	return r;
}

static enum ef_reason add_object(struct making *m, const struct object *o, struct error *e)
{
	char hex[DIGEST_HEX_MAX], name[sizeof("objects/") + DIGEST_HEX_MAX];
	uint8_t digest[32];

	for (size_t i = 0; i < m->n_done; i++)
		if (memcmp(m->done[i].sha256, o->sha256, 32) == 0)
			return EF_REASON_OK;
	m->done[m->n_done++] = *o;
	snprintf(name, sizeof(name), "objects/%s", digest_hex(o->sha256, hex));
	_cleanup_close_ int fd = openat(m->objects, hex, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_errno(e, -errno, "%s/%s", m->w->path, name);
	/* What a disk has spoilt is not handed on. */
	int r = fd_sha256(fd, 0, UINT64_MAX, digest);
	if (r < 0)
		return error_errno(e, r, "%s/%s", m->w->path, name);
	if (memcmp(digest, o->sha256, 32) != 0)
		return error_set(e, EF_REASON_BAD_DIGEST, "%s/%s is damaged", m->w->path, name);
	return wrote(bundle_writer_add_fd(m->writer, name, fd, o->size), name, e);
}

static enum ef_reason add_release(struct making *m, const struct release *x, struct error *e)
{
	enum ef_reason r =
		wrote(bundle_writer_add(m->writer, x->file, x->data, x->size), x->file, e);

	for (size_t i = 0; i < x->manifest->n_components && !r; i++) {
		const struct object *o[COMPONENT_OBJECTS_MAX];
		size_t n = component_objects(&x->manifest->components[x->manifest->order[i]], o);
		for (size_t k = 0; k < n && !r; k++)
			r = add_object(m, o[k], e);
	}
	return r;
}

static enum ef_reason write_bundle(const struct workspace *w, const struct release *x, int fd,
	const char *path, struct error *e)
{
	struct making m = {.w = w, .objects = workspace_dir(w, "objects")};

	if (m.objects < 0)
		return error_errno(e, m.objects, "%s/objects", w->path);
	int n = bundle_writer_open(fd, &m.writer);
	enum ef_reason r = n < 0 ? error_errno(e, n, "%s", path) : add_roles(&m, e);
	if (!r)
		r = add_release(&m, x, e);
	if (n == 0)
		n = bundle_writer_finish(m.writer);
	ef_close(m.objects);
	if (r)
		return r;
	if (n == 0 && (fchmod(fd, 0644) < 0 || fsync(fd) < 0))
		n = -errno;
	return n < 0 ? error_errno(e, n, "%s", path) : EF_REASON_OK;
}

/* To FILE.tmp, then renamed: a bundle is whole or not there. */
static enum ef_reason make_file(
	const struct workspace *w, const struct release *x, const char *path, struct error *e)
{
	char tmp[PATH_MAX];

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= sizeof(tmp))
		return error_errno(e, -ENAMETOOLONG, "%s", path);
	unlink(tmp);
	_cleanup_close_ int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_errno(e, -errno, "%s", tmp);
	enum ef_reason r = write_bundle(w, x, fd, path, e);
	if (!r && rename(tmp, path) < 0)
		r = error_errno(e, -errno, "%s", path);
	if (r)
		unlink(tmp);
	return r;
}

enum ef_reason verb_bundle(struct invocation *i, struct error *e)
{
	const struct option options[] = {{0}};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	_cleanup_(release_done) struct release x = {0};
	_cleanup_json_ json_t *releases = NULL;
	char target[RELEASE_PATH_MAX];
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = verb_workspace(i, &w, e);
	if (!r)
		r = metadata_check_complete(&w, e);
	if (!r)
		r = metadata_current(&w, ROLE_RELEASES, &releases, e);
	if (r)
		return r;
	release_target(workspace_product(&w), i->words.items[0], target);
	const json_t *entry = json_object_get(
		json_object_get(json_object_get(releases, "signed"), "targets"), target);
	if (!entry)
		return error_set(e, EF_REASON_NOT_FOUND, "no release %s", i->words.items[0]);
	r = release_load(&w, target, entry, &x, e);
	if (!r)
		r = make_file(&w, &x, i->words.items[1], e);
	if (!r)
		note(&w, "%s: release %s of %s", i->words.items[1], x.manifest->version,
			x.manifest->product);
	return r;
}
