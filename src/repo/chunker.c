/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/chunker.h"
#include "bundle/chunks.h"
#include "repo/store.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <string.h>
#include <zstd.h>

#define WINDOW ((size_t)4 * CUT_WINDOW) /* of the image, that cutting looks at */

DEFINE_CLEANUP(ZSTD_CCtx *, ZSTD_freeCCtx)
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

struct chunker {
	const char *name;
	ZSTD_CCtx *zstd;
	EVP_MD_CTX *image;
	struct store_file *pack;
	struct chunk_index index;
	size_t room;
	uint8_t *leaves; /* of all groups, for the end of the pack */
	size_t leaves_size, leaves_room;
	struct cut_group group;
	struct chunk chunks[CUT_CHUNKS_MAX]; /* of it */
	uint8_t window[WINDOW];
	size_t from, to;				/* what of the window is not cut yet */
	bool end;					/* nothing comes behind it */
	uint8_t out[CHUNK_MAX + CHUNK_MAX / 128 + 512]; /* ZSTD_compressBound is below it */
};

bool chunker_level_valid(uint64_t level)
{
	return level >= 1 && level <= (uint64_t)ZSTD_maxCLevel();
}

static bool half_digest(const void *data, size_t size, uint8_t out[CHUNK_DIGEST_SIZE])
{
	uint8_t digest[32];

	if (EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL) != 1)
		return false;
	memcpy(out, digest, CHUNK_DIGEST_SIZE);
	return true;
}

/* A new group behind the last one, or the last one when both are zeros. */
static struct chunk_group *next_group(struct chunker *c, uint32_t size, bool zero)
{
	struct chunk_index *x = &c->index;
	struct chunk_group *last = x->n_groups ? &x->groups[x->n_groups - 1] : NULL;

	if (zero && last && last->body.pack_size == 0 &&
		last->body.size <= CHUNK_ZEROS_MAX - size) {
		last->body.size += size;
		return last;
	}
	if (!x->groups || x->n_groups == c->room) {
		size_t room = c->room ? c->room * 2 : 1024;
		struct chunk_group *larger = realloc(x->groups, room * sizeof(*larger));
		if (!larger)
			return NULL;
		x->groups = larger;
		c->room = room;
	}
	last = &x->groups[x->n_groups++];
	*last = (struct chunk_group){.body.size = size};
	return last;
}

static enum ef_reason pack_chunk(
	struct chunker *c, const uint8_t *data, struct chunk *chunk, struct error *e)
{
	size_t n = ZSTD_compress2(c->zstd, c->out, sizeof(c->out), data, chunk->size);

	if (ZSTD_isError(n))
		return error_set(
			e, EF_REASON_INTERNAL, "%s: zstd: %s", c->name, ZSTD_getErrorName(n));
	chunk->pack_size = (uint32_t)n;
	if (!half_digest(data, chunk->size, chunk->digest) ||
		!half_digest(c->out, n, chunk->pack_digest))
		return error_set(e, EF_REASON_INTERNAL, "%s: SHA-256 failed", c->name);
	int r = store_write(c->pack, c->out, n);
	return r < 0 ? error_errno(e, r, "pack of %s", c->name) : EF_REASON_OK;
}

static enum ef_reason add_leaf(struct chunker *c, struct chunk_group *g, size_t n, struct error *e)
{
	if (c->leaves_room - c->leaves_size < CHUNK_LEAF_MAX) {
		size_t room = c->leaves_room * 2 + (1 << 20);
		uint8_t *larger = realloc(c->leaves, room);
		if (!larger)
			return error_set(e, EF_REASON_NO_MEMORY, "%s", c->name);
		c->leaves = larger;
		c->leaves_room = room;
	}
	uint8_t *leaf = c->leaves + c->leaves_size;
	g->leaf_size = (uint32_t)chunk_leaf_format(c->chunks, n, leaf);
	c->leaves_size += g->leaf_size;
	if (g->leaf_size == 0 || !half_digest(leaf, g->leaf_size, g->body.pack_digest))
		return error_set(e, EF_REASON_INTERNAL, "%s: leaf of a group", c->name);
	return EF_REASON_OK;
}

static bool all_zero(const struct cut_group *cut)
{
	for (size_t i = 0; i < cut->n; i++)
		if (!cut->pieces[i].zero)
			return false;
	return true;
}

static enum ef_reason take_group(struct chunker *c, const uint8_t *data, struct error *e)
{
	const struct cut_group *cut = &c->group;
	bool zero = all_zero(cut);
	struct chunk_group *g = next_group(c, cut->size, zero);

