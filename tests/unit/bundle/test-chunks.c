/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/chunks.h"
#include "unit.h"
#include <errno.h>
#include <string.h>

static struct chunk_group groups[3];
static struct chunk_index sample;

static void fill(void)
{
	memset(groups, 0, sizeof(groups));
	groups[0] = (struct chunk_group){
		.body = {.size = 65536, .pack_size = 100, .digest = {1}, .pack_digest = {2}},
		.leaf_size = 200};
	groups[1] = (struct chunk_group){.body = {.size = CHUNK_ZEROS_MAX}};
	groups[2] = (struct chunk_group){
		.body = {.size = 1, .pack_size = CHUNK_MAX, .digest = {4}, .pack_digest = {5}},
		.leaf_size = CHUNK_LEAF_MAX};
	sample = (struct chunk_index){.groups = groups,
		.n_groups = 3,
		.image_size = 65536 + CHUNK_ZEROS_MAX + 1,
		.pack_size = 100 + CHUNK_MAX + 200 + CHUNK_LEAF_MAX,
		.image_sha256 = {6},
		.pack_sha256 = {7},
		.cut = cut_default};
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

	/* three numbers and two digests, two numbers, three numbers and two digests */
	ck_assert_uint_eq(size, 96 + (3 + 1 + 2 + 32) + (5 + 1) + (1 + 3 + 3 + 32));
	ck_assert_mem_eq(p, "EFCHUNK1", 8);
	ck_assert_int_eq(chunk_index_parse(p, size, &x, &e), EF_REASON_OK);
	ck_assert_uint_eq(x->n_groups, 3);
	ck_assert_uint_eq(x->image_size, sample.image_size);
	ck_assert_uint_eq(x->groups[2].body.offset, 65536 + CHUNK_ZEROS_MAX);
	ck_assert_uint_eq(x->groups[2].body.pack_offset, 100);
	ck_assert_uint_eq(x->groups[0].leaf_offset, 100 + CHUNK_MAX);
	ck_assert_uint_eq(x->groups[2].leaf_offset, 100 + CHUNK_MAX + 200);
	ck_assert_mem_eq(x->groups[0].body.digest, groups[0].body.digest, CHUNK_DIGEST_SIZE);
	ck_assert_mem_eq(
		x->groups[2].body.pack_digest, groups[2].body.pack_digest, CHUNK_DIGEST_SIZE);
	ck_assert_mem_eq(x->image_sha256, sample.image_sha256, 32);
	ck_assert_mem_eq(x->pack_sha256, sample.pack_sha256, 32);
	ck_assert_int_eq(x->cut.average, cut_default.average);
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

START_TEST(group_bounds) /* S-07, S-28 */
{
	groups[0].body.size = 0;
	sample.image_size -= 65536;
	wrong();
	groups[0].body.size = CHUNK_MAX + 1;
	sample.image_size += CHUNK_MAX + 1 - 65536;
	wrong();
	groups[1].body.size++;
	sample.image_size++;
	wrong();
	groups[0].body.size = UINT32_MAX;
	sample.image_size += (uint64_t)UINT32_MAX - 65536;
	wrong();
	groups[0].leaf_size = 0;
	sample.pack_size -= 200;
	wrong();
	groups[2].leaf_size++;
	sample.pack_size++;
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
	p[0] = 'e';
	ck_assert_int_eq(parse(p, size), EF_REASON_BAD_FORMAT);
	p[0] = 'E';
	/* more groups than there are bytes for, or that ask for gigabytes of memory */
	static const uint32_t counts[] = {0, 2, 4, 40, 4194305, 107374183, 0x80000000, UINT32_MAX};
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		memcpy(p + 88, &counts[i], 4); /* the tests' machine is little-endian */
		ck_assert_int_eq(parse(p, size), EF_REASON_BAD_FORMAT);
	}
	free(p);
}
END_TEST

