/* SPDX-License-Identifier: Apache-2.0 */
/* Staging that ends well: the slot holds the image, whatever was in it before. */
#include "../unit.h"
#include "rig.h"
#include "util/fdio.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE ((size_t)3 * 1024 * 1024 + 12345)
#define CHUNK 65536u

static struct rig rig;

static void setup(void)
{
	rig_open(&rig, rig_noise(SIZE, 1), SIZE, CHUNK);
}

static void teardown(void)
{
	rig_close(&rig);
}

static void expect_ok(void)
{
	bool done = rig_run(&rig);

	ck_assert_msg(done && rig.reason == EF_REASON_OK, "status %x: %d %s", rig.status,
		rig.reason, rig.detail);
	ck_assert_int_eq(rig.status, 0);
	ck_assert(rig_target_is(&rig, rig.image, rig.x.image_size, 0));
}

START_TEST(test_empty_slot_by_pipe)
{
	expect_ok();
	ck_assert_uint_eq(rig.needs, 1);
	ck_assert_uint_le(rig.asked, rig.x.pack_size);
	ck_assert_uint_eq(rig_target_size(&rig), SIZE);
	ck_assert_uint_ge(rig.progresses, 1);
}
END_TEST

/* The installed program, not the watched one. */
START_TEST(test_real_program)
{
	rig.program = getenv("WORKER");
	expect_ok();
}
END_TEST

START_TEST(test_by_file_with_whole_pack)
{
	rig.whole = true;
	rig.whole_base = 12800;
	expect_ok();
}
END_TEST

/* Once there, nothing is fetched and nothing is written again. */
START_TEST(test_again_fetches_nothing)
{
	expect_ok();
	rig.watch[0] = "WATCH_FAIL=1:5";
	expect_ok();
	ck_assert_uint_eq(rig.needs, 0);
}
END_TEST

START_TEST(test_only_what_lacks_is_fetched)
{
	rig_file(rig.target, rig.image, SIZE, SIZE);
	int fd = open(rig.target, O_WRONLY);
	ck_assert_int_eq(fd_pwrite_full(fd, "\xff", 1, 20 * CHUNK + 5), 0);
	ck_assert_int_eq(fd_pwrite_full(fd, "\xff", 1, 40 * CHUNK + 5), 0);
	close(fd);
	expect_ok();
	ck_assert_uint_eq(rig.ranges, 2);
	ck_assert_uint_eq(rig.asked, rig.chunks[20].pack_size + rig.chunks[40].pack_size);
}
END_TEST

/* What the running slot has comes from there, in the same place or not. */
START_TEST(test_running_slot_is_a_source)
{
	uint8_t *old = malloc(SIZE);

	memcpy(old, rig.image, SIZE);
	memset(old + 30 * CHUNK, 0x55, 100);
	rig_file(rig.running, old, SIZE, SIZE);
	free(old);
	rig_cut(&rig, 0);
	expect_ok();
	ck_assert_uint_gt(rig.asked, 0);
	ck_assert_uint_lt(rig.asked, 65536);
	ck_assert_uint_eq(rig.needs, 1);
}
END_TEST

START_TEST(test_running_slot_shifted)
{
	uint8_t *old = malloc(SIZE + 5000);

	memset(old, 0x77, 5000);
	memcpy(old + 5000, rig.image, SIZE);
	rig_file(rig.running, old, SIZE + 5000, SIZE + 5000);
	free(old);
	rig_cut(&rig, 0);
	expect_ok();
	ck_assert_uint_lt(rig.asked, rig.chunks_size / 20);
}
END_TEST

static void rewrite_running(struct rig *r)
{
	uint8_t *other = rig_noise(SIZE, 9);

	rig_file(r->running, other, SIZE, SIZE);
	free(other);
}

