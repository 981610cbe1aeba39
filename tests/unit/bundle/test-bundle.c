/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/bundle.h"
#include "bundle/tar.h"
#include "unit.h"
#include "util/fdio.h"
#include "util/hex.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST_NAME            \
	"targets/releases/demo/" \
	"1111111111111111111111111111111111111111111111111111111111111111.1.0.0.json"

static const char object_a[] = "objects/"
			       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char object_b[] = "objects/"
			       "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
static const char object_c[] = "objects/"
			       "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";

static int memory_file(const void *data, size_t size)
{
	int fd = memfd_create("bundle", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fd_write_full(fd, data, size), 0);
	return fd;
}

static struct bundle_writer *writer(int *fd)
{
	struct bundle_writer *w;

	*fd = memory_file("", 0);
	ck_assert_int_eq(bundle_writer_open(*fd, &w), 0);
	return w;
}

static enum ef_reason open_fd(int fd, struct bundle **b, struct error *e)
{
	*b = NULL;
	*e = (struct error){0};
	return bundle_open(fd, "x.ferry", b, e);
}

/* A small bundle with every kind of member; returns its descriptor. */
static int small(void)
{
	int fd, data = memory_file("0123456789", 10);
	struct bundle_writer *w = writer(&fd);

	bundle_writer_add(w, "metadata/1.root.json", "{}", 2);
	bundle_writer_add(w, "metadata/1.targets.json", "[]", 2);
	bundle_writer_add(w, MANIFEST_NAME, "manifest", 8);
	bundle_writer_add_fd(w, object_a, data, 10);
	bundle_writer_add(w, object_b, "", 0);
	ck_assert_int_eq(bundle_writer_finish(w), 0);
	close(data);
	return fd;
}

static uint8_t *bytes_of(int fd, size_t *size)
{
	struct stat st;
	uint8_t *p;

	ck_assert_int_eq(fstat(fd, &st), 0);
	*size = (size_t)st.st_size;
	p = malloc(*size);
	ck_assert_int_eq(fd_pread_full(fd, p, *size, 0), 0);
	return p;
}

START_TEST(round_trip)
{
	struct bundle *b;
	struct error e;
	uint8_t *data;
	size_t size;

	ck_assert_int_eq(open_fd(small(), &b, &e), EF_REASON_OK);
	const struct bundle_member *m = bundle_members(b, &size);
	ck_assert_uint_eq(size, 5);
	ck_assert_str_eq(m[0].name, "metadata/1.root.json");
	ck_assert_str_eq(m[4].name, object_b);
	ck_assert_ptr_null(bundle_find(b, "metadata/2.root.json"));
	m = bundle_find(b, object_a);
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(m->size, 10);
	ck_assert_uint_eq(m->offset % 512, 0);
	ck_assert_int_eq(bundle_read(b, object_a, 10, &data, &size, &e), EF_REASON_OK);
	ck_assert_uint_eq(size, 10);
	ck_assert_mem_eq(data, "0123456789", 10);
	free(data);
	ck_assert_int_eq(bundle_read(b, object_a, 9, &data, &size, &e), EF_REASON_BAD_SIZE);
	e = (struct error){0};
	ck_assert_int_eq(bundle_read(b, object_c, 9, &data, &size, &e), EF_REASON_NOT_FOUND);
	bundle_close(b);
}
END_TEST

START_TEST(same_bytes_every_time)
{
	size_t na, nb;
	int fa = small(), fb = small();
	uint8_t *a = bytes_of(fa, &na), *b = bytes_of(fb, &nb);

	ck_assert_uint_eq(na, nb);
	ck_assert_mem_eq(a, b, na);
	ck_assert_uint_eq(na % 512, 0);
	free(a);
	free(b);
	close(fa);
	close(fb);
}
END_TEST

START_TEST(cut_anywhere) /* F-07 */
{
	struct bundle *b;
	struct error e;
	size_t size;
	int fd = small();
	uint8_t *p = bytes_of(fd, &size);

	close(fd);
	for (size_t n = 0; n < size; n += n % 512 < 3 || n % 512 > 508 ? 1 : 101) {
		ck_assert_int_eq(open_fd(memory_file(p, n), &b, &e), EF_REASON_BAD_FORMAT);
		ck_assert_str_ne(e.detail, "");
		ck_assert_ptr_null(b);
	}
	free(p);
}
END_TEST

