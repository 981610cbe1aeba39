/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/chunks.h"
#include "util/cleanup.h"
#include <endian.h>
#include <errno.h>
#include <string.h>

#define VARINT_MAX 5u
#define GROUP_ENTRY_MIN 2u
#define GROUP_ENTRY_MAX (3 * VARINT_MAX + 2 * CHUNK_DIGEST_SIZE)
#define CHUNK_ENTRY_MAX (2 * VARINT_MAX + 2 * CHUNK_DIGEST_SIZE)

static const char magic[8] = {'E', 'F', 'C', 'H', 'U', 'N', 'K', '1'};

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
	free(x->groups);
	free(x);
}
DEFINE_CLEANUP(struct chunk_index *, chunk_index_free)

static enum ef_reason bad(struct error *e, const char *what)
{
	return error_set(e, EF_REASON_BAD_FORMAT, "chunk index: %s", what);
}

/* What is left to read. */
struct input {
	const uint8_t *p, *end;
};

/* LEB128, in its one shortest form. */
static bool take_number(struct input *in, uint32_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; in->p < in->end && shift < 7 * VARINT_MAX; shift += 7) {
		uint8_t byte = *in->p++;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		*ret = (uint32_t)v;
		return v <= UINT32_MAX && (byte != 0 || shift == 0);
	}
	return false;
}

static bool take_digest(struct input *in, uint8_t ret[CHUNK_DIGEST_SIZE])
{
	if ((size_t)(in->end - in->p) < CHUNK_DIGEST_SIZE)
		return false;
	memcpy(ret, in->p, CHUNK_DIGEST_SIZE);
	in->p += CHUNK_DIGEST_SIZE;
	return true;
}

