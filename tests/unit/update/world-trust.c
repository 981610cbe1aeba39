/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata behind trust/tuf.h, for tests to which it does not matter. */
#include "util/atomic-file.h"
#include "util/fdio.h"
#include "world.h"
#include <check.h>
#include <errno.h>
#include <string.h>

struct tuf {
	char wanted[512];
	struct tuf_store store;
	bool asking; /* for timestamp.json, once a refresh */
	struct error error;
};

static struct tuf the_tuf;

static int dir_load(void *ctx, const char *name, uint8_t **ret, size_t *size)
{
	return file_read_at(((struct tuf_store_dir *)ctx)->dir_fd, name, 4096, ret, size);
}

static int dir_save(void *ctx, const char *name, const void *data, size_t size)
{
	return atomic_file_write_at(((struct tuf_store_dir *)ctx)->dir_fd, name, data, size, 0600);
}

static int dir_remove(void *ctx, const char *name)
{
	return unlinkat(((struct tuf_store_dir *)ctx)->dir_fd, name, 0) < 0 ? -errno : 0;
}

struct tuf_store tuf_store_dir_ops(struct tuf_store_dir *d)
{
	return (struct tuf_store){
		.ctx = d, .load = dir_load, .save = dir_save, .remove = dir_remove};
}

enum ef_reason tuf_open(const struct tuf_store *store, struct tuf **ret, struct error *e)
{
	the_tuf.store = *store;
	*ret = &the_tuf;
	return EF_REASON_OK;
}

void tuf_close(struct tuf *t)
{
}

enum ef_reason tuf_bootstrap(
	const struct tuf_store *store, const void *root, size_t size, struct error *e)
{
	return EF_REASON_OK;
}

enum ef_reason tuf_refresh(struct tuf *t, enum tuf_mode mode, int64_t now, struct error *e)
{
	t->wanted[0] = 0;
	t->asking = mode == TUF_ONLINE;
	error_clear(&t->error);
	/* what a real one leaves behind, after a change of keys */
	t->store.save(t->store.ctx, "timestamp.json", "1", 1);
	t->store.remove(t->store.ctx, "timestamp.json");
	t->store.save(t->store.ctx, "timestamp.json", "2", 1);
	t->store.save(t->store.ctx, "snapshot.json", "2", 1);
	return the_world->trust_error ? error_set(e, the_world->trust_error, "releases.json")
				      : EF_REASON_OK;
}

bool tuf_next(struct tuf *t, struct tuf_request *ret)
{
	strcpy(ret->name, "timestamp.json");
	ret->max_size = 4096;
	return t->asking;
}

void tuf_feed(struct tuf *t, const void *data, size_t size)
{
	t->asking = false;
}

void tuf_feed_absent(struct tuf *t)
{
	t->asking = false;
}

void tuf_feed_error(struct tuf *t, const struct error *e)
{
	t->asking = false;
	t->error = *e;
}

enum ef_reason tuf_result(const struct tuf *t, struct error *e)
{
	return error_set(e, t->error.reason, "%s", t->error.detail);
}

/* This source has no rollout statements. */
enum ef_reason tuf_delegated(
	const struct tuf *t, const char *role, bool *ret, uint8_t keys[32], struct error *e)
{
	*ret = false;
	return EF_REASON_OK;
}

const char *tuf_overstep(const struct tuf *t, const char *role)
{
	return NULL;
}

int64_t tuf_expires(const struct tuf *t, const char *role)
{
	return 0;
}

enum ef_reason tuf_load_role(struct tuf *t, const char *role, struct error *e)
{
	return EF_REASON_OK;
}

static struct tuf_target target_of(size_t i)
{
	struct tuf_target t = {.length = the_world->releases[i].size, .has_sha256 = true};

	strcpy(t.path, the_world->releases[i].path);
	memcpy(t.sha256, the_world->releases[i].sha256, 32);
	t.custom = the_world->releases[i].custom;
	return t;
}

int tuf_list(const struct tuf *t, const char *role,
	int (*cb)(void *ctx, const struct tuf_target *target), void *ctx)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < the_world->n_releases; i++) {
		struct tuf_target target = target_of(i);
		r = cb(ctx, &target);
	}
	return r;
}

enum ef_reason tuf_find(struct tuf *t, const char *path, struct error *e)
{
	strcpy(t->wanted, path);
	return EF_REASON_OK;
}

enum ef_reason tuf_found(const struct tuf *t, struct tuf_target *ret, struct error *e)
{
	for (size_t i = 0; i < the_world->n_releases; i++)
		if (strcmp(the_world->releases[i].path, t->wanted) == 0) {
			*ret = target_of(i);
			return EF_REASON_OK;
		}
	return error_set(e, EF_REASON_NOT_SIGNED_FOR, "%s", t->wanted);
}

void tuf_target_file(const struct tuf_target *target, char *out, size_t size)
{
	snprintf(out, size, "%s", target->path);
}

enum ef_reason tuf_target_check(
	const struct tuf_target *target, const void *data, size_t size, struct error *e)
{
	return size == target->length ? EF_REASON_OK : error_set(e, EF_REASON_BAD_SIZE, "manifest");
}

void world_repo_sign(struct world *w)
{
}

uint64_t tuf_version(const struct tuf *t, const char *role)
{
	return 0;
}

enum ef_reason tuf_carried(const struct tuf *t, const struct tuf_file *timestamp,
	const struct tuf_file *snapshot, struct error *e)
{
	return EF_REASON_OK;
}

bool tuf_carried_named(const struct tuf *t, const struct tuf_file *snapshot, const char *name)
{
	return true;
}
