/* SPDX-License-Identifier: Apache-2.0 */
/* CBOR: the examples of RFC 8949 appendix A, and everything that is not CBOR (F-32). */
#include "unit.h"
#include "wire/cbor.h"
#include <stdio.h>
#include <string.h>

struct sample {
	const char *hex;
	uint64_t v;
};

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned b;

		ck_assert_int_eq(sscanf(hex + 2 * i, "%2x", &b), 1);
		out[i] = (uint8_t)b;
	}
	return n;
}

static const struct sample uints[] = {{"00", 0}, {"01", 1}, {"0a", 10}, {"17", 23}, {"1818", 24},
	{"1819", 25}, {"1864", 100}, {"1903e8", 1000}, {"1a000f4240", 1000000},
	{"1b000000e8d4a51000", 1000000000000}, {"1bffffffffffffffff", UINT64_MAX}, {"18ff", 255},
	{"190100", 256}, {"19ffff", 65535}, {"1a00010000", 65536}, {"1affffffff", UINT32_MAX},
	{"1b0000000100000000", 1ull << 32}};

START_TEST(rfc_unsigned)
{
	for (size_t i = 0; i < sizeof uints / sizeof *uints; i++) {
		uint8_t bytes[16], out[16];
		size_t n = unhex(uints[i].hex, bytes);
		struct cbor_reader r;
		struct cbor_writer w;
		uint64_t v = 0;

		cbor_read_init(&r, bytes, n);
		ck_assert_int_eq(cbor_peek(&r), CBOR_UINT);
		ck_assert(cbor_get_uint(&r, &v));
		ck_assert_uint_eq(v, uints[i].v);
		ck_assert_int_eq(cbor_peek(&r), CBOR_NONE);
		ck_assert(cbor_ok(&r));
		cbor_write_init(&w, out, sizeof out);
		cbor_put_uint(&w, v);
		ck_assert_uint_eq(w.used, n);
		ck_assert_mem_eq(out, bytes, n);
	}
}
END_TEST

START_TEST(rfc_negative)
{
	static const struct {
		const char *hex;
		int64_t v;
	} ints[] = {{"20", -1}, {"29", -10}, {"3863", -100}, {"3903e7", -1000},
		{"3b7fffffffffffffff", INT64_MIN}, {"1b7fffffffffffffff", INT64_MAX}};
	uint8_t bytes[16], out[16];
	struct cbor_reader r;
	struct cbor_writer w;
	int64_t v = 0;
	size_t n;

	for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
		n = unhex(ints[i].hex, bytes);
		cbor_read_init(&r, bytes, n);
		ck_assert(cbor_get_int(&r, &v));
		ck_assert(v == ints[i].v);
		cbor_write_init(&w, out, sizeof out);
		cbor_put_int(&w, v);
		ck_assert_uint_eq(w.used, n);
		ck_assert_mem_eq(out, bytes, n);
	}
	/* Beyond int64: "3bffffffffffffffff" is -2^64, "1bffff…" 2^64-1. */
	n = unhex("3bffffffffffffffff", bytes);
	cbor_read_init(&r, bytes, n);
	ck_assert(!cbor_get_int(&r, &v) && !cbor_ok(&r));
	n = unhex("1bffffffffffffffff", bytes);
	cbor_read_init(&r, bytes, n);
	ck_assert(!cbor_get_int(&r, &v) && !cbor_ok(&r));
}
END_TEST

/* Every example of appendix A that the subset has is skipped to its exact end. */
START_TEST(rfc_skip)
{
	static const char *const all[] = {"00", "1bffffffffffffffff", "c249010000000000000000",
		"3bffffffffffffffff", "f90000", "f93c00", "fb3ff199999999999a", "fa47c35000",
		"f97c00", "fb7ff8000000000000", "f4", "f5", "f6", "f7", "f0", "f8ff",
		"c074323031332d30332d32315432303a30343a30305a", "c11a514b67b0", "d74401020304",
		"d818456449455446", "40", "4401020304", "60", "6161", "6449455446", "62c3bc", "80",
		"83010203", "8301820203820405",
		"98190102030405060708090a0b0c0d0e0f101112131415161718181819", "a0", "a201020304",
		"a26161016162820203", "826161a161626163",
		"a56161614161626142616361436164614461656145", "9fff", "9f018202039f0405ffff",
		"83018202039f0405ff", "9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff",
		"bf61610161629f0203ffff", "826161bf61626163ff", "bf6346756ef563416d7421ff"};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		uint8_t bytes[64];
		size_t n = unhex(all[i], bytes);
		struct cbor_reader r;

		cbor_read_init(&r, bytes, n);
		ck_assert_msg(cbor_skip(&r), "%s", all[i]);
		ck_assert_uint_eq(r.at, n);
		ck_assert(cbor_ok(&r));
		for (size_t cut = 1; cut < n; cut++) { /* truncated: an error, always */
			uint8_t *exact = malloc(cut);

			memcpy(exact, bytes, cut);
			cbor_read_init(&r, exact, cut);
			ck_assert_msg(!cbor_skip(&r) && !cbor_ok(&r), "%s cut at %zu", all[i], cut);
			free(exact);
		}
	}
}
END_TEST

