/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include <edgeferry/version.h>
#include <string.h>

START_TEST(parse_and_format)
{
	static const struct {
		const char *text;
		struct ef_version v;
	} good[] = {
		{"0.0.0", {0, 0, 0, 0}},
		{"1.2.3", {1, 2, 3, 0}},
		{"1.2.3+4", {1, 2, 3, 4}},
		{"255.255.65535+4294967295", {255, 255, 65535, 4294967295u}},
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct ef_version v = {0};
		char out[EF_VERSION_TEXT_MAX];

		ck_assert(ef_version_parse(good[i].text, &v));
		ck_assert_int_eq(ef_version_compare(&v, &good[i].v), 0);
		ck_assert_uint_eq(ef_version_format(&v, out), strlen(good[i].text));
		ck_assert_str_eq(out, good[i].text);
	}
}
END_TEST

START_TEST(refuses_anything_else)
{
	static const char *const bad[] = {"", "1", "1.2", "1.2.", "1.2.3+", "1.2.3.4", "1.2.3-4",
		" 1.2.3", "1.2.3 ", "+1.2.3", "-1.2.3", "1..3", ".2.3", "256.0.0", "0.256.0",
		"0.0.65536", "0.0.0+4294967296", "1.2.3+4+5", "99999999999.0.0", "1.02.3", "00.0.0",
		"1.2.3+0x4", "a.b.c", "1.2.3\n"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct ef_version v = {9, 9, 9, 9};

		ck_assert_msg(!ef_version_parse(bad[i], &v), "%s", bad[i]);
		ck_assert_uint_eq(v.major, 9);
		ck_assert_uint_eq(v.build, 9);
	}
}
END_TEST

START_TEST(order)
{
	static const struct ef_version up[] = {{0, 0, 0, 0}, {0, 0, 0, 1}, {0, 0, 1, 0},
		{0, 0, 256, 0}, {0, 1, 0, 0}, {0, 1, 0, UINT32_MAX}, {0, 1, 1, 0}, {1, 0, 0, 0},
		{255, 0, 0, 0}};
	const int n = sizeof up / sizeof *up;

	for (int i = 0; i < n; i++)
		for (int j = 0; j < n; j++) {
			int c = ef_version_compare(&up[i], &up[j]);

			ck_assert_int_eq((c > 0) - (c < 0), (i > j) - (i < j));
		}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("version");
	TCase *c = tcase_create("version");

	tcase_add_test(c, parse_and_format);
	tcase_add_test(c, refuses_anything_else);
	tcase_add_test(c, order);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
