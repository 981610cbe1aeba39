/* SPDX-License-Identifier: Apache-2.0 */
/* F-01: the worker is killed at every write, torn ones included, and at random moments; the next
 * one goes on from there. */
#include "../unit.h"
#include "rig.h"
#include "util/fdio.h"
#include "util/time-util.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK                                                                              \
	10000u /* not of whole blocks: what shares one with its neighbour is written apart \
		*/
#define SIZE ((size_t)60 * CHUNK + 100)

static struct rig rig;
static uint8_t *before;

static void setup(void)
{
	rig_open(&rig, rig_noise(SIZE, 5), SIZE, CHUNK);
	before = malloc(SIZE + 5000);
	memset(before, 0xc3, SIZE + 5000);
	/* Every second chunk is there already: many small writes instead of few large ones. */
	for (size_t i = 1; i < 60; i += 2)
		memcpy(before + i * CHUNK, rig.image + i * CHUNK, CHUNK);
	rig_file(rig.target, before, SIZE + 5000, SIZE + 5000);
}

static void teardown(void)
{
	free(before);
	rig_close(&rig);
}

/* Each byte is of before, of the image, or a zero of the tail: nothing else, ever (S-09). */
static void check_old_or_new(void)
{
	uint8_t *got, *want = calloc(1, SIZE + 5000);
	size_t size;

	memcpy(want, rig.image, SIZE);
	ck_assert_int_eq(file_read(rig.target, SIZE + 5000, &got, &size), 0);
	ck_assert_uint_eq(size, SIZE + 5000);
	size_t i = 0;
	while (i < size && (got[i] == before[i] || got[i] == want[i]))
		i++;
	ck_assert_msg(i == size, "byte %zu", i);
	free(got);
	free(want);
}

START_TEST(test_killed_at_every_write)
{
	char kill_at[32];
	unsigned n;

	rig.watch[0] = kill_at;
	rig.watch[1] = _i ? "WATCH_TEAR=1" : NULL;
	for (n = 1;; n++) {
		rig_file(rig.target, before, SIZE + 5000, SIZE + 5000);
		snprintf(kill_at, sizeof(kill_at), "WATCH_KILL=%u", n);
		bool done = rig_run(&rig);
		uint64_t first = rig.asked;
		check_old_or_new();
		if (done)
			break;
		ck_assert(WIFSIGNALED(rig.status) && WTERMSIG(rig.status) == SIGKILL);
		/* Killed once more on the way, then let through. */
		snprintf(kill_at, sizeof(kill_at), "WATCH_KILL=2");
		rig_run(&rig);
		kill_at[0] = 0;
		rig.watch[0] = NULL;
		ck_assert(rig_run(&rig));
		rig.watch[0] = kill_at;
		ck_assert_int_eq(rig.reason, EF_REASON_OK);
		ck_assert(rig_target_is(&rig, rig.image, SIZE, 0));
		if (n > 10)
			ck_assert_uint_lt(rig.asked, first);
	}
	ck_assert_int_eq(rig.reason, EF_REASON_OK);
	ck_assert_uint_gt(n, 40);
}
END_TEST

static unsigned delay_us;

static void *killer(void *arg)
{
	usleep(delay_us);
	kill(((struct rig *)arg)->pid, SIGKILL);
	return NULL;
}

/* The program as installed, at moments that nothing chose. */
START_TEST(test_killed_at_random)
{
	size_t size = 6 << 20;
	unsigned seed = (unsigned)now_monotonic_us(), kills = 0;
	uint64_t begin;

	rig_close(&rig);
	rig_open(&rig, rig_noise(size, 6), size, 65536);
	rig.program = getenv("WORKER");
	begin = now_monotonic_us();
	ck_assert(rig_run(&rig));
	unsigned whole_us = (unsigned)(now_monotonic_us() - begin);
	rig_file(rig.target, "", 0, size);
	for (int i = 0; i < 25; i++) {
		pthread_t t;
		delay_us = (unsigned)rand_r(&seed) % whole_us;
		rig_start(&rig);
		ck_assert_int_eq(pthread_create(&t, NULL, killer, &rig), 0);
		kills += !rig_serve(&rig);
		pthread_join(t, NULL);
		if (i % 8 == 7 && kills < 20)
			rig_file(rig.target, "", 0, size);
	}
	ck_assert_uint_gt(kills, 3);
	ck_assert(rig_run(&rig));
	ck_assert_int_eq(rig.reason, EF_REASON_OK);
	ck_assert(rig_target_is(&rig, rig.image, size, 0));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker/stage-cut");
	TCase *t = tcase_create("cut");

	/* Hundreds of runs, each with a sync; also a file system without O_DIRECT. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("RIG_DIR", "/dev/shm", 1);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, test_killed_at_every_write, 0, 2);
	tcase_add_test(t, test_killed_at_random);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
