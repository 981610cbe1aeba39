/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read of a bundle when the machine fails: memory that is not there, each allocation once
 * (K-04), a file that shrinks, calls that fail by name (S-03, F-26); and what a server sends that
 * is no bundle (S-07).
 */
#include "bundle/bundle.h"
#include "bundle/chunks.h"
#include "bundle/objects.h"
#include "bundle/tar.h"
#include "unit.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The linker leads calls of ours here (--wrap). */
static long countdown = -1; /* allocations that still succeed; < 0: all do */
static bool reached;
static const char *failing;

static bool no_memory(void)
{
	if (countdown < 0)
		return false;
	if (countdown-- > 0)
		return false;
	reached = true;
	return true;
}

static bool fails(const char *name)
{
	return failing && strcmp(failing, name) == 0;
}

#define WRAPS(type, condition, failure, name, params, args)        \
	type __real_##name params;                                 \
	type __wrap_##name params;                                 \
	type __wrap_##name params                                  \
	{                                                          \
		return (condition) ? failure : __real_##name args; \
	}

WRAPS(void *, no_memory(), NULL, malloc, (size_t n), (n))
WRAPS(void *, no_memory(), NULL, calloc, (size_t n, size_t m), (n, m))
WRAPS(void *, no_memory(), NULL, realloc, (void *p, size_t n), (p, n))
WRAPS(char *, no_memory(), NULL, strdup, (const char *s), (s))
WRAPS(int, fails("memfd_create"), (errno = EMFILE, -1), memfd_create,
	(const char *name, unsigned int flags), (name, flags))
WRAPS(int, fails("fd_pwrite_full"), -ENOSPC, fd_pwrite_full,
	(int fd, const void *buf, size_t size, uint64_t offset), (fd, buf, size, offset))
WRAPS(off_t, fails("lseek64"), (errno = EIO, -1), lseek64, (int fd, off_t at, int whence),
	(fd, at, whence))
WRAPS(int, fails("EVP_Digest"), 0, EVP_Digest,
	(const void *data, size_t n, unsigned char *md, unsigned int *size, const EVP_MD *type,
		ENGINE *engine),
	(data, n, md, size, type, engine))

/* A device has its size by seeking, and more behind the bundle. FSTAT: what fstat is called here.
 */
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
int PASTE(__real_, FSTAT)(int fd, struct stat *st);
int PASTE(__wrap_, FSTAT)(int fd, struct stat *st);
int PASTE(__wrap_, FSTAT)(int fd, struct stat *st)
{
	int r = PASTE(__real_, FSTAT)(fd, st);

	if (fails("S_ISREG"))
		st->st_mode = (st->st_mode & ~(unsigned)S_IFMT) | S_IFBLK;
	return r;
}

static const char object[] = "objects/"
			     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const uint8_t zero[1024];

static int bundle_file(size_t metadata)
{
	int fd = memfd_create("bundle", MFD_CLOEXEC);
	struct bundle_writer *w;

	ck_assert_int_eq(bundle_writer_open(fd, &w), 0);
	for (size_t i = 1; i <= metadata; i++) {
		char name[64];
		snprintf(name, sizeof(name), "metadata/%zu.root.json", i);
		bundle_writer_add(w, name, "{}", 2);
	}
	bundle_writer_add(w, object, "0123456789", 10);
	ck_assert_int_eq(bundle_writer_finish(w), 0);
	return fd;
}

static enum ef_reason open_and_read(int fd)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct bundle *b = NULL;
	struct error e = {0};
	size_t size;

	if (bundle_open(dup(fd), "x.ferry", &b, &e) == EF_REASON_OK)
		bundle_read(b, object, 10, &data, &size, &e);
	countdown = -1; /* Check allocates as well */
	ck_assert_int_eq(data != NULL, e.reason == EF_REASON_OK);
	bundle_close(b);
	return e.reason;
}

