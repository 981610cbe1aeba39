/* SPDX-License-Identifier: Apache-2.0 */
/* What a server says (F-08, F-09) and which bytes are wanted of what it sends. */
#include "../unit.h"
#include "net/answer.h"
#include "net/pause.h"
#include "net/spans.h"
#include "net/verdict.h"
#include <openssl/x509_vfy.h>
#include <string.h>

START_TEST(test_content_range)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t first, last, total;
	} cases[] = {
		{"bytes 0-0/1", true, 0, 0, 1},
		{"bytes 5-9/10", true, 5, 9, 10},
		{"BYTES  5-9/*", true, 5, 9, ANSWER_UNKNOWN},
		{"bytes 0-9223372036854775806/9223372036854775807", true, 0, INT64_MAX - 1,
			INT64_MAX},
		{"bytes 5-9/9", false, 0, 0, 0},
		{"bytes 9-5/10", false, 0, 0, 0},
		{"bytes */10", false, 0, 0, 0},
		{"bytes 0-9223372036854775808/*", false, 0, 0, 0},
		{"bytes 0-99999999999999999999999/*", false, 0, 0, 0},
		{"bytes -1-5/9", false, 0, 0, 0},
		{"bytes 1-5", false, 0, 0, 0},
		{"bytes 1-5/9 ", false, 0, 0, 0},
		{"bytes 1-5/", false, 0, 0, 0},
		{"bytes +1-5/9", false, 0, 0, 0},
		{"items 1-5/9", false, 0, 0, 0},
		{"", false, 0, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t first, last, total;
		ck_assert_msg(
			answer_parse_range(cases[i].text, &first, &last, &total) == cases[i].good,
			"%s", cases[i].text);
		if (!cases[i].good)
			continue;
		ck_assert_uint_eq(first, cases[i].first);
		ck_assert_uint_eq(last, cases[i].last);
		ck_assert_uint_eq(total, cases[i].total);
	}
}
END_TEST

static enum ef_reason feed(struct answer *a, const char *line)
{
	struct error e = {0};

	return answer_header(a, line, strlen(line), &e);
}

START_TEST(test_headers)
{
	struct answer a = {0};

	/* what a redirect said does not count for what comes after it */
	feed(&a, "HTTP/1.1 302 Found\r\n");
	feed(&a, "ETag: \"old\"\r\n");
	feed(&a, "\r\n");
	feed(&a, "HTTP/2 206 \r\n");
	feed(&a, "eTaG:\"new\"  \r\n");
	feed(&a, "Content-Range: bytes 1-2/3\r\n");
	feed(&a, "Content-Length: 2\r\n");
	ck_assert_int_eq(a.status, 206);
	ck_assert_str_eq(a.entity.tag, "\"new\"");
	ck_assert(a.has_range);
	ck_assert_uint_eq(a.total, 3);
	ck_assert_int_eq(feed(&a, "Content-Range: bytes 1-2/3\r\n"), EF_REASON_NET_HTTP);
	ck_assert_int_eq(feed(&a, "Content-Encoding: br\r\n"), EF_REASON_NET_HTTP);
	ck_assert_int_eq(feed(&a, "Content-Length: 0x10\r\n"), EF_REASON_NET_HTTP);
	ck_assert_int_eq(feed(&a, "no colon\r\n"), EF_REASON_OK);
}
END_TEST

/* Tags that promise nothing, or would put something else into our request, are not kept. */
START_TEST(test_tags)
{
	static const char *const bad[] = {"ETag: W/\"x\"", "ETag: x", "ETag: \"",
		"ETag:", "ETag: \"a\001\"", "Etag: \"\xc3\xa4\""};
	char line[1000];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct answer a = {0};
		feed(&a, bad[i]);
		ck_assert_msg(!entity_known(&a.entity), "%s", bad[i]);
	}
	struct answer a = {0};
	memset(line, 'x', sizeof(line));
	memcpy(line, "ETag: \"", 7);
	strcpy(line + 300, "\"");
	feed(&a, line);
	ck_assert(!entity_known(&a.entity));
	feed(&a, "Last-Modified: Sat, 21 Nov 2026 08:00:00 GMT");
	ck_assert_str_eq(entity_validator(&a.entity), "Sat, 21 Nov 2026 08:00:00 GMT");
	struct entity other = a.entity;
	ck_assert(entity_same(&a.entity, &other));
	strcpy(other.tag, "\"x\"");
	ck_assert(!entity_same(&a.entity, &other));
}
END_TEST

START_TEST(test_header_flood)
{
	struct answer a = {0};
	int n = 0;

	while (feed(&a, "X-Nothing: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n") ==
		EF_REASON_OK)
		ck_assert_int_lt(n++, 2000);
	feed(&a, "HTTP/1.1 200 OK\r\n"); /* a new response is no new allowance */
	ck_assert_int_eq(feed(&a, "X: y\r\n"), EF_REASON_NET_HTTP);
}
END_TEST

