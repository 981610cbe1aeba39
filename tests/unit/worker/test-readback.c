/* SPDX-License-Identifier: Apache-2.0 */
/* S-10, F-06: what the read back finds, be it read before the last write or after it. */
#include "../unit.h"
#include "util/fdio.h"
#include "worker/readback.h"
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE (((size_t)25 << 20) + 777)
#define TAIL 50000u
#define HALF ((uint64_t)12 << 20)

static char dir[64], path[96], running[96];
static struct target target;
static struct readback *back;
static struct control control;
static struct job_progress progress;
static struct error e;
static uint8_t image[SIZE];
static int core;

static void setup(void)
{
	uint8_t digest[32];
	int pair[2];

	strcpy(dir, "/tmp/test-readback-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/slot", dir);
	snprintf(running, sizeof(running), "%s/running", dir);
	for (size_t i = 0; i < SIZE; i++)
		image[i] = (uint8_t)((i * 2654435761u >> 13) ^ (i >> 20));
	close(open(running, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(fd, SIZE + TAIL), 0);
	close(fd);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	core = pair[0];
	ck_assert_int_eq(control_open(&control, pair[1]), 0);
	ck_assert_int_eq(EVP_Digest(image, SIZE, digest, NULL, EVP_sha256(), NULL), 1);
	ck_assert_int_eq(target_open(&target, path, running, SIZE, &e), EF_REASON_OK);
	ck_assert_int_eq(readback_open(&back, &target, SIZE, digest, &e), EF_REASON_OK);
}

static void teardown(void)
{
	readback_close(back);
	target_close(&target);
	control_close(&control);
	close(control.socket);
	close(core);
	unlink(path);
	unlink(running);
	rmdir(dir);
}

static void put(uint64_t offset, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(fd_pwrite_full(fd, data, size, offset), 0);
	ck_assert_int_eq(fsync(fd), 0);
	close(fd);
}

/* As a job does it, the first half being read by the time that the second one is written. */
static void write_all(void)
{
	put(0, image, HALF);
	readback_allow(back, HALF);
	usleep(200000);
	put(HALF, image + HALF, SIZE - HALF);
}

static void expect(enum ef_reason reason)
{
	ck_assert_int_eq(target_sync(&target, &e), EF_REASON_OK);
	readback_finish(back, &control, &progress, &e);
	ck_assert_msg(e.reason == reason, "%d: %s", e.reason, e.detail);
}

START_TEST(test_good)
{
	if (_i)
		write_all();
	else
		put(0, image, SIZE);
	expect(EF_REASON_OK);
}
END_TEST

/* One bit, before it was read: at either end, in the half that is read early, in the other. */
START_TEST(test_one_bit)
{
	static const size_t at[] = {0, HALF / 2, HALF - 1, HALF, SIZE - 1};

	image[at[_i]] ^= 0x10;
	write_all();
	expect(EF_REASON_SLOT_READ_BACK);
}
END_TEST

START_TEST(test_behind_the_image)
{
	write_all();
	put(SIZE + (_i ? TAIL - 1 : 0), "\1", 1);
	expect(EF_REASON_SLOT_READ_BACK);
}
END_TEST

/* What was right when it was read is lost to what is written later: any stretch of two cells of 128
 * KiB. */
START_TEST(test_lost_later)
{
	write_all();
	put((uint64_t)_i * 1700000, image + HALF, (size_t)256 << 10);
	expect(EF_REASON_SLOT_READ_BACK);
}
END_TEST

/* It ends when the core does, though there is much to read yet. */
START_TEST(test_cancelled)
{
	ck_assert_int_eq(truncate(path, (off_t)1 << 43), 0);
	readback_close(back);
	target_close(&target);
	ck_assert_int_eq(target_open(&target, path, running, (uint64_t)1 << 43, &e), EF_REASON_OK);
	ck_assert_int_eq(readback_open(&back, &target, (uint64_t)1 << 43, image, &e), EF_REASON_OK);
	shutdown(core, SHUT_RDWR);
	expect(EF_REASON_CANCELLED);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker/readback");
	TCase *t = tcase_create("readback");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, test_good, 0, 2);
	tcase_add_loop_test(t, test_one_bit, 0, 5);
	tcase_add_loop_test(t, test_behind_the_image, 0, 2);
	tcase_add_loop_test(t, test_lost_later, 0, 6);
	tcase_add_test(t, test_cancelled);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
