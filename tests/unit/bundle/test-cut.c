/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/cut.h"
#include "unit.h"
#include <stdlib.h>
#include <string.h>

#define SIZE ((size_t)6 << 20)

static uint8_t *image;
static struct cut_group g;

static void fill(void)
{
	uint64_t x = 88172645463325252u;

	image = malloc(SIZE);
	for (size_t i = 0; i < SIZE; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		image[i] = (uint8_t)x;
	}
}

static void drop(void)
{
	free(image);
}

/* Offsets at which groups and chunks of image begin, in a map each; what the groups are is checked.
 */
static size_t cut_all(const uint8_t *p, size_t size, uint8_t *group_at, uint8_t *chunk_at)
{
	size_t groups = 0;

	for (size_t at = 0; at < size; at += g.size, groups++) {
		size_t sum = 0;
		cut_group(&cut_default, p + at, size - at, at, &g);
		ck_assert_uint_ge(g.n, 1);
		ck_assert_uint_le(g.n, CUT_CHUNKS_MAX);
		ck_assert_uint_le(g.size, CUT_WINDOW);
		group_at[at] = 1;
		for (size_t i = 0; i < g.n; i++) {
			chunk_at[at + sum] = 1;
			ck_assert_uint_gt(g.pieces[i].size, 0);
			if (!g.pieces[i].zero)
				ck_assert_uint_le(g.pieces[i].size, 1u << cut_default.max);
			sum += g.pieces[i].size;
		}
		ck_assert_uint_eq(sum, g.size);
	}
	return groups;
}

START_TEST(averages)
{
	uint8_t *group_at = calloc(1, SIZE), *chunk_at = calloc(1, SIZE);
	size_t chunks = 0, groups = cut_all(image, SIZE, group_at, chunk_at);

	for (size_t i = 0; i < SIZE; i++)
		chunks += chunk_at[i];
	ck_assert_uint_gt(SIZE / chunks, 3000);
	ck_assert_uint_lt(SIZE / chunks, 7000);
	ck_assert_uint_gt(chunks / groups, 16);
	ck_assert_uint_lt(chunks / groups, 64);
	free(group_at);
	free(chunk_at);
}
END_TEST

/* Bytes put in at one place move all cuts behind it, but for a few near it. */
START_TEST(insertion_is_local)
{
	static const size_t sizes[] = {1, 100, 512, 4096, 100001};
	size_t n = sizes[_i], same = 0, all = 0;
	uint8_t *other = malloc(SIZE);
	uint8_t *groups = calloc(2, SIZE), *chunks = calloc(2, SIZE);

	memcpy(other, image, 1000000);
	memset(other + 1000000, 0x5a, n);
	memcpy(other + 1000000 + n, image + 1000000, SIZE - 1000000 - n);
	cut_all(image, SIZE, groups, chunks);
	cut_all(other, SIZE, groups + SIZE, chunks + SIZE);
	for (size_t i = 0; i < SIZE - n; i++) {
		all += groups[i];
		same += groups[i] && groups[SIZE + i + (i < 1000000 ? 0 : n)];
	}
	ck_assert_uint_gt(all, 20);
	ck_assert_uint_ge(same + 3, all);
	free(other);
	free(groups);
	free(chunks);
}
END_TEST

START_TEST(zeros_stand_apart)
{
	memset(image + 8192, 0, 4096);
	memset(image + 512 * 1000, 0, 65536);
	memset(image + 512 * 4000 + 100, 0, 4000); /* too short */
	uint8_t *groups = calloc(1, SIZE), *chunks = calloc(1, SIZE);
	cut_all(image, SIZE, groups, chunks);
	ck_assert(chunks[8192] && chunks[8192 + 4096] && !groups[8192]);
	ck_assert(groups[512 * 1000] && groups[512 * 1000 + 65536]);
	cut_group(&cut_default, image + 512 * 1000, 1 << 20, 512 * 1000, &g);
	ck_assert(g.zero);
	ck_assert_uint_eq(g.size, 65536);
	free(groups);
	free(chunks);
}
END_TEST

/* The window's size does not matter once it is as large as it must be. */
START_TEST(window)
{
	for (size_t at = 0; at < 3 << 20; at += g.size) {
		struct cut_group *one = malloc(sizeof(g));
		cut_group(&cut_default, image + at, CUT_WINDOW, at, one);
		cut_group(&cut_default, image + at, SIZE - at, at, &g);
		ck_assert_uint_eq(one->n, g.n);
		for (size_t i = 0; i < g.n; i++)
			ck_assert_uint_eq(one->pieces[i].size, g.pieces[i].size);
		free(one);
	}
}
END_TEST

/* Whatever an index says: an end, and bounds. */
START_TEST(all_parameters)
{
	struct cut c;

	for (c.min = 0; c.min < 20; c.min++)
		for (c.average = 0; c.average < 20; c.average++)
			for (c.max = 0; c.max < 20; c.max++)
				for (c.group = 0; c.group < 12; c.group += 4) {
					if (!cut_valid(&c) || !cut_known(&c))
						continue;
					cut_group(&c, image, SIZE, 0, &g);
					ck_assert_uint_le(g.size, CUT_WINDOW);
					cut_group(&c, image, 1, 0, &g);
					ck_assert_uint_eq(g.size, 1);
				}
}
END_TEST

/* By the specification in another language: other constants would find no seeds in what older tools
 * cut. */
START_TEST(known_cuts)
{
	static const uint32_t sizes[] = {6501, 4276, 4395, 2548, 4858, 7073};

	cut_group(&cut_default, image, SIZE, 0, &g);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		ck_assert_uint_eq(g.pieces[i].size, sizes[i]);
	ck_assert_uint_eq(g.n, 78);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bundle/cut");
	TCase *t = tcase_create("cut");

	tcase_add_checked_fixture(t, fill, drop);
	tcase_add_test(t, averages);
	tcase_add_loop_test(t, insertion_is_local, 0, 5);
	tcase_add_test(t, zeros_stand_apart);
	tcase_add_test(t, window);
	tcase_add_test(t, all_parameters);
	tcase_add_test(t, known_cuts);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
