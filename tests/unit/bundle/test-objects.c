/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/objects.h"
#include "unit.h"
#include "util/fdio.h"
#include "util/hex.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/test-objects-XXXXXX";
static int dir = -1;
static uint8_t sha[32];
static char name[DIGEST_HEX_MAX];
static const char content[] = "an object";
#define SIZE (sizeof(content) - 1)

static void setup(void)
{
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY);
	EVP_Digest(content, SIZE, sha, NULL, EVP_sha256(), NULL);
	digest_hex(sha, name);
}

static bool keep_none(void *ctx, const uint8_t digest[32])
{
	return false;
}

static bool keep_this(void *ctx, const uint8_t digest[32])
{
	return memcmp(ctx, digest, 32) == 0;
}

static void teardown(void)
{
	uint64_t used;

	object_trim(dir, 0, keep_none, NULL, &used);
	unlinkat(dir, "README", 0);
	close(dir);
	ck_assert_int_eq(rmdir(path), 0);
}

static void put(void)
{
	struct error e = {0};

	ck_assert_int_eq(object_put(dir, sha, content, SIZE, &e), EF_REASON_OK);
}

static enum ef_reason get(uint64_t size)
{
	struct error e = {0};
	uint8_t *data = NULL;
	enum ef_reason r = object_get(dir, sha, size, &data, &e);

	if (!r)
		ck_assert_mem_eq(data, content, SIZE);
	free(data);
	return r;
}

START_TEST(round_trip)
{
	struct error e = {0};

	ck_assert(!object_have(dir, sha, SIZE));
	ck_assert_int_eq(get(SIZE), EF_REASON_NOT_FOUND);
	put();
	put();
	ck_assert(object_have(dir, sha, SIZE));
	ck_assert(!object_have(dir, sha, SIZE + 1));
	ck_assert_int_eq(get(SIZE), EF_REASON_OK);
	ck_assert_int_eq(object_put(dir, sha, "other", 5, &e), EF_REASON_BAD_DIGEST); /* S-08 */
	ck_assert_int_eq(get(SIZE), EF_REASON_OK);
}
END_TEST

START_TEST(every_bit_counts) /* F-06 */
{
	for (size_t i = 0; i < SIZE; i++) {
		char c = (char)(content[i] ^ 1);
		put();
		int fd = openat(dir, name, O_RDWR);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(fd_pwrite_full(fd, &c, 1, i), 0);
		close(fd);
		ck_assert_int_eq(get(SIZE), EF_REASON_BAD_DIGEST);
		ck_assert(!object_have(dir, sha, SIZE));
		ck_assert_int_eq(get(SIZE), EF_REASON_NOT_FOUND);
	}
}
END_TEST

START_TEST(other_sizes) /* S-07 */
{
	put();
	ck_assert_int_eq(get(SIZE - 1), EF_REASON_BAD_DIGEST);
	put();
	ck_assert_int_eq(get(SIZE + 1), EF_REASON_BAD_DIGEST);
	put();
	ck_assert_int_eq(get(UINT64_MAX), EF_REASON_BAD_SIZE);
	ck_assert_int_eq(get(SIZE), EF_REASON_OK);
}
END_TEST

START_TEST(links_do_not_count)
{
	ck_assert_int_eq(symlinkat("/etc/passwd", dir, name), 0);
	struct stat st;
	ck_assert_int_eq(stat("/etc/passwd", &st), 0);
	ck_assert(!object_have(dir, sha, (uint64_t)st.st_size));
	put();
	ck_assert_int_eq(get(SIZE), EF_REASON_OK);
}
END_TEST

START_TEST(sweep) /* I-6 */
{
	struct error e = {0};
	uint8_t other[32];

	put();
	EVP_Digest("b", 1, other, NULL, EVP_sha256(), NULL);
	ck_assert_int_eq(object_put(dir, other, "b", 1, &e), EF_REASON_OK);
	close(openat(dir, ".left-over.tmp", O_CREAT | O_WRONLY, 0600));
	close(openat(dir, "README", O_CREAT | O_WRONLY, 0600));
	uint64_t used;
	ck_assert_int_eq(object_trim(dir, 0, keep_this, sha, &used), 0);
	ck_assert_uint_eq(used, SIZE);
	ck_assert(object_have(dir, sha, SIZE));
	ck_assert(!object_have(dir, other, 1));
	ck_assert_int_eq(faccessat(dir, ".left-over.tmp", F_OK, 0), -1);
	ck_assert_int_eq(faccessat(dir, "README", F_OK, 0), 0);
	ck_assert_int_eq(object_trim(-1, 0, keep_this, sha, &used), -EBADF);
}
END_TEST

/* Twelve objects of 100 bytes, number 0 the oldest; which are there. */
static unsigned fill_and_trim(uint64_t max, const uint8_t *kept, uint64_t *used)
{
	uint8_t data[100] = {0}, digest[32];
	char file[DIGEST_HEX_MAX];
	unsigned there = 0;
	struct error e = {0};

	for (int pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < 12; i++) {
			data[0] = (uint8_t)i;
			EVP_Digest(data, sizeof(data), digest, NULL, EVP_sha256(), NULL);
			if (pass == 1) {
				there |= object_have(dir, digest, 100) ? 1u << i : 0;
				continue;
			}
			ck_assert_int_eq(object_put(dir, digest, data, 100, &e), EF_REASON_OK);
			const struct timespec t[2] = {{1000 + i / 2, i % 2}, {1000 + i / 2, i % 2}};
			ck_assert_int_eq(utimensat(dir, digest_hex(digest, file), t, 0), 0);
		}
		if (pass == 0)
			ck_assert_int_eq(object_trim(dir, max, keep_this, (void *)kept, used), 0);
	}
	return there;
}

