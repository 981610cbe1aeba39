/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks and freshness (S-18 to S-21, F-13, F-36): whole deployments with real metadata and a clock
 * in the test's hands. The publisher's documents expire on 2030-01-01; the world begins in 2027.
 */
#include "../trust/repo.h"
#include "../unit.h"
#include "world.h"
#include <string.h>

#define YEAR (365 * 86400LL + 21600)
#define IN_1970 100
#define IN_2106 4294967295LL

static struct world *w;

static void setup(void)
{
	w = world_new();
	world_repo_new(w);
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_start(w);
}

static void teardown(void)
{
	world_repo_free(w);
	world_free(w);
}

static void install(void)
{
	struct error e = {0};
	uint64_t id;

	ck_assert_msg(update_install(w->update, "", &id, &e) == EF_REASON_OK, "%s", e.detail);
}

static void install_bundle(void)
{
	struct error e = {0};
	uint64_t id;

	ck_assert_msg(update_install_bundle(w->update, world_bundle(w), "demo.ferry", &id, &e) ==
			      EF_REASON_OK,
		"%s", e.detail);
}

static struct error ends(enum deployment_state state)
{
	struct error why;

	world_run(w, 0, false);
	enum deployment_state got = world_outcome(w, &why);
	ck_assert_msg(got == state, "%s, not %s: %s: %s", deployment_state_word(got),
		deployment_state_word(state), reason_word(why.reason), why.detail);
	return why;
}

static void nothing_touched(void)
{
	ck_assert_uint_eq(w->worker_jobs, 0);
	ck_assert_uint_eq(w->nodes[0].uploads + w->nodes[1].uploads, 0);
	ck_assert_uint_eq(w->nodes[0].erases + w->nodes[1].erases, 0);
}

static void restart(void)
{
	world_kill(w);
	world_start(w);
}

/* A board without a clock: 1970, or anywhere; nobody has set it. */
START_TEST(a_clock_that_nobody_set) /* S-19 */
{
	w->clock = _i ? IN_2106 : IN_1970;
	w->unsynchronised = true;
	restart();
	ck_assert_int_gt(update_now(w->update), 1790000000);
	ck_assert_int_lt(update_now(w->update), 1893456000); /* 2030 */
	install();
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_str_eq(update_state_word(w->update), "idle");
}
END_TEST

/* What was known before a restart is known after it, whatever the clock says then. */
START_TEST(time_never_moves_back) /* S-19 */
{
	int64_t before = w->clock;

	install();
	ends(DEPLOYMENT_CONFIRMED);
	w->clock = IN_1970;
	w->unsynchronised = true;
	restart();
	ck_assert_int_ge(update_now(w->update), before);
	w->unsynchronised = false; /* a time server that lies */
	restart();
	ck_assert_int_ge(update_now(w->update), before);
	/* records say so too: nothing happened in 1970 */
	ck_assert_int_ge(update_stamp(w->update), before);
	/* what was kept cannot be read: updating ends, it does not begin from nothing (S-14) */
	char path[256];
	struct update_env env = w->update->env;
	struct update *u = NULL;
	struct error e = {0};
	world_kill(w);
	snprintf(path, sizeof(path), "%s/state/trust/%s", w->dir, TIME_FLOOR_FILE);
	ck_assert_int_eq(truncate(path, _i), 0);
	ck_assert_int_eq(update_new(&u, &env, &e), EF_REASON_STATE_UNREADABLE);
	ck_assert_int_eq(unlink(path), 0);
	error_clear(&e);
	ck_assert_int_eq(update_new(&u, &env, &e), EF_REASON_STATE_UNREADABLE);
}
END_TEST

