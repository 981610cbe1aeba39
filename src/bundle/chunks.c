/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/chunks.h"
#include "util/cleanup.h"
#include <endian.h>
#include <errno.h>
#include <string.h>

#define HEAD_SIZE 96u
#define ENTRY_SIZE 40u
#define CHUNKS_MAX 4194304u

static const char magic[8] = {'E', 'F', 'C', 'H', 'U', 'N', 'K', '1'};
static const uint8_t no_digest[CHUNK_DIGEST_SIZE];

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

void chunk_index_free(struct chunk_index *x)
{
	if (!x)
		return;
	free(x->chunks);
	free(x);
}
DEFINE_CLEANUP(struct chunk_index *, chunk_index_free)

static enum ef_reason bad(struct error *e, const char *what)
{
	return error_set(e, EF_REASON_BAD_FORMAT, "chunk index: %s", what);
}

/* Sums cannot overflow: at most 2^22 chunks of at most 2^20 bytes. */
static enum ef_reason take_chunk(
	const uint8_t *p, struct chunk *c, uint64_t *offset, uint64_t *pack_offset, struct error *e)
{
	c->size = get32(p);
	c->pack_size = get32(p + 4);
	c->offset = *offset;
	c->pack_offset = *pack_offset;
	memcpy(c->digest, p + 8, CHUNK_DIGEST_SIZE);
	memcpy(c->pack_digest, p + 24, CHUNK_DIGEST_SIZE);
	if (c->size == 0 || c->size > CHUNK_MAX || c->pack_size > CHUNK_MAX)
		return bad(e, "size of a chunk out of range");
	if (c->pack_size == 0 && memcmp(c->pack_digest, no_digest, sizeof(no_digest)) != 0)
		return bad(e, "digest for a chunk that is not in the pack");
	*offset += c->size;
	*pack_offset += c->pack_size;
	return EF_REASON_OK;
}

static enum ef_reason take_chunks(const uint8_t *p, struct chunk_index *x, struct error *e)
{
	uint64_t offset = 0, pack_offset = 0;
	enum ef_reason r;

	x->chunks = calloc(x->n_chunks, sizeof(*x->chunks));
	if (!x->chunks)
		return error_set(e, EF_REASON_NO_MEMORY, "chunk index");
	for (size_t i = 0; i < x->n_chunks; i++) {
		r = take_chunk(
			p + HEAD_SIZE + i * ENTRY_SIZE, &x->chunks[i], &offset, &pack_offset, e);
		if (r)
			return r;
	}
	if (offset != x->image_size)
		return bad(e, "the chunks do not add up to the image");
	if (pack_offset != x->pack_size)
		return bad(e, "the chunks do not add up to the pack");
	return EF_REASON_OK;
}

enum ef_reason chunk_index_parse(
	const void *data, size_t size, struct chunk_index **ret, struct error *e)
{
	const uint8_t *p = data;
	_cleanup_(chunk_index_freep) struct chunk_index *x = NULL;
	enum ef_reason r;

	if (size < HEAD_SIZE || memcmp(p, magic, sizeof(magic)) != 0)
		return bad(e, "does not begin with EFCHUNK1");
	uint32_t n = get32(p + 88);
	if (n == 0 || n > CHUNKS_MAX || get32(p + 92) != 0)
		return bad(e, "number of chunks out of range");
	if (size != HEAD_SIZE + (size_t)n * ENTRY_SIZE)
		return bad(e, "its size does not fit the number of chunks");
	x = calloc(1, sizeof(*x));
	if (!x)
		return error_set(e, EF_REASON_NO_MEMORY, "chunk index");
	x->image_size = get64(p + 8);
	memcpy(x->image_sha256, p + 16, 32);
	x->pack_size = get64(p + 48);
	memcpy(x->pack_sha256, p + 56, 32);
	x->n_chunks = n;
	r = take_chunks(p, x, e);
	if (!r)
		*ret = TAKE_PTR(x);
	return r;
}

int chunk_index_format(const struct chunk_index *x, uint8_t **ret, size_t *size)
{
	if (x->n_chunks == 0 || x->n_chunks > CHUNKS_MAX)
		return -EFBIG;
	size_t n = HEAD_SIZE + x->n_chunks * ENTRY_SIZE;
	uint8_t *p = calloc(1, n);
	if (!p)
		return -ENOMEM;
	memcpy(p, magic, sizeof(magic));
	put64(p + 8, x->image_size);
	memcpy(p + 16, x->image_sha256, 32);
	put64(p + 48, x->pack_size);
	memcpy(p + 56, x->pack_sha256, 32);
	put32(p + 88, (uint32_t)x->n_chunks);
	for (size_t i = 0; i < x->n_chunks; i++) {
		const struct chunk *c = &x->chunks[i];
		uint8_t *entry = p + HEAD_SIZE + i * ENTRY_SIZE;
		put32(entry, c->size);
		put32(entry + 4, c->pack_size);
		memcpy(entry + 8, c->digest, CHUNK_DIGEST_SIZE);
		memcpy(entry + 24, c->pack_digest, CHUNK_DIGEST_SIZE);
	}
	*ret = p;
	*size = n;
	return 0;
}
