/* SPDX-License-Identifier: Apache-2.0 */
/* Lateness of the periodic task: the bound holds for 99 of 100, and is no more than twice too
 * large. */
#include "app/jitter.h"
#include "unit.h"
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

START_TEST(bound_holds)
{
	static uint32_t sample[5000];
	uint32_t state = 1;

	for (unsigned n = 1; n <= 5000; n += n < 300 ? 1 : 331) {
		struct jitter j;

		memset(&j, 0, sizeof(j));
		for (unsigned i = 0; i < n; i++) {
			state = state * 1664525u + 1013904223u;
			/* few large ones among many small ones */
			sample[i] = state >> 8 & ((1u << (state >> 28)) - 1);
			jitter_add(&j, sample[i]);
		}
		qsort(sample, n, sizeof(*sample), compare);
		uint32_t exact = sample[n - 1 - n / 100], bound = jitter_p99(&j);
		ck_assert_uint_eq(j.longest, sample[n - 1]);
		ck_assert_uint_ge(bound, exact);
		ck_assert_uint_le(bound, 2 * exact);
		ck_assert_uint_le(bound, j.longest);
	}
}
END_TEST

START_TEST(ends)
{
	struct jitter j;

	memset(&j, 0, sizeof(j));
	ck_assert_uint_eq(jitter_p99(&j), 0);
	jitter_add(&j, 0);
	ck_assert_uint_eq(jitter_p99(&j), 0);
	jitter_add(&j, UINT32_MAX);
	ck_assert_uint_eq(jitter_p99(&j), UINT32_MAX);
	for (int i = 0; i < 98; i++)
		jitter_add(&j, 5);
	ck_assert_uint_eq(jitter_p99(&j), 7); /* one of a hundred does not count */
	ck_assert_uint_eq(j.longest, UINT32_MAX);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/jitter");
	TCase *c = tcase_create("jitter");

	suite_add_tcase(s, c);
	tcase_add_test(c, bound_holds);
	tcase_add_test(c, ends);
	return s;
}

UNIT_MAIN(suite())
