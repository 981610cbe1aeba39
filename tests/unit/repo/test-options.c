/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/options.h"
#include "unit.h"
#include <string.h>

static bool flag;
static const char *text;
static uint64_t number;
static struct option_list list;
static struct common_options common;
static struct arguments words;
static struct error e;

static const struct option table[] = {
	{"flag", OPTION_FLAG, &flag, NULL, ""},
	{"text", OPTION_TEXT, &text, "T", ""},
	{"number", OPTION_NUMBER, &number, "N", ""},
	{"list", OPTION_LIST, &list, "L", ""},
	{0},
};

static enum ef_reason parse(int n, const char *const *args)
{
	flag = false;
	text = NULL;
	number = 0;
	list = (struct option_list){0};
	common = (struct common_options){0};
	words = (struct arguments){0};
	e = (struct error){0};
	return options_parse(n, (char **)args, table, &common, &words, &e);
}

#define PARSE(...)                                                           \
	parse((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), \
		(const char *[]){__VA_ARGS__})

START_TEST(all_kinds)
{
	ck_assert_int_eq(PARSE("a", "--flag", "--text", "x y", "b", "--number=0x20", "--list", "1",
				 "--list=2", "--json", "--workspace", "w", "-"),
		EF_REASON_OK);
	ck_assert(flag);
	ck_assert_str_eq(text, "x y");
	ck_assert_uint_eq(number, 32);
	ck_assert_uint_eq(list.n, 2);
	ck_assert_str_eq(list.items[1], "2");
	ck_assert(common.json && !common.quiet);
	ck_assert_str_eq(common.workspace, "w");
	ck_assert_int_eq(words.n, 3);
	ck_assert_str_eq(words.items[2], "-");
	ck_assert_int_eq(PARSE("--text=", "--", "--flag"), EF_REASON_OK);
	ck_assert_str_eq(text, "");
	ck_assert(!flag);
	ck_assert_str_eq(words.items[0], "--flag");
}
END_TEST

START_TEST(refused)
{
	ck_assert_int_eq(PARSE("--nothing"), EF_REASON_USAGE);
	ck_assert_int_eq(PARSE("--fla"), EF_REASON_USAGE);
	ck_assert_int_eq(PARSE("--flagg"), EF_REASON_USAGE);
	ck_assert_int_eq(PARSE("--flag=1"), EF_REASON_USAGE);
	ck_assert_int_eq(PARSE("--text"), EF_REASON_USAGE);
	ck_assert_int_eq(PARSE("--number", "x"), EF_REASON_USAGE);
	ck_assert_int_eq(PARSE("--number", ""), EF_REASON_USAGE);
	ck_assert_int_eq(PARSE("--number", "-1"), EF_REASON_USAGE);
	ck_assert_int_eq(PARSE("--number", " 1"), EF_REASON_USAGE);
	ck_assert_int_eq(PARSE("--number", "1k"), EF_REASON_USAGE);
	ck_assert_int_eq(PARSE("--number", "18446744073709551616"), EF_REASON_USAGE);
	ck_assert_int_eq(PARSE("--number", "18446744073709551615"), EF_REASON_OK);
	ck_assert_uint_eq(number, UINT64_MAX);
}
END_TEST

START_TEST(help_wins)
{
	ck_assert_int_eq(PARSE("--nothing", "--help"), EF_REASON_OK);
	ck_assert(common.help);
	ck_assert_int_eq(PARSE("--", "--help"), EF_REASON_OK);
	ck_assert(!common.help);
}
END_TEST

START_TEST(too_much)
{
	const char *args[200];

	for (int i = 0; i < 200; i++)
		args[i] = "--list=x";
	ck_assert_int_eq(parse(OPTION_LIST_MAX, args), EF_REASON_OK);
	ck_assert_int_eq(parse(OPTION_LIST_MAX + 1, args), EF_REASON_USAGE);
	for (int i = 0; i < 200; i++)
		args[i] = "x";
	ck_assert_int_eq(parse(ARGUMENTS_MAX, args), EF_REASON_OK);
	ck_assert_int_eq(parse(ARGUMENTS_MAX + 1, args), EF_REASON_USAGE);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("repo/options");
	TCase *t = tcase_create("options");

	tcase_add_test(t, all_kinds);
	tcase_add_test(t, refused);
	tcase_add_test(t, help_wins);
	tcase_add_test(t, too_much);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
