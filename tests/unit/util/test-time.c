/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "util/time-util.h"

START_TEST(utc)
{
	static const struct {
		const char *text;
		int64_t s;
	} t[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-11-21T08:00:00Z", 1795248000},
		{"2106-02-07T06:28:16Z", 4294967296},
		{"2024-02-29T23:59:59Z", 1709251199},
		{"1969-12-31T23:59:59Z", -1},
		{"9999-12-31T23:59:59Z", 253402300799},
		{"0000-01-01T00:00:00Z", -62167219200},
	};
	char out[21];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int64_t s = 7;
		ck_assert_msg(time_parse_utc(t[i].text, &s), "%s", t[i].text);
		ck_assert_int_eq(s, t[i].s);
		ck_assert_str_eq(time_format_utc(t[i].s, out), t[i].text);
	}
	ck_assert_str_eq(time_format_utc(INT64_MAX, out), "9999-12-31T23:59:59Z");
	ck_assert_str_eq(time_format_utc(INT64_MIN, out), "0000-01-01T00:00:00Z");
	setenv("TZ", "Asia/Kolkata", 1);
	ck_assert_str_eq(time_format_utc(0, out), "1970-01-01T00:00:00Z");
}
END_TEST

START_TEST(utc_exact)
{
	static const char *const wrong[] = {"", "2026-11-21T08:00:00", "2026-11-21T08:00:00z",
		"2026-11-21 08:00:00Z", "2026-11-21T08:00:00Z ", " 2026-11-21T08:00:00Z",
		"2026-11-21T08:00:00+00:00", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
		"2026-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z", "2026-1-01T00:00:00Z",
		"+026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "20260101T000000Z"};
	int64_t s = 7;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(!time_parse_utc(wrong[i], &s), "%s", wrong[i]);
	ck_assert(!time_parse_utc(NULL, &s));
	ck_assert_int_eq(s, 7);
}
END_TEST

START_TEST(spans)
{
	static const struct {
		const char *text;
		uint64_t us;
	} t[] = {
		{"90", 90000000},
		{"5min 20s", 320000000},
		{"1h", 3600000000},
		{"1h30m", 5400000000},
		{"1.5h", 5400000000},
		{"0.25 s", 250000},
		{" 2 min ", 120000000},
		{"100ms", 100000},
		{"3us", 3},
		{"0", 0},
		{"2 weeks 1 day", 1296000000000},
		{"infinity", UINT64_MAX},
	};
	static const char *const wrong[] = {"", " ", "s", "-1", "+1", "1 parsec", "1.", "1.s", ".5",
		"1..5", "1h x", "0x10", "99999999999999999999", "18446744073709551615",
		"1.1234567s", "infinity 1s"};
	uint64_t us = 7;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ck_assert_msg(timespan_parse(t[i].text, &us), "%s", t[i].text);
		ck_assert_uint_eq(us, t[i].us);
	}
	us = 7;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(!timespan_parse(wrong[i], &us), "%s", wrong[i]);
	ck_assert_uint_eq(us, 7);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("time");
	TCase *t = tcase_create("time");

	tcase_add_test(t, utc);
	tcase_add_test(t, utc_exact);
	tcase_add_test(t, spans);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