/* How it was cut: a hint, but no nonsense. */
START_TEST(cut_bounds)
{
	static const struct cut bad[] = {{8, 12, 15, 5}, {13, 12, 15, 5}, {10, 12, 11, 5},
		{10, 12, 17, 5}, {10, 12, 15, 9}, {0, 12, 15, 5}, {10, 0, 15, 5}, {10, 12, 255, 5}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		sample.cut = bad[i];
		wrong();
	}
	size_t size;
	sample.cut = (struct cut){0};
	uint8_t *p = format(&size);
	ck_assert_int_eq(parse(p, size), EF_REASON_OK);
	free(p);
}
END_TEST

/* There is one way to write a number. */
START_TEST(numbers_are_shortest)
{
	size_t size;
	uint8_t *p;

	groups[0] = (struct chunk_group){.body.size = 5};
	sample.n_groups = 1;
	sample.image_size = 5;
	sample.pack_size = 0;
	p = format(&size);
	ck_assert_uint_eq(size, 98);
	ck_assert_int_eq(parse(p, size), EF_REASON_OK);
	p = realloc(p, 104);
	memcpy(p + 96, "\x85\x00\x00", 3);
	ck_assert_int_eq(parse(p, 99), EF_REASON_BAD_FORMAT);
	memcpy(p + 96, "\x85\x80\x80\x80\x80\x00\x00", 7);
	ck_assert_int_eq(parse(p, 103), EF_REASON_BAD_FORMAT);
	memcpy(p + 96, "\x85\x80\x80\x80\x10\x00", 6); /* 2^32 + 5 */
	ck_assert_int_eq(parse(p, 102), EF_REASON_BAD_FORMAT);
	free(p);
}
END_TEST

START_TEST(format_refuses)
{
	uint8_t *p;
	size_t size;

	sample.n_groups = 0;
	ck_assert_int_eq(chunk_index_format(&sample, &p, &size), -EFBIG);
	sample.n_groups = 4194305;
	ck_assert_int_eq(chunk_index_format(&sample, &p, &size), -EFBIG);
}
END_TEST

START_TEST(large_image) /* S-07: 8 GiB of groups */
{
	struct chunk_index *x;
	struct error e = {0};
	size_t size;
	uint8_t *p;

	sample.n_groups = 8192;
	sample.groups = calloc(sample.n_groups, sizeof(struct chunk_group));
	for (size_t i = 0; i < sample.n_groups; i++) {
		sample.groups[i].body.size = sample.groups[i].body.pack_size = CHUNK_MAX;
		sample.groups[i].leaf_size = 18;
	}
	sample.image_size = 1ULL << 33;
	sample.pack_size = (1ULL << 33) + 8192 * 18;
	p = format(&size);
	ck_assert_int_eq(chunk_index_parse(p, size, &x, &e), EF_REASON_OK);
	ck_assert_uint_eq(x->groups[8191].body.offset, (1ULL << 33) - CHUNK_MAX);
	ck_assert_uint_eq(x->groups[8191].body.pack_offset, (1ULL << 33) - CHUNK_MAX);
	ck_assert_uint_eq(x->groups[8191].leaf_offset, sample.pack_size - 18);
	chunk_index_free(x);
	free(p);
	free(sample.groups);
}
END_TEST

static struct chunk chunks[CHUNK_LEAF_CHUNKS_MAX + 1], got[CHUNK_LEAF_CHUNKS_MAX];
static uint8_t leaf[CHUNK_LEAF_MAX + 100];

static enum ef_reason parse_leaf(const struct chunk_group *g, size_t *n)
{
	struct error e = {0};
	enum ef_reason r = chunk_leaf_parse(g, leaf, got, n, &e);

	ck_assert_int_eq(e.reason, r);
	return r;
}

