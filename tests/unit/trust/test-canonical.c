/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical JSON: one byte string for one value, whatever it was written like (S-01). */
#include "trust/canonical.h"
#include "unit.h"
#include "util/json.h"
#include <errno.h>
#include <string.h>

/* What is read, and the bytes that are signed for it. */
static const struct {
	const char *in, *out;
} vectors[] = {
	{"{}", "{}"},
	{"[]", "[]"},
	{" { } ", "{}"},
	{"\n[\t]\r\n", "[]"},
	{"{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}"},
	/* upper case before lower case, digits before both, short before long, "" first of all */
	{"{\"a\":0,\"B\":0,\"1\":0,\"\":0,\"aa\":0,\"a \":0}",
		"{\"\":0,\"1\":0,\"B\":0,\"a\":0,\"a \":0,\"aa\":0}"},
	/* numbers in keys sort as text */
	{"{\"10\":0,\"9\":0,\"1\":0}", "{\"1\":0,\"10\":0,\"9\":0}"},
	/* by code point: U+E9 before U+4E2D before U+FF5E before U+1F600 (UTF-16 has it otherwise)
	 */
	{"{\"\\uD83D\\uDE00\":1,\"\\uFF5E\":2,\"\\u4E2D\":3,\"\\u00e9\":4,\"z\":5}",
		"{\"z\":5,\"\xc3\xa9\":4,\"\xe4\xb8\xad\":3,\"\xef\xbd\x9e\":2,"
		"\"\xf0\x9f\x98\x80\":1}"},
	/* a key that needs escaping sorts by what it is, not by how it is written */
	{"{\"\\\\\":1,\"\\\"\":2,\"A\":3}", "{\"\\\"\":2,\"A\":3,\"\\\\\":1}"},
	/* only the quote and the backslash are escaped; control characters stand as they are */
	{"[\"\\\"\",\"\\\\\",\"\\/\",\"\\n\\t\\r\\b\\f\",\"\\u0001\\u001f\\u007f\"]",
		"[\"\\\"\",\"\\\\\",\"/\",\"\n\t\r\b\f\",\"\x01\x1f\x7f\"]"},
	{"[\"\\\\n\",\"\\\\\\\"\",\"\\\\\\\\\"]", "[\"\\\\n\",\"\\\\\\\"\",\"\\\\\\\\\"]"},
	/* text is not normalised: e with an accent in one code point and in two */
	{"{\"e\\u0301\":1,\"\\u00e9\":2}", "{\"e\xcc\x81\":1,\"\xc3\xa9\":2}"},
	/* the last ones of each length in UTF-8, and a code point that is no character */
	{"[\"\\u07ff\\u0800\\uffff\\ud800\\udc00\\udbff\\udfff\"]",
		"[\"\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"]"},
	{"\"\\u003c\\u2028\\u00A0\"", "\"<\xe2\x80\xa8\xc2\xa0\""},
	{"[0,-0,-1,1,9223372036854775807,-9223372036854775808]",
		"[0,0,-1,1,9223372036854775807,-9223372036854775808]"},
	/* beyond what a double holds */
	{"[9007199254740993,-9007199254740993]", "[9007199254740993,-9007199254740993]"},
	{"[true,false,null]", "[true,false,null]"},
	{"[[],{},\"\",[{}]]", "[[],{},\"\",[{}]]"},
	{"{\"a\":{\"d\":[{\"f\":1,\"e\":2}],\"c\":null}}",
		"{\"a\":{\"c\":null,\"d\":[{\"e\":2,\"f\":1}]}}"},
	/* arrays keep their order */
	{"[3,1,2,\"b\",\"a\"]", "[3,1,2,\"b\",\"a\"]"},
};

static json_t *any(const char *text)
{
	return json_loads(text, JSON_DECODE_ANY, NULL);
}

START_TEST(test_vectors)
{
	_cleanup_json_ json_t *v = any(vectors[_i].in);
	_cleanup_free_ char *out = NULL;
	size_t size;

	ck_assert_ptr_nonnull(v);
	ck_assert_int_eq(canonical_json(v, &out, &size), 0);
	ck_assert_uint_eq(size, strlen(vectors[_i].out));
	ck_assert_mem_eq(out, vectors[_i].out, size);
}
END_TEST

/* What is canonical already stays as it is. */
START_TEST(test_fixed_point)
{
	_cleanup_json_ json_t *v = any(vectors[_i].in), *again = NULL;
	_cleanup_free_ char *out = NULL, *out2 = NULL;
	size_t size, size2;

	ck_assert_int_eq(canonical_json(v, &out, &size), 0);
	if (memchr(out, '\n', size)) /* raw control characters are no JSON any more */
		return;
	again = json_loadb(out, size, JSON_DECODE_ANY, NULL);
	ck_assert_ptr_nonnull(again);
	ck_assert_int_eq(canonical_json(again, &out2, &size2), 0);
	ck_assert_uint_eq(size, size2);
	ck_assert_mem_eq(out, out2, size);
}
END_TEST

START_TEST(test_refused)
{
	static const char *const texts[] = {
		"1.0", "[1e3]", "{\"a\":{\"b\":[0.5]}}", "[-0.0]", "{\"version\":1.0}"};
	char *out;
	size_t size;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		_cleanup_json_ json_t *v = any(texts[i]);
		ck_assert_ptr_nonnull(v);
		ck_assert_msg(canonical_json(v, &out, &size) == -EINVAL, "%s", texts[i]);
	}
	ck_assert_int_eq(canonical_json(NULL, &out, &size), -EINVAL);
}
END_TEST

START_TEST(test_deep)
{
	_cleanup_json_ json_t *v = json_array();
	char *out;
	size_t size;

	for (int i = 0; i < 100; i++) {
		json_t *outer = json_array();
		json_array_append_new(outer, v);
		v = outer;
	}
	ck_assert_int_eq(canonical_json(v, &out, &size), -EINVAL);
}
END_TEST

START_TEST(test_long)
{
	size_t n = 300000, size;
	_cleanup_free_ char *text = malloc(n), *out = NULL;

	memset(text, '"', n);
	_cleanup_json_ json_t *v = json_stringn(text, n);
	ck_assert_int_eq(canonical_json(v, &out, &size), 0);
	ck_assert_uint_eq(size, 2 * n + 2);
	for (size_t i = 1; i + 1 < size; i++)
		ck_assert_int_eq(out[i], i % 2 ? '\\' : '"');
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/canonical");
	TCase *t = tcase_create("canonical");
	int n = sizeof(vectors) / sizeof(vectors[0]);

	tcase_add_loop_test(t, test_vectors, 0, n);
	tcase_add_loop_test(t, test_fixed_point, 0, n);
	tcase_add_test(t, test_refused);
	tcase_add_test(t, test_deep);
	tcase_add_test(t, test_long);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