static uint8_t *put_number(uint8_t *p, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

static uint8_t *put_digest(uint8_t *p, const uint8_t digest[CHUNK_DIGEST_SIZE])
{
	memcpy(p, digest, CHUNK_DIGEST_SIZE);
	return p + CHUNK_DIGEST_SIZE;
}

static enum ef_reason take_group(struct input *in, struct chunk_group *g, struct error *e)
{
	struct chunk *b = &g->body;

	if (!take_number(in, &b->size) || !take_number(in, &b->pack_size))
		return bad(e, "a number makes no sense");
	if (b->size == 0 || b->size > (b->pack_size ? CHUNK_MAX : CHUNK_ZEROS_MAX))
		return bad(e, "size of a group out of range");
	if (b->pack_size == 0)
		return EF_REASON_OK;
	if (!take_number(in, &g->leaf_size) || g->leaf_size == 0 || g->leaf_size > CHUNK_LEAF_MAX)
		return bad(e, "size of a leaf out of range");
	return take_digest(in, b->digest) && take_digest(in, b->pack_digest) ? EF_REASON_OK
									     : bad(e, "ends early");
}

/* Sums cannot overflow: at most 2^22 groups of at most 2^32 bytes. */
static enum ef_reason take_groups(struct input *in, struct chunk_index *x, struct error *e)
{
	uint64_t offset = 0, pack_offset = 0;
	enum ef_reason r;

	for (size_t i = 0; i < x->n_groups; i++) {
		struct chunk_group *g = &x->groups[i];
		r = take_group(in, g, e);
		if (r)
			return r;
		g->body.offset = offset;
		g->body.pack_offset = pack_offset;
		offset += g->body.size;
		pack_offset += g->body.pack_size;
	}
	for (size_t i = 0; i < x->n_groups; i++) {
		x->groups[i].leaf_offset = pack_offset;
		pack_offset += x->groups[i].leaf_size;
	}
	if (in->p != in->end)
		return bad(e, "its size does not fit the number of groups");
	if (offset != x->image_size)
		return bad(e, "the groups do not add up to the image");
	if (pack_offset != x->pack_size)
		return bad(e, "groups and leaves do not add up to the pack");
	return EF_REASON_OK;
}

enum ef_reason chunk_index_parse(
	const void *data, size_t size, struct chunk_index **ret, struct error *e)
{
	const uint8_t *p = data;
	_cleanup_(chunk_index_freep) struct chunk_index *x = NULL;
	enum ef_reason r;

	if (size < CHUNK_INDEX_HEAD || memcmp(p, magic, sizeof(magic)) != 0)
		return bad(e, "does not begin with EFCHUNK1");
	uint32_t n = get32(p + 88);
	/* before memory is taken for as many as it claims */
	if (n == 0 || n > CHUNK_GROUPS_MAX || n > (size - CHUNK_INDEX_HEAD) / GROUP_ENTRY_MIN)
		return bad(e, "number of groups out of range");
	x = calloc(1, sizeof(*x));
	if (x)
		x->groups = calloc(n, sizeof(*x->groups));
	if (!x || !x->groups)
		return error_set(e, EF_REASON_NO_MEMORY, "chunk index");
	x->image_size = get64(p + 8);
	memcpy(x->image_sha256, p + 16, 32);
	x->pack_size = get64(p + 48);
	memcpy(x->pack_sha256, p + 56, 32);
	x->n_groups = n;
	x->cut = (struct cut){.min = p[92], .average = p[93], .max = p[94], .group = p[95]};
	if (!cut_valid(&x->cut))
		return bad(e, "says nonsense about how it was cut");
	struct input in = {p + CHUNK_INDEX_HEAD, p + size};
	r = take_groups(&in, x, e);
	if (!r)
		*ret = TAKE_PTR(x);
	return r;
}

int chunk_index_format(const struct chunk_index *x, uint8_t **ret, size_t *size)
{
	if (x->n_groups == 0 || x->n_groups > CHUNK_GROUPS_MAX)
		return -EFBIG;
	uint8_t *start = calloc(1, CHUNK_INDEX_HEAD + x->n_groups * GROUP_ENTRY_MAX), *p = start;
	if (!p)
		return -ENOMEM;
	memcpy(p, magic, sizeof(magic));
	put64(p + 8, x->image_size);
	memcpy(p + 16, x->image_sha256, 32);
	put64(p + 48, x->pack_size);
	memcpy(p + 56, x->pack_sha256, 32);
	put32(p + 88, (uint32_t)x->n_groups);
	p[92] = x->cut.min;
	p[93] = x->cut.average;
	p[94] = x->cut.max;
	p[95] = x->cut.group;
	p += CHUNK_INDEX_HEAD;
	for (size_t i = 0; i < x->n_groups; i++) {
		const struct chunk_group *g = &x->groups[i];
		p = put_number(p, g->body.size);
		p = put_number(p, g->body.pack_size);
		if (g->body.pack_size == 0)
			continue;
		p = put_number(p, g->leaf_size);
		p = put_digest(p, g->body.digest);
		p = put_digest(p, g->body.pack_digest);
	}
	*ret = start;
	*size = (size_t)(p - start);
	return 0;
}

static enum ef_reason take_chunk(struct input *in, struct chunk *c, struct error *e)
{
	*c = (struct chunk){0};
	if (!take_number(in, &c->size) || !take_number(in, &c->pack_size))
		return bad(e, "a number in a leaf makes no sense");
	if (c->size == 0 || c->size > CHUNK_MAX || c->pack_size > CHUNK_MAX)
		return bad(e, "size of a chunk out of range");
	if (c->pack_size == 0)
		return EF_REASON_OK;
	return take_digest(in, c->digest) && take_digest(in, c->pack_digest)
		       ? EF_REASON_OK
		       : bad(e, "a leaf ends early");
}

enum ef_reason chunk_leaf_parse(const struct chunk_group *g, const void *data, struct chunk *chunks,
	size_t *n, struct error *e)
{
	struct input in = {data, (const uint8_t *)data + g->leaf_size};
	uint64_t size = 0, pack_size = 0;
	enum ef_reason r;

	for (*n = 0; in.p < in.end; (*n)++) {
		if (*n == CHUNK_LEAF_CHUNKS_MAX)
			return bad(e, "a leaf has too many chunks");
		r = take_chunk(&in, &chunks[*n], e);
		if (r)
			return r;
		chunks[*n].offset = g->body.offset + size;
		chunks[*n].pack_offset = g->body.pack_offset + pack_size;
		size += chunks[*n].size;
		pack_size += chunks[*n].pack_size;
	}
	if (size != g->body.size || pack_size != g->body.pack_size)
		return bad(e, "the chunks of a leaf do not add up to their group");
	return EF_REASON_OK;
}

size_t chunk_leaf_format(const struct chunk *chunks, size_t n, uint8_t *out)
{
	uint8_t *p = out;

	if (n > CHUNK_LEAF_CHUNKS_MAX)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if ((size_t)(p - out) > CHUNK_LEAF_MAX - CHUNK_ENTRY_MAX)
			return 0;
		p = put_number(p, chunks[i].size);
		p = put_number(p, chunks[i].pack_size);
		if (chunks[i].pack_size == 0)
			continue;
		p = put_digest(p, chunks[i].digest);
		p = put_digest(p, chunks[i].pack_digest);
	}
	return (size_t)(p - out);
}
