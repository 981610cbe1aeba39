/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room: what a release needs of the object store and its file system is there before anything is
 * fetched (F-03), and what nobody needs goes, oldest first, when the quota is reached (I-7).
 */
#include "bundle/objects.h"
#include "update/internal.h"
#include "util/log.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

#define INODES_MARGIN 16u

/* Needed: by the release that runs, the one before it, the one under way, and by what a node was
 * left with (section 10). Wanted as long as there is room: what a node runs, for patches. */
struct keep {
	struct update *u;
	struct deployment *now, *before;
	const struct manifest *manifests[3];
	uint8_t (*images)[32];
	size_t n_images;
};

static bool holds(const struct manifest *m, const uint8_t sha256[32])
{
	const struct object *o;

	for (size_t i = 0; i < m->n_components; i++)
		for (size_t k = 0; (o = component_held(&m->components[i], k)); k++)
			if (memcmp(o->sha256, sha256, 32) == 0)
				return true;
	return false;
}

static bool keep_object(void *ctx, const uint8_t sha256[32])
{
	const struct keep *k = ctx;

	for (size_t i = 0; i < k->n_images; i++)
		if (memcmp(k->images[i], sha256, 32) == 0)
			return true;
	for (size_t i = 0; i < 3; i++)
		if (k->manifests[i] && holds(k->manifests[i], sha256))
			return true;
	return false;
}

static bool keep_wanted(void *ctx, const uint8_t sha256[32])
{
	const struct keep *k = ctx;
	uint8_t hash[32];
	uint64_t size;

	if (keep_object(ctx, sha256))
		return true;
	if (!image_hash(k->u, sha256, &size, hash))
		return false;
	for (size_t i = 0; i < k->u->n_nodes; i++)
		if (nodes_runs(&k->u->nodes[i], hash))
			return true;
	return false;
}

static void keep_free(struct keep *k)
{
	deployment_free(k->now);
	deployment_free(k->before);
	free(k->images);
}

static enum ef_reason keep_nodes(struct update *u, struct keep *k, struct error *e)
{
	struct installed i;
	bool found;

	k->images = calloc(u->n_nodes + 1, sizeof(*k->images));
	if (!k->images)
		return error_set(e, EF_REASON_NO_MEMORY, "objects");
	for (size_t n = 0; n < u->n_nodes; n++) {
		if (store_installed(u->store, u->nodes[n].config->name, &i, &found, e))
			return e->reason;
		if (found)
			memcpy(k->images[k->n_images++], i.image, 32);
	}
	return EF_REASON_OK;
}

/* What cannot be read might name objects that are needed. */
static enum ef_reason keep_read(struct update *u, struct keep *k, struct error *e)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct error none = {0};
	size_t size;

	if (store_deployment_of(u->store, u->release, &k->now, NULL, NULL, e) ||
		keep_nodes(u, k, e))
		return e->reason;
	store_deployment_before(u->store, u->release, &k->before, &bytes, &size, &none);
	if (none.reason != EF_REASON_OK && none.reason != EF_REASON_NOT_FOUND)
		return error_set(e, none.reason, "%s", none.detail);
	k->manifests[0] = u->current ? u->current->manifest : NULL;
	k->manifests[1] = k->now ? k->now->manifest : NULL;
	k->manifests[2] = k->before ? k->before->manifest : NULL;
	return EF_REASON_OK;
}

/* *used: bytes that are there when there are max at most, or nothing more may go. */
static enum ef_reason trim(
	struct update *u, uint64_t max, bool wanted_too, uint64_t *used, struct error *e)
{
	_cleanup_(keep_free) struct keep keep = {.u = u};

	if (keep_read(u, &keep, e))
		return e->reason;
	int r = object_trim(u->objects_fd, max, keep_wanted, &keep, used);
	if (r >= 0 && wanted_too && *used > max)
		r = object_trim(u->objects_fd, max, keep_object, &keep, used);
	return r < 0 ? error_errno(e, r, "objects") : EF_REASON_OK;
}

