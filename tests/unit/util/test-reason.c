/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "util/reason.h"
#include "util/text.h"
#include <errno.h>

START_TEST(table)
{
	static const enum ef_reason all[] = {
#define NAME(name, number, w, t, h) EF_REASON_##name,
		EF_REASON_LIST(NAME)
#undef NAME
	};
	size_t n = sizeof(all) / sizeof(all[0]);

	for (size_t i = 0; i < n; i++) {
		enum ef_reason back = (enum ef_reason)9999;
		ck_assert(reason_from_word(reason_word(all[i]), &back));
		ck_assert_int_eq(back, all[i]);
		ck_assert_str_ne(reason_text(all[i]), "");
		ck_assert_ptr_nonnull(reason_hint(all[i]));
		for (size_t k = 0; k < i; k++)
			ck_assert_int_ne(all[i], all[k]);
	}
	enum ef_reason untouched = EF_REASON_BUSY;
	ck_assert(!reason_from_word("no such word", &untouched) &&
		  !reason_from_word(NULL, &untouched));
	ck_assert_int_eq(untouched, EF_REASON_BUSY);
	ck_assert_str_eq(reason_word((enum ef_reason)54321), "internal");
}
END_TEST

START_TEST(numbers)
{
	ck_assert_int_eq(reason_from_errno(0), EF_REASON_OK);
	ck_assert_int_eq(reason_from_errno(-ENOSPC), EF_REASON_NO_SPACE);
	ck_assert_int_eq(reason_from_errno(-EACCES), EF_REASON_DENIED);
	ck_assert_int_eq(reason_from_errno(-ENOMEM), EF_REASON_NO_MEMORY);
	ck_assert_int_eq(reason_from_errno(-EXDEV), EF_REASON_IO);
}
END_TEST

START_TEST(first_is_kept)
{
	struct error e = {0};

	ck_assert_int_eq(error_set(&e, EF_REASON_FLOOR, "node %s", "meter"), EF_REASON_FLOOR);
	ck_assert_int_eq(error_set(&e, EF_REASON_IO, "later"), EF_REASON_FLOOR);
	ck_assert_int_eq(error_errno(&e, -EIO, "later"), EF_REASON_FLOOR);
	ck_assert_str_eq(e.detail, "node meter");
	char text[256];
	error_format(&e, text, sizeof(text));
	ck_assert_str_eq(text, "floor: security version below the floor: node meter "
			       "(install a release at or above the floor)");
	error_clear(&e);
	ck_assert_int_eq(error_errno(&e, -ENOSPC, "%s", "/var"), EF_REASON_NO_SPACE);
	ck_assert_str_eq(e.detail, "/var: No space left on device");
	error_clear(&e);
	error_set(&e, EF_REASON_ALREADY_INSTALLED, "%s", "");
	error_format(&e, text, sizeof(text));
	ck_assert_str_eq(text, "already-installed: already installed");
}
END_TEST

/* S-35: length-limited, and nothing in it that a terminal would obey. */
START_TEST(detail_is_bounded_and_clean_S35)
{
	char big[2000], small[20];
	struct error e = {0};

	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = 0;
	error_set(&e, EF_REASON_IO, "%s", big);
	ck_assert_uint_eq(strlen(e.detail), sizeof(e.detail) - 1);
	error_format(&e, small, sizeof(small));
	ck_assert_uint_eq(strlen(small), sizeof(small) - 1);
	error_clear(&e);
	error_set(&e, EF_REASON_IO, "1.0\033]0;owned\007\n2\t3");
	ck_assert_str_eq(e.detail, "1.0?]0;owned? 2 3");
}
END_TEST

START_TEST(text_S35)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{"", ""},
		{"plain ~", "plain ~"},
		{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa2", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa2"},
		{"\001\x1b\x7f", "???"},
		{"a\xc2\x9b"
		 "31m",
			"a?31m"}, /* CSI as one C1 character */
		{"a\xe2\x80\xae"
		 "b",
			"a?b"}, /* right-to-left override */
		{"a\xe2\x81\xa6"
		 "b",
			"a?b"},
		{"\xc0\xaf", "??"}, /* overlong */
		{"\xe0\x80\xaf", "???"},
		{"\xed\xa0\x80", "???"},      /* surrogate */
		{"\xf4\x90\x80\x80", "????"}, /* beyond Unicode */
		{"\xff\xfe", "??"},
		{"\x80z", "?z"},
		{"cut\xe2\x82", "cut"},
		{"\xe2(\xa1", "?(?"},
		{"a\r\nb\tc", "a  b c"},
	};
	char buf[64];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		strcpy(buf, t[i].in);
		ck_assert_str_eq(text_clean(buf), t[i].out);
		ck_assert(text_is_clean(buf, strlen(buf)));
	}
	ck_assert(text_is_clean("a\tb\r", 4));
	ck_assert(!text_is_clean("a\0b", 3) && !text_is_clean("\xe2\x82", 2) &&
		  !text_is_clean("\n", 1));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("reason");
	TCase *t = tcase_create("reason");

	tcase_add_test(t, table);
	tcase_add_test(t, numbers);
	tcase_add_test(t, first_is_kept);
	tcase_add_test(t, detail_is_bounded_and_clean_S35);
	tcase_add_test(t, text_S35);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