START_TEST(more_behind_the_end) /* S-07: the length matches exactly */
{
	struct bundle *b;
	struct error e;
	size_t size;
	int fd = small();
	uint8_t *p = bytes_of(fd, &size);
	uint8_t *longer = calloc(1, size + 10240);

	close(fd);
	memcpy(longer, p, size);
	ck_assert_int_eq(open_fd(memory_file(longer, size + 1), &b, &e), EF_REASON_BAD_FORMAT);
	ck_assert_int_eq(open_fd(memory_file(longer, size + 512), &b, &e), EF_REASON_BAD_FORMAT);
	ck_assert_int_eq(open_fd(memory_file(longer, size + 10240), &b, &e), EF_REASON_BAD_FORMAT);
	free(longer);
	free(p);
}
END_TEST

START_TEST(every_byte_outside_the_data_counts) /* F-07 */
{
	struct bundle *b;
	struct error e;
	size_t size, n;
	int fd = small();
	uint8_t *p = bytes_of(fd, &size);
	bool *is_data = calloc(size, sizeof(bool));

	ck_assert_int_eq(open_fd(fd, &b, &e), EF_REASON_OK);
	const struct bundle_member *m = bundle_members(b, &n);
	for (size_t i = 0; i < n; i++)
		for (uint64_t k = 0; k < m[i].size; k++)
			is_data[m[i].offset + k] = true;
	bundle_close(b);
	for (size_t i = 0; i < size; i++) {
		p[i] ^= 0x20;
		enum ef_reason r = open_fd(memory_file(p, size), &b, &e);
		ck_assert_int_eq(r, is_data[i] ? EF_REASON_OK : EF_REASON_BAD_FORMAT);
		if (!r)
			bundle_close(b);
		p[i] ^= 0x20;
	}
	free(p);
	free(is_data);
}
END_TEST

START_TEST(order_and_doubles) /* S-05 */
{
	struct bundle *b;
	struct error e;
	int fd;

	struct bundle_writer *w = writer(&fd);
	bundle_writer_add(w, object_a, "x", 1);
	bundle_writer_add(w, "metadata/1.root.json", "{}", 2);
	ck_assert_int_eq(bundle_writer_finish(w), 0);
	ck_assert_int_eq(open_fd(fd, &b, &e), EF_REASON_BAD_FORMAT);
	ck_assert_ptr_nonnull(strstr(e.detail, "order"));

	w = writer(&fd);
	bundle_writer_add(w, "metadata/1.root.json", "{}", 2);
	bundle_writer_add(w, object_a, "x", 1);
	bundle_writer_add(w, object_a, "y", 1);
	ck_assert_int_eq(bundle_writer_finish(w), 0);
	ck_assert_int_eq(open_fd(fd, &b, &e), EF_REASON_BAD_FORMAT);
	ck_assert_ptr_nonnull(strstr(e.detail, "twice"));

	w = writer(&fd);
	ck_assert_int_eq(bundle_writer_finish(w), 0);
	ck_assert_int_eq(open_fd(fd, &b, &e), EF_REASON_BAD_FORMAT);
}
END_TEST

START_TEST(too_many_members)
{
	struct bundle *b;
	struct error e;
	char name[64];
	int fd;

	struct bundle_writer *w = writer(&fd);
	for (int i = 0; i < 4097; i++) {
		snprintf(name, sizeof(name), "targets/t%d", i);
		bundle_writer_add(w, name, "", 0);
	}
	ck_assert_int_eq(bundle_writer_finish(w), 0);
	ck_assert_int_eq(open_fd(fd, &b, &e), EF_REASON_BAD_FORMAT);
	ck_assert_ptr_nonnull(strstr(e.detail, "too many"));
}
END_TEST

START_TEST(writer_refuses)
{
	int fd, data = memory_file("0123", 4);

	struct bundle_writer *w = writer(&fd);
	ck_assert_int_eq(bundle_writer_add(w, "../x", "", 0), -EINVAL);
	ck_assert_int_eq(bundle_writer_add(w, "targets/x", "", 0), -EINVAL);
	ck_assert_int_eq(bundle_writer_finish(w), -EINVAL);
	close(fd);
	w = writer(&fd);
	ck_assert_int_eq(bundle_writer_add_fd(w, object_a, data, 5), -ENODATA);
	ck_assert_int_eq(bundle_writer_finish(w), -ENODATA);
	close(fd);
	close(data);
}
END_TEST

