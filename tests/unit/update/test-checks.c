/* SPDX-License-Identifier: Apache-2.0 */
/* The site's own checks: S-26, S-20, F-24. */
#include "../unit.h"
#include "update/checks.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static sd_event *event;
static struct checks *checks;
static struct error result;
static char names[256];
static int done_calls;

static void setup(void)
{
	strcpy(dir, "/tmp/ef-checks-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ck_assert_int_ge(sd_event_new(&event), 0);
	names[0] = 0;
	done_calls = 0;
	error_clear(&result);
}

static void teardown(void)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
			unlinkat(dirfd(d), entry->d_name, 0);
	if (d)
		closedir(d);
	rmdir(dir);
	sd_event_unref(event);
}

static void script(const char *name, const char *body, mode_t mode)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	ck_assert_int_ge(fd, 0);
	dprintf(fd, "#!/bin/sh\n%s\n", body);
	close(fd);
}

static void each(void *ctx, const char *name, const struct error *e)
{
	strcat(names, name);
	strcat(names, e->reason ? "- " : "+ ");
}

static void done(void *ctx, const struct error *e)
{
	done_calls++;
	result = *e;
	sd_event_exit(event, 0);
}

static void run(const char *where, uint64_t wait_us)
{
	static const char *const env[] = {"EDGEFERRY_RELEASE=2.0.0", NULL};
	const struct checks_spec spec = {.dir = where,
		.env = env,
		.deadline_us = now_monotonic_us() + wait_us,
		.each = each,
		.done = done};
	struct error e = {0};

	ck_assert_int_eq(checks_start(&checks, event, &spec, &e), EF_REASON_OK);
	ck_assert_int_eq(done_calls, 0);
	ck_assert_int_ge(sd_event_loop(event), 0);
	ck_assert_int_eq(done_calls, 1);
	checks_free(checks);
}

START_TEST(all_pass_in_order)
{
	script("20-b", "exit 0", 0700);
	script("10-a", "exit 0", 0700);
	script("30-off", "exit 1", 0600);
	script(".hidden", "exit 1", 0700);
	script("40-old~", "exit 1", 0700);
	run(dir, 5000000);
	ck_assert_int_eq(result.reason, EF_REASON_OK);
	ck_assert_str_eq(names, "10-a+ 20-b+ ");
}
END_TEST

START_TEST(a_failure_names_check_and_last_line)
{
	script("10-a", "echo first; echo 'the pump is off' >&2; echo; exit 3", 0700);
	script("20-b", "exit 0", 0700);
	run(dir, 5000000);
	ck_assert_int_eq(result.reason, EF_REASON_CHECK_FAILED);
	ck_assert_str_eq(result.detail, "10-a: status 3: the pump is off");
	ck_assert_str_eq(names, "10-a- ");
}
END_TEST

START_TEST(hostile_output_is_cut_and_cleaned) /* S-35 */
{
	script("10-a",
		"printf '\\033[2Jx'; i=0; while [ $i -lt 2000 ]; do printf "
		"'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy';"
		" i=$((i+1)); done; exit 1",
		0700);
	run(dir, 10000000);
	ck_assert_int_eq(result.reason, EF_REASON_CHECK_FAILED);
	ck_assert_ptr_null(strchr(result.detail, 033));
	ck_assert_uint_lt(strlen(result.detail), sizeof(result.detail));
}
END_TEST

START_TEST(environment_is_clean) /* S-26 */
{
	setenv("SECRET", "x", 1);
	script("10-a",
		"test -z \"$SECRET\" && test \"$EDGEFERRY_RELEASE\" = 2.0.0 && test -n \"$PATH\"",
		0700);
	run(dir, 5000000);
	ck_assert_int_eq(result.reason, EF_REASON_OK);
}
END_TEST

START_TEST(a_check_that_hangs_ends) /* S-20 */
{
	uint64_t before = now_monotonic_us();

	script("10-a", "echo waiting; exec sleep 60", 0700);
	run(dir, 300000);
	ck_assert_int_eq(result.reason, EF_REASON_CHECK_FAILED);
	ck_assert_str_eq(result.detail, "10-a did not end in time: waiting");
	ck_assert_uint_lt(now_monotonic_us() - before, 5000000);
}
END_TEST

START_TEST(a_signal_and_no_interpreter)
{
	script("10-a", "kill -9 $$", 0700);
	run(dir, 5000000);
	ck_assert_int_eq(result.reason, EF_REASON_CHECK_FAILED);
	ck_assert_str_eq(result.detail, "10-a ended by signal 9");
	teardown();
	setup();
	char path[160];
	snprintf(path, sizeof(path), "%s/10-a", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	dprintf(fd, "#!/nonexistent/interpreter\n");
	close(fd);
	run(dir, 5000000);
	ck_assert_int_eq(result.reason, EF_REASON_CHECK_FAILED);
	ck_assert_ptr_nonnull(strstr(result.detail, "10-a cannot be started"));
}
END_TEST

START_TEST(no_directory_no_checks)
{
	run("/nonexistent/checks.d", 5000000);
	ck_assert_int_eq(result.reason, EF_REASON_OK);
	done_calls = 0;
	sd_event_unref(event);
	ck_assert_int_ge(sd_event_new(&event), 0);
	run(NULL, 5000000);
	ck_assert_int_eq(result.reason, EF_REASON_OK);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/checks");
	TCase *t = tcase_create("checks");

	tcase_set_timeout(t, 20);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, all_pass_in_order);
	tcase_add_test(t, a_failure_names_check_and_last_line);
	tcase_add_test(t, hostile_output_is_cut_and_cleaned);
	tcase_add_test(t, environment_is_clean);
	tcase_add_test(t, a_check_that_hangs_ends);
	tcase_add_test(t, a_signal_and_no_interpreter);
	tcase_add_test(t, no_directory_no_checks);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