START_TEST(malformed_is_refused)
{
	/* Reserved lengths, indefinite strings and integers, lone breaks, counts beyond the input,
	 * too deep, tag without item, definite containers ended by a break. */
	static const char *const bad[] = {"1c", "1d", "1e", "1f", "3f", "5f4101ff", "7f6161ff",
		"ff", "fc", "df00", "9b7fffffffffffffff", "bb8000000000000000",
		"bbffffffffffffffff", "9bffffffffffffffff", "bb000000007fffffff", "9affffffff",
		"5bffffffffffffffff", "5affffffff", "81818181818181", "c0", "82c0ff", "81ff",
		"a1ff", "9f818181818181ff", "bf01c0ff", "9fc0ff"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint8_t bytes[16];
		size_t n = unhex(bad[i], bytes);
		struct cbor_reader r;

		cbor_read_init(&r, bytes, n);
		ck_assert_msg(!cbor_skip(&r) && !cbor_ok(&r), "%s", bad[i]);
	}
}
END_TEST

START_TEST(reads_a_map_and_leaves_it)
{
	/* {"off": 7, "x": [1, {"y": h'00'}], "ok": true} 5, definite and indefinite */
	static const char *const maps[] = {"a3636f66660761788201a16179410062"
					   "6f6bf505",
		"bf636f66660761789f01bf61794100ffff62"
		"6f6bf5ff05"};

	for (int i = 0; i < 2; i++) {
		uint8_t bytes[64];
		size_t n = unhex(maps[i], bytes), size;
		struct cbor_reader r;
		const char *key;
		uint64_t v = 0;
		bool ok = false;

		cbor_read_init(&r, bytes, n);
		ck_assert(cbor_enter(&r));
		ck_assert(cbor_get_text(&r, &key, &size) && size == 3 && !memcmp(key, "off", 3));
		ck_assert(cbor_get_uint(&r, &v) && v == 7);
		ck_assert(cbor_get_text(&r, &key, &size) && size == 1);
		ck_assert(cbor_enter(&r));
		ck_assert(cbor_get_uint(&r, &v) && v == 1);
		ck_assert(cbor_leave(&r)); /* with the inner map unread */
		ck_assert(cbor_get_text(&r, &key, &size) && size == 2);
		ck_assert(cbor_get_bool(&r, &ok) && ok);
		ck_assert_int_eq(cbor_peek(&r), CBOR_NONE);
		ck_assert(cbor_leave(&r));
		ck_assert(cbor_get_uint(&r, &v) && v == 5);
		ck_assert_int_eq(cbor_peek(&r), CBOR_NONE);
		ck_assert(cbor_ok(&r));
		ck_assert(!cbor_leave(&r)); /* nothing is open */
	}
}
END_TEST

START_TEST(wrong_type_sticks)
{
	static const uint8_t bytes[] = {0x01, 0x61, 'a', 0x41, 0x00, 0xf5};
	struct cbor_reader r;
	const uint8_t *p;
	const char *t;
	uint64_t v = 77;
	size_t n;

	cbor_read_init(&r, bytes, sizeof bytes);
	ck_assert(!cbor_get_text(&r, &t, &n));
	ck_assert(!cbor_ok(&r));
	ck_assert(!cbor_get_uint(&r, &v)); /* although it is one */
	ck_assert_uint_eq(v, 77);
	ck_assert(!cbor_skip(&r) && !cbor_enter(&r) && !cbor_get_bytes(&r, &p, &n));
	ck_assert_int_eq(cbor_peek(&r), CBOR_NONE);
}
END_TEST

START_TEST(writer_overflow_sticks)
{
	uint8_t whole[64], out[64];
	struct cbor_writer w;
	size_t n = 0;

	for (size_t size = sizeof whole;; size = n - 1) {
		cbor_write_init(&w, n ? out : whole, size);
		memset(out, 0xee, sizeof out);
		cbor_open_map(&w);
		cbor_put_text(&w, "off");
		cbor_put_uint(&w, 1000000);
		cbor_put_text(&w, "data");
		cbor_put_bytes_head(&w, 3);
		cbor_put_raw(&w, "abc", 3);
		cbor_put_text(&w, "l");
		cbor_open_array(&w);
		cbor_put_int(&w, -5);
		cbor_put_bool(&w, false);
		cbor_close(&w);
		cbor_close(&w);
		if (n)
			break;
		ck_assert(!w.overflow);
		n = w.used;
	}
	ck_assert(w.overflow);
	ck_assert_uint_le(w.used, n - 1);
	ck_assert_uint_eq(out[n - 1], 0xee);
	/* What was written whole is read back. */
	struct cbor_reader r;

	cbor_read_init(&r, whole, n);
	ck_assert(cbor_skip(&r));
	ck_assert_uint_eq(r.at, n);
}
END_TEST

/* Anything at all: ends, stays inside, and never goes on after an error. */
START_TEST(random_bytes)
{
	uint32_t state = 1;

	for (int i = 0; i < 200000; i++) {
		uint8_t bytes[24];
		struct cbor_reader r;
		size_t steps = 0;

		for (size_t k = 0; k < sizeof bytes; k++) {
			state = state * 1664525u + 1013904223u;
			bytes[k] = (uint8_t)(state >> 24);
		}
		cbor_read_init(&r, bytes, sizeof bytes);
		while (cbor_skip(&r)) {
			ck_assert_uint_le(r.at, sizeof bytes);
			ck_assert_uint_le(++steps, sizeof bytes);
		}
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("cbor");
	TCase *c = tcase_create("cbor");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, rfc_unsigned);
	tcase_add_test(c, rfc_negative);
	tcase_add_test(c, rfc_skip);
	tcase_add_test(c, malformed_is_refused);
	tcase_add_test(c, reads_a_map_and_leaves_it);
	tcase_add_test(c, wrong_type_sticks);
	tcase_add_test(c, writer_overflow_sticks);
	tcase_add_test(c, random_bytes);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
