/* SPDX-License-Identifier: Apache-2.0 */
/* S-18 to S-20: a clock in 1970, in 2106, jumping; with the clock in the test's hands. */
#include "fixture.h"
#include "trust/time-floor.h"

#define BUILT 1690000000 /* before NOW */
#define YEAR (365 * 86400LL)
#define IN_2106 4294967295LL

static struct time_floor f;
static struct tuf_store s;
static uint64_t mono; /* microseconds */

static void start(void)
{
	s = memory_store(&store);
	error_clear(&last);
	time_floor_open(&f, &s, BUILT, mono, &last);
}

static void go(int64_t seconds)
{
	mono += (uint64_t)seconds * 1000000;
}

/* A refresh with this clock, as a gateway does it; the time that it was done at. */
static int64_t refresh_by(int64_t clock, bool synchronised)
{
	int64_t now = time_floor_now(&f, clock, synchronised, mono);
	struct error e = {0};

	if (refresh_at(now) == EF_REASON_OK)
		ck_assert_int_eq(time_floor_raise(&f, &s, now, mono, &e), EF_REASON_OK);
	return now;
}

START_TEST(test_first_boot)
{
	start();
	ck_assert_reason(last.reason, OK);
	ck_assert_int_eq(time_floor_now(&f, 0, false, mono), BUILT);
	ck_assert_int_eq(time_floor_now(&f, -5, true, mono), BUILT);
	ck_assert_int_eq(time_floor_now(&f, NOW, false, mono), BUILT);
	ck_assert_int_eq(time_floor_now(&f, IN_2106, false, mono), BUILT);
	ck_assert_int_eq(time_floor_now(&f, NOW, true, mono), NOW);
}
END_TEST

/* Without a clock time goes by all the same, so that a freeze is noticed. */
START_TEST(test_elapses)
{
	start();
	go(5000);
	ck_assert_int_eq(time_floor_now(&f, 0, false, mono), BUILT + 5000);
	ck_assert_int_eq(time_floor_now(&f, BUILT + 10, true, mono), BUILT + 5000);
	ck_assert_int_eq(time_floor_now(&f, 0, false, 0), BUILT); /* never back */
}
END_TEST

START_TEST(test_remembers)
{
	start();
	ck_assert_int_eq(refresh_by(NOW, true), NOW);
	mono = 0; /* power was cut; the clock is in 1970 again */
	start();
	ck_assert_int_eq(time_floor_now(&f, 0, false, mono), NOW);
	ck_assert_int_eq(refresh_by(0, false), NOW);
	ck_assert_reason(last.reason, OK);
}
END_TEST

/* A synchronised clock that jumps back does not take time back. */
START_TEST(test_jumps_back)
{
	start();
	refresh_by(NOW, true);
	go(10);
	ck_assert_int_eq(refresh_by(NOW - YEAR, true), NOW + 10);
	ck_assert_int_eq(refresh_by(0, true), NOW + 10);
}
END_TEST

/* A false time server: nothing is installed meanwhile, and all is well when it is gone. */
START_TEST(test_far_future)
{
	start();
	refresh_by(NOW, true);
	reopen();
	refresh_by(IN_2106, true);
	ck_assert_reason(last.reason, EXPIRED);
	mono = 0;
	start();
	ck_assert_int_eq(refresh_by(NOW + 60, true), NOW + 60);
	ck_assert_reason(last.reason, OK);
}
END_TEST

/* S-18: the clock 15 and 30 years on. Old metadata is refused; newer metadata cures it. */
START_TEST(test_years_on)
{
	int64_t now = NOW + (_i ? 30 : 15) * YEAR;

	start();
	refresh_by(NOW, true);
	refresh_by(now, true);
	ck_assert_reason(last.reason, EXPIRED);
	for (int i = 0; i < 4; i++)
		repo_expire(repo, top_roles[i], "2099-01-01T00:00:00Z");
	repo_bump(repo, "root");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_int_eq(refresh_by(now, true), now);
	ck_assert_reason(last.reason, OK);
	start();
	ck_assert_int_eq(time_floor_now(&f, 0, false, mono), now);
}
END_TEST

/* Not more than one write an hour. */
START_TEST(test_writes)
{
	struct error e = {0};

	start();
	ck_assert_int_eq(time_floor_raise(&f, &s, NOW, mono, &e), EF_REASON_OK);
	ck_assert_uint_eq(store.saves, 1);
	for (int i = 1; i < 3600; i += 60)
		ck_assert_int_eq(time_floor_raise(&f, &s, NOW + i, mono, &e), EF_REASON_OK);
	ck_assert_uint_eq(store.saves, 1);
	ck_assert_int_eq(f.floor, NOW + 3541);
	ck_assert_int_eq(time_floor_raise(&f, &s, NOW + 3600, mono, &e), EF_REASON_OK);
	ck_assert_uint_eq(store.saves, 2);
	ck_assert_int_eq(time_floor_raise(&f, &s, NOW, mono, &e), EF_REASON_OK);
	ck_assert_int_eq(f.floor, NOW + 3600);
	ck_assert_uint_eq(store.saves, 2);
}
END_TEST

/* S-25: no role, whatever its name, takes the place of what is known of time. */
START_TEST(test_role_called_time)
{
	static const char *const names[] = {"time", "%time", "%25time"};
	struct tuf_target target;

	start();
	repo_delegate(repo, "targets", names[_i], 5, PATHS("*"));
	repo_target(repo, names[_i], "file", "content");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	refresh_by(NOW, true);
	ck_assert_reason(find("file", &target), OK);
	ck_assert_uint_eq(stored_version(names[_i]), 1);
	mono = 0;
	start();
	ck_assert_reason(last.reason, OK);
	ck_assert_int_eq(time_floor_now(&f, 0, false, mono), NOW);
}
END_TEST

START_TEST(test_unreadable)
{
	static const char *const texts[] = {"", "{", "{}", "{\"floor\":-1}", "{\"floor\":1.5}",
		"[1]", "{\"floor\":1,\"more\":1}", "{\"floor\":\"1\"}",
		"{\"floor\":99999999999999999999}"};

	s = memory_store(&store);
	s.save(s.ctx, TIME_FLOOR_FILE, texts[_i], strlen(texts[_i]));
	start();
	ck_assert_reason(last.reason, STATE_UNREADABLE);
}
END_TEST

START_TEST(test_store_errors)
{
	struct error e = {0};

	start();
	store.fail_saves_after = 0;
	ck_assert_int_eq(time_floor_raise(&f, &s, NOW, mono, &e), EF_REASON_NO_SPACE);
	ck_assert_int_eq(f.floor, BUILT);
	store.load_error = -EIO;
	start();
	ck_assert_reason(last.reason, STATE_UNREADABLE);
	store.load_error = -ENOMEM;
	start();
	ck_assert_reason(last.reason, NO_MEMORY);
}
END_TEST

static Suite *suite(void)
{
	Suite *t_suite = suite_create("trust/time-floor");
	TCase *t = fixture_case("time-floor");

	tcase_add_test(t, test_first_boot);
	tcase_add_test(t, test_elapses);
	tcase_add_test(t, test_remembers);
	tcase_add_test(t, test_jumps_back);
	tcase_add_test(t, test_far_future);
	tcase_add_loop_test(t, test_years_on, 0, 2);
	tcase_add_test(t, test_writes);
	tcase_add_loop_test(t, test_role_called_time, 0, 3);
	tcase_add_loop_test(t, test_unreadable, 0, 9);
	tcase_add_test(t, test_store_errors);
	suite_add_tcase(t_suite, t);
	return t_suite;
}

UNIT_MAIN(suite())
