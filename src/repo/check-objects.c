/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/check-objects.h"
#include "bundle/chunks.h"
#include "repo/image.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include <errno.h>
#include <string.h>
#include <zstd.h>

#define INDEX_MAX (CHUNK_INDEX_HEAD + (size_t)47 * CHUNK_GROUPS_MAX)

DEFINE_CLEANUP(ZSTD_DCtx *, ZSTD_freeDCtx)
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)
DEFINE_CLEANUP(struct chunk_index *, chunk_index_free)

struct walk {
	const char *name; /* of the component */
	const struct chunk_index *index;
	int fd; /* of the pack */
	uint64_t offset;
	ZSTD_DCtx *zstd;
	EVP_MD_CTX *image, *pack;
	struct progress progress;
	struct chunk chunks[CHUNK_LEAF_CHUNKS_MAX]; /* of the group at hand */
	uint8_t in[CHUNK_MAX], out[CHUNK_MAX], leaf[CHUNK_LEAF_MAX];
};

static void object_name(const struct object *o, char out[80])
{
	char hex[DIGEST_HEX_MAX];

	snprintf(out, 80, "objects/%s", digest_hex(o->sha256, hex));
}

/* A small object into memory, size and digest checked. */
static enum ef_reason read_object(const struct published *from, const struct object *o, size_t max,
	uint8_t **ret, size_t *size, struct error *e)
{
	uint8_t digest[32];
	char name[80];

	object_name(o, name);
	enum ef_reason r = published_read(from, name, max, ret, size, e);
	if (!r && *size != o->size)
		r = error_set(e, EF_REASON_BAD_SIZE, "%s", name);
	if (!r && (EVP_Digest(*ret, *size, digest, NULL, EVP_sha256(), NULL) != 1 ||
			  memcmp(digest, o->sha256, 32) != 0))
		r = error_set(e, EF_REASON_BAD_DIGEST, "%s", name);
	return r;
}

static bool half_matches(const void *data, size_t size, const uint8_t want[CHUNK_DIGEST_SIZE])
{
	uint8_t digest[32];

	return EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL) == 1 &&
	       memcmp(digest, want, CHUNK_DIGEST_SIZE) == 0;
}

/* The chunk's bytes into w->out; pack bytes are hashed on the way. */
static enum ef_reason unpack_chunk(struct walk *w, const struct chunk *c, struct error *e)
{
	if (c->pack_size == 0) {
		memset(w->out, 0, c->size);
		return EF_REASON_OK;
	}
	int r = fd_pread_full(w->fd, w->in, c->pack_size, w->offset + c->pack_offset);
	if (r < 0)
		return error_errno(e, r, "%s: pack", w->name);
	if (!half_matches(w->in, c->pack_size, c->pack_digest))
		return error_set(e, EF_REASON_BAD_DIGEST, "%s: compressed chunk at %llu", w->name,
			(unsigned long long)c->offset);
	if (EVP_DigestUpdate(w->pack, w->in, c->pack_size) != 1)
		return error_set(e, EF_REASON_INTERNAL, "SHA-256 failed");
	/* Never more than the signed size (S-28). */
	if (ZSTD_decompressDCtx(w->zstd, w->out, c->size, w->in, c->pack_size) != c->size)
		return error_set(e, EF_REASON_BAD_DIGEST, "%s: chunk at %llu does not decompress",
			w->name, (unsigned long long)c->offset);
	if (!half_matches(w->out, c->size, c->digest))
		return error_set(e, EF_REASON_BAD_DIGEST, "%s: chunk at %llu", w->name,
			(unsigned long long)c->offset);
	return EF_REASON_OK;
}

static enum ef_reason read_leaf(
	struct walk *w, const struct chunk_group *g, size_t *n, struct error *e)
{
	int r = fd_pread_full(w->fd, w->leaf, g->leaf_size, w->offset + g->leaf_offset);

	if (r < 0)
		return error_errno(e, r, "%s: pack", w->name);
	if (!half_matches(w->leaf, g->leaf_size, g->body.pack_digest))
		return error_set(e, EF_REASON_BAD_DIGEST, "%s: leaf of the group at %llu", w->name,
			(unsigned long long)g->body.offset);
	return chunk_leaf_parse(g, w->leaf, w->chunks, n, e);
}

static enum ef_reason take_bytes(
	struct walk *w, const struct chunk *c, EVP_MD_CTX *group, struct error *e)
{
	if (EVP_DigestUpdate(w->image, w->out, c->size) != 1 ||
		EVP_DigestUpdate(group, w->out, c->size) != 1)
		return error_set(e, EF_REASON_INTERNAL, "SHA-256 failed");
	progress_add(&w->progress, c->size);
	return EF_REASON_OK;
}

static enum ef_reason walk_zeros(struct walk *w, const struct chunk_group *g, struct error *e)
{
	memset(w->out, 0, sizeof(w->out));
	for (uint32_t left = g->body.size, n; left > 0; left -= n) {
		n = left < sizeof(w->out) ? left : (uint32_t)sizeof(w->out);
		if (EVP_DigestUpdate(w->image, w->out, n) != 1)
			return error_set(e, EF_REASON_INTERNAL, "SHA-256 failed");
		progress_add(&w->progress, n);
	}
	return EF_REASON_OK;
}

