/* SPDX-License-Identifier: Apache-2.0 */
/* A slot whose image has a dm-verity tree: the root hash of the manifest has to be the tree's. That
 * what veritysetup makes has this form: tests/unit/repo/test-verity.py. */
#include "../unit.h"
#include "bundle/verity.h"
#include "rig.h"
#include <openssl/evp.h>
#include <string.h>

#define OFFSET ((size_t)1 << 20)
#define TREE ((size_t)4 * 4096) /* superblock, one block above two */
#define SIZE (OFFSET + TREE)

static struct rig rig;

/* Of the kernel's documentation: version 1, hash type 1, sha256, 4096, 4096, 256 blocks, salt of 8.
 */
static void put_superblock(uint8_t *image)
{
	static const uint8_t head[] = {'v', 'e', 'r', 'i', 't', 'y', 0, 0, 1, 0, 0, 0, 1, 0, 0, 0};
	static const uint8_t sizes[] = {0, 16, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 8, 0};
	uint8_t *s = image + OFFSET;

	memset(s, 0, 4096);
	memcpy(s, head, sizeof(head));
	strcpy((char *)s + 32, "sha256");
	memcpy(s + 64, sizes, sizeof(sizes));
	memcpy(s + 88, "saltsalt", 8);
}

static void setup(void)
{
	uint8_t *image = rig_noise(SIZE, 5), salted[8 + 4096] = "saltsalt";

	put_superblock(image);
	memcpy(salted + 8, image + OFFSET + 4096, 4096);
	rig_open(&rig, image, SIZE, 65536);
	rig.job.verity_offset = OFFSET;
	ck_assert_int_eq(
		EVP_Digest(salted, sizeof(salted), rig.job.verity_root, NULL, EVP_sha256(), NULL),
		1);
}

static void teardown(void)
{
	rig_close(&rig);
}

static void expect(enum ef_reason reason, const char *says)
{
	ck_assert(rig_run(&rig));
	ck_assert_msg(rig.reason == reason && strstr(rig.detail, says), "%s: %s",
		reason_word(rig.reason), rig.detail);
}

START_TEST(right)
{
	expect(EF_REASON_OK, "");
	ck_assert(rig_target_is(&rig, rig.image, SIZE, 0));
}
END_TEST

START_TEST(none)
{
	rig.job.verity_offset = 0;
	memset(rig.job.verity_root, 0, 32);
	expect(EF_REASON_OK, "");
}
END_TEST

START_TEST(a_bit_of_the_root)
{
	rig.job.verity_root[_i / 8] ^= (uint8_t)(1 << _i % 8);
	expect(EF_REASON_BAD_DIGEST, "another root hash");
}
END_TEST

/* A tree, salt or form that was changed and signed as a part of the image. */
START_TEST(another_tree)
{
	static const struct {
		size_t at;
		enum ef_reason reason;
		const char *says;
	} t[] = {
		{4096, EF_REASON_BAD_DIGEST, "another root hash"},
		{8191, EF_REASON_BAD_DIGEST, "another root hash"},
		{88, EF_REASON_BAD_DIGEST, "another root hash"},
		{80, EF_REASON_BAD_DIGEST, "another root hash"}, /* length of the salt */
		{81, EF_REASON_BAD_FORMAT, "other than version 1"},
		{0, EF_REASON_BAD_FORMAT, "no superblock at byte 1048576"},
		{8, EF_REASON_BAD_FORMAT, "other than version 1"},
		{12, EF_REASON_BAD_FORMAT, "other than version 1"},
		{32, EF_REASON_BAD_FORMAT, "other than version 1"},
		{38, EF_REASON_BAD_FORMAT, "other than version 1"},
		{65, EF_REASON_BAD_FORMAT, "other than version 1"},
		{69, EF_REASON_BAD_FORMAT, "other than version 1"},
		{73, EF_REASON_BAD_SIZE, "over"},
		{79, EF_REASON_BAD_SIZE, "over"},
	};

	rig.image[OFFSET + t[_i].at] ^= 4;
	rig_cut(&rig, 65536);
	rig.job.verity_offset = OFFSET;
	expect(t[_i].reason, t[_i].says);
}
END_TEST

START_TEST(no_room)
{
	static const uint64_t offsets[] = {OFFSET - 1, 1, 4096, SIZE, SIZE - 4096, SIZE + 4096,
		UINT64_MAX, UINT64_MAX - 4095, OFFSET + 4096};

	rig.job.verity_offset = offsets[_i];
	expect(EF_REASON_BAD_SIZE, "no room");
}
END_TEST

START_TEST(rooms)
{
	/* 2 blocks: superblock and one; 128 blocks: the same; 129: two and one */
	ck_assert(verity_fits(8192, 8192 + 8192));
	ck_assert(!verity_fits(8192, 8192 + 8191));
	ck_assert(verity_fits(128 * 4096, 130 * 4096));
	ck_assert(!verity_fits(129 * 4096, 132 * 4096));
	ck_assert(verity_fits(129 * 4096, 133 * 4096));
	ck_assert(!verity_fits(0, 8192));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker/verity");
	TCase *t = tcase_create("staged");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, right);
	tcase_add_test(t, none);
	tcase_add_loop_test(t, a_bit_of_the_root, 0, 1);
	tcase_add_loop_test(t, a_bit_of_the_root, 255, 256);
	tcase_add_loop_test(t, another_tree, 0, 14);
	tcase_add_loop_test(t, no_room, 0, 9);
	suite_add_tcase(s, t);
	t = tcase_create("arithmetic");
	tcase_add_test(t, rooms);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