/*
 * A model server: answers spans_request with its range, or with the whole file, in pieces of any
 * size; what is delivered must be the ranges, byte for byte, however it comes.
 */
static void run_spans(struct spans s, bool ignores_ranges, unsigned piece, unsigned break_after)
{
	static uint8_t file[200000], out[400000];
	size_t n_out = 0, requests = 0;

	for (size_t i = 0; i < sizeof(file); i++)
		file[i] = (uint8_t)(i * 7 + i / 251);
	while (!spans_done(&s) && !(s.n == 0 && s.delivered == sizeof(file))) {
		uint64_t first, last, pos, end, budget = break_after;
		ck_assert_uint_lt(requests++, 5000);
		spans_request(&s, &first, &last);
		ck_assert_uint_eq(first, spans_next(&s));
		pos = ignores_ranges ? 0 : first;
		end = ignores_ranges || last >= sizeof(file) ? sizeof(file) : last + 1;
		while (pos < end && budget > 0) {
			uint64_t n = end - pos < piece ? end - pos : piece, skip, deliver;
			if (!spans_take(&s, pos, n, &skip, &deliver))
				break;
			ck_assert_uint_le(skip + deliver, n);
			ck_assert(deliver > 0 || skip == n);
			memcpy(out + n_out, file + pos + skip, deliver);
			n_out += deliver;
			spans_advance(&s, deliver);
			pos += skip + deliver;
			budget -= deliver < budget ? deliver : budget;
		}
	}
	size_t at = 0;
	for (size_t i = 0; i < s.n; i++) {
		ck_assert_mem_eq(out + at, file + s.ranges[i].offset, s.ranges[i].size);
		at += s.ranges[i].size;
	}
	if (s.n == 0) {
		ck_assert_mem_eq(out, file, sizeof(file));
		at = sizeof(file);
	}
	ck_assert_uint_eq(n_out, at);
}

START_TEST(test_spans)
{
	static const struct ipc_range ranges[] = {{0, 1}, {1, 10}, {100, 5000}, {5100, 1},
		{90000, 30000}, {50, 100}, {60, 10}, {199999, 1}, {0, 200000}};
	static const struct {
		unsigned piece, break_after;
	} ways[] = {{13, 1u << 31}, {101, 50000}, {4096, 997}, {4096, 50000}, {1000000, 1u << 31}};

	for (size_t n = 0; n <= sizeof(ranges) / sizeof(ranges[0]); n++)
		for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
			for (int ignore = 0; ignore < 2; ignore++)
				run_spans((struct spans){.ranges = ranges, .n = n}, ignore,
					ways[i].piece, ways[i].break_after);
}
END_TEST

START_TEST(test_spans_gather)
{
	const struct ipc_range near_ones[] = {
		{0, 10}, {10, 10}, {20 + SPANS_GAP, 10}, {31 + 2 * SPANS_GAP, 10}};
	struct spans s = {.ranges = near_ones, .n = 4};
	uint64_t first, last;

	spans_request(&s, &first, &last);
	ck_assert_uint_eq(first, 0);
	ck_assert_uint_eq(last, 29 + SPANS_GAP); /* the last one is one byte too far */
}
END_TEST

START_TEST(test_backoff)
{
	for (unsigned n = 1; n < 200; n++) {
		uint64_t full = n < 11 ? 1000ull << (n - 1) : 1000000, got;
		full = full > 1000000 ? 1000000 : full;
		got = backoff_us(1000, n, 1000000);
		ck_assert_uint_le(got, full);
		ck_assert_uint_ge(got, full / 2);
	}
}
END_TEST

/* F-11: without a clock every certificate is of another time; the reader has to see that. */
START_TEST(test_verdict_note)
{
	const int64_t built = 1700000000;
	char note[96];

	ck_assert_str_eq(verdict_note(X509_V_ERR_CERT_NOT_YET_VALID, 0, built, note, sizeof(note)),
		"; this gateway's clock says 1970-01-01T00:00:00Z, which is wrong: set it");
	ck_assert_str_eq(
		verdict_note(X509_V_ERR_CERT_HAS_EXPIRED, built, built, note, sizeof(note)),
		"; this gateway's clock says 2023-11-14T22:13:20Z");
	ck_assert_str_eq(verdict_note(X509_V_OK, 0, built, note, sizeof(note)), "");
	ck_assert_str_eq(
		verdict_note(X509_V_ERR_HOSTNAME_MISMATCH, 0, built, note, sizeof(note)), "");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("answer");
	TCase *t = tcase_create("answer");

	tcase_add_test(t, test_content_range);
	tcase_add_test(t, test_headers);
	tcase_add_test(t, test_tags);
	tcase_add_test(t, test_header_flood);
	tcase_add_test(t, test_spans);
	tcase_add_test(t, test_spans_gather);
	tcase_add_test(t, test_backoff);
	tcase_add_test(t, test_verdict_note);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
