/* SPDX-License-Identifier: Apache-2.0 */
/* Several ranges in one answer: what may be between the parts, and what may not (F-08, S-27). */
#include "../unit.h"
#include "net/parts.h"
#include "net/spans.h"
#include <stdio.h>
#include <string.h>

#define GOOD                                                                       \
	"\r\n--b\r\nContent-Type: x/y\r\nContent-Range: bytes 0-3/100\r\n\r\nabcd" \
	"\r\n--b\r\ncontent-range: bytes 90-91/*\r\n\r\nef\r\n--b--\r\nrest"

START_TEST(types)
{
	static const struct {
		const char *type, *boundary;
	} cases[] = {
		{"multipart/byteranges; boundary=00000000000000000018", "00000000000000000018"},
		{"Multipart/ByteRanges;boundary=x", "x"},
		{"multipart/byteranges; boundary=\"a b:c\"", "a b:c"},
		{"multipart/byteranges", NULL},
		{"multipart/byteranges; boundary=", NULL},
		{"multipart/byteranges; boundary=\"a", NULL},
		{"multipart/byteranges; boundary=\"a \"", NULL},
		{"multipart/byteranges; boundary=a\"b", NULL},
		{"multipart/byteranges; boundary=a b", NULL},
		{"multipart/byteranges; charset=x", NULL},
		{"multipart/mixed; boundary=a", NULL},
		{"text/html", NULL},
		{"", NULL},
	};
	struct parts p;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_msg(parts_open(&p, cases[i].type) == (cases[i].boundary != NULL), "%s",
			cases[i].type);
		if (cases[i].boundary)
			ck_assert_str_eq(p.boundary, cases[i].boundary);
	}
	char text[128] = "multipart/byteranges; boundary=";
	memset(text + 31, 'x', 70);
	ck_assert(parts_open(&p, text));
	text[101] = 'x';
	ck_assert(!parts_open(&p, text));
}
END_TEST

/* Runs text in portions of n bytes; body gets the parts' bytes. */
static enum parts_found run(const char *text, size_t n, char *body)
{
	struct parts p;
	enum parts_found found = PARTS_MORE;
	size_t size = strlen(text), at = 0, out = 0, used;
	uint64_t left = 0;

	ck_assert(parts_open(&p, "multipart/byteranges; boundary=b"));
	while (at < size && found != PARTS_BAD) {
		size_t k = size - at < n ? size - at : n;
		if (left > 0) {
			body[out++] = text[at++];
			left--;
			continue;
		}
		found = parts_take(&p, (const uint8_t *)text + at, k, &used);
		at += used;
		if (found == PARTS_PART)
			left = p.last - p.first + 1;
	}
	body[out] = '\0';
	return p.over ? PARTS_END : found;
}

START_TEST(any_portions)
{
	char body[100];

	for (size_t n = 1; n < sizeof(GOOD); n++) {
		ck_assert_int_eq(run(GOOD, n, body), PARTS_END);
		ck_assert_str_eq(body, "abcdef");
	}
}
END_TEST

START_TEST(nonsense)
{
	static const char *const cases[] = {"x", "\n", "--b\n", "--c\r\n", "--bx\r\n", "--b-\r\n",
		"--b\r\n\r\n", "--b\r\nX\r\n", "--b\r\nContent-Range: bytes 5-4/9\r\n",
		"--b\r\nContent-Range: bytes 5-9/9\r\n",
		"--b\r\nContent-Range: bytes 0-1/9\r\nContent-Range: bytes 0-1/9\r\n",
		"\r\nx\r\n--b\r\n"};
	char body[100];

	for (size_t i = 1; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(run(cases[i], 100, body) == PARTS_BAD, "%s", cases[i]);
	char text[4000];
	memset(text, 'y', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(run(text, 7, body), PARTS_BAD);
	int at = sprintf(text, "--b\r\n");
	for (int i = 0; i < 100; i++)
		at += sprintf(text + at, "X-%d: yyyyyyyyyyyyy\r\n", i);
	ck_assert_int_eq(run(text, 100, body), PARTS_BAD);
	for (int i = at = 0; i < 1000; i++) /* empty lines without end */
		at += sprintf(text + at, "\r\n");
	ck_assert_int_eq(run(text, 100, body), PARTS_BAD);
}
END_TEST

START_TEST(requests)
{
	struct ipc_range r[400];
	struct spans s = {.ranges = r, .n = 400, .within = 5};
	char text[SPANS_TEXT_MAX];
	uint64_t first, last;

	for (size_t i = 0; i < 400; i++)
		r[i] = (struct ipc_range){i * 100000, 10};
	size_t n = spans_request_many(&s, text, sizeof(text), &first, &last);
	ck_assert_uint_eq(n, SPANS_PARTS_MAX);
	ck_assert(strncmp(text, "5-9,100000-100009,200000-", 25) == 0);
	ck_assert_uint_eq(first, 5);
	ck_assert_uint_eq(last, (n - 1) * 100000 + 9);
	n = spans_request_many(&s, text, 30, &first, &last);
	ck_assert_uint_eq(n, 2);
	ck_assert_str_eq(text, "5-9,100000-100009");
	r[1].offset = 3; /* not ascending */
	ck_assert_uint_eq(spans_request_many(&s, text, sizeof(text), &first, &last), 1);
	ck_assert_uint_eq(last, 9);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("net/parts");
	TCase *t = tcase_create("parts");

	tcase_add_test(t, types);
	tcase_add_test(t, any_portions);
	tcase_add_test(t, nonsense);
	tcase_add_test(t, requests);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