/* S-08: a seed that is not what it was when it was found is not used. */
START_TEST(test_running_slot_changes)
{
	uint8_t *old = malloc(SIZE);

	/* One byte of every group differs: chunks are seeds, groups are not. */
	rig_cut(&rig, 0);
	memcpy(old, rig.image, SIZE);
	for (size_t i = 0; i < rig.x.n_groups; i++)
		old[rig.x.groups[i].body.offset + rig.x.groups[i].body.size / 2] ^= 0xff;
	rig_file(rig.running, old, SIZE, SIZE);
	expect_ok();
	uint64_t with_seeds = rig.asked;
	ck_assert_uint_lt(with_seeds, rig.chunks_size / 2);
	rig_file(rig.target, "", 0, SIZE);
	rig_file(rig.running, old, SIZE, SIZE);
	free(old);
	rig.on_leaves = rewrite_running;
	expect_ok();
	ck_assert_uint_gt(rig.asked, rig.chunks_size * 9 / 10);
}
END_TEST

START_TEST(test_running_slot_shorter)
{
	rig_cut(&rig, 0);
	rig_file(rig.running, rig.image, SIZE / 2, SIZE / 2);
	expect_ok();
	ck_assert_uint_lt(rig.asked, rig.x.pack_size * 6 / 10);
}
END_TEST

/* Chunks of equal content are fetched once, and copied when one is there already. */
START_TEST(test_equal_chunks)
{
	uint64_t twins = 0;

	/* the sixth group is the second once more; one chunk of it comes a third time */
	memcpy(rig.image + 20 * CHUNK, rig.image + 4 * CHUNK, 4 * CHUNK);
	memcpy(rig.image + 33 * CHUNK, rig.image + 5 * CHUNK, CHUNK);
	rig_cut(&rig, CHUNK);
	expect_ok();
	for (size_t i = 20; i < 24; i++)
		twins += rig.chunks[i].pack_size;
	twins += rig.chunks[33].pack_size;
	ck_assert_uint_le(rig.asked, rig.chunks_size - twins);
	int fd = open(rig.target, O_WRONLY);
	ck_assert_int_eq(fd_pwrite_full(fd, "\xff", 1, 20 * CHUNK), 0);
	close(fd);
	expect_ok();
	ck_assert_uint_eq(rig.needs + rig.leaf_needs, 0);
}
END_TEST

/* More of them than are kept in memory until their turn comes: the others are copied out of the
 * target. */
START_TEST(test_many_equal_chunks)
{
	const size_t half = 48 * CHUNK, size = 2 * half + CHUNK;
	uint8_t *image = malloc(size);
	uint64_t twins = 0;
	unsigned seed = 7;

	for (size_t i = 0; i < size; i++)
		image[i] = (uint8_t)(rand_r(&seed) >> 7);
	/* a chunk further, so that the groups are others */
	memcpy(image + half + CHUNK, image, half);
	rig_close(&rig);
	rig_open(&rig, image, size, CHUNK);
	expect_ok();
	for (size_t i = 49; i < rig.n_chunks; i++)
		twins += rig.chunks[i].pack_size;
	ck_assert_uint_gt(twins, (uint64_t)2 << 20);
	ck_assert_uint_le(rig.asked, rig.chunks_size - twins);
}
END_TEST

/* S-11: what a larger image left behind it is gone. */
START_TEST(test_tail_is_cleared)
{
	uint8_t *junk = malloc(SIZE + 3000000), *zeros = calloc(1, 3000000);

	memset(junk, 0xee, SIZE + 3000000);
	rig_file(rig.target, junk, SIZE + 3000000, SIZE + 3000000);
	expect_ok();
	ck_assert_uint_eq(rig_target_size(&rig), SIZE + 3000000);
	ck_assert(rig_target_is(&rig, zeros, 3000000, SIZE));
	free(junk);
	free(zeros);
}
END_TEST

START_TEST(test_zero_chunks_become_holes)
{
	uint8_t *junk = malloc(SIZE);
	struct stat st;

	/* Half of it zeros, all of it written before. */
	memset(rig.image + SIZE / 2, 0, SIZE - SIZE / 2);
	rig_cut(&rig, CHUNK);
	memset(junk, 0xee, SIZE);
	rig_file(rig.target, junk, SIZE, SIZE);
	free(junk);
	expect_ok();
	ck_assert_int_eq(stat(rig.target, &st), 0);
	ck_assert_uint_lt((uint64_t)st.st_blocks * 512, SIZE * 6 / 10);
}
END_TEST

