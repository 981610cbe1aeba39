/* SPDX-License-Identifier: Apache-2.0 */
/* The superblock and the top of a dm-verity tree against what was signed (S-09). */
#include "bundle/verity.h"
#include "unit.h"
#include "util/fdio.h"
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCKS 3u
#define OFFSET (BLOCKS * VERITY_BLOCK)
#define SIZE (OFFSET + 2 * VERITY_BLOCK) /* the superblock's and one of the tree */

/* The linker leads calls of ours here (--wrap). */
static const char *failing;

#define WRAPS(type, failure, name, params, args)                                              \
	type __real_##name params;                                                            \
	type __wrap_##name params;                                                            \
	type __wrap_##name params                                                             \
	{                                                                                     \
		return failing && strcmp(failing, #name) == 0 ? failure : __real_##name args; \
	}

WRAPS(EVP_MD_CTX *, NULL, EVP_MD_CTX_new, (void), ())
WRAPS(int, 0, EVP_DigestInit_ex, (EVP_MD_CTX * c, const EVP_MD *type, ENGINE *engine),
	(c, type, engine))
WRAPS(int, 0, EVP_DigestFinal_ex, (EVP_MD_CTX * c, unsigned char *md, unsigned int *size),
	(c, md, size))

static int updates = -1; /* that still succeed; < 0: all do */
int __real_EVP_DigestUpdate(EVP_MD_CTX *c, const void *data, size_t size);
int __wrap_EVP_DigestUpdate(EVP_MD_CTX *c, const void *data, size_t size);
int __wrap_EVP_DigestUpdate(EVP_MD_CTX *c, const void *data, size_t size)
{
	if (updates == 0)
		return 0;
	updates -= updates > 0;
	return __real_EVP_DigestUpdate(c, data, size);
}

static uint8_t image[SIZE];
static struct verity v;

/* As the kernel's documentation has it: the top block, behind the salt. */
static void sign(void)
{
	uint8_t salted[32 + VERITY_BLOCK];

	memcpy(salted, image + OFFSET + 88, 32);
	memcpy(salted + 32, image + OFFSET + VERITY_BLOCK, VERITY_BLOCK);
	ck_assert_int_eq(EVP_Digest(salted, sizeof(salted), v.root, NULL, EVP_sha256(), NULL), 1);
}

static void setup(void)
{
	uint8_t *s = image + OFFSET;

	for (size_t i = 0; i < SIZE; i++)
		image[i] = (uint8_t)(i * 7 + i / 4096);
	memset(s, 0, VERITY_BLOCK);
	memcpy(s, "verity", 6);
	s[8] = 1;		     /* version */
	s[12] = 1;		     /* kind of hash */
	memcpy(s + 32, "sha256", 6); /* algorithm */
	s[65] = VERITY_BLOCK >> 8;   /* size of a block of data */
	s[69] = VERITY_BLOCK >> 8;   /* and of one of the tree */
	s[72] = BLOCKS;		     /* of data */
	s[80] = 32;		     /* size of the salt */
	memset(s + 88, 0xa5, 32);    /* the salt */
	v.offset = OFFSET;
	sign();
}

static enum ef_reason check(uint64_t size)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct error e = {0};

	ck_assert_int_eq(fd_write_full(fd, image, sizeof(image)), 0);
	enum ef_reason r = verity_check(fd, &v, size, &e);
	close(fd);
	ck_assert_int_eq(r, e.reason);
	return r;
}

START_TEST(what_was_signed)
{
	ck_assert_int_eq(check(SIZE), EF_REASON_OK);
	v.root[31] ^= 1;
	ck_assert_int_eq(check(SIZE), EF_REASON_BAD_DIGEST);
	v.root[31] ^= 1;
	image[OFFSET + VERITY_BLOCK + 4095] ^= 1; /* the top of the tree */
	ck_assert_int_eq(check(SIZE), EF_REASON_BAD_DIGEST);
	image[OFFSET + VERITY_BLOCK + 4095] ^= 1;
	image[0] ^= 1; /* what the tree and the image's digest vouch for */
	ck_assert_int_eq(check(SIZE), EF_REASON_OK);
	v.root[31] ^= 1;
}
END_TEST