static enum ef_reason read_remote(int fd)
{
	uint8_t buf[8192];
	struct bundle *b = NULL;
	struct error e = {0};
	uint64_t at;
	size_t n;

	if (bundle_remote_open("x.ferry", &b, &e))
		return e.reason;
	while (bundle_remote_next(b, &at, &n))
		if (fd_pread_full(fd, buf, n, at) < 0 || bundle_remote_feed(b, buf, n, &e))
			break;
	bundle_close(b);
	return e.reason;
}

static enum ef_reason index_of_chunks(int fd)
{
	struct chunk_group group = {.body = {.size = CHUNK_ZEROS_MAX}};
	struct chunk_index x = {.groups = &group,
				   .n_groups = 1,
				   .image_size = CHUNK_ZEROS_MAX,
				   .cut = cut_default},
			   *back = NULL;
	_cleanup_free_ uint8_t *data = NULL;
	struct error e = {0};
	size_t size;

	int r = chunk_index_format(&x, &data, &size);
	if (r < 0)
		return error_errno(&e, r, "index");
	chunk_index_parse(data, size, &back, &e);
	countdown = -1;
	ck_assert_int_eq(back != NULL, e.reason == EF_REASON_OK);
	chunk_index_free(back);
	return e.reason;
}

static char dir[] = "/tmp/edgeferry-objects-XXXXXX";

static enum ef_reason patch_in_store(int dir_fd)
{
	static const uint8_t key[32] = {1};
	struct error e = {0};

	return object_patch_put(dir_fd, key, "patch", 5, &e);
}

static const struct {
	const char *what;
	enum ef_reason (*run)(int fd);
	long least; /* allocations that there must be */
} runs[] = {{"from a file", open_and_read, 5}, {"from a server", read_remote, 4},
	{"an index", index_of_chunks, 3}, {"a patch", patch_in_store, 1}};

