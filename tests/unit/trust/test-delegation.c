/* SPDX-License-Identifier: Apache-2.0 */
/* Path patterns: glob(7), segment by segment. */
#include "trust/tuf-delegation.h"
#include "unit.h"
#include <string.h>

static const struct {
	const char *pattern, *path;
	bool match;
} table[] = {
	/* from the specification */
	{"targets/*.tgz", "targets/foo.tgz", true},
	{"targets/*.tgz", "targets/bar.tgz", true},
	{"targets/*.tgz", "targets/foo.txt", false},
	{"foo-version-?.tgz", "foo-version-2.tgz", true},
	{"foo-version-?.tgz", "foo-version-a.tgz", true},
	{"foo-version-?.tgz", "foo-version-alpha.tgz", false},
	{"*.tgz", "foo.tgz", true},
	{"*.tgz", "targets/foo.tgz", false},
	{"foo.tgz", "foo.tgz", true},
	{"foo.tgz", "foo-tgz", false},
	/* segments */
	{"*", "a", true},
	{"*", "", true},
	{"*", "a/b", false},
	{"*/*", "a/b", true},
	{"*/*", "a", false},
	{"*/*", "a/b/c", false},
	{"*/*", "/", true},
	{"a/*", "a/", true},
	{"a/*", "a", false},
	{"a/?", "a/", false},
	{"a?b", "a/b", false},
	{"a*b", "a/b", false},
	{"a[/]b", "a/b", false},
	{"a[!x]b", "a/b", false},
	{"**", "abc", true},
	{"**", "a/b", false},
	{"**/x", "a/b/x", false},
	{"", "", true},
	{"", "a", false},
	{"a", "", false},
	{"/a", "a", false},
	{"a", "/a", false},
	{"a/", "a", false},
	/* stars */
	{"*a*b*", "xxaxxbxx", true},
	{"*a*b*", "xxbxxaxx", false},
	{"a*a*a", "aa", false},
	{"a*a*a", "aaa", true},
	{"*.tar.gz", "x.tar.tar.gz", true},
	{"*x", "xxy", false},
	{"*?", "", false},
	{"?*", "a", true},
	{"releases/*/*", "releases/demo/1.json", true},
	{"releases/*/*", "releases/demo/x/1.json", false},
	{"releases/*/*", "rollouts/demo/1.json", false},
	/* a leading dot is nothing special */
	{"*", ".hidden", true},
	/* sets */
	{"[abc]", "b", true},
	{"[abc]", "d", false},
	{"[a-c]x", "bx", true},
	{"[a-c]x", "dx", false},
	{"[!a-c]x", "dx", true},
	{"[!a-c]x", "ax", false},
	{"[^a]", "b", true},
	{"[]]", "]", true},
	{"[!]]", "]", false},
	{"[a-]", "-", true},
	{"[-a]", "-", true},
	{"[a", "[a", true},
	{"[a", "a", false},
	{"[", "[", true},
	{"[]", "[]", true},
	{"[!", "[!", true},
	{"x[a-]y", "x-y", true},
	{"[z-a]", "m", false},
	/* backslash */
	{"\\*", "*", true},
	{"\\*", "a", false},
	{"\\?x", "?x", true},
	{"\\[a]", "[a]", true},
	{"\\\\", "\\", true},
	{"a\\", "a\\", true},
	{"a\\/b", "a\\/b", true},
	/* one character is one code point */
	{"?", "\xc3\xa9", true},
	{"??", "\xc3\xa9", false},
	{"?", "\xf0\x9f\x98\x80", true},
	{"[\xc3\xa0-\xc3\xaf]", "\xc3\xa9", true},
	{"[\xc3\xa0-\xc3\xaf]", "\xc3\xbf", false},
	{"*\xc3\xa9*", "caf\xc3\xa9s", true},
	/* nothing else is special */
	{"a.c", "abc", false},
	{"a{b,c}", "ab", false},
	{"A", "a", false},
	{"%2e", ".", false},
};

START_TEST(test_table)
{
	ck_assert_msg(tuf_path_match(table[_i].pattern, table[_i].path) == table[_i].match, "%s %s",
		table[_i].pattern, table[_i].path);
}
END_TEST

/* Many stars cost no more than the product of the lengths. */
START_TEST(test_stars)
{
	char pattern[4001], path[4001];

	for (int i = 0; i < 4000; i += 2)
		memcpy(pattern + i, "*a", 2);
	pattern[3999] = 'b';
	pattern[4000] = 0;
	memset(path, 'a', 4000);
	path[4000] = 0;
	ck_assert(!tuf_path_match(pattern, path));
}
END_TEST

START_TEST(test_file_name)
{
	char name[TUF_ROLE_NAME_MAX + 2], out[TUF_FILE_MAX];

	memset(name, 'x', sizeof(name));
	name[TUF_ROLE_NAME_MAX + 1] = 0;
	ck_assert(!tuf_role_name_ok(name));
	name[TUF_ROLE_NAME_MAX] = 0;
	ck_assert(tuf_role_name_ok(name));
	tuf_file_name(name, out);
	ck_assert_uint_eq(strlen(out), TUF_ROLE_NAME_MAX + 5);
	memset(name, '/', 67);
	name[67] = 0;
	ck_assert(!tuf_role_name_ok(name)); /* 201 once encoded */
	name[66] = 0;
	ck_assert(tuf_role_name_ok(name));
	tuf_file_name(name, out);
	ck_assert_uint_eq(strlen(out), 198 + 5);
	ck_assert(!tuf_role_name_ok(NULL));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/delegation");
	TCase *t = tcase_create("delegation");

	tcase_add_loop_test(t, test_table, 0, sizeof(table) / sizeof(table[0]));
	tcase_add_test(t, test_stars);
	tcase_add_test(t, test_file_name);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
