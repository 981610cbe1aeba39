/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/chunker.h"
#include "bundle/chunks.h"
#include "repo/store.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <string.h>
#include <zstd.h>

#define CHUNKS_MAX 4194304u /* of the format */

DEFINE_CLEANUP(ZSTD_CCtx *, ZSTD_freeCCtx)
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

struct chunker {
	const char *name;
	ZSTD_CCtx *zstd;
	EVP_MD_CTX *image;
	struct store_file *pack;
	struct chunk_index index;
	size_t room;
	uint8_t in[CHUNKER_SIZE];
	uint8_t out[CHUNKER_SIZE + CHUNKER_SIZE / 128 + 512]; /* ZSTD_compressBound is below it */
};

bool chunker_level_valid(uint64_t level)
{
	return level >= 1 && level <= (uint64_t)ZSTD_maxCLevel();
}

static bool all_zero(const uint8_t *p, size_t size)
{
	return p[0] == 0 && memcmp(p, p + 1, size - 1) == 0;
}

static bool half_digest(const void *data, size_t size, uint8_t out[CHUNK_DIGEST_SIZE])
{
	uint8_t digest[32];

	if (EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL) != 1)
		return false;
	memcpy(out, digest, CHUNK_DIGEST_SIZE);
	return true;
}

static struct chunk *next_chunk(struct chunker *c)
{
	struct chunk_index *x = &c->index;

	if (x->n_chunks == c->room) {
		size_t room = c->room ? c->room * 2 : 1024;
		struct chunk *larger = realloc(x->chunks, room * sizeof(*larger));
		if (!larger)
			return NULL;
		x->chunks = larger;
		c->room = room;
	}
	struct chunk *chunk = &x->chunks[x->n_chunks++];
	*chunk = (struct chunk){0};
	return chunk;
}

static enum ef_reason take_chunk(struct chunker *c, size_t size, struct error *e)
{
	if (c->index.n_chunks == CHUNKS_MAX)
		return error_set(e, EF_REASON_TOO_LARGE, "%s: above 256 GiB", c->name);
	struct chunk *chunk = next_chunk(c);
	if (!chunk)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", c->name);
	chunk->size = (uint32_t)size;
	c->index.image_size += size;
	if (!half_digest(c->in, size, chunk->digest) ||
		EVP_DigestUpdate(c->image, c->in, size) != 1)
		return error_set(e, EF_REASON_INTERNAL, "%s: SHA-256 failed", c->name);
	if (all_zero(c->in, size))
		return EF_REASON_OK; /* a hole: not in the pack */
	size_t n = ZSTD_compress2(c->zstd, c->out, sizeof(c->out), c->in, size);
	if (ZSTD_isError(n))
		return error_set(
			e, EF_REASON_INTERNAL, "%s: zstd: %s", c->name, ZSTD_getErrorName(n));
	chunk->pack_size = (uint32_t)n;
	if (!half_digest(c->out, n, chunk->pack_digest))
		return error_set(e, EF_REASON_INTERNAL, "%s: SHA-256 failed", c->name);
	int r = store_write(c->pack, c->out, n);
	return r < 0 ? error_errno(e, r, "pack of %s", c->name) : EF_REASON_OK;
}

static enum ef_reason read_all(
	struct chunker *c, int fd, struct progress *progress, size_t *n_zero, struct error *e)
{
	*n_zero = 0;
	for (;;) {
		ssize_t n = fd_read_some(fd, c->in, sizeof(c->in));
		if (n < 0)
			return error_errno(e, (int)n, "%s", c->name);
		if (n == 0)
			break;
		enum ef_reason r = take_chunk(c, (size_t)n, e);
		if (r)
			return r;
		*n_zero += c->index.chunks[c->index.n_chunks - 1].pack_size == 0;
		progress_add(progress, (uint64_t)n);
		if ((size_t)n < sizeof(c->in))
			break;
	}
	if (c->index.n_chunks == 0)
		return error_set(e, EF_REASON_BAD_SIZE, "%s is empty", c->name);
	return EF_REASON_OK;
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
	ret->n_chunks = x->n_chunks;
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
	enum ef_reason r = read_all(c, fd, progress, &ret->n_zero, e);
	if (!r)
		r = finish(c, objects_fd, ret, e);
	free(c->index.chunks);
	return r;
}
