/* SPDX-License-Identifier: Apache-2.0 */
/* The store in a directory (S-15, S-25). */
#include "trust/tuf.h"
#include "unit.h"
#include "util/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/ef-store-XXXXXX";
static struct tuf_store_dir dir;
static struct tuf_store store;

static void setup(void)
{
	strcpy(path, "/tmp/ef-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	dir.dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dir.dir_fd, 0);
	store = tuf_store_dir_ops(&dir);
}

static void teardown(void)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while ((e = readdir(d)))
		unlinkat(dir.dir_fd, e->d_name, 0);
	closedir(d);
	close(dir.dir_fd);
	rmdir(path);
}

static void assert_content(const char *name, const char *want)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t size;

	ck_assert_int_eq(store.load(store.ctx, name, &data, &size), 0);
	ck_assert_uint_eq(size, strlen(want));
	ck_assert_mem_eq(data, want, size);
}

START_TEST(test_round)
{
	uint8_t *data = NULL;
	size_t size;

	ck_assert_int_eq(store.load(store.ctx, "root.json", &data, &size), -ENOENT);
	ck_assert_int_eq(store.save(store.ctx, "root.json", "one", 3), 0);
	assert_content("root.json", "one");
	ck_assert_int_eq(store.save(store.ctx, "root.json", "second", 6), 0);
	assert_content("root.json", "second");
	ck_assert_int_eq(store.save(store.ctx, "..%2Frole.json", "", 0), 0);
	assert_content("..%2Frole.json", "");
	ck_assert_int_eq(store.remove(store.ctx, "root.json"), 0);
	ck_assert_int_eq(store.load(store.ctx, "root.json", &data, &size), -ENOENT);
	ck_assert_int_eq(store.remove(store.ctx, "root.json"), 0);
	ck_assert_int_eq(faccessat(dir.dir_fd, ".root.json.tmp", F_OK, 0), -1);
}
END_TEST

START_TEST(test_names)
{
	static char longest[222];
	const char *const names[] = {"", ".", "..", ".json", "root", "a/b.json", "../x.json",
		"/x.json", "a\n.json", "a b.json", "root.json.tmp", "x.JSON", longest};
	uint8_t *data = NULL;
	size_t size;

	memset(longest, 'a', 221);
	memcpy(longest + 216, ".json", 5);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ck_assert_msg(store.save(store.ctx, names[i], "x", 1) == -EINVAL, "%s", names[i]);
		ck_assert_int_eq(store.load(store.ctx, names[i], &data, &size), -EINVAL);
		ck_assert_int_eq(store.remove(store.ctx, names[i]), -EINVAL);
	}
	memcpy(longest + 215, ".json", 6);
	ck_assert_int_eq(store.save(store.ctx, longest, "x", 1), 0);
	assert_content(longest, "x");
}
END_TEST

/* What is no file is an error, not absence (S-14). */
START_TEST(test_unreadable)
{
	uint8_t *data = NULL;
	size_t size;

	ck_assert_int_eq(mkdirat(dir.dir_fd, "root.json", 0700), 0);
	int r = store.load(store.ctx, "root.json", &data, &size);
	ck_assert_int_lt(r, 0);
	ck_assert_int_ne(r, -ENOENT);
	ck_assert_int_lt(store.save(store.ctx, "root.json", "x", 1), 0);
	ck_assert_int_lt(store.remove(store.ctx, "root.json"), 0);
	unlinkat(dir.dir_fd, "root.json", AT_REMOVEDIR);
}
END_TEST

START_TEST(test_too_large)
{
	uint8_t *data = NULL;
	size_t size;
	_cleanup_close_ int fd =
		openat(dir.dir_fd, "root.json", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_eq(ftruncate(fd, (17 << 20)), 0);
	ck_assert_int_eq(store.load(store.ctx, "root.json", &data, &size), -EFBIG);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/store-dir");
	TCase *t = tcase_create("store-dir");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_round);
	tcase_add_test(t, test_names);
	tcase_add_test(t, test_unreadable);
	tcase_add_test(t, test_too_large);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
