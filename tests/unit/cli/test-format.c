/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "cli/client.h"
#include "cli/progress.h"
#include "cli/show.h"
#include "cli/table.h"
#include <locale.h>

static void setup(void)
{
	ck_assert_ptr_nonnull(setlocale(LC_ALL, "C.UTF-8"));
	setenv("TZ", "UTC", 1);
}

START_TEST(widths)
{
	static const struct {
		const char *text;
		int width;
		const char *fitted;
	} t[] = {
		{"abc", 3, "abc"},
		{"abc", 2, "a…"},
		{"abc", 1, "…"},
		{"abc", 0, ""},
		{"", 0, ""},
		{"äöü", 3, "äöü"},
		{"äöü", 2, "ä…"},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日…"},
		{"e\xcc\x81x", 2, "e\xcc\x81x"},
	};

	ck_assert_int_eq(text_width("日本語"), 6);
	ck_assert_int_eq(text_width("e\xcc\x81"), 1);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char *fitted = text_fit(t[i].text, t[i].width, true);
		ck_assert_str_eq(fitted, t[i].fitted);
		ck_assert_int_le(text_width(fitted), t[i].width);
		free(fitted);
	}
	char *ascii = text_fit("abcdef", 4, false);
	ck_assert_str_eq(ascii, "ab..");
	free(ascii);
}
END_TEST

static const struct column columns[] = {
	{"NAME", COLUMN_SHRINK}, {"N", COLUMN_RIGHT}, {"EMPTY", 0}, {"DETAIL", COLUMN_SHRINK}};

static char *print(struct term *term, bool hostile)
{
	struct table *t = table_new(columns, 4);
	char *out = NULL;
	size_t size;

	table_cell(t, TONE_GOOD, hostile ? "a\033[2Jb\nc" : "first");
	table_cellf(t, TONE_PLAIN, "%d", 1);
	table_cell(t, TONE_PLAIN, NULL);
	table_cell(t, TONE_PLAIN, "short");
	table_cell(t, TONE_PLAIN, "second one");
	table_cell(t, TONE_PLAIN, "100");
	table_cell(t, TONE_PLAIN, "");
	table_cell(t, TONE_PLAIN, "a very long text that says little");
	ck_assert_uint_eq(table_rows(t), 2);
	term->file = open_memstream(&out, &size);
	ck_assert(table_print(t, term));
	fclose(term->file);
	table_free(t);
	return out;
}

START_TEST(table_plain)
{
	struct term term = {.utf8 = true};
	char *out = print(&term, false);

	ck_assert_str_eq(out, "NAME          N  DETAIL\n"
			      "first         1  short\n"
			      "second one  100  a very long text that says little\n");
	free(out);
}
END_TEST

START_TEST(table_fitted)
{
	struct term term = {.utf8 = true, .width = 30};
	char *out = print(&term, false);

	ck_assert_str_eq(out, "NAME          N  DETAIL\n"
			      "first         1  short\n"
			      "second one  100  a very long …\n");
	free(out);
	term.width = 10; /* no less than the least: the terminal wraps */
	out = print(&term, false);
	ck_assert_ptr_nonnull(strstr(out, "sec…  100  a v…\n"));
	free(out);
}
END_TEST

START_TEST(table_colour)
{
	struct term term = {.utf8 = true, .colour = true};
	char *out = print(&term, false);

	ck_assert_ptr_nonnull(strstr(out, "\033[1mNAME\033[0m"));
	ck_assert_ptr_nonnull(strstr(out, "\033[32mfirst\033[0m         1  short\n"));
	free(out);
}
END_TEST

/* S-35: a cell is one line and no command to the terminal, whatever a device calls itself. */
START_TEST(table_hostile_S35)
{
	struct term term = {.utf8 = true};
	char *out = print(&term, true);

	ck_assert_ptr_null(strchr(out, '\033'));
	ck_assert_ptr_nonnull(strstr(out, "a?[2Jb c "));
	free(out);
}
END_TEST

START_TEST(sizes)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} t[] = {
		{0, "0 B"},
		{512, "512 B"},
		{999, "999 B"},
		{1000, "1.00 kB"},
		{1536, "1.54 kB"},
		{9994, "9.99 kB"},
		{9999, "10.0 kB"},
		{99940, "99.9 kB"},
		{99960, "100 kB"},
		{999499, "999 kB"},
		{999500, "1.00 MB"},
		{61234567, "61.2 MB"},
		{104857600, "105 MB"},
		{UINT64_MAX, "18.4 EB"},
	};
	char out[FIGURE_MAX];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		ck_assert_str_eq(size_format(t[i].bytes, out), t[i].text);
	ck_assert_str_eq(rate_format(12.34e6, out), "12.3 MB/s");
	ck_assert_str_eq(rate_format(0, out), "");
	ck_assert_str_eq(rate_format(11.5e3, out), "11.5 kB/s");
}
END_TEST

START_TEST(durations)
{
	static const struct {
		uint64_t s;
		const char *text;
	} t[] = {
		{0, "0 s"},
		{59, "59 s"},
		{60, "1 min 00 s"},
		{65, "1 min 05 s"},
		{3599, "59 min 59 s"},
		{3600, "1 h 00 min"},
		{7380, "2 h 03 min"},
		{360000, "4 d"},
	};
	char out[FIGURE_MAX];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		ck_assert_str_eq(duration_format(t[i].s, out), t[i].text);
	ck_assert_uint_eq(time_left(50, 100, 10), 5);
	ck_assert_uint_eq(time_left(51, 100, 10), 5); /* rounded up */
	ck_assert_uint_eq(time_left(100, 100, 0), 0);
	ck_assert_uint_eq(time_left(0, 100, 0), UINT64_MAX);
	ck_assert_uint_eq(time_left(0, UINT64_MAX, 1), UINT64_MAX);
}
END_TEST