	if (!g)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", c->name);
	if (c->index.n_groups > CHUNK_GROUPS_MAX)
		return error_set(e, EF_REASON_TOO_LARGE, "%s: too large to cut", c->name);
	c->index.image_size += cut->size;
	if (EVP_DigestUpdate(c->image, data, cut->size) != 1 ||
		!half_digest(data, cut->size, g->body.digest))
		return error_set(e, EF_REASON_INTERNAL, "%s: SHA-256 failed", c->name);
	if (zero) /* a hole: not in the pack */
		return EF_REASON_OK;
	for (size_t i = 0; i < cut->n; i++) {
		struct chunk *chunk = &c->chunks[i];
		*chunk = (struct chunk){.size = cut->pieces[i].size};
		if (!cut->pieces[i].zero && pack_chunk(c, data, chunk, e))
			return e->reason;
		g->body.pack_size += chunk->pack_size;
		data += chunk->size;
	}
	return add_leaf(c, g, cut->n, e);
}

/* At least as much of the image as a group can be, if there is as much. */
static enum ef_reason fill_window(struct chunker *c, int fd, struct error *e)
{
	if (c->end || c->to - c->from >= CUT_WINDOW)
		return EF_REASON_OK;
	memmove(c->window, c->window + c->from, c->to - c->from);
	c->to -= c->from;
	c->from = 0;
	while (c->to < WINDOW) {
		ssize_t n = fd_read_some(fd, c->window + c->to, WINDOW - c->to);
		if (n < 0)
			return error_errno(e, (int)n, "%s", c->name);
		c->to += (size_t)n;
		c->end = n == 0;
		if (c->end)
			break;
	}
	return EF_REASON_OK;
}

static enum ef_reason read_all(struct chunker *c, int fd, struct progress *progress,
	struct chunker_result *ret, struct error *e)
{
	for (;;) {
		enum ef_reason r = fill_window(c, fd, e);
		if (r)
			return r;
		if (c->from == c->to)
			break;
		cut_group(&c->index.cut, c->window + c->from, c->to - c->from, c->index.image_size,
			&c->group);
		r = take_group(c, c->window + c->from, e);
		if (r)
			return r;
		c->from += c->group.size;
		for (size_t i = 0; i < c->group.n; i++)
			ret->n_zero += c->group.pieces[i].zero;
		ret->n_chunks += c->group.n;
		progress_add(progress, c->group.size);
	}
	if (c->index.n_groups == 0)
		return error_set(e, EF_REASON_BAD_SIZE, "%s is empty", c->name);
	int n = store_write(c->pack, c->leaves, c->leaves_size);
	return n < 0 ? error_errno(e, n, "pack of %s", c->name) : EF_REASON_OK;
}

static enum ef_reason write_index(
	struct chunker *c, int objects_fd, struct object *ret, struct error *e)
{
	_cleanup_(store_abort) struct store_file f = STORE_FILE_EMPTY;
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;

	int r = chunk_index_format(&c->index, &data, &size);
	if (r == 0)
		r = store_begin(&f, objects_fd, "index");
	if (r == 0)
		r = store_write(&f, data, size);
	if (r == 0)
		r = store_commit(&f);
	if (r < 0)
		return error_errno(e, r, "index of %s", c->name);
	*ret = f.object;
	return EF_REASON_OK;
}

static enum ef_reason finish(
	struct chunker *c, int objects_fd, struct chunker_result *ret, struct error *e)
{
	struct chunk_index *x = &c->index;

	if (EVP_DigestFinal_ex(c->image, x->image_sha256, NULL) != 1)
		return error_set(e, EF_REASON_INTERNAL, "%s: SHA-256 failed", c->name);
	int r = store_commit(c->pack);
	if (r < 0)
		return error_errno(e, r, "pack of %s", c->name);
	ret->pack = c->pack->object;
	ret->image.size = x->image_size;
	memcpy(ret->image.sha256, x->image_sha256, 32);
	x->pack_size = ret->pack.size;
	memcpy(x->pack_sha256, ret->pack.sha256, 32);
	return write_index(c, objects_fd, &ret->index, e);
}

enum ef_reason chunker_run(int fd, const char *name, int level, int objects_fd,
	struct progress *progress, struct chunker_result *ret, struct error *e)
{
	_cleanup_(store_abort) struct store_file pack = STORE_FILE_EMPTY;
	_cleanup_(ZSTD_freeCCtxp) ZSTD_CCtx *zstd = ZSTD_createCCtx();
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *md = EVP_MD_CTX_new();
	_cleanup_free_ struct chunker *c = calloc(1, sizeof(*c));

	if (!c || !zstd || !md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1 ||
		ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level)))
		return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	int n = store_begin(&pack, objects_fd, "pack");
	if (n < 0)
		return error_errno(e, n, "pack of %s", name);
	c->name = name;
	c->zstd = zstd;
	c->image = md;
	c->pack = &pack;
	c->index.cut = cut_default;
	*ret = (struct chunker_result){0};
	enum ef_reason r = read_all(c, fd, progress, ret, e);
	if (!r)
		r = finish(c, objects_fd, ret, e);
	free(c->index.groups);
	free(c->leaves);
	return r;
}
