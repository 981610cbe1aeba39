/* SPDX-License-Identifier: Apache-2.0 */
/* intake: the ranges of a pack out of a pipe and out of a file; reader: a slot read ahead. */
#include "../unit.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "worker/intake.h"
#include "worker/reader.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#define SIZE ((size_t)9 << 20)
#define BASE 12345

static uint8_t *bytes;
static int file, pair[2];
static struct control control;
static struct intake in;

static void setup(void)
{
	char path[] = "/tmp/test-intake-XXXXXX";
	unsigned seed = 1;

	bytes = malloc(SIZE);
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(rand_r(&seed) >> 8);
	file = mkstemp(path);
	unlink(path);
	ck_assert_int_eq(fd_pwrite_full(file, bytes, SIZE, BASE), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	ck_assert_int_eq(control_open(&control, pair[0]), 0);
}

static void teardown(void)
{
	control_close(&control);
	ef_close(pair[0]);
	ef_close(pair[1]);
	ef_close(file);
	free(bytes);
}

static const struct ipc_range ranges[] = {
	{0, 1}, {5, 3000}, {10000, 900000}, {1000000, (2u << 20) + 5}, {SIZE - 10, 10}};
#define N (sizeof(ranges) / sizeof(ranges[0]))

static void *feed(void *arg)
{
	int fd = *(int *)arg;

	for (size_t i = 0; i < N; i++)
		if (fd_write_full(fd, bytes + ranges[i].offset, ranges[i].size) < 0)
			break;
	close(fd);
	return NULL;
}

static void take(uint64_t offset, size_t size)
{
	const uint8_t *got;

	ck_assert_int_eq(intake_take(&in, offset, size, &got), 0);
	ck_assert_mem_eq(got, bytes + offset, size);
}

/* Pieces of all sizes, some passed over; behind the last one nothing is left. */
static void take_some(void)
{
	const uint8_t *got;

	take(0, 1);
	take(5, 10);
	take(1000, 2005);
	take(10000, 899999);
	for (uint64_t at = 1000000; at + 7000 < 1000000 + (1 << 20); at += 7001)
		take(at, 7000);
	take(1000000 + (1 << 20) + 5, 1 << 20);
	take(SIZE - 9, 9);
	ck_assert_int_eq(intake_take(&in, SIZE, 1, &got), -ENODATA);
	ck_assert_int_eq(intake_take(&in, 5, 1, &got), -ENODATA);
}

START_TEST(test_pipe)
{
	pthread_t thread;
	int p[2];

	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, feed, &p[1]), 0);
	_cleanup_free_ uint8_t *data = malloc(INTAKE_ROOM);
	in = (struct intake){
		.control = &control, .data = data, .fd = p[0], .ranges = ranges, .n = N};
	take_some();
	pthread_join(thread, NULL);
	close(p[0]);
}
END_TEST

START_TEST(test_file)
{
	_cleanup_free_ uint8_t *data = malloc(INTAKE_ROOM);

	in = (struct intake){.control = &control,
		.data = data,
		.fd = file,
		.whole = true,
		.base = BASE,
		.ranges = ranges,
		.n = N};
	take_some();
	/* it ends within a range */
	const struct ipc_range beyond = {SIZE - 5, 10};
	const uint8_t *got;
	in = (struct intake){.control = &control,
		.data = data,
		.fd = file,
		.whole = true,
		.base = BASE,
		.ranges = &beyond,
		.n = 1};
	take(SIZE - 5, 5);
	ck_assert_int_eq(intake_take(&in, SIZE, 5, &got), -ENODATA);
}
END_TEST

/* Backwards is a mistake, an early end is not, and being told to stop ends it. */
START_TEST(test_ends)
{
	_cleanup_free_ uint8_t *data = malloc(INTAKE_ROOM);
	const uint8_t *got;
	int p[2];

	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	in = (struct intake){
		.control = &control, .data = data, .fd = p[0], .ranges = ranges, .n = N};
	ck_assert_int_eq(fd_write_full(p[1], bytes, 1), 0);
	ck_assert_int_eq(fd_write_full(p[1], bytes + 5, 100), 0);
	take(0, 1);
	take(50, 20);
	ck_assert_int_eq(intake_take(&in, 10, 1, &got), -EINVAL);
	ef_close(p[1]);
	ck_assert_int_eq(intake_take(&in, 100, 20, &got), -ENODATA);
	pair[1] = ef_close(pair[1]);
	ck_assert_int_eq(intake_take(&in, 100, 20, &got), -ECANCELED);
	ef_close(p[0]);
}
END_TEST

static void look(struct reader *r, uint64_t offset, size_t size)
{
	static uint8_t got[3 << 20];
	const size_t all = BASE + SIZE;
	size_t want = offset < all ? all - offset : 0;
	ssize_t n = reader_read(r, got, size, offset);

	ck_assert_int_eq(n, want < size ? want : size);
	size_t hole = offset < BASE ? BASE - offset : 0; /* before the pack: zeros */
	if (n > (ssize_t)hole)
		ck_assert(
			memcmp(got + hole, bytes + (offset + hole - BASE), (size_t)n - hole) == 0);
	for (size_t i = 0; i < hole && i < (size_t)n; i++)
		if (got[i])
			ck_abort_msg("byte %zu", offset + i);
}

/* Forwards, far ahead, back again, beyond the end; with and without the cache. */
START_TEST(test_reader)
{
	char name[64];
	unsigned seed = 7;
	struct reader *r;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
	_cleanup_close_ int direct = open(name, O_RDONLY | O_DIRECT | O_CLOEXEC);
	int fd = _i && direct >= 0 ? direct : file;
	ck_assert_int_eq(reader_open(&r, fd), 0);
	for (uint64_t at = 0; at < SIZE + 100000; at += 300000)
		look(r, at, 299000);
	look(r, BASE + SIZE - 1, 10);
	look(r, BASE + SIZE, 10);
	look(r, SIZE * 2, 10);
	for (int i = 0; i < 60; i++)
		look(r, (unsigned)rand_r(&seed) % (SIZE + 50000),
			1 + (unsigned)rand_r(&seed) % (3u << 20));
	reader_close(r);
	/* Closed while it reads, and without having been asked. */
	ck_assert_int_eq(reader_open(&r, fd), 0);
	look(r, 0, 10);
	reader_close(r);
	ck_assert_int_eq(reader_open(&r, fd), 0);
	reader_close(r);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker/intake");
	TCase *t = tcase_create("intake");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_pipe);
	tcase_add_test(t, test_file);
	tcase_add_test(t, test_ends);
	tcase_add_loop_test(t, test_reader, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