START_TEST(percents)
{
	ck_assert_uint_eq(percent(0, 0), 0);
	ck_assert_uint_eq(percent(0, 100), 0);
	ck_assert_uint_eq(percent(999, 1000), 99);
	ck_assert_uint_eq(percent(1000, 1000), 100);
	ck_assert_uint_eq(percent(2000, 1000), 100);
	ck_assert_uint_eq(percent(UINT64_MAX - 1, UINT64_MAX), 99);
}
END_TEST

START_TEST(bars)
{
	static const struct {
		uint64_t done, total;
		bool utf8;
		const char *text;
	} t[] = {
		{0, 100, true, "────"},
		{100, 100, true, "━━━━"},
		{50, 100, true, "━━──"},
		{40, 100, true, "━╸──"},
		{0, 0, true, "────"},
		{200, 100, true, "━━━━"},
		{50, 100, false, "##--"},
		{99, 100, false, "###-"},
	};
	char out[17];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		ck_assert_str_eq(bar_format(t[i].done, t[i].total, 4, t[i].utf8, out, sizeof(out)),
			t[i].text);
	ck_assert_str_eq(bar_format(1, 2, 0, true, out, sizeof(out)), "");
	ck_assert_int_eq(text_width(bar_format(1, 3, 4, true, out, sizeof(out))), 4);
}
END_TEST

START_TEST(rates)
{
	struct rate r = {0};
	uint64_t t = 1000000, done = 0;

	ck_assert(rate_value(&r, t) == 0);
	rate_add(&r, t, 0);
	ck_assert(rate_value(&r, t + 1000000) == 0);
	/* a steady 1 MB/s in small steps, far more of them than there are samples */
	for (int i = 0; i < 2000; i++, t += 10000, done += 10000)
		rate_add(&r, t, done);
	double v = rate_value(&r, t - 10000);
	ck_assert(v > 0.99e6 && v < 1.01e6);
	/* then 100 kB/s: after a window the old speed is forgotten */
	for (int i = 0; i < 700; i++, t += 10000, done += 1000)
		rate_add(&r, t, done);
	v = rate_value(&r, t - 10000);
	ck_assert(v > 0.095e6 && v < 0.125e6);
	/* standing still, it falls by itself */
	ck_assert(rate_value(&r, t + 20000000) < v / 3);
	/* another phase begins at 0 */
	rate_add(&r, t, 0);
	ck_assert(rate_value(&r, t + 1000) == 0);
	rate_add(&r, t + 1000000, 5000);
	v = rate_value(&r, t + 1000000);
	ck_assert(v > 4999 && v < 5001);
}
END_TEST

START_TEST(errors)
{
	enum ef_reason r;

	ck_assert(error_name_reason("io.github.edgeferry1.Error.BadSignature", &r) &&
		  r == EF_REASON_BAD_SIGNATURE);
	ck_assert(error_name_reason("io.github.edgeferry1.Error.Io", &r) && r == EF_REASON_IO);
	ck_assert(!error_name_reason("io.github.edgeferry1.Error.Nonsense", &r));
	ck_assert(!error_name_reason("org.freedesktop.DBus.Error.Failed", &r) &&
		  !error_name_reason(NULL, &r));
	ck_assert_int_eq(reason_exit(EF_REASON_OK), 0);
	ck_assert_int_eq(reason_exit(EF_REASON_IO), 1);
	ck_assert_int_eq(reason_exit(EF_REASON_ALREADY_INSTALLED), 2);
	ck_assert_int_eq(reason_exit(EF_REASON_NOT_FOUND), 3);
	ck_assert_int_eq(reason_exit(EF_REASON_DOWNGRADE), 5);
	ck_assert_int_eq(reason_exit(EF_REASON_BAD_SIGNATURE), 5);
	ck_assert_int_eq(reason_exit(EF_REASON_DENIED), 6);
	ck_assert_int_eq(reason_exit(EF_REASON_USAGE), 64);
}
END_TEST

START_TEST(times)
{
	char out[STAMP_MAX];

	ck_assert_str_eq(stamp_format("2026-11-21T08:00:00Z", out), "2026-11-21 08:00:00");
	ck_assert_str_eq(stamp_format("whenever", out), "whenever");
	ck_assert_str_eq(ago_format("", out), "never");
	ck_assert_str_eq(ago_format("1999-01-01T00:00:00Z", out), "1999-01-01 00:00:00");
	ck_assert_str_eq(
		took_format("2026-11-21T08:00:00Z", "2026-11-21T08:01:05Z", out), "1 min 05 s");
	ck_assert_str_eq(took_format("2026-11-21T08:00:00Z", "", out), "");
	char *s = reason_sentence("floor", "rootfs");
	ck_assert_str_eq(s, "security version below the floor: rootfs");
	free(s);
	s = reason_sentence("ok", "");
	ck_assert_str_eq(s, "");
	free(s);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("format");
	TCase *t = tcase_create("format");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, widths);
	tcase_add_test(t, table_plain);
	tcase_add_test(t, table_fitted);
	tcase_add_test(t, table_colour);
	tcase_add_test(t, table_hostile_S35);
	tcase_add_test(t, sizes);
	tcase_add_test(t, durations);
	tcase_add_test(t, percents);
	tcase_add_test(t, bars);
	tcase_add_test(t, rates);
	tcase_add_test(t, errors);
	tcase_add_test(t, times);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