START_TEST(leaves)
{
	struct chunk_group g = {.body = {.offset = 1000,
					.pack_offset = 50,
					.size = 4096 + 300 + 1,
					.pack_size = 77}};
	size_t n;

	chunks[0] = (struct chunk){.size = 300, .pack_size = 70, .digest = {1}, .pack_digest = {2}};
	chunks[1] = (struct chunk){.size = 4096};
	chunks[2] = (struct chunk){.size = 1, .pack_size = 7, .digest = {3}, .pack_digest = {4}};
	g.leaf_size = (uint32_t)chunk_leaf_format(chunks, 3, leaf);
	ck_assert_uint_eq(g.leaf_size, 2 + 1 + 32 + 2 + 1 + 1 + 1 + 32);
	ck_assert_int_eq(parse_leaf(&g, &n), EF_REASON_OK);
	ck_assert_uint_eq(n, 3);
	ck_assert_uint_eq(got[0].offset, 1000);
	ck_assert_uint_eq(got[2].offset, 1000 + 4396);
	ck_assert_uint_eq(got[2].pack_offset, 120);
	ck_assert_mem_eq(got[2].digest, chunks[2].digest, 16);
	ck_assert_mem_eq(got[2].pack_digest, chunks[2].pack_digest, 16);
	for (uint32_t size = g.leaf_size; size-- > 0;) { /* S-07: cut anywhere */
		struct chunk_group less = g;
		less.leaf_size = size;
		ck_assert_int_eq(parse_leaf(&less, &n), EF_REASON_BAD_FORMAT);
	}
	g.body.size++;
	ck_assert_int_eq(parse_leaf(&g, &n), EF_REASON_BAD_FORMAT);
	g.body.size--;
	g.body.pack_size--;
	ck_assert_int_eq(parse_leaf(&g, &n), EF_REASON_BAD_FORMAT);
}
END_TEST

START_TEST(leaf_bounds) /* S-28 */
{
	struct chunk_group g = {.body = {.size = CHUNK_LEAF_CHUNKS_MAX + 1, .pack_size = 0}};
	size_t n;

	for (size_t i = 0; i <= CHUNK_LEAF_CHUNKS_MAX; i++)
		chunks[i] = (struct chunk){.size = 1};
	ck_assert_uint_eq(chunk_leaf_format(chunks, CHUNK_LEAF_CHUNKS_MAX + 1, leaf), 0);
	memset(leaf, 0, sizeof(leaf));
	for (size_t i = 0; i <= CHUNK_LEAF_CHUNKS_MAX; i++)
		leaf[2 * i] = 1;
	g.leaf_size = 2 * CHUNK_LEAF_CHUNKS_MAX + 2;
	ck_assert_int_eq(parse_leaf(&g, &n), EF_REASON_BAD_FORMAT);
	g.leaf_size -= 2;
	g.body.size--;
	ck_assert_int_eq(parse_leaf(&g, &n), EF_REASON_OK);
	memcpy(leaf, "\x81\x80\x40\x00", 4); /* CHUNK_MAX + 1 zeros */
	g = (struct chunk_group){.body.size = CHUNK_MAX + 1, .leaf_size = 4};
	ck_assert_int_eq(parse_leaf(&g, &n), EF_REASON_BAD_FORMAT);
	for (size_t i = 0; i <= CHUNK_LEAF_CHUNKS_MAX; i++)
		chunks[i] = (struct chunk){.size = 1000, .pack_size = 1000};
	ck_assert_uint_eq(
		chunk_leaf_format(chunks, CHUNK_LEAF_CHUNKS_MAX, leaf), 0); /* above 64 KiB */
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bundle/chunks");
	TCase *t = tcase_create("chunks");

	tcase_add_checked_fixture(t, fill, NULL);
	tcase_add_test(t, round_trip);
	tcase_add_test(t, sums_must_match);
	tcase_add_test(t, group_bounds);
	tcase_add_test(t, length_must_match);
	tcase_add_test(t, cut_bounds);
	tcase_add_test(t, numbers_are_shortest);
	tcase_add_test(t, format_refuses);
	tcase_add_test(t, large_image);
	tcase_add_test(t, leaves);
	tcase_add_test(t, leaf_bounds);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
