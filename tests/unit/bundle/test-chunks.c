/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/chunks.h"
#include "unit.h"
#include <errno.h>
#include <string.h>

static struct chunk chunks[3];
static struct chunk_index sample;

static void fill(void)
{
	memset(chunks, 0, sizeof(chunks));
	chunks[0] =
		(struct chunk){.size = 65536, .pack_size = 100, .digest = {1}, .pack_digest = {2}};
	chunks[1] = (struct chunk){.size = CHUNK_MAX, .pack_size = 0, .digest = {3}};
	chunks[2] = (struct chunk){
		.size = 1, .pack_size = CHUNK_MAX, .digest = {4}, .pack_digest = {5}};
	sample = (struct chunk_index){.chunks = chunks,
		.n_chunks = 3,
		.image_size = 65536 + CHUNK_MAX + 1,
		.pack_size = 100 + CHUNK_MAX,
		.image_sha256 = {6},
		.pack_sha256 = {7}};
}

static uint8_t *format(size_t *size)
{
	uint8_t *p;

	ck_assert_int_eq(chunk_index_format(&sample, &p, size), 0);
	return p;
}

static enum ef_reason parse(const void *p, size_t size)
{
	struct chunk_index *x = NULL;
	struct error e = {0};
	enum ef_reason r = chunk_index_parse(p, size, &x, &e);

	ck_assert_int_eq(r == EF_REASON_OK, x != NULL);
	ck_assert_int_eq(e.reason, r);
	chunk_index_free(x);
	return r;
}

/* The sample, changed, is refused. */
static void wrong(void)
{
	size_t size;
	uint8_t *p = format(&size);

	ck_assert_int_eq(parse(p, size), EF_REASON_BAD_FORMAT);
	free(p);
	fill();
}

START_TEST(round_trip)
{
	struct chunk_index *x;
	struct error e = {0};
	size_t size;
	uint8_t *p = format(&size);

	ck_assert_uint_eq(size, 96 + 3 * 40);
	ck_assert_mem_eq(p, "EFCHUNK1", 8);
	ck_assert_int_eq(chunk_index_parse(p, size, &x, &e), EF_REASON_OK);
	ck_assert_uint_eq(x->n_chunks, 3);
	ck_assert_uint_eq(x->image_size, sample.image_size);
	ck_assert_uint_eq(x->chunks[2].offset, 65536 + CHUNK_MAX);
	ck_assert_uint_eq(x->chunks[2].pack_offset, 100);
	ck_assert_mem_eq(x->chunks[0].digest, chunks[0].digest, CHUNK_DIGEST_SIZE);
	ck_assert_mem_eq(x->chunks[2].pack_digest, chunks[2].pack_digest, CHUNK_DIGEST_SIZE);
	ck_assert_mem_eq(x->image_sha256, sample.image_sha256, 32);
	ck_assert_mem_eq(x->pack_sha256, sample.pack_sha256, 32);
	chunk_index_free(x);
	free(p);
}
END_TEST

START_TEST(sums_must_match) /* S-07 */
{
	static const uint64_t sizes[] = {0, 1, (1ULL << 31) - 1, 1ULL << 31, (1ULL << 32) - 1,
		1ULL << 32, (1ULL << 63) - 1, 1ULL << 63, UINT64_MAX};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		sample.image_size = sizes[i];
		wrong();
		sample.pack_size = sizes[i];
		wrong();
	}
	sample.image_size++;
	wrong();
	sample.pack_size--;
	wrong();
	sample.pack_size += 1ULL << 32;
	wrong();
}
END_TEST

START_TEST(chunk_bounds) /* S-07, S-28 */
{
	chunks[0].size = 0;
	sample.image_size = CHUNK_MAX + 1;
	wrong();
	chunks[0].size = CHUNK_MAX + 1;
	sample.image_size = 2 * (uint64_t)CHUNK_MAX + 2;
	wrong();
	chunks[0].size = UINT32_MAX;
	sample.image_size = (uint64_t)UINT32_MAX + CHUNK_MAX + 1;
	wrong();
	chunks[0].pack_size = CHUNK_MAX + 1;
	sample.pack_size = 2 * (uint64_t)CHUNK_MAX + 1;
	wrong();
	chunks[1].pack_digest[15] = 1; /* a digest of what is not there (S-06) */
	wrong();
}
END_TEST

START_TEST(length_must_match) /* S-07 */
{
	size_t size;
	uint8_t *p = format(&size);

	for (size_t n = 0; n < size; n++)
		ck_assert_int_eq(parse(p, n), EF_REASON_BAD_FORMAT);
	p = realloc(p, size + 40);
	memset(p + size, 0, 40);
	ck_assert_int_eq(parse(p, size + 1), EF_REASON_BAD_FORMAT);
	ck_assert_int_eq(parse(p, size + 40), EF_REASON_BAD_FORMAT);
	ck_assert_int_eq(parse(p, size), EF_REASON_OK);
	p[92] = 1;
	ck_assert_int_eq(parse(p, size), EF_REASON_BAD_FORMAT);
	p[92] = 0;
	p[0] = 'e';
	ck_assert_int_eq(parse(p, size), EF_REASON_BAD_FORMAT);
	p[0] = 'E';
	/* numbers of chunks whose product with 40 would wrap, or that ask for gigabytes */
	static const uint32_t counts[] = {0, 2, 4, 4194305, 107374183, 0x80000000, UINT32_MAX};
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		memcpy(p + 88, &counts[i], 4); /* the tests' machine is little-endian */
		ck_assert_int_eq(parse(p, size), EF_REASON_BAD_FORMAT);
	}
	free(p);
}
END_TEST

START_TEST(format_refuses)
{
	uint8_t *p;
	size_t size;

	sample.n_chunks = 0;
	ck_assert_int_eq(chunk_index_format(&sample, &p, &size), -EFBIG);
	sample.n_chunks = 4194305;
	ck_assert_int_eq(chunk_index_format(&sample, &p, &size), -EFBIG);
}
END_TEST

START_TEST(large_image) /* S-07: 8 GiB of chunks */
{
	struct chunk_index *x;
	struct error e = {0};
	size_t size;
	uint8_t *p;

	sample.n_chunks = 8192;
	sample.chunks = calloc(sample.n_chunks, sizeof(struct chunk));
	for (size_t i = 0; i < sample.n_chunks; i++)
		sample.chunks[i].size = sample.chunks[i].pack_size = CHUNK_MAX;
	sample.image_size = sample.pack_size = 1ULL << 33;
	p = format(&size);
	ck_assert_int_eq(chunk_index_parse(p, size, &x, &e), EF_REASON_OK);
	ck_assert_uint_eq(x->chunks[8191].offset, (1ULL << 33) - CHUNK_MAX);
	ck_assert_uint_eq(x->chunks[8191].pack_offset, (1ULL << 33) - CHUNK_MAX);
	chunk_index_free(x);
	free(p);
	free(sample.chunks);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bundle/chunks");
	TCase *t = tcase_create("chunks");

	tcase_add_checked_fixture(t, fill, NULL);
	tcase_add_test(t, round_trip);
	tcase_add_test(t, sums_must_match);
	tcase_add_test(t, chunk_bounds);
	tcase_add_test(t, length_must_match);
	tcase_add_test(t, format_refuses);
	tcase_add_test(t, large_image);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