static const struct {
	const char *what;
	unsigned at;
	uint8_t value;
	enum ef_reason want;
} superblocks[] = {
	{"signature", 0, 'V', EF_REASON_BAD_FORMAT},
	{"signature, its end", 7, 1, EF_REASON_BAD_FORMAT},
	{"version", 8, 2, EF_REASON_BAD_FORMAT},
	{"kind of hash", 12, 0, EF_REASON_BAD_FORMAT},
	{"algorithm", 36, '1', EF_REASON_BAD_FORMAT},
	{"algorithm, its end", 63, 'x', EF_REASON_BAD_FORMAT},
	{"size of a data block", 65, 8, EF_REASON_BAD_FORMAT},
	{"size of a hash block", 69, 8, EF_REASON_BAD_FORMAT},
	{"size of the salt", 81, 2, EF_REASON_BAD_FORMAT},
	{"fewer blocks", 72, 2, EF_REASON_BAD_SIZE},
	{"more blocks", 72, 4, EF_REASON_BAD_SIZE},
	{"many more blocks", 79, 1, EF_REASON_BAD_SIZE},
	{"the salt", 88, 0, EF_REASON_BAD_DIGEST},
	{"less salt", 80, 31, EF_REASON_BAD_DIGEST},
	{"all the salt there may be", 81, 1, EF_REASON_BAD_DIGEST}, /* 256 + 32: too much */
	{"the uuid, which says nothing", 16, 9, EF_REASON_OK},
};

START_TEST(superblock)
{
	bool salt = superblocks[_i].at == 81 && superblocks[_i].value == 1;

	image[OFFSET + superblocks[_i].at] = superblocks[_i].value;
	if (salt)
		image[OFFSET + 80] = 0; /* 256 */
	enum ef_reason got = check(SIZE);
	ck_assert_msg(
		got == superblocks[_i].want, "%s: %s", superblocks[_i].what, reason_word(got));
}
END_TEST

START_TEST(room_for_a_tree) /* S-07 */
{
	const uint64_t b = VERITY_BLOCK;
	const struct {
		uint64_t offset, size;
		bool fits;
	} rows[] = {
		{2 * b, 4 * b, true},
		{2 * b, 4 * b - 1, false},
		{b, 9 * b, false}, /* a tree over one block has no block */
		{0, 9 * b, false},
		{2 * b + 512, 9 * b, false},
		{2 * b, 2 * b, false}, /* nothing behind it */
		{4 * b, 2 * b, false},
		{128 * b, 130 * b, true},
		{129 * b, 132 * b, false}, /* two leaves and a root above them */
		{129 * b, 133 * b, true},
		{UINT64_MAX / b * b, UINT64_MAX, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(
			verity_fits(rows[i].offset, rows[i].size) == rows[i].fits, "row %zu", i);
	ck_assert_int_eq(check(SIZE - 1), EF_REASON_BAD_SIZE);
}
END_TEST

START_TEST(image_that_ends_early)
{
	struct error e = {0};
	int fd = memfd_create("image", MFD_CLOEXEC);

	ck_assert_int_eq(fd_write_full(fd, image, OFFSET + 100), 0);
	ck_assert_int_ne(verity_check(fd, &v, SIZE, &e), EF_REASON_OK);
	ck_assert_int_eq(fd_pwrite_full(fd, image, OFFSET + VERITY_BLOCK, 0), 0);
	e = (struct error){0};
	ck_assert_int_ne(verity_check(fd, &v, SIZE, &e), EF_REASON_OK);
	close(fd);
}
END_TEST

START_TEST(a_call_that_fails) /* S-03: a mismatch, never a match */
{
	static const char *const names[] = {
		"EVP_MD_CTX_new", "EVP_DigestInit_ex", "EVP_DigestFinal_ex"};

	for (int i = 0; i < 3; i++) {
		failing = names[i];
		ck_assert_int_eq(check(SIZE), EF_REASON_BAD_DIGEST);
		failing = NULL;
		ck_assert_int_eq(check(SIZE), EF_REASON_OK);
	}
	for (int n = 0; n < 2; n++) {
		updates = n;
		ck_assert_int_eq(check(SIZE), EF_REASON_BAD_DIGEST);
		updates = -1;
	}
	ck_assert_int_eq(check(SIZE), EF_REASON_OK);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bundle/verity");
	TCase *t = tcase_create("verity");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, what_was_signed);
	tcase_add_loop_test(t, superblock, 0, (int)(sizeof(superblocks) / sizeof(superblocks[0])));
	tcase_add_test(t, room_for_a_tree);
	tcase_add_test(t, image_that_ends_early);
	tcase_add_test(t, a_call_that_fails);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
