/* SPDX-License-Identifier: Apache-2.0 */
/* Patches made by the worker: right, within its limits, or not at all. */
#include "../unit.h"
#include "patch/patch.h"
#include "rig.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include "wire/le.h"
#include "worker/client.h"
#include "worker/patch-job.h"
#include <libgen.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define SMALL ((size_t)40 << 10)
#define LARGE ((size_t)3 << 20) /* takes many seconds */
#define ALL 7u			/* models */

static sd_event *event;
static struct worker *worker;
static struct error outcome;
static unsigned n_done;
static uint8_t *old, *new;

static void on_done(void *ctx, const struct error *e)
{
	n_done++;
	outcome = *e;
}

static void setup(void)
{
	_cleanup_free_ char *program = strdup(getenv("WORKER"));
	sigset_t set;

	setenv("EDGEFERRY_LIBEXEC", dirname(program), 1);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	n_done = 0;
	ck_assert_int_ge(sd_event_new(&event), 0);
}

static void teardown(void)
{
	worker_free(worker);
	sd_event_unref(event);
	free(old);
	free(new);
}

/* The new image is the old one with a piece put in and a word changed here and there. */
static void images(size_t size)
{
	old = rig_noise(size, 7);
	new = malloc(size);
	memcpy(new, old, size / 2);
	memcpy(new + size / 2, "inserted", 8);
	memcpy(new + size / 2 + 8, old + size / 2, size / 2 - 8);
	for (size_t at = 0; at + 4 <= size; at += 4096)
		le32_put(new + at, (uint32_t)at);
}

static void start(size_t size, uint32_t models)
{
	const struct worker_patch_spec spec = {
		.old = old, .new = new, .old_size = size, .new_size = size, .models = models};
	const struct worker_callbacks cb = {.done = on_done};
	struct error e = {0};

	ck_assert_msg(!worker_patch(&worker, event, &spec, &cb, &e), "%s", e.detail);
}

static void run_until_done(unsigned seconds)
{
	uint64_t end = now_monotonic_us() + seconds * USEC_PER_SEC;

	while (n_done == 0 && now_monotonic_us() < end)
		sd_event_run(event, 50000);
	ck_assert_uint_eq(n_done, 1);
}

static size_t made(size_t size, uint8_t *model)
{
	const struct patch_image from = {old, (uint32_t)size};
	_cleanup_free_ uint8_t *patch = NULL, *result = NULL;
	struct ef_patch_header h;
	struct error e = {0};
	uint32_t result_size;
	size_t n;

	ck_assert_msg(outcome.reason == EF_REASON_OK, "%s", outcome.detail);
	ck_assert_msg(!worker_take_patch(worker, &patch, &n, &e), "%s", e.detail);
	ck_assert(!patch_apply(&from, patch, n, &h, &result, &result_size));
	ck_assert_uint_eq(result_size, size);
	ck_assert_int_eq(memcmp(result, new, size), 0);
	*model = h.model;
	return n;
}

START_TEST(test_made)
{
	uint8_t model;

	images(SMALL);
	start(SMALL, ALL);
	run_until_done(30);
	ck_assert_uint_lt(made(SMALL, &model), SMALL / 20);
}
END_TEST

/* A node gets no patch of a model that it has not got. */
START_TEST(test_models)
{
	static const uint32_t masks[] = {1, 2, 3, 4, 5};
	static const uint8_t wanted[] = {0, 1, 1, 2, 2};
	uint8_t model;

	images(SMALL);
	start(SMALL, masks[_i]);
	run_until_done(30);
	made(SMALL, &model);
	ck_assert_uint_eq(model, wanted[_i]);
}
END_TEST

START_TEST(test_no_model)
{
	images(SMALL);
	start(SMALL, 8);
	run_until_done(30);
	ck_assert_int_eq(outcome.reason, EF_REASON_NOT_COMPATIBLE);
}
END_TEST

/* A tighter one than the worker's own, which it keeps: its own takes too long for a test. */
static void limit(int resource, rlim_t most)
{
	const struct rlimit l = {most, most + 10};

	ck_assert_int_eq(setrlimit((__rlimit_resource_t)resource, &l), 0);
}