START_TEST(each_allocation_fails_once)
{
	char here[sizeof(dir)];
	int fd = bundle_file(70);
	long n = 0;

	if (runs[_i].run == patch_in_store) {
		close(fd);
		strcpy(here, dir);
		ck_assert_ptr_nonnull(mkdtemp(here));
		fd = open(here, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	ck_assert_int_eq(runs[_i].run(fd), EF_REASON_OK); /* and what is allocated only once */
	for (;; n++) {
		reached = false;
		countdown = n;
		enum ef_reason r = runs[_i].run(fd);
		countdown = -1;
		if (!reached)
			break;
		ck_assert_msg(r == EF_REASON_NO_MEMORY, "%s, allocation %ld: %s", runs[_i].what, n,
			reason_word(r));
	}
	ck_assert_int_ge(n, runs[_i].least);
	ck_assert_int_eq(runs[_i].run(fd), EF_REASON_OK);
	if (runs[_i].run == patch_in_store) {
		unlinkat(fd,
			"0100000000000000000000000000000000000000000000000000000000000000.patch",
			0);
		rmdir(here);
	}
	close(fd);
}
END_TEST

START_TEST(calls_that_fail)
{
	int fd = bundle_file(2);

	failing = "lseek64";
	ck_assert_int_eq(open_and_read(fd), EF_REASON_IO);
	failing = "memfd_create";
	ck_assert_int_ne(read_remote(fd), EF_REASON_OK);
	failing = "fd_pwrite_full";
	ck_assert_int_ne(read_remote(fd), EF_REASON_OK);
	failing = NULL;
	ck_assert_int_eq(open_and_read(fd), EF_REASON_OK);
	ck_assert_int_eq(read_remote(fd), EF_REASON_OK);
	close(fd);
}
END_TEST

START_TEST(a_digest_that_cannot_be_computed) /* is none that matches */
{
	static const uint8_t nothing[32] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a,
		0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93,
		0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};
	struct error e = {0};

	ck_assert_int_eq(object_check(nothing, "", 0, &e), EF_REASON_OK);
	failing = "EVP_Digest";
	ck_assert_int_eq(object_check(nothing, "", 0, &e), EF_REASON_BAD_DIGEST);
	ck_assert_int_ne(patch_in_store(-1), EF_REASON_OK);
	failing = NULL;
	ck_assert_int_ne(patch_in_store(-1), EF_REASON_OK); /* no such folder */
}
END_TEST

START_TEST(a_file_that_shrinks) /* F-08 */
{
	int fd = bundle_file(1);
	_cleanup_free_ uint8_t *data = NULL;
	struct bundle *b = NULL;
	struct error e = {0};
	size_t size;

	ck_assert_int_eq(bundle_open(dup(fd), "x.ferry", &b, &e), EF_REASON_OK);
	ck_assert_int_eq(ftruncate(fd, (off_t)bundle_find(b, object)->offset + 9), 0);
	ck_assert_int_eq(bundle_read(b, object, 10, &data, &size, &e), EF_REASON_BAD_FORMAT);
	ck_assert_ptr_null(data);
	bundle_close(b);
	close(fd);
}
END_TEST

START_TEST(a_device_has_more_behind_the_bundle)
{
	int fd = bundle_file(1);

	ck_assert_int_ge(lseek(fd, 0, SEEK_END), 0);
	ck_assert_int_eq(fd_write_full(fd, "anything", 8), 0);
	ck_assert_int_eq(open_and_read(fd), EF_REASON_BAD_FORMAT);
	failing = "S_ISREG";
	ck_assert_int_eq(open_and_read(fd), EF_REASON_OK);
	failing = NULL;
	close(fd);
}
END_TEST

START_TEST(metadata_alone)
{
	static size_t order[] = {0};
	struct component c = {.name = "meter", .type = COMPONENT_MCU, .image.size = 1};
	struct manifest m = {.components = &c, .n_components = 1, .order = order};
	int fd = memfd_create("bundle", MFD_CLOEXEC);
	struct bundle_writer *w;
	struct bundle *b = NULL;
	struct error e = {0};

	ck_assert_int_eq(bundle_writer_open(fd, &w), 0);
	bundle_writer_add(w, "metadata/1-root.json", "{}", 2); /* no dot behind the number */
	bundle_writer_add(w, "metadata/2.targets.json", "{}", 2);
	ck_assert_int_eq(bundle_writer_finish(w), 0);
	ck_assert_int_eq(bundle_open(fd, "x.ferry", &b, &e), EF_REASON_OK);
	ck_assert_ptr_null(bundle_find(b, "metadata/root.json"));
	ck_assert_str_eq(bundle_find(b, "metadata/targets.json")->name, "metadata/2.targets.json");
	ck_assert_int_eq(
		bundle_check_members(b, &m, "targets/release.json", &e), EF_REASON_BAD_FORMAT);
	bundle_close(b);
}
END_TEST

static const char *const objects[] = {
	"objects/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	"objects/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
	"objects/cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"};

/* S-05: members: letters of the objects that the bundle has, each of one byte, in this order. */
static enum ef_reason check_members(const char *members)
{
	/* both nodes run one image; index and pack are the system's */
	struct component c[] = {{.name = "left", .type = COMPONENT_MCU, .image.size = 1},
		{.name = "right", .type = COMPONENT_MCU, .image.size = 1},
		{.name = "root",
			.type = COMPONENT_ROOTFS,
			.image.size = 9,
			.index.size = 1,
			.pack.size = 1}};
	static size_t with_system[] = {0, 2, 1};
	struct manifest m = {.components = c, .n_components = 3, .order = with_system};
	int fd = memfd_create("bundle", MFD_CLOEXEC);
	struct bundle_writer *w;
	struct bundle *b = NULL;
	struct error e = {0};

	memset(c[0].image.sha256, 0xaa, 32);
	memset(c[1].image.sha256, 0xaa, 32);
	memset(c[2].index.sha256, 0xbb, 32);
	memset(c[2].pack.sha256, 0xcc, 32);
	ck_assert_int_eq(bundle_writer_open(fd, &w), 0);
	bundle_writer_add(w, "metadata/1.root.json", "{}", 2);
	bundle_writer_add(w, "targets/release.json", "m", 1);
	for (const char *p = members; *p; p++)
		bundle_writer_add(w, objects[*p - 'a'], "x", 1);
	ck_assert_int_eq(bundle_writer_finish(w), 0);
	ck_assert_int_eq(bundle_open(fd, "x.ferry", &b, &e), EF_REASON_OK);
	bundle_check_members(b, &m, "targets/release.json", &e);
	bundle_close(b);
	return e.reason;
}

START_TEST(an_object_of_two_components_stands_once)
{
	static const struct {
		const char *members;
		enum ef_reason want;
	} rows[] = {{"abc", EF_REASON_OK}, {"bac", EF_REASON_BAD_FORMAT},
		{"ac", EF_REASON_NOT_FOUND}, {"acb", EF_REASON_BAD_FORMAT},
		{"ab", EF_REASON_NOT_FOUND}, {"bc", EF_REASON_NOT_FOUND},
		{"", EF_REASON_NOT_FOUND}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(
			check_members(rows[i].members) == rows[i].want, "\"%s\"", rows[i].members);
}
END_TEST

/* --- from a server that sends what it likes --- */

static struct bundle *remote(void)
{
	struct bundle *b = NULL;
	struct error e = {0};

	ck_assert_int_eq(bundle_remote_open("x.ferry", &b, &e), EF_REASON_OK);
	return b;
}

static enum ef_reason feed_header(
	struct bundle *b, const char *name, uint64_t size, struct error *e)
{
	static uint8_t buf[(8u << 20) + 2048];
	uint64_t at;
	size_t n;

	ck_assert(bundle_remote_next(b, &at, &n));
	ck_assert_uint_le(n, sizeof(buf));
	memset(buf, 0, n);
	ck_assert(tar_header_format(name, size, buf + n - TAR_BLOCK));
	return bundle_remote_feed(b, buf, n, e);
}

START_TEST(members_up_to_the_end_of_all_numbers) /* S-07: what is asked for stays below 2^63 */
{
	static const struct {
		uint64_t size, next;
		enum ef_reason want;
	} rows[] = {
		{INT64_MAX - 600, 0, EF_REASON_BAD_FORMAT}, /* no header behind it */
		{INT64_MAX - 511 - 1024 - 512, 0, EF_REASON_OK},
		{INT64_MAX - 511 - 1024, 0, EF_REASON_BAD_FORMAT}, /* none behind the next one */
	};
	uint64_t at;
	size_t n;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bundle *b = remote();
		struct error e = {0};
		enum ef_reason r = feed_header(b, object, rows[i].size, &e);
		if (!r)
			r = feed_header(b, objects[1], rows[i].next, &e);
		ck_assert_msg(r == rows[i].want, "row %zu: %s", i, reason_word(r));
		ck_assert(r || (bundle_remote_next(b, &at, &n) && at + n <= INT64_MAX));
		bundle_close(b);
	}
}
END_TEST

START_TEST(metadata_that_fills_the_memory) /* S-28, F-09 */
{
	struct bundle *b = remote();
	struct error e = {0};
	char name[64];

	ck_assert_int_eq(
		feed_header(b, "metadata/1.root.json", (8u << 20) + 1, &e), EF_REASON_BAD_SIZE);
	bundle_close(b);
	b = remote();
	e = (struct error){0};
	for (int i = 1; i <= 8; i++) {
		snprintf(name, sizeof(name), "metadata/%d.root.json", i);
		ck_assert_int_eq(feed_header(b, name, 8u << 20, &e), EF_REASON_OK);
	}
	ck_assert_int_eq(feed_header(b, "metadata/9.root.json", 1, &e), EF_REASON_BAD_SIZE);
	bundle_close(b);
}
END_TEST

START_TEST(other_than_asked_for)
{
	struct bundle *b = remote();
	struct error e = {0};
	uint8_t one[512] = {1}, *data = NULL;
	uint64_t at;
	size_t n;

	ck_assert_int_eq(bundle_remote_feed(b, zero, 511, &e), EF_REASON_BAD_SIZE);
	e = (struct error){0};
	ck_assert_int_eq(bundle_remote_feed(b, zero, 1024, &e), EF_REASON_BAD_SIZE);
	e = (struct error){0};
	ck_assert_int_eq(bundle_remote_feed(b, zero, 512, &e), EF_REASON_BAD_FORMAT); /* empty */
	bundle_close(b);
	b = remote();
	e = (struct error){0};
	ck_assert_int_eq(feed_header(b, object, 512, &e), EF_REASON_OK);
	ck_assert_int_eq(bundle_remote_feed(b, zero, 512, &e), EF_REASON_OK); /* the first of two */
	ck_assert_int_eq(bundle_remote_feed(b, one, 512, &e), EF_REASON_BAD_FORMAT);
	/* that was all, and the object never came along */
	ck_assert(!bundle_remote_next(b, &at, &n));
	e = (struct error){0};
	ck_assert_int_eq(bundle_remote_feed(b, zero, 0, &e), EF_REASON_BAD_SIZE);
	bundle_close(b);
	b = remote();
	e = (struct error){0};
	ck_assert_int_eq(feed_header(b, object, 512, &e), EF_REASON_OK);
	ck_assert_int_eq(bundle_remote_feed(b, zero, 512, &e), EF_REASON_OK);
	ck_assert_int_eq(bundle_remote_feed(b, zero, 512, &e), EF_REASON_OK);
	ck_assert_int_eq(bundle_read(b, object, 512, &data, &n, &e), EF_REASON_INTERNAL);
	ck_assert_ptr_null(data);
	bundle_close(b);
}
END_TEST

START_TEST(chunks_out_of_range) /* S-28 */
{
	static const struct {
		uint8_t leaf[48];
		uint32_t size, group, packed;
	} rows[] = {
		{{0x00, 0x00}, 2, 0, 0},  /* of no bytes */
		{{0x00, 0x01}, 34, 0, 1}, /* nor packed ones */
		{{0x01, 0x81, 0x80, 0x40}, 36, 1,
			CHUNK_MAX + 1}, /* packed to more than there is room */
	};
	static struct chunk chunks[CHUNK_LEAF_CHUNKS_MAX];
	size_t n;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct chunk_group g = {
			.body = {.size = rows[i].group, .pack_size = rows[i].packed},
			.leaf_size = rows[i].size};
		struct error e = {0};
		ck_assert_int_eq(
			chunk_leaf_parse(&g, rows[i].leaf, chunks, &n, &e), EF_REASON_BAD_FORMAT);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bundle/faults");
	TCase *t = tcase_create("faults");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(
		t, each_allocation_fails_once, 0, (int)(sizeof(runs) / sizeof(runs[0])));
	tcase_add_test(t, calls_that_fail);
	tcase_add_test(t, a_digest_that_cannot_be_computed);
	tcase_add_test(t, a_file_that_shrinks);
	tcase_add_test(t, a_device_has_more_behind_the_bundle);
	tcase_add_test(t, metadata_alone);
	tcase_add_test(t, an_object_of_two_components_stands_once);
	tcase_add_test(t, members_up_to_the_end_of_all_numbers);
	tcase_add_test(t, metadata_that_fills_the_memory);
	tcase_add_test(t, other_than_asked_for);
	tcase_add_test(t, chunks_out_of_range);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
