/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "util/hex.h"

START_TEST(round_trip)
{
	uint8_t all[256], back[256];
	char text[513];

	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	ck_assert_ptr_eq(hex_encode(all, sizeof(all), text), text);
	ck_assert_uint_eq(strlen(text), 512);
	ck_assert(hex_decode(text, back, sizeof(back)));
	ck_assert_mem_eq(all, back, sizeof(all));
}
END_TEST

/* S-06: every digest that is not exactly 64 lower-case digits is an error, and out is untouched. */
START_TEST(strict_S06)
{
	static const char good[] =
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
	char text[70];
	uint8_t out[DIGEST_SIZE], untouched[DIGEST_SIZE];

	memset(out, 0x5a, sizeof(out));
	memset(untouched, 0x5a, sizeof(untouched));
	for (size_t n = 0; n < 64; n++) { /* every shorter one */
		memcpy(text, good, n);
		text[n] = 0;
		ck_assert(!hex_decode(text, out, DIGEST_SIZE));
	}
	static const char *const wrong[] = {
		"0x112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
		"00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff",
		" 0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeef ",
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0",
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff ",
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n",
		"00112233445566778899aabbccddeefg00112233445566778899aabbccddeeff",
		"0011223344556677-899aabbccddeeff00112233445566778899aabbccddeeff"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(!hex_decode(wrong[i], out, DIGEST_SIZE), "%s", wrong[i]);
	ck_assert(!hex_decode(NULL, out, DIGEST_SIZE));
	ck_assert_mem_eq(out, untouched, sizeof(out));
	ck_assert(hex_decode(good, out, DIGEST_SIZE));
	ck_assert_str_eq(digest_hex(out, text), good);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("hex");
	TCase *t = tcase_create("hex");

	tcase_add_test(t, round_trip);
	tcase_add_test(t, strict_S06);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