void objects_sweep(struct update *u)
{
	struct error e = {0};
	uint64_t used;

	if (trim(u, u->env.config->object_quota, true, &used, &e))
		log_warning("objects: %s", e.detail);
}

static enum ef_reason look_at_store(struct update *u, struct plan_room *r, struct error *e)
{
	_cleanup_(keep_free) struct keep keep = {.u = u};
	uint64_t used = 0;

	if (keep_read(u, &keep, e))
		return e->reason;
	int res = object_usage(u->objects_fd, keep_object, &keep, &used, &r->kept);
	if (res < 0)
		return error_errno(e, res, "objects");
	r->quota = u->env.config->object_quota;
	if (r->need > r->quota || r->kept > r->quota - r->need)
		return error_set(e, EF_REASON_NO_SPACE,
			"%" PRIu64 " bytes of objects needed beside %" PRIu64
			", ObjectQuota= is %" PRIu64,
			r->need, r->kept, r->quota);
	/* what objects_make_room will remove */
	uint64_t stays = r->quota - r->need;
	r->free = used > stays ? used - (r->kept > stays ? r->kept : stays) : 0;
	return EF_REASON_OK;
}

static enum ef_reason look_at_files(struct update *u, struct plan_room *r, struct error *e)
{
	struct statvfs fs;

	if (fstatvfs(u->objects_fd, &fs) < 0)
		return error_errno(e, -errno, "objects");
	r->free += (uint64_t)fs.f_bavail * fs.f_frsize;
	if (r->need + SPACE_MARGIN > r->free)
		return error_set(e, EF_REASON_NO_SPACE,
			"%s: %" PRIu64 " bytes needed, %" PRIu64 " there", u->env.config->state_dir,
			r->need + SPACE_MARGIN, r->free);
	/* some file systems do not count them */
	if (fs.f_files > 0 && r->files + INODES_MARGIN > fs.f_favail)
		return error_set(e, EF_REASON_NO_SPACE, "%s: %u inodes needed, %" PRIu64 " there",
			u->env.config->state_dir, r->files + INODES_MARGIN, (uint64_t)fs.f_favail);
	return EF_REASON_OK;
}

static enum ef_reason count(
	struct update *u, const struct component *c, struct plan_room *r, struct error *e)
{
	const struct object *o;

	for (size_t k = 0; (o = component_held(c, k)); k++) {
		if (o->size > (c->type == COMPONENT_MCU ? IMAGE_SIZE_MAX : INDEX_SIZE_MAX))
			return error_set(
				e, EF_REASON_TOO_LARGE, "%s: %" PRIu64 " bytes", c->name, o->size);
		if (object_have(u->objects_fd, o->sha256, o->size))
			continue;
		r->need += o->size;
		r->files++;
	}
	return EF_REASON_OK;
}

enum ef_reason objects_room(
	struct update *u, const struct manifest *m, struct plan_room *ret, struct error *e)
{
	*ret = (struct plan_room){.quota = u->env.config->object_quota};
	for (size_t i = 0; i < m->n_components; i++)
		if (count(u, &m->components[i], ret, e))
			return e->reason;
	if (ret->files == 0)
		return EF_REASON_OK;
	return look_at_store(u, ret, e) ? e->reason : look_at_files(u, ret, e);
}

bool objects_spare(struct update *u, uint64_t size)
{
	uint64_t quota = u->env.config->object_quota, used;
	struct error e = {0};
	struct statvfs fs;

	if (size > quota || trim(u, quota - size, false, &used, &e) || used > quota - size)
		return false;
	return fstatvfs(u->objects_fd, &fs) == 0 &&
	       (uint64_t)fs.f_bavail * fs.f_frsize >= size + SPACE_MARGIN;
}

enum ef_reason objects_make_room(struct update *u, const struct plan_room *room, struct error *e)
{
	uint64_t used;

	return room->files > 0 ? trim(u, room->quota - room->need, true, &used, e) : EF_REASON_OK;
}
