/* SPDX-License-Identifier: Apache-2.0 */
/* The core's end of a worker that hangs, dies or waits (F-05, F-25): done comes once, and the loop
 * is not held up. */
#include "../unit.h"
#include "rig.h"
#include "util/time-util.h"
#include "worker/client.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE ((size_t)1 << 20)

static struct rig rig;
static sd_event *event;
static struct worker *worker;
static struct error outcome;
static unsigned n_done, n_needs, n_progress;
static char program[128];

static void on_need(void *ctx, const struct ipc_range *ranges, size_t n)
{
	n_needs++;
}

static void on_progress(void *ctx, const struct job_progress *p)
{
	n_progress++;
}

static void on_done(void *ctx, const struct error *e)
{
	n_done++;
	outcome = *e;
}

static void setup(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	n_done = n_needs = n_progress = 0;
	rig_open(&rig, rig_noise(SIZE, 1), SIZE, 65536);
	rig_file(rig.target, NULL, 0, SIZE);
	rig_file(rig.running, NULL, 0, 4096);
	ck_assert_int_ge(sd_event_new(&event), 0);
	snprintf(program, sizeof(program), "%s/edgeferry-worker", rig.dir);
}

static void teardown(void)
{
	sd_event_unref(event);
	unlink(program);
	rig_close(&rig);
}

static void start(unsigned silence_max_s)
{
	const struct worker_stage_spec spec = {
		.target = rig.target,
		.running = rig.running,
		.index = rig.index,
		.index_size = rig.index_size,
		.image_size = SIZE,
		.silence_max_s = silence_max_s,
	};
	struct worker_stage_spec full = spec;
	const struct worker_callbacks cb = {
		.need = on_need, .progress = on_progress, .done = on_done};
	struct error e = {0};

	memcpy(full.index_sha256, rig.job.index_sha256, 32);
	memcpy(full.image_sha256, rig.job.image_sha256, 32);
	setenv("EDGEFERRY_LIBEXEC", rig.dir, 1);
	ck_assert_msg(!worker_stage(&worker, event, &full, &cb, &e), "%s", e.detail);
}

static void use_script(const char *text)
{
	FILE *f = fopen(program, "w");

	fputs(text, f);
	fclose(f);
	chmod(program, 0755);
}

static void use_real(void)
{
	ck_assert_int_eq(symlink(getenv("WORKER"), program), 0);
}

static void run_until_done(unsigned seconds)
{
	uint64_t end = now_monotonic_us() + seconds * USEC_PER_SEC;

	while (n_done == 0 && now_monotonic_us() < end)
		sd_event_run(event, 50000);
}

/* Frees; nothing is left of the child. */
static void is_gone(unsigned seconds)
{
	pid_t pid = worker_pid(worker);
	uint64_t begin = now_monotonic_us();

	worker_free(worker);
	ck_assert_uint_le(now_monotonic_us() - begin, seconds * USEC_PER_SEC);
	if (pid > 0)
		ck_assert_int_eq(kill(pid, 0), -1);
}

/* Stopped, it says no more than one that waits for a device, and does not hear SIGTERM. */
START_TEST(test_hangs)
{
	use_real();
	start(1);
	while (n_needs == 0)
		sd_event_run(event, 50000);
	kill(worker_pid(worker), SIGSTOP);
	run_until_done(20);
	ck_assert_uint_eq(n_done, 1);
	ck_assert_int_eq(outcome.reason, EF_REASON_SLOT_WRITE);
	ck_assert_str_eq(outcome.detail, "the worker has not moved for 1 s");
	is_gone(10);
	ck_assert_uint_eq(n_done, 1);
}
END_TEST

START_TEST(test_hangs_from_the_start)
{
	use_script("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n");
	start(1);
	run_until_done(20);
	ck_assert_int_eq(outcome.reason, EF_REASON_SLOT_WRITE);
	is_gone(10);
}
END_TEST

/* Whoever waits for the network says so. */
START_TEST(test_waits)
{
	use_real();
	start(3);
	run_until_done(5);
	ck_assert_uint_eq(n_done, 0);
	ck_assert_uint_eq(n_needs, 1);
	ck_assert_uint_ge(n_progress, 2);
	is_gone(10);
	ck_assert_uint_eq(n_done, 0);
}
END_TEST

START_TEST(test_dies)
{
	use_script("#!/bin/sh\nsleep 0.3; kill -9 $$\n");
	start(60);
	run_until_done(20);
	ck_assert_int_eq(outcome.reason, EF_REASON_IO);
	ck_assert_str_eq(outcome.detail, "the worker ended by signal 9");
	is_gone(10);
}
END_TEST

/* F-26: one whose words are lost is not waited for until it is taken to hang. */
START_TEST(test_is_not_understood)
{
	use_script("#!/bin/sh\nprintf x >&3\nexec sleep 30\n");
	start(60);
	run_until_done(20);
	ck_assert_int_eq(outcome.reason, EF_REASON_IO);
	ck_assert_ptr_nonnull(strstr(outcome.detail, "not understood"));
	is_gone(10);
	ck_assert_uint_eq(n_done, 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker/client");
	TCase *t = tcase_create("client");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_hangs);
	tcase_add_test(t, test_hangs_from_the_start);
	tcase_add_test(t, test_waits);
	tcase_add_test(t, test_dies);
	tcase_add_test(t, test_is_not_understood);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