/* Where holes cannot be punched, zeros are written. */
START_TEST(test_without_holes)
{
	uint8_t *junk = malloc(SIZE);

	memset(junk, 0xee, SIZE);
	rig_file(rig.target, junk, SIZE, SIZE);
	free(junk);
	rig.watch[0] = "WATCH_NO_PUNCH=1";
	expect_ok();
}
END_TEST

/* A stream that ends too soon: what came is kept, the rest is asked for. */
START_TEST(test_short_stream)
{
	rig.cut_after = rig.chunks_size / 3;
	expect_ok();
	ck_assert_uint_eq(rig.needs, 2);
	ck_assert_uint_le(rig.asked, 2 * rig.x.pack_size - rig.cut_after + 2 * CHUNK);
}
END_TEST

static uint64_t first_answer[2]; /* bytes of chunks, and of the leaves behind them */

static void note_first(struct rig *r)
{
	if (r->needs == 1) {
		first_answer[0] = r->asked;
		first_answer[1] = r->asked_leaves - first_answer[1];
	}
}

static void note_leaves(struct rig *r)
{
	first_answer[1] = r->asked_leaves;
}

/* The same where only leaves of the next batch lack, or some of them: those are asked for. */
START_TEST(test_short_of_leaves)
{
	const size_t size = 9000000;
	uint8_t *image = malloc(size);
	unsigned seed = 5;

	for (size_t i = 0; i < size; i++)
		image[i] = (uint8_t)(rand_r(&seed) >> 7) & 0x3f;
	rig_close(&rig);
	rig_open(&rig, image, size, 512);
	rig.on_leaves = note_leaves;
	rig.on_need = note_first;
	expect_ok();
	ck_assert_uint_gt(first_answer[1], 100);
	uint64_t asked = rig.asked;

	rig.on_leaves = rig.on_need = NULL;
	for (unsigned half = 0; half < 2; half++) {
		rig.cut_after = first_answer[0] + half * first_answer[1] / 2;
		rig_file(rig.target, NULL, 0, size);
		expect_ok();
		ck_assert_uint_eq(rig.asked, asked);
		ck_assert_uint_eq(rig.leaf_needs, 2 - half);
	}
}
END_TEST

/* F-26 */
START_TEST(test_short_and_interrupted_calls)
{
	rig.watch[0] = "WATCH_SHORT=1";
	expect_ok();
}
END_TEST

START_TEST(test_odd_sizes)
{
	static const size_t sizes[] = {1, 511, 4095, 4096, 4097, 65536, 65537, 1048576, 1048577};

	rig_close(&rig);
	rig_open(&rig, rig_noise(sizes[_i], 7), sizes[_i], 4096);
	expect_ok();
	rig_file(rig.target, "", 0, sizes[_i] + 5000);
	expect_ok();
}
END_TEST

START_TEST(test_largest_chunks)
{
	rig_cut(&rig, CHUNK_MAX);
	expect_ok();
}
END_TEST

/* More ranges than fit into one NEED: every second chunk of 4100 is there. */
START_TEST(test_many_ranges)
{
	size_t size = 4100 * 8192;
	uint8_t *image = rig_noise(size, 3);

	for (size_t i = 0; i < 4100; i++) /* no zeros, no twins, nothing that compresses well */
		for (size_t k = 0; k < 8192; k++)
			image[i * 8192 + k] = (uint8_t)((i * 8192 + k) * 2654435761u >> 13);
	rig_close(&rig);
	rig_open(&rig, image, size, 8192);
	rig_file(rig.target, image, size, size);
	int fd = open(rig.target, O_WRONLY);
	for (size_t i = 0; i < 4100; i += 2)
		ck_assert_int_eq(fd_pwrite_full(fd, "\xff\xfe\xfd", 3, i * 8192), 0);
	close(fd);
	expect_ok();
	ck_assert_uint_ge(rig.ranges + rig.needs, 2);
	ck_assert_uint_le(rig.needs, 2);
}
END_TEST

