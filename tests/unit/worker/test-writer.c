/* SPDX-License-Identifier: Apache-2.0 */
/* What the writer makes of pieces of any size, place and order; and that it writes nothing
 * unchecked. */
#include "../unit.h"
#include "util/fdio.h"
#include "worker/codec.h"
#include "worker/writer.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#define SIZE ((size_t)12 << 20)

static char dir[64], path[96], running[96];
static struct target target;
static struct writer *writer;
static struct codec codec;
static uint8_t *model;
static struct error e;
static unsigned seed, first_seed;

/* On a file system with O_DIRECT, and in memory. */
static void open_in(const char *base)
{
	snprintf(dir, sizeof(dir), "%s/test-writer-XXXXXX", base);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/slot", dir);
	snprintf(running, sizeof(running), "%s/running", dir);
	model = malloc(SIZE);
	memset(model, 0xc3, SIZE);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(fd_write_full(fd, model, SIZE), 0);
	close(fd);
	close(open(running, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	e = (struct error){0};
	ck_assert_int_eq(codec_open(&codec), 0);
	ck_assert_int_eq(target_open(&target, path, running, SIZE, &e), EF_REASON_OK);
	ck_assert_int_eq(writer_open(&writer, &target, &e), EF_REASON_OK);
}

static void close_all(void)
{
	writer_close(writer);
	target_close(&target);
	codec_close(&codec);
	free(model);
	unlink(path);
	unlink(running);
	ck_assert_int_eq(rmdir(dir), 0);
}

static unsigned below(unsigned n)
{
	return (unsigned)rand_r(&seed) % n;
}

static void check_slot(void)
{
	static uint8_t got[SIZE];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(fd_pread_full(fd, got, SIZE, 0), 0);
	close(fd);
	size_t i = 0;
	while (i < SIZE && got[i] == model[i])
		i++;
	ck_assert_msg(i == SIZE, "byte %zu, seed %u", i, first_seed);
}

/* checked: 1 by digest, 0 by us. */
static void put(uint64_t offset, uint32_t size, bool checked)
{
	uint8_t digest[CHUNK_DIGEST_SIZE], *room = writer_room(writer, offset, size, &e);

	ck_assert_msg(room, "%s", e.detail);
	for (uint32_t i = 0; i < size; i++)
		model[offset + i] = room[i] = (uint8_t)rand_r(&seed);
	ck_assert(codec_digest(&codec, room, size, digest));
	writer_put(writer, checked ? digest : NULL);
}

/* The chunk of so many bytes at offset, made up; room for ZSTD_compressBound(size) in packed. */
static struct chunk pack(uint64_t offset, uint32_t size, uint8_t *packed)
{
	struct chunk c = {.offset = offset, .size = size};

	for (uint32_t i = 0; i < size; i++)
		model[offset + i] = (uint8_t)(rand_r(&seed) >> 9) & 0x1f;
	size_t n = ZSTD_compress(packed, ZSTD_compressBound(size), model + offset, size, 1);
	ck_assert(!ZSTD_isError(n));
	c.pack_size = (uint32_t)n;
	ck_assert(codec_digest(&codec, model + offset, size, c.digest));
	ck_assert(codec_digest(&codec, packed, n, c.pack_digest));
	return c;
}

static uint8_t packed[CHUNK_MAX + 65536];

static void put_packed(uint64_t offset, uint32_t size)
{
	struct chunk c = pack(offset, size, packed);

	ck_assert_int_eq(writer_unpack(writer, &c, packed, &e), EF_REASON_OK);
	memset(packed, 0xff, c.pack_size); /* it was copied */
}

static uint32_t some_size(uint64_t left)
{
	static const uint32_t limits[] = {2, 600, 5000, 40000, 700000, CHUNK_MAX};
	uint32_t size = 1 + below(limits[below(6)]);

	return size < left ? size : (uint32_t)left;
}

/* Runs with and without gaps, forwards, each byte once. */
START_TEST(test_any_pieces)
{
	open_in(_i % 2 ? "/dev/shm" : "/tmp");
	seed = first_seed = (unsigned)time(NULL) + (unsigned)_i;
	for (uint64_t at = below(9000); at < SIZE;) {
		uint32_t size = some_size(SIZE - at);
		unsigned what = below(20);
		if (what == 0) {
			ck_assert_int_eq(writer_zero(writer, at, size, &e), EF_REASON_OK);
			memset(model + at, 0, size);
		} else if (what < 10) {
			put(at, size, what % 2);
		} else if (what < 17) {
			put_packed(at, size);
		}
		at += size;
		if (what == 1) {
			ck_assert_int_eq(writer_flush(writer, &e), EF_REASON_OK);
			check_slot();
		}
	}
	ck_assert_int_eq(writer_flush(writer, &e), EF_REASON_OK);
	ck_assert_int_eq(target_sync(&target, &e), EF_REASON_OK);
	check_slot();
	close_all();
}
END_TEST

/* Closing writes what was put. */
START_TEST(test_close_is_a_flush)
{
	open_in("/tmp");
	put(5000, 100, true);
	writer_close(writer);
	check_slot();
	writer = NULL;
	close_all();
}
END_TEST

/* S-09: bytes that are not what they have to be stay out, and so does all that comes behind them.
 */
START_TEST(test_wrong_digest)
{
	const uint8_t digest[CHUNK_DIGEST_SIZE] = {1};

	open_in("/tmp");
	put(0, 4096, true);
	ck_assert_int_eq(writer_flush(writer, &e), EF_REASON_OK);
	uint8_t *room = writer_room(writer, 8192, 100, &e);
	memset(room, 0x55, 100);
	writer_put(writer, digest);
	ck_assert_int_eq(writer_flush(writer, &e), EF_REASON_BAD_DIGEST);
	ck_assert_ptr_nonnull(strstr(e.detail, "8192"));
	e = (struct error){0};
	ck_assert_ptr_null(writer_room(writer, 20000, 100, &e));
	ck_assert_int_eq(e.reason, EF_REASON_BAD_DIGEST);
	check_slot();
	close_all();
}
END_TEST

/* S-09: nor do bytes get in that unpack to others than they should, or are others than came, and
 * nothing that was put behind them, though its check may be over sooner. */
START_TEST(test_wrong_packed)
{
	open_in("/tmp");
	put_packed(0, 4096);
	ck_assert_int_eq(writer_flush(writer, &e), EF_REASON_OK);
	put_packed(6000, 2192); /* right, and right before it */
	uint8_t *was = malloc(SIZE);
	memcpy(was, model, SIZE);
	struct chunk c = pack(8192, CHUNK_MAX / 2, packed);
	if (_i == 0)
		c.digest[0] ^= 1;
	else if (_i == 1)
		packed[c.pack_size / 2] ^= 1;
	else
		c.size++;
	writer_unpack(writer, &c, packed, &e);
	for (unsigned i = 0; i < 3 && !e.reason; i++) {
		c = pack((2 + i) << 20, 100, packed);
		writer_unpack(writer, &c, packed, &e);
	}
	writer_flush(writer, &e);
	ck_assert_int_eq(e.reason, _i < 2 ? EF_REASON_BAD_DIGEST : EF_REASON_BAD_SIZE);
	ck_assert_ptr_nonnull(strstr(e.detail, "8192"));
	free(model);
	model = was;
	check_slot();
	close_all();
}
END_TEST

/* S-10: what is to be read back has been written, and nothing is after a failure. */
START_TEST(test_mark)
{
	const uint8_t digest[CHUNK_DIGEST_SIZE] = {1};

	open_in("/tmp");
	ck_assert(writer_is_past(writer, writer_mark(writer)));
	put(0, 4096, true);
	uint64_t mark = writer_mark(writer);
	ck_assert(!writer_is_past(writer, mark)); /* nothing has filled up its slab yet */
	ck_assert_int_eq(writer_flush(writer, &e), EF_REASON_OK);
	ck_assert(writer_is_past(writer, mark));
	memset(writer_room(writer, 8192, 100, &e), 0x55, 100);
	writer_put(writer, digest);
	writer_flush(writer, &e);
	ck_assert(!writer_is_past(writer, mark));
	close_all();
}
END_TEST

/* What was put last can be copied from, through any number of slabs. */
START_TEST(test_copy_of_the_last)
{
	open_in("/tmp");
	uint8_t *from = writer_room(writer, 0, 10000, &e);
	for (size_t i = 0; i < 10000; i++)
		model[i] = from[i] = (uint8_t)(i / 3);
	writer_put(writer, NULL);
	for (uint64_t at = 30000; at < SIZE - 10000; at += 300001) {
		uint8_t *room = writer_room(writer, at, 10000, &e);
		ck_assert_ptr_nonnull(room);
		memcpy(room, from, 10000);
		writer_put(writer, NULL);
		memcpy(model + at, model, 10000);
		from = room;
	}
	ck_assert_int_eq(writer_flush(writer, &e), EF_REASON_OK);
	check_slot();
	close_all();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker/writer");
	TCase *t = tcase_create("writer");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, test_any_pieces, 0, 8);
	tcase_add_test(t, test_close_is_a_flush);
	tcase_add_test(t, test_wrong_digest);
	tcase_add_loop_test(t, test_wrong_packed, 0, 3);
	tcase_add_test(t, test_mark);
	tcase_add_test(t, test_copy_of_the_last);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