static enum ef_reason walk_group(
	struct walk *w, const struct chunk_group *g, EVP_MD_CTX *md, struct error *e)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	size_t n;

	if (g->body.pack_size == 0)
		return walk_zeros(w, g, e);
	if (read_leaf(w, g, &n, e))
		return e->reason;
	if (EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		return error_set(e, EF_REASON_INTERNAL, "SHA-256 failed");
	for (size_t i = 0; i < n; i++)
		if (unpack_chunk(w, &w->chunks[i], e) || take_bytes(w, &w->chunks[i], md, e))
			return e->reason;
	if (EVP_DigestFinal_ex(md, digest, NULL) != 1 ||
		memcmp(digest, g->body.digest, CHUNK_DIGEST_SIZE) != 0)
		return error_set(e, EF_REASON_BAD_DIGEST, "%s: group at %llu", w->name,
			(unsigned long long)g->body.offset);
	return EF_REASON_OK;
}

/* The leaves once more, in their order: they are the end of the pack. */
static enum ef_reason walk_leaves(struct walk *w, struct error *e)
{
	for (size_t i = 0; i < w->index->n_groups; i++) {
		const struct chunk_group *g = &w->index->groups[i];
		int r = fd_pread_full(w->fd, w->leaf, g->leaf_size, w->offset + g->leaf_offset);
		if (r < 0)
			return error_errno(e, r, "%s: pack", w->name);
		if (EVP_DigestUpdate(w->pack, w->leaf, g->leaf_size) != 1)
			return error_set(e, EF_REASON_INTERNAL, "SHA-256 failed");
	}
	return EF_REASON_OK;
}

static enum ef_reason walk_groups(struct walk *w, struct error *e)
{
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (!md)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", w->name);
	for (size_t i = 0; i < w->index->n_groups; i++)
		if (walk_group(w, &w->index->groups[i], md, e))
			return e->reason;
	return walk_leaves(w, e);
}

static enum ef_reason compare(
	EVP_MD_CTX *md, const struct object *o, const char *name, const char *what, struct error *e)
{
	uint8_t digest[32];

	if (EVP_DigestFinal_ex(md, digest, NULL) != 1 || memcmp(digest, o->sha256, 32) != 0)
		return error_set(e, EF_REASON_BAD_DIGEST, "%s: %s", name, what);
	return EF_REASON_OK;
}

/* The index's own words about image and pack must be those of the manifest. */
static enum ef_reason compare_index(
	const char *of, const struct payload *p, const struct chunk_index *x, struct error *e)
{
	if (x->image_size != p->image.size || memcmp(x->image_sha256, p->image.sha256, 32) != 0 ||
		x->pack_size != p->pack.size || memcmp(x->pack_sha256, p->pack.sha256, 32) != 0)
		return error_set(e, EF_REASON_BAD_DIGEST, "%s: the index is of another image", of);
	return EF_REASON_OK;
}

static enum ef_reason check_pack(const struct published *from, const char *of,
	const struct payload *p, const struct chunk_index *x, const struct workspace *ws,
	struct error *e)
{
	_cleanup_free_ struct walk *w = calloc(1, sizeof(*w));
	_cleanup_(ZSTD_freeDCtxp) ZSTD_DCtx *zstd = ZSTD_createDCtx();
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *image = EVP_MD_CTX_new();
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *pack = EVP_MD_CTX_new();
	char name[80];
	uint64_t size;
	bool own;

	if (!w || !zstd || !image || !pack || EVP_DigestInit_ex(image, EVP_sha256(), NULL) != 1 ||
		EVP_DigestInit_ex(pack, EVP_sha256(), NULL) != 1)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", of);
	*w = (struct walk){.name = of, .index = x, .zstd = zstd, .image = image, .pack = pack};
	object_name(&p->pack, name);
	enum ef_reason r = published_locate(from, name, &w->fd, &own, &w->offset, &size, e);
	if (r)
		return r;
	progress_begin(&w->progress, ws, of, p->image.size);
	r = size == p->pack.size ? walk_groups(w, e) : error_set(e, EF_REASON_BAD_SIZE, "%s", name);
	progress_end(&w->progress);
	if (own)
		ef_close(w->fd);
	if (!r)
		r = compare(pack, &p->pack, of, "pack", e);
	return r ? r : compare(image, &p->image, of, "image", e);
}

static enum ef_reason check_payload(const struct published *from, const char *of,
	const struct payload *p, const struct workspace *w, struct error *e)
{
	_cleanup_(chunk_index_freep) struct chunk_index *x = NULL;
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;
	enum ef_reason r = read_object(from, &p->index, INDEX_MAX, &data, &size, e);

	if (!r)
		r = chunk_index_parse(data, size, &x, e);
	if (!r)
		r = compare_index(of, p, x, e);
	return r ? r : check_pack(from, of, p, x, w, e);
}

static enum ef_reason check_rootfs(const struct published *from, const struct component *c,
	const struct workspace *w, struct error *e)
{
	struct payload p[PAYLOADS_MAX];
	size_t n = component_payloads(c, p);
	enum ef_reason r = EF_REASON_OK;

	for (size_t i = 0; i < n && !r; i++)
		r = check_payload(from, c->name, &p[i], w, e);
	return r;
}

static enum ef_reason check_mcu(const struct published *from, const struct component *c,
	EVP_PKEY *edge_key, struct error *e)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct ef_image_info info;
	size_t size;
	enum ef_reason r = read_object(from, &c->image, IMAGE_FILE_MAX, &data, &size, e);

	if (r)
		return r;
	return edge_key ? image_verify(data, size, c->name, edge_key, &info, e)
			: image_look(data, size, c->name, &info, e);
}

enum ef_reason check_component(const struct published *from, const struct component *c,
	EVP_PKEY *edge_key, const struct workspace *w, struct error *e)
{
	return c->type == COMPONENT_MCU ? check_mcu(from, c, edge_key, e)
					: check_rootfs(from, c, w, e);
}
