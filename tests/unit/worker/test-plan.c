/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "worker/plan.h"
#include <string.h>

#define N 12u

static struct chunk chunks[N];
static size_t n_chunks;
static struct plan p;
static struct ipc_range ranges[IPC_RANGES_MAX];
static size_t end;

/* Chunks of 10,000 bytes, 5,000 in the pack; content gives the digests. */
static void make(const char *content)
{
	uint64_t pack = 0;

	n_chunks = strlen(content);
	ck_assert_uint_le(n_chunks, N);
	for (size_t i = 0; i < n_chunks; i++) {
		chunks[i] = (struct chunk){.offset = i * 10000, .size = 10000, .pack_offset = pack};
		chunks[i].pack_size = 5000;
		memset(chunks[i].digest, content[i], sizeof(chunks[i].digest));
		pack += chunks[i].pack_size;
	}
	ck_assert_int_eq(plan_open(&p, chunks, sizeof(chunks[0]), n_chunks), 0);
}

START_TEST(test_everything_is_one_range)
{
	make("abcdefgh");
	ck_assert_uint_eq(plan_ranges(&p, 0, PLAN_GAP_MIN, ranges, 10, &end), 1);
	ck_assert_uint_eq(ranges[0].offset, 0);
	ck_assert_uint_eq(ranges[0].size, 40000);
	ck_assert_uint_eq(end, 8);
	plan_close(&p);
}
END_TEST

START_TEST(test_there_is_left_out)
{
	make("abcdefgh");
	plan_there(&p, 0);
	plan_there(&p, 3);
	plan_there(&p, 3);
	plan_there(&p, 7);
	ck_assert_uint_eq(p.done, 30000);
	ck_assert_uint_eq(plan_ranges(&p, 0, PLAN_GAP_MIN, ranges, 10, &end), 2);
	ck_assert_uint_eq(ranges[0].offset, 5000);
	ck_assert_uint_eq(ranges[0].size, 10000);
	ck_assert_uint_eq(ranges[1].offset, 20000);
	ck_assert_uint_eq(ranges[1].size, 15000);
	for (size_t i = 0; i < 8; i++)
		plan_there(&p, i);
	ck_assert_uint_eq(plan_ranges(&p, 0, PLAN_GAP_MIN, ranges, 10, &end), 0);
	ck_assert_uint_eq(p.done, 80000);
	plan_close(&p);
}
END_TEST

START_TEST(test_small_gap_is_fetched_along)
{
	make("abc");
	chunks[1].pack_size = PLAN_GAP_MIN;
	chunks[2].pack_offset = 5000 + PLAN_GAP_MIN;
	plan_there(&p, 1);
	ck_assert_uint_eq(plan_ranges(&p, 0, PLAN_GAP_MIN, ranges, 10, &end), 1);
	ck_assert_uint_eq(ranges[0].size, 10000 + PLAN_GAP_MIN);
	chunks[2].pack_offset++;
	ck_assert_uint_eq(plan_ranges(&p, 0, PLAN_GAP_MIN, ranges, 10, &end), 2);
	plan_close(&p);
}
END_TEST

START_TEST(test_more_ranges_than_fit)
{
	make("abcdefghijkl");
	for (size_t i = 1; i < 12; i += 2)
		plan_there(&p, i);
	ck_assert_uint_eq(plan_ranges(&p, 0, PLAN_GAP_MIN, ranges, 4, &end), 4);
	ck_assert_uint_eq(end, 8);
	ck_assert_uint_eq(plan_ranges(&p, end, PLAN_GAP_MIN, ranges, 4, &end), 2);
	ck_assert_uint_eq(ranges[0].offset, 40000);
	ck_assert_uint_eq(end, 12);
	plan_close(&p);
}
END_TEST

START_TEST(test_equal_chunks_are_fetched_once)
{
	size_t count;

	make("abacabaq");
	const uint32_t *equal = plan_equal(&p, 4, &count);
	ck_assert_uint_eq(count, 4);
	ck_assert(equal[0] == 0 && equal[1] == 2 && equal[2] == 4 && equal[3] == 6);
	struct chunk like = {.size = chunks[0].size};
	memset(like.digest, 'a', sizeof(like.digest));
	ck_assert_ptr_eq(plan_find(&p, &like, &count), equal);
	ck_assert_uint_eq(count, 4);
	for (const char *absent = "Adz"; *absent; absent++) {
		memset(like.digest, *absent, sizeof(like.digest));
		plan_find(&p, &like, &count);
		ck_assert_uint_eq(count, 0);
	}
	plan_there(&p, 1); /* b: its equal at 5 is copied by whoever scans, else it lacks */
	plan_mark_twins(&p);
	ck_assert_int_eq(p.have[0], PLAN_LACKING);
	ck_assert_int_eq(p.have[2], PLAN_TWIN);
	ck_assert_int_eq(p.have[4], PLAN_TWIN);
	ck_assert_int_eq(p.have[5], PLAN_LACKING);
	ck_assert_int_eq(p.have[6], PLAN_TWIN);
	ck_assert_int_eq(p.have[3], PLAN_LACKING);
	ck_assert_int_eq(p.have[7], PLAN_LACKING);
	plan_close(&p);
}
END_TEST

/* Equal digests of unequal sizes are not equal. */
START_TEST(test_size_counts)
{
	size_t count;

	make("aaa");
	plan_close(&p);
	chunks[1].size = 9999;
	ck_assert_int_eq(plan_open(&p, chunks, sizeof(chunks[0]), n_chunks), 0);
	plan_equal(&p, 0, &count);
	ck_assert_uint_eq(count, 2);
	plan_equal(&p, 1, &count);
	ck_assert_uint_eq(count, 1);
	plan_close(&p);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker/plan");
	TCase *t = tcase_create("plan");

	tcase_add_test(t, test_everything_is_one_range);
	tcase_add_test(t, test_there_is_left_out);
	tcase_add_test(t, test_small_gap_is_fetched_along);
	tcase_add_test(t, test_more_ranges_than_fit);
	tcase_add_test(t, test_equal_chunks_are_fetched_once);
	tcase_add_test(t, test_size_counts);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