/* In mid-install the clock jumps at every turn of the loop, trusted or not. */
START_TEST(a_clock_that_jumps_in_mid_install) /* S-19, S-20, F-13 */
{
	static const int64_t clocks[] = {IN_2106, IN_1970, 1800000000, 0, INT64_MAX, -1};

	install();
	while (w->update->current && w->update->current->state == DEPLOYMENT_OFFERED)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	for (size_t i = 0; w->update->current || w->rebooting; i++) {
		ck_assert_uint_lt(i, 20000);
		w->clock = clocks[i % 6];
		w->unsynchronised = i % 4 < 2;
		if (w->rebooting) {
			world_kill(w);
			world_reboot(w);
			world_start(w);
		}
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	}
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

/* A false time server holds updates up as long as it lies, and no longer. */
START_TEST(a_time_server_that_lies) /* S-18, S-19 */
{
	w->clock = IN_2106;
	install();
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_EXPIRED);
	nothing_touched();
	w->clock = 1800000000;
	install();
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

static void on_checked(void *ctx, const char *version, const struct error *e)
{
	*(struct error *)ctx = *e;
	((struct error *)ctx)->detail[sizeof(e->detail) - 1] = 1; /* done */
}

static enum ef_reason check_now(void)
{
	struct error got = {0}, e = {0};

	ck_assert_int_eq(update_check(w->update, on_checked, &got, &e), EF_REASON_OK);
	while (got.detail[sizeof(got.detail) - 1] == 0)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	return got.reason;
}

/* The server says again what it said yesterday. */
START_TEST(a_frozen_server) /* S-21 */
{
	repo_expire(w->repo, "timestamp", "2027-01-20T00:00:00Z");
	world_repo_sign(w);
	ck_assert_int_eq(check_now(), EF_REASON_OK);
	ck_assert_str_eq(update_state_word(w->update), "idle");
	w->clock += 30 * 86400;
	ck_assert_str_eq(update_state_word(w->update), "stale"); /* without asking */
	if (_i)
		restart();
	ck_assert_str_eq(update_state_word(w->update), "stale");
	ck_assert_int_eq(check_now(), EF_REASON_EXPIRED);
	install();
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_EXPIRED);
	nothing_touched();
	ck_assert_str_eq(update_state_word(w->update), "stale");
	/* and when the publisher is back */
	repo_expire(w->repo, "timestamp", "2027-04-01T00:00:00Z");
	world_repo_sign(w);
	install();
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_str_eq(update_state_word(w->update), "idle");
}
END_TEST

/* A gateway that never heard of the source is not stale; one whose first word is too old is. */
START_TEST(stale_from_the_start) /* S-21 */
{
	ck_assert_str_eq(update_state_word(w->update), "idle");
	repo_expire(w->repo, "timestamp", "2026-12-31T00:00:00Z");
	world_repo_sign(w);
	install();
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_EXPIRED);
	nothing_touched();
	ck_assert_str_eq(update_state_word(w->update), "stale");
	/* a network that is away is something else */
	w->server_down = true;
	restart();
	check_now();
	ck_assert_str_eq(update_state_word(w->update), "idle");
}
END_TEST

/* Years later: everything that the device has is long expired, the server is gone. A bundle of
 * that day, with the root's new versions in it, is all it takes. */
START_TEST(years_later) /* S-18, F-36 */
{
	int years = _i % 2 ? 30 : 15;
	char when[32];

	install();
	ends(DEPLOYMENT_CONFIRMED);
	w->server_down = true;
	w->clock += years * YEAR;
	restart();
	/* what it has keeps running and says so */
	ck_assert_str_eq(update_state_word(w->update), "stale");
	install_bundle(); /* of today's metadata: expired */
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_EXPIRED);
	for (int y = 2028; y <= 2027 + years; y++) { /* a root a year */
		static const char *const roles[] = {"root", "targets", "releases", "timestamp"};
		snprintf(when, sizeof(when), "%d-06-01T00:00:00Z", y + 1);
		for (size_t i = 0; i < 4; i++)
			repo_expire(w->repo, roles[i], when);
		repo_bump(w->repo, "root");
	}
	if (_i < 2) /* as it was carried there, while a clock is right or nobody knows it */
		w->unsynchronised = true;
	world_publish(w, &(struct world_release){.version = "3.0.0", .sequence = 3});
	install_bundle();
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_str_eq(update_release(w->update), "3.0.0");
	ck_assert_uint_eq(tuf_version(w->update->tuf, "root"), (unsigned)years + 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/clock");
	TCase *t = tcase_create("clock");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, a_clock_that_nobody_set, 0, 2);
	tcase_add_loop_test(t, time_never_moves_back, 0, 2);
	tcase_add_test(t, a_clock_that_jumps_in_mid_install);
	tcase_add_test(t, a_time_server_that_lies);
	tcase_add_loop_test(t, a_frozen_server, 0, 2);
	tcase_add_test(t, stale_from_the_start);
	tcase_add_loop_test(t, years_later, 0, 4);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