START_TEST(sparse_giants) /* S-07, beyond 2 and 4 and 8 GiB */
{
	static const uint64_t sizes[] = {
		(1ULL << 31) + 5, (1ULL << 32) - 1, (1ULL << 32) + 5, (1ULL << 33) + 5};
	uint8_t block[512], *data;
	struct bundle *b;
	struct error e;
	size_t n;

	for (int i = 0; i < 4; i++) {
		int fd = memory_file("", 0);
		uint64_t at = 0;
		ck_assert(tar_header_format(object_a, sizes[i], block));
		ck_assert_int_eq(fd_pwrite_full(fd, block, 512, at), 0);
		at += 512 + sizes[i];
		ck_assert_int_eq(fd_pwrite_full(fd, "Z", 1, at - 1), 0);
		at += tar_padding(at);
		ck_assert(tar_header_format(object_b, 3, block));
		ck_assert_int_eq(fd_pwrite_full(fd, block, 512, at), 0);
		ck_assert_int_eq(fd_pwrite_full(fd, "end", 3, at + 512), 0);
		ck_assert_int_eq(ftruncate(fd, (off_t)at + 4 * 512), 0);
		ck_assert_int_eq(open_fd(fd, &b, &e), EF_REASON_OK);
		ck_assert_uint_eq(bundle_find(b, object_a)->size, sizes[i]);
		ck_assert_int_eq(bundle_read(b, object_b, 3, &data, &n, &e), EF_REASON_OK);
		ck_assert_mem_eq(data, "end", 3);
		free(data);
		/* a size that only just does not fit, and one that would wrap around */
		fd = dup(bundle_fd(b));
		bundle_close(b);
		static const uint64_t wrong[] = {0, INT64_MAX, INT64_MAX - 511, 1ULL << 62};
		for (int k = 0; k < 4; k++) {
			ck_assert(tar_header_format(
				object_a, k ? wrong[k] : at + 3 * 512 + 1, block));
			ck_assert_int_eq(fd_pwrite_full(fd, block, 512, 0), 0);
			ck_assert_int_eq(open_fd(dup(fd), &b, &e), EF_REASON_BAD_FORMAT);
		}
		close(fd);
	}
}
END_TEST

/* From afar: what is asked for next to an object beyond 2, 4 and 8 GiB, and beyond 2^63. */
START_TEST(remote_giants) /* S-07 */
{
	static const uint64_t sizes[] = {
		(1ULL << 31) + 5, (1ULL << 32) - 1, (1ULL << 32) + 5, (1ULL << 33) + 5, INT64_MAX};
	static const uint8_t zero[1024];
	uint8_t block[512], tail[1024] = {0};
	struct bundle *b;
	struct error e = {0};
	uint64_t at;
	size_t n;

	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(bundle_remote_open("x.ferry", &b, &e), EF_REASON_OK);
		ck_assert(bundle_remote_next(b, &at, &n) && at == 0 && n == 512);
		ck_assert(tar_header_format(object_a, sizes[i], block));
		if (i == 4) {
			ck_assert_int_eq(
				bundle_remote_feed(b, block, 512, &e), EF_REASON_BAD_FORMAT);
			bundle_close(b);
			continue;
		}
		ck_assert_int_eq(bundle_remote_feed(b, block, 512, &e), EF_REASON_OK);
		ck_assert(bundle_remote_next(b, &at, &n));
		ck_assert_uint_eq(at, 512 + sizes[i]);
		ck_assert_uint_eq(n, tar_padding(sizes[i]) + 512);
		ck_assert(tar_header_format(object_b, 3, tail + n - 512));
		ck_assert_int_eq(bundle_remote_feed(b, tail, n, &e), EF_REASON_OK);
		ck_assert(bundle_remote_next(b, &at, &n));
		ck_assert_int_eq(bundle_remote_feed(b, zero, n, &e), EF_REASON_OK);
		ck_assert(bundle_remote_next(b, &at, &n) && n == 512);
		ck_assert_int_eq(bundle_remote_feed(b, zero, n, &e), EF_REASON_OK);
		ck_assert(!bundle_remote_next(b, &at, &n));
		ck_assert_uint_eq(bundle_find(b, object_a)->size, sizes[i]);
		ck_assert_uint_eq(bundle_find(b, object_b)->offset,
			512 + sizes[i] + tar_padding(sizes[i]) + 512);
		bundle_close(b);
		memset(tail, 0, sizeof(tail));
	}
}
END_TEST

START_TEST(not_a_file)
{
	struct bundle *b;
	struct error e;
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(open_fd(p[0], &b, &e), EF_REASON_BAD_FORMAT);
	ck_assert_int_eq(fcntl(p[0], F_GETFD), -1); /* taken over, also on failure */
	close(p[1]);
	ck_assert_int_eq(open_fd(open("/", O_RDONLY | O_DIRECTORY), &b, &e), EF_REASON_BAD_FORMAT);
	ck_assert_int_ne(open_fd(-1, &b, &e), EF_REASON_OK);
}
END_TEST

