/* SPDX-License-Identifier: Apache-2.0 */
/* OFFERED: what a release is held by here, an MCU's images and the indexes of slots, and what those
 * say. */
#include "bundle/chunks.h"
#include "bundle/objects.h"
#include "update/internal.h"
#include "util/hex.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct memory_image {
	const uint8_t *data;
	size_t size;
};

static int memory_read(void *ctx, uint32_t offset, void *buf, size_t size)
{
	const struct memory_image *m = ctx;

	if (offset > m->size || size > m->size - offset)
		return -EINVAL;
	memcpy(buf, m->data + offset, size);
	return 0;
}

static enum ef_reason look_into_image(const struct component *c, const uint8_t *data, size_t size,
	struct plan_image *ret, struct error *e)
{
	struct memory_image m = {data, size};
	const struct ef_image_source src = {
		.ctx = &m, .limit = (uint32_t)size, .read = memory_read};
	struct ef_image_info info;

	enum ef_reason r = ef_image_inspect(&src, &info);
	if (r != EF_REASON_OK)
		return error_set(e, r, "the image of %s", c->name);
	memcpy(ret->hash, info.digest, 32);
	memcpy(ret->vendor, info.vendor, 16);
	memcpy(ret->class_id, info.class_id, 16);
	ret->has_vendor = info.has_vendor;
	ret->has_class = info.has_class;
	ret->security = info.security_counter;
	return plan_admit_image(c, ret, e);
}

static enum ef_reason look_into_index(const struct component *c, const struct payload *p,
	const uint8_t *data, size_t size, struct error *e)
{
	struct chunk_index *x = NULL;

	if (chunk_index_parse(data, size, &x, e))
		return e->reason;
	if (x->image_size != p->image.size || x->pack_size != p->pack.size ||
		memcmp(x->image_sha256, p->image.sha256, 32) != 0 ||
		memcmp(x->pack_sha256, p->pack.sha256, 32) != 0)
		error_set(e, EF_REASON_BAD_FORMAT, "the chunk index of %s is of another image",
			c->name);
	chunk_index_free(x);
	return e->reason;
}

/* o: of those that component c holds. */
static enum ef_reason look_into(const struct component *c, const struct object *o,
	const uint8_t *data, struct plan_image *ret, struct error *e)
{
	const struct payload own = {c->image, c->index, c->pack};

	if (c->type == COMPONENT_MCU)
		look_into_image(c, data, o->size, ret, e);
	else
		look_into_index(c, o == &c->boot.index ? &c->boot : &own, data, o->size, e);
	ret->known = e->reason == EF_REASON_OK;
	return e->reason;
}

/* Not stored: it is what it says, or nothing of it is looked at. */
static enum ef_reason look_into_fetched(
	struct update *u, const struct object *o, const uint8_t *data, struct error *e)
{
	const struct component *c = &u->current->manifest->components[u->run.at];

	if (object_check(o->sha256, data, o->size, e))
		return e->reason;
	return look_into(c, o, data, &u->run.images[u->run.at], e);
}

static void on_object(struct update *u, const uint8_t *data, size_t size, const struct error *e)
{
	const struct component *c = &u->current->manifest->components[u->run.at];
	const struct object *o = component_held(c, u->run.held);
	struct error why = *e;

	u->run.busy = false;
	if (why.reason == EF_REASON_OK && size != o->size)
		error_set(&why, EF_REASON_BAD_SIZE, "%s: %zu bytes, %" PRIu64 " were signed",
			c->name, size, o->size);
	if (why.reason == EF_REASON_OK && u->current->dry)
		look_into_fetched(u, o, data, &why);
	else if (why.reason == EF_REASON_OK)
		object_put(u->objects_fd, o->sha256, data, size, &why);
	if (why.reason != EF_REASON_OK)
		acquire_failed(u, &why);
	else
		u->run.held++;
	update_kick(u);
}

/* The first from where it has come to that is not here; NULL: all are. */
static const struct object *next_lacking(struct update *u)
{
	const struct manifest *m = u->current->manifest;
	const struct object *o;

	for (; u->run.at < m->n_components; u->run.at++, u->run.held = 0)
		while ((o = component_held(&m->components[u->run.at], u->run.held))) {
			if (!object_have(u->objects_fd, o->sha256, o->size))
				return o;
			u->run.held++;
		}
	return NULL;
}

void acquire_objects(struct update *u)
{
	char path[16 + DIGEST_HEX_MAX], hex[DIGEST_HEX_MAX];
	struct error e = {0};

	if (!bundle_reopen(u, &e)) {
		if (e.reason)
			acquire_failed(u, &e);
		return;
	}
	const struct object *o = next_lacking(u);
	if (!o) {
		u->run.phase = ACQUIRE_IMAGES;
		update_kick(u);
		return;
	}
	if (u->look.phase != LOOK_IDLE)
		return; /* a check has the reader; it kicks */
	snprintf(path, sizeof(path), "objects/%s", digest_hex(o->sha256, hex));
	u->run.busy = true;
	reader_start(u, u->current->origin != ORIGIN_BUNDLE, path, o->size, on_object);
}

/* Those that are stored; what was not has been looked into when it came. */
static enum ef_reason look_into_held(
	struct update *u, const struct component *c, struct plan_image *ret, struct error *e)
{
	const struct object *o;

	for (size_t k = 0; (o = component_held(c, k)) && !e->reason; k++) {
		_cleanup_free_ uint8_t *data = NULL;
		if (ret->known && u->current->dry &&
			!object_have(u->objects_fd, o->sha256, o->size))
			continue;
		if (object_get(u->objects_fd, o->sha256, o->size, &data, e) == EF_REASON_OK)
			look_into(c, o, data, ret, e);
	}
	return e->reason;
}

void acquire_images(struct update *u)
{
	const struct manifest *m = u->current->manifest;
	struct error e = {0};

	for (size_t i = 0; i < m->n_components && e.reason == EF_REASON_OK; i++)
		look_into_held(u, &m->components[i], &u->run.images[i], &e);
	if (e.reason) {
		acquire_failed(u, &e);
		return;
	}
	u->run.phase = ACQUIRE_NODES;
	acquire_ask_nodes(u);
	update_kick(u);
}