/* Begun and broken off within its first group, in a slot that holds something else: what is there
 * of the image is not fetched again, and no more of the slot is read by chunks than that could be.
 */
START_TEST(test_begun_in_the_first_group)
{
	size_t size = 400 * 4096;
	uint8_t *image = malloc(size), *slot = malloc(size);

	for (size_t i = 0; i < size; i++) {
		image[i] = (uint8_t)(i * 2654435761u >> 13);
		slot[i] = (uint8_t)(i * 2246822519u >> 11);
	}
	memcpy(slot, image, 3 * 4096);
	memcpy(slot + 399 * 4096, image + 399 * 4096, 4096); /* nobody got so far */
	rig_close(&rig);
	rig_open(&rig, image, size, 4096);
	rig_file(rig.target, slot, size, size);
	free(slot);
	expect_ok();
	uint64_t there =
		rig.chunks[0].pack_size + rig.chunks[1].pack_size + rig.chunks[2].pack_size;
	ck_assert_uint_eq(rig.asked, rig.chunks_size - there);
}
END_TEST

/* Two releases of a real file system: the second over the first. */
START_TEST(test_real_ext4)
{
	enum { EXT4 = 12 << 20 };
	char path[96];
	uint8_t *one, *two;
	size_t size;

	snprintf(path, sizeof(path), "%s/ext4", rig.dir);
	ck_assert_msg(rig_ext4(path, EXT4, "1"), "no mke2fs");
	ck_assert_int_eq(file_read(path, EXT4, &one, &size), 0);
	ck_assert_uint_eq(size, EXT4);
	ck_assert(rig_ext4(path, EXT4, "2"));
	ck_assert_int_eq(file_read(path, EXT4, &two, &size), 0);
	unlink(path);
	rig_close(&rig);
	rig_open(&rig, one, EXT4, CHUNK);
	expect_ok();
	uint64_t first = rig.asked;
	ck_assert_uint_gt(first, 512 << 10); /* what the release's programs compress to */
	memcpy(rig.image, two, EXT4);
	free(two);
	rig_cut(&rig, CHUNK);
	expect_ok();
	ck_assert_uint_gt(rig.asked, 0);
	ck_assert_uint_lt(rig.asked, first / 3);
#ifndef __SANITIZE_ADDRESS__
	ck_assert_int_lt(rig.peak_kib, 32 * 1024);
#endif
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker/stage");
	TCase *t = tcase_create("stage");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_empty_slot_by_pipe);
	tcase_add_test(t, test_real_program);
	tcase_add_test(t, test_by_file_with_whole_pack);
	tcase_add_test(t, test_again_fetches_nothing);
	tcase_add_test(t, test_only_what_lacks_is_fetched);
	tcase_add_test(t, test_running_slot_is_a_source);
	tcase_add_test(t, test_running_slot_shifted);
	tcase_add_test(t, test_running_slot_changes);
	tcase_add_test(t, test_running_slot_shorter);
	tcase_add_test(t, test_equal_chunks);
	tcase_add_test(t, test_many_equal_chunks);
	tcase_add_test(t, test_tail_is_cleared);
	tcase_add_test(t, test_zero_chunks_become_holes);
	tcase_add_test(t, test_without_holes);
	tcase_add_test(t, test_short_stream);
	tcase_add_test(t, test_short_of_leaves);
	tcase_add_test(t, test_short_and_interrupted_calls);
	tcase_add_loop_test(t, test_odd_sizes, 0, 9);
	tcase_add_test(t, test_largest_chunks);
	tcase_add_test(t, test_many_ranges);
	tcase_add_test(t, test_begun_in_the_first_group);
	tcase_add_test(t, test_real_ext4);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