START_TEST(oldest_go_first) /* I-7 */
{
	uint8_t data[100] = {2}, third[32];
	static const uint8_t none[32];
	uint64_t used;

	EVP_Digest(data, sizeof(data), third, NULL, EVP_sha256(), NULL);
	ck_assert_uint_eq(fill_and_trim(1200, none, &used), 0xfff);
	ck_assert_uint_eq(used, 1200);
	ck_assert_uint_eq(fill_and_trim(1199, none, &used), 0xffe);
	ck_assert_uint_eq(used, 1100);
	ck_assert_uint_eq(fill_and_trim(500, third, &used), 0xf04);
	ck_assert_uint_eq(used, 500);
	ck_assert_uint_eq(fill_and_trim(99, third, &used), 0x004); /* what is kept is kept */
	ck_assert_uint_eq(used, 100);
	ck_assert_uint_eq(fill_and_trim(UINT64_MAX, none, &used), 0xfff);
	ck_assert_uint_eq(fill_and_trim(0, none, &used), 0);
	ck_assert_uint_eq(used, 0);
}
END_TEST

/* --- patches --- */

static const uint8_t key[32] = {1, 2, 3};

static void patch_path(char ret[128])
{
	char hex[DIGEST_HEX_MAX];

	snprintf(ret, 128, "%s/%s.patch", path, digest_hex(key, hex));
}

static enum ef_reason get_patch(size_t max, size_t *size)
{
	struct error e = {0};
	uint8_t *data = NULL;
	enum ef_reason r = object_patch_get(dir, key, max, &data, size, &e);

	if (r == EF_REASON_OK)
		ck_assert_int_eq(memcmp(data, content, SIZE), 0);
	else
		ck_assert_ptr_null(data);
	free(data);
	return r;
}

static void put_patch(void)
{
	struct error e = {0};

	ck_assert_int_eq(object_patch_put(dir, key, content, SIZE, &e), EF_REASON_OK);
}

START_TEST(patches_come_back)
{
	size_t size;

	ck_assert_int_eq(get_patch(SIZE, &size), EF_REASON_NOT_FOUND);
	put_patch();
	put_patch();
	ck_assert_int_eq(get_patch(SIZE, &size), EF_REASON_OK);
	ck_assert_uint_eq(size, SIZE);
	ck_assert_int_eq(get_patch(SIZE - 1, &size), EF_REASON_BAD_DIGEST);
	ck_assert_int_eq(get_patch(SIZE, &size), EF_REASON_NOT_FOUND);
}
END_TEST

/* Any byte of the file, or too few of them: it is made again. */
START_TEST(a_damaged_patch_is_removed)
{
	char file[128];
	size_t size;

	patch_path(file);
	for (size_t at = 0; at <= 32 + SIZE; at++) {
		put_patch();
		int fd = open(file, O_RDWR);
		uint8_t b;
		if (at < 32 + SIZE) {
			ck_assert_int_eq(pread(fd, &b, 1, (off_t)at), 1);
			b ^= 0x10;
			ck_assert_int_eq(pwrite(fd, &b, 1, (off_t)at), 1);
		} else {
			ck_assert_int_eq(ftruncate(fd, 31), 0);
		}
		close(fd);
		ck_assert_int_eq(get_patch(SIZE, &size), EF_REASON_BAD_DIGEST);
		ck_assert_int_eq(access(file, F_OK), -1);
	}
}
END_TEST

static bool look_count(void *ctx, const uint8_t digest[32])
{
	ck_assert_int_eq(memcmp(digest, sha, 32), 0);
	return ++*(unsigned *)ctx == 2;
}

/* They count as objects do, go as the oldest, and are no objects. */
START_TEST(patches_are_not_needed) /* I-7 */
{
	unsigned looks = 0;
	uint64_t used, kept;
	size_t size;

	put();
	put_patch();
	ck_assert_int_eq(object_usage(dir, keep_this, sha, &used, &kept), 0);
	ck_assert_uint_eq(used, SIZE + 32 + SIZE);
	ck_assert_uint_eq(kept, SIZE);
	ck_assert_int_eq(object_find(dir, look_count, &looks), -ENOENT);
	ck_assert_uint_eq(looks, 1);
	ck_assert_int_eq(object_find(dir, look_count, &looks), 0);
	ck_assert_int_eq(object_trim(dir, used - 1, keep_this, sha, &used), 0);
	ck_assert_uint_eq(used, SIZE);
	ck_assert_int_eq(get_patch(SIZE, &size), EF_REASON_NOT_FOUND);
	ck_assert(object_have(dir, sha, SIZE));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bundle/objects");
	TCase *t = tcase_create("objects");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, round_trip);
	tcase_add_test(t, every_bit_counts);
	tcase_add_test(t, other_sizes);
	tcase_add_test(t, links_do_not_count);
	tcase_add_test(t, sweep);
	tcase_add_test(t, oldest_go_first);
	tcase_add_test(t, patches_come_back);
	tcase_add_test(t, a_damaged_patch_is_removed);
	tcase_add_test(t, patches_are_not_needed);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
