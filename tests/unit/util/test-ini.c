/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "util/ini.h"
#include <stdio.h>

struct seen {
	char text[4096];
	int refuse_at;
	int count;
};

static enum ef_reason note(const struct ini_item *i, void *ctx, struct error *e)
{
	struct seen *s = ctx;
	size_t n = strlen(s->text);

	if (!i->key[0]) {
		snprintf(s->text + n, sizeof(s->text) - n, "%u [%s]\n", i->line, i->section);
		return EF_REASON_OK;
	}
	if (++s->count == s->refuse_at)
		return error_set(e, EF_REASON_CONFIG, "%s:%u: no", i->file, i->line);
	snprintf(s->text + n, sizeof(s->text) - n, "%u %s.%s=<%s>\n", i->line, i->section, i->key,
		i->value);
	return EF_REASON_OK;
}

static enum ef_reason parse(const char *text, size_t size, struct seen *s, struct error *e)
{
	*e = (struct error){0};
	return ini_parse("f.conf", text, size, note, s, e);
}

START_TEST(dialect)
{
	static const char text[] = "# comment\n"
				   "; comment\n"
				   "\n"
				   "[One]\n"
				   "a=1\n"
				   "  b  =  two words \t\n"
				   "c=\n"
				   "d=x=y # not a comment\n"
				   "\t# indented comment \\\n"
				   "e=one \\\n"
				   "  two\\\n"
				   "# between\n"
				   "three\n"
				   " [Two] \r\n"
				   "f=\xc3\xa4\r\n"
				   "g=last\\";
	struct seen s = {0};
	struct error e;

	ck_assert_int_eq(parse(text, sizeof(text) - 1, &s, &e), EF_REASON_OK);
	ck_assert_str_eq(s.text, "4 [One]\n5 One.a=<1>\n6 One.b=<two words>\n7 One.c=<>\n"
				 "8 One.d=<x=y # not a comment>\n10 One.e=<one    two three>\n"
				 "14 [Two]\n15 Two.f=<\xc3\xa4>\n16 Two.g=<last>\n");
}
END_TEST

/* F-27: every mistake says file and line. */
START_TEST(mistakes_F27)
{
	static const struct {
		const char *text, *detail;
	} t[] = {
		{"[A]\n\nwhat\n", "f.conf:3: neither [Section] nor Key=value"},
		{"a=1\n", "f.conf:1: a key before the first [Section]"},
		{"[A\n", "f.conf:1: a section must end with ']'"},
		{"[]\n", "f.conf:1: not a section's name"},
		{"[A b]\n", "f.conf:1: not a section's name"},
		{"[A]\n=1\n", "f.conf:2: not a key's name before '='"},
		{"[A]\na b=1\n", "f.conf:2: not a key's name before '='"},
		{"[A]\na=1\\\n2\nx\n", "f.conf:4: neither [Section] nor Key=value"},
		{"[A]\na=\033[31m\n", "f.conf:2: control character or broken UTF-8"},
		{"[A]\na=1\nb=\xff\n", "f.conf:3: control character or broken UTF-8"},
		{"[A]\nb=\xc3", "f.conf:2: control character or broken UTF-8"},
		{"[A]\nb=\xe2\x80\xae\n", "f.conf:2: control character or broken UTF-8"},
	};
	struct error e;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct seen s = {0};
		ck_assert_int_eq(parse(t[i].text, strlen(t[i].text), &s, &e), EF_REASON_CONFIG);
		ck_assert_str_eq(e.detail, t[i].detail);
	}
}
END_TEST

START_TEST(binary_and_huge_F27)
{
	enum { MAX = 64 * 1024 };
	char *text = malloc(MAX + 1);
	struct seen s = {0};
	struct error e;

	ck_assert_int_eq(parse("[A]\na=1\0b=2\n", 12, &s, &e), EF_REASON_CONFIG);
	ck_assert_str_eq(e.detail, "f.conf:2: NUL byte");
	ck_assert_int_eq(s.count, 0); /* looked through before anything is used */
	memset(text, '#', MAX + 1);
	ck_assert_int_eq(parse(text, MAX, &s, &e), EF_REASON_OK);
	ck_assert_int_eq(parse(text, MAX + 1, &s, &e), EF_REASON_CONFIG);
	ck_assert_int_eq(parse(NULL, 0, &s, &e), EF_REASON_OK);
	free(text);
}
END_TEST

START_TEST(callback_ends_it)
{
	struct seen s = {.refuse_at = 2};
	struct error e;

	ck_assert_int_eq(parse("[A]\na=1\nb=2\nc=3\n", 16, &s, &e), EF_REASON_CONFIG);
	ck_assert_str_eq(e.detail, "f.conf:3: no");
	ck_assert_int_eq(s.count, 2);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ini");
	TCase *t = tcase_create("ini");

	tcase_add_test(t, dialect);
	tcase_add_test(t, mistakes_F27);
	tcase_add_test(t, binary_and_huge_F27);
	tcase_add_test(t, callback_ends_it);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