#ifndef __SANITIZE_ADDRESS__ /* the limit is not set then */
START_TEST(test_memory)
{
	images(LARGE);
	limit(RLIMIT_DATA, 32 << 20);
	start(LARGE, ALL);
	run_until_done(60);
	ck_assert_int_eq(outcome.reason, EF_REASON_NO_MEMORY);
}
END_TEST
#endif

START_TEST(test_time)
{
	images(LARGE);
	limit(RLIMIT_CPU, 1);
	start(LARGE, ALL);
	run_until_done(60);
	ck_assert_int_eq(outcome.reason, EF_REASON_TIMEOUT);
	ck_assert_str_eq(outcome.detail, "making the patch takes longer than 30 s");
}
END_TEST

static void wait_ms(unsigned ms)
{
	uint64_t end = now_monotonic_us() + ms * 1000;

	while (now_monotonic_us() < end)
		sd_event_run(event, 1000);
}

START_TEST(test_killed)
{
	images(LARGE);
	start(LARGE, ALL);
	wait_ms(200);
	kill(worker_pid(worker), SIGKILL);
	run_until_done(10);
	ck_assert_int_eq(outcome.reason, EF_REASON_IO);
	ck_assert_str_eq(outcome.detail, "the worker ended by signal 9");
}
END_TEST

/* The core's loop waits for its end: that must not last. */
START_TEST(test_called_off)
{
	images(LARGE);
	start(LARGE, ALL);
	wait_ms(500);
	ck_assert_uint_eq(n_done, 0);
	uint64_t begin = now_monotonic_us();
	worker_free(TAKE_PTR(worker));
	ck_assert_uint_lt(now_monotonic_us() - begin, 1500000);
	wait_ms(50);
	ck_assert_uint_eq(n_done, 0);
}
END_TEST

/* --- the worker's end --- */

static enum ef_reason run_job(const struct job_patch *j, size_t size, const char *bytes)
{
	_cleanup_free_ struct job_message *m = calloc(1, sizeof(*m));
	struct error e = {0};

	m->type = JOB_PATCH;
	m->size = size;
	memcpy(m->payload, j, sizeof(*j));
	m->fd = bytes ? memfd_create("images", 0) : -1;
	if (bytes)
		ck_assert_int_eq(write(m->fd, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
	patch_run(m, &e);
	ef_close(m->fd);
	return e.reason;
}

START_TEST(test_malformed)
{
	const struct job_patch good = {.old_size = 4, .new_size = 4, .models = 1},
			       cut = {.old_size = 4, .new_size = 5, .models = 1},
			       huge = {.old_size = 4, .new_size = PATCH_INPUT_MAX + 1},
			       wraps = {.old_size = UINT32_MAX, .new_size = 5};

	ck_assert_int_eq(run_job(&good, sizeof(good), "12345678"), EF_REASON_OK);
	ck_assert_int_eq(run_job(&good, sizeof(good) - 1, "12345678"), EF_REASON_USAGE);
	ck_assert_int_eq(run_job(&good, sizeof(good), NULL), EF_REASON_USAGE);
	ck_assert_int_eq(run_job(&cut, sizeof(cut), "12345678"), EF_REASON_BAD_SIZE);
	ck_assert_int_eq(run_job(&huge, sizeof(huge), "12345678"), EF_REASON_TOO_LARGE);
	ck_assert_int_eq(run_job(&wraps, sizeof(wraps), "12345678"), EF_REASON_TOO_LARGE);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker/patch");
	TCase *t = tcase_create("patch");

	tcase_set_timeout(t, 90);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_made);
	tcase_add_loop_test(t, test_models, 0, 5);
	tcase_add_test(t, test_no_model);
#ifndef __SANITIZE_ADDRESS__
	tcase_add_test(t, test_memory);
#endif
	tcase_add_test(t, test_time);
	tcase_add_test(t, test_killed);
	tcase_add_test(t, test_called_off);
	tcase_add_test(t, test_malformed);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