static void digest_of(const char *name, uint8_t out[32])
{
	ck_assert(hex_decode(name + strlen("objects/"), out, 32));
}

START_TEST(metadata_without_version)
{
	struct bundle *b;
	struct error e;
	int fd;
	struct bundle_writer *w = writer(&fd);

	bundle_writer_add(w, "metadata/9.root.json", "9", 1);
	bundle_writer_add(w, "metadata/10.root.json", "10", 2);
	bundle_writer_add(w, "metadata/timestamp.json", "t", 1);
	bundle_writer_add(w, "metadata/3.targets.json", "3", 1);
	bundle_writer_add(w, "metadata/99999999999999999999.targets.json", "x", 1);
	bundle_writer_add(w, "targets/7.x.json", "7", 1);
	ck_assert_int_eq(bundle_writer_finish(w), 0);
	ck_assert_int_eq(open_fd(fd, &b, &e), EF_REASON_OK);
	ck_assert_str_eq(bundle_find(b, "metadata/root.json")->name, "metadata/10.root.json");
	ck_assert_str_eq(bundle_find(b, "metadata/9.root.json")->name, "metadata/9.root.json");
	ck_assert_str_eq(bundle_find(b, "metadata/targets.json")->name, "metadata/3.targets.json");
	ck_assert_str_eq(
		bundle_find(b, "metadata/timestamp.json")->name, "metadata/timestamp.json");
	ck_assert_ptr_null(bundle_find(b, "metadata/releases.json"));
	ck_assert_ptr_null(bundle_find(b, "metadata/11.root.json"));
	ck_assert_ptr_null(bundle_find(b, "targets/x.json"));
	bundle_close(b);
}
END_TEST

START_TEST(closed_world) /* S-05, L-03 */
{
	static size_t order[] = {1, 0};
	struct component c[2] = {
		{.name = "root",
			.type = COMPONENT_ROOTFS,
			.image.size = 9,
			.index.size = 2,
			.pack.size = 3},
		{.name = "meter", .type = COMPONENT_MCU, .image.size = 1},
	};
	struct manifest m = {.components = c, .n_components = 2, .order = order};
	static const struct {
		const char *names[5];
		const char *data[5];
		enum ef_reason want;
	} cases[] = {
		{{object_a, object_b, object_c}, {"1", "22", "333"}, EF_REASON_OK},
		{{object_a, object_b}, {"1", "22"}, EF_REASON_NOT_FOUND},
		{{object_a, object_b, object_c}, {"1", "22", "3333"}, EF_REASON_BAD_SIZE},
		{{object_b, object_a, object_c}, {"22", "1", "333"}, EF_REASON_BAD_FORMAT},
		{{object_a, object_b, object_c,
			 "objects/"
			 "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"},
			{"1", "22", "333", "4"}, EF_REASON_NOT_SIGNED_FOR},
	};
	struct bundle *b;
	struct error e;

	digest_of(object_a, c[1].image.sha256);
	digest_of(object_b, c[0].index.sha256);
	digest_of(object_c, c[0].pack.sha256);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd;
		struct bundle_writer *w = writer(&fd);
		bundle_writer_add(w, "metadata/1.root.json", "{}", 2);
		bundle_writer_add(w, MANIFEST_NAME, "m", 1);
		for (int k = 0; k < 5 && cases[i].names[k]; k++)
			bundle_writer_add(
				w, cases[i].names[k], cases[i].data[k], strlen(cases[i].data[k]));
		ck_assert_int_eq(bundle_writer_finish(w), 0);
		ck_assert_int_eq(open_fd(fd, &b, &e), EF_REASON_OK);
		ck_assert_int_eq(bundle_check_members(b, &m, MANIFEST_NAME, &e), cases[i].want);
		e = (struct error){0};
		ck_assert_int_eq(
			bundle_check_members(b, &m, "targets/other", &e), EF_REASON_BAD_FORMAT);
		bundle_close(b);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bundle/bundle");
	TCase *t = tcase_create("bundle");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, round_trip);
	tcase_add_test(t, same_bytes_every_time);
	tcase_add_test(t, cut_anywhere);
	tcase_add_test(t, more_behind_the_end);
	tcase_add_test(t, every_byte_outside_the_data_counts);
	tcase_add_test(t, order_and_doubles);
	tcase_add_test(t, too_many_members);
	tcase_add_test(t, writer_refuses);
	tcase_add_test(t, sparse_giants);
	tcase_add_test(t, remote_giants);
	tcase_add_test(t, not_a_file);
	tcase_add_test(t, metadata_without_version);
	tcase_add_test(t, closed_world);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
