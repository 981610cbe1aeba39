/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "util/json.h"

static json_t *parse(const char *text, size_t size, struct error *e)
{
	*e = (struct error){0};
	return json_read(text, size, "doc", e);
}

START_TEST(members)
{
	static const char text[] =
		"{\"s\":\"x\",\"n\":7,\"neg\":-1,\"real\":7.0,\"o\":{},\"a\":[],\"nul\":null,"
		"\"d\":\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\","
		"\"D\":\"00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff\"}";
	struct error e;
	_cleanup_json_ json_t *o = parse(text, sizeof(text) - 1, &e);
	const char *s = NULL;
	uint64_t n = 0;
	uint8_t d[32];

	ck_assert_ptr_nonnull(o);
	ck_assert(json_get_string(o, "s", &s) && strcmp(s, "x") == 0);
	ck_assert(!json_get_string(o, "n", &s) && !json_get_string(o, "none", &s));
	ck_assert(json_get_uint(o, "n", &n) && n == 7);
	ck_assert(!json_get_uint(o, "neg", &n) && !json_get_uint(o, "real", &n) &&
		  !json_get_uint(o, "s", &n));
	ck_assert(json_get_digest(o, "d", d) && d[1] == 0x11);
	ck_assert(!json_get_digest(o, "D", d) && !json_get_digest(o, "s", d) &&
		  !json_get_digest(o, "n", d));
	ck_assert(
		json_get_object(o, "o") && !json_get_object(o, "a") && !json_get_object(o, "nul"));
	ck_assert(json_get_array(o, "a") && !json_get_array(o, "o"));
	static const char *const some[] = {"s", "n", "neg", "real", "o", "a", "nul", "d", NULL};
	ck_assert_str_eq(json_unknown_key(o, some), "D");
	ck_assert_ptr_null(json_unknown_key(json_get_object(o, "o"), some));
	ck_assert(!json_get_string(NULL, "s", &s));
}
END_TEST

/* What a lenient reader would let through; each names document and line. */
START_TEST(strict)
{
#define T(s) s, sizeof(s) - 1
	static const struct {
		const char *text;
		size_t size;
		int line;
	} t[] = {
		{T(""), 1},
		{T("  \n"), 2},
		{T("{\"a\":1,\"a\":2}"), 1},
		{T("{\"a\":1,\"\\u0061\":2}"), 1},
		{T("{\"x\":{\"a\":1,\n\"a\":2}}"), 2},
		{T("{} {}"), 1},
		{T("{}\nx"), 2},
		{T("{}\0"), 1},
		{T("{\"a\":\"b\0c\"}"), 1},
		{T("{\"a\":\"b\\u0000c\"}"), 1},
		{T("{\"a\0b\":1}"), 1},
		{T("{\"a\":1,}"), 1},
		{T("[1,2"), 1},
		{T("[01]"), 1},
		{T("[+1]"), 1},
		{T("[NaN]"), 1},
		{T("[1e999]"), 1},
		{T("[9223372036854775808]"), 1},
		{T("[-9223372036854775809]"), 1},
		{T("[1.]"), 1},
		{T("[.5]"), 1},
		{T("[-]"), 1},
		{T("[0x10]"), 1},
		{T("[Infinity]"), 1},
		{T("[True]"), 1},
		{T("[1 2]"), 1},
		{T("{1:2}"), 1},
		{T("{\"a\" 1}"), 1},
		{T("{\"a\":[{\"b\":1,\"c\":2,\"b\":1}]}"), 1},
		{T("[\"\\x41\"]"), 1},
		{T("[\"\\ud800\"]"), 1},
		{T("[\"\\udc00\\ud800\"]"), 1},
		{T("[\"\xc0\x80\"]"), 1},
		{T("[\"\xf4\x90\x80\x80\"]"), 1},
		{T("['a']"), 1},
		{T("// c\n{}"), 1},
		{T("\"just text\""), 1},
		{T("7"), 1},
		{T("[\"\xff\"]"), 1},
		{T("[\"\xed\xa0\x80\"]"), 1},
		{T("[\"a\nb\"]"), 1},
		{T("\xef\xbb\xbf{}"), 1},
		{T("}{"), 1},
		{T("[\"unterminated \\"), 1},
	};
#undef T

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct error e;
		char prefix[16];

		ck_assert_msg(!parse(t[i].text, t[i].size, &e), "%zu: %s", i, t[i].text);
		ck_assert_int_eq(e.reason, EF_REASON_BAD_FORMAT);
		snprintf(prefix, sizeof(prefix), "doc:%d: ", t[i].line);
		ck_assert_msg(!strncmp(e.detail, prefix, strlen(prefix)), "%zu: %s", i, e.detail);
	}
}
END_TEST

static void fill(char *text, char c, size_t n)
{
	memset(text, c, n);
}

START_TEST(depth)
{
	char text[3000];
	struct error e;
	json_t *v;

	fill(text, '[', JSON_DEPTH_MAX);
	fill(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	v = parse(text, 2 * JSON_DEPTH_MAX, &e);
	ck_assert_ptr_nonnull(v);
	json_decref(v);
	fill(text, '[', JSON_DEPTH_MAX + 1);
	fill(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	ck_assert_ptr_null(parse(text, 2 * JSON_DEPTH_MAX + 2, &e));
	ck_assert_str_eq(e.detail, "doc:1: nested too deeply");
	/* brackets within text are no depth */
	text[0] = '[', text[1] = '"';
	fill(text + 2, '[', 100);
	memcpy(text + 102, "\\\"[\"]", 6);
	v = parse(text, 107, &e);
	ck_assert_ptr_nonnull(v);
	json_decref(v);
}
END_TEST

START_TEST(huge)
{
	size_t size = 2 * (size_t)JSON_NODES_MAX + 10, n = 0;
	char *text = malloc(size);
	struct error e;
	json_t *v;

	/* The array itself counts: one value too many, then just as many as may be. */
	text[n++] = '[';
	for (unsigned i = 0; i < JSON_NODES_MAX - 1; i++)
		text[n++] = '1', text[n++] = ',';
	text[n - 1] = ']';
	ck_assert_uint_le(n, size);
	v = parse(text, n, &e);
	ck_assert_ptr_nonnull(v);
	ck_assert_uint_eq(json_array_size(v), JSON_NODES_MAX - 1);
	json_decref(v);
	text[n - 1] = ',';
	text[n++] = '1';
	text[n++] = ']';
	ck_assert_ptr_null(parse(text, n, &e));
	ck_assert_str_eq(e.detail, "doc:1: too many values");
	free(text);
}
END_TEST

/* S-35: what the document says stands in the message only without control characters. */
START_TEST(message_is_clean_S35)
{
	static const char text[] = "{\"a\":\033[31mred}";
	struct error e;

	ck_assert_ptr_null(parse(text, sizeof(text) - 1, &e));
	ck_assert_ptr_null(strchr(e.detail, '\033'));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("json");
	TCase *t = tcase_create("json");

	tcase_add_test(t, members);
	tcase_add_test(t, strict);
	tcase_add_test(t, depth);
	tcase_add_test(t, huge);
	tcase_add_test(t, message_is_clean_S35);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
