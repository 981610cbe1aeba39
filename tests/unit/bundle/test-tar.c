/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/tar.h"
#include "unit.h"
#include <string.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

START_TEST(sizes_come_back) /* S-07 */
{
	static const uint64_t sizes[] = {0, 1, 511, 512, 513, (1ULL << 31) - 1, 1ULL << 31,
		(1ULL << 31) + 1, (1ULL << 32) - 1, 1ULL << 32, (1ULL << 32) + 1, (1ULL << 33) - 1,
		1ULL << 33, (1ULL << 33) + 1, (1ULL << 63) - 1};
	uint8_t block[TAR_BLOCK];
	char name[TAR_NAME_MAX];
	uint64_t size;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ck_assert(tar_header_format("objects/" HEX64, sizes[i], block));
		ck_assert_int_eq(block[124] == 0x80, sizes[i] >= 1ULL << 33);
		ck_assert(tar_header_parse(block, name, &size));
		ck_assert_uint_eq(size, sizes[i]);
		ck_assert_str_eq(name, "objects/" HEX64);
	}
	ck_assert(!tar_header_format("objects/" HEX64, 1ULL << 63, block));
	ck_assert(!tar_header_format("objects/" HEX64, UINT64_MAX, block));
}
END_TEST

START_TEST(every_byte_counts) /* F-07 */
{
	static const uint64_t sizes[] = {77, 1ULL << 40};
	uint8_t block[TAR_BLOCK];
	char name[TAR_NAME_MAX];
	uint64_t size;

	for (int s = 0; s < 2; s++) {
		ck_assert(tar_header_format("metadata/1.root.json", sizes[s], block));
		for (unsigned i = 0; i < TAR_BLOCK; i++)
			for (unsigned bit = 0; bit < 8; bit++) {
				block[i] ^= (uint8_t)(1u << bit);
				ck_assert(!tar_header_parse(block, name, &size));
				block[i] ^= (uint8_t)(1u << bit);
			}
		ck_assert(tar_header_parse(block, name, &size));
	}
}
END_TEST

START_TEST(names) /* S-25 */
{
	static const char *const good[] = {"metadata/1.root.json", "metadata/timestamp.json",
		"targets/releases/demo/" HEX64 ".1.0.0+7.json", "objects/" HEX64, "targets/x"};
	static const char *const wrong[] = {"", "/", "metadata", "metadata/", "/metadata/x",
		"metadata//x", "metadata/../x", "metadata/.x", "metadata/..", "targets/a/../../b",
		"targets/./b", "metadata/a/b", "metadata/-x", "objects/x", "objects/" HEX64 "0",
		"objects/" HEX64 "/x", "objects/0123456789ABCDEF", "other/x", "metadata/a b",
		"metadata/a\nb", "metadata/a%b", "metadata/a;b", "metadata/\xc3\xa4",
		"targets/a\\b", "metadatax/1.root.json", "targets/x/"};
	char huge[70000];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(tar_name_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(!tar_name_valid(wrong[i]), "%s", wrong[i]);
	memset(huge, 'a', sizeof(huge) - 1);
	memcpy(huge, "targets/", 8);
	huge[sizeof(huge) - 1] = 0;
	ck_assert(!tar_name_valid(huge));
}
END_TEST

START_TEST(long_names_are_split)
{
	char name[TAR_NAME_MAX], back[TAR_NAME_MAX];
	uint8_t block[TAR_BLOCK];
	uint64_t size;

	/* the longest that a release can have */
	strcpy(name, "targets/releases/abcdefghijklmnopqrstuvwxyz012345/" HEX64
		     ".255.255.65535+4294967295.json");
	ck_assert(tar_header_format(name, 5, block));
	ck_assert_int_ne(block[345], 0);
	ck_assert(tar_header_parse(block, back, &size));
	ck_assert_str_eq(back, name);
	/* exactly 100 bytes, and one more without a slash to split at */
	memset(name, 'a', 101);
	memcpy(name, "targets/", 8);
	name[100] = 0;
	ck_assert(tar_header_format(name, 5, block));
	ck_assert_int_eq(block[345], 0);
	ck_assert(tar_header_parse(block, back, &size));
	ck_assert_str_eq(back, name);
	memset(name, 'a', 200);
	memcpy(name, "targets/", 8);
	name[200] = 0;
	ck_assert(!tar_header_format(name, 5, block));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bundle/tar");
	TCase *t = tcase_create("tar");

	tcase_add_test(t, sizes_come_back);
	tcase_add_test(t, every_byte_counts);
	tcase_add_test(t, names);
	tcase_add_test(t, long_names_are_split);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
