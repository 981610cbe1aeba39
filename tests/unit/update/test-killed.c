/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wherever the engine is killed, or the power goes, it ends where it would have ended, or with
 * everything back (F-01, F-02, F-25, I-1, I-2, I-5, I-8).
 */
#include "../unit.h"
#include "run.h"
#include <string.h>
#include <unistd.h>

static uint64_t length_of_a_run(void)
{
	install("2.0.0");
	world_run(w, 0, false);
	return w->iterations;
}

START_TEST(killed_anywhere_it_still_gets_there) /* F-25 */
{
	uint64_t length = length_of_a_run();

	ck_assert_uint_gt(length, 30);
	for (uint64_t at = 1; at < length; at++) {
		char what[64];
		world_free(w);
		setup();
		install("2.0.0");
		world_run(w, at, false);
		snprintf(what, sizeof(what), "killed at %llu of %llu", (unsigned long long)at,
			(unsigned long long)length);
		struct error why;
		ck_assert_msg(world_outcome(w, &why) == DEPLOYMENT_CONFIRMED, "%s: %s: %s", what,
			reason_word(why.reason), why.detail);
		fleet_runs("2.0.0", what);
		struct story s = story();
		ck_assert_msg(strcmp(s.text, CONFIRMED_STORY) == 0, "%s: %s", what, s.text);
		for (size_t i = 0; i < WORLD_NODES; i++)
			ck_assert_uint_eq(w->nodes[i].uploads, 1); /* found staged */
	}
}
END_TEST

/* Without any network, found again by its path after the core ended (S-37, F-36). */
START_TEST(killed_anywhere_a_bundle_still_gets_there)
{
	install_bundle();
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "bundle");
	uint64_t length = w->iterations;
	for (uint64_t at = 1; at < length; at++) {
		char what[64];
		struct error why;
		world_free(w);
		setup();
		install_bundle();
		world_run(w, at, false);
		snprintf(what, sizeof(what), "killed at %llu of %llu", (unsigned long long)at,
			(unsigned long long)length);
		ck_assert_msg(world_outcome(w, &why) == DEPLOYMENT_CONFIRMED, "%s: %s: %s", what,
			reason_word(why.reason), why.detail);
		fleet_runs("2.0.0", what);
		ck_assert_str_eq(story().text, CONFIRMED_STORY);
	}
}
END_TEST

START_TEST(a_bundle_that_is_gone_after_a_restart)
{
	char path[256];

	install_bundle();
	snprintf(path, sizeof(path), "%s/demo.ferry", w->dir);
	ck_assert_int_eq(unlink(path), 0);
	world_kill(w);
	world_start(w);
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_NOT_FOUND);
	fleet_runs("1.0.0", "no bundle");
}
END_TEST

START_TEST(power_cut_anywhere_ends_old_or_new) /* F-01, F-02, I-1, I-2 */
{
	uint64_t length = length_of_a_run();
	unsigned ended_new = 0, ended_old = 0;

	for (uint64_t at = 1; at < length; at++) {
		char what[64];
		struct error why;
		world_free(w);
		setup();
		install("2.0.0");
		world_run(w, at, true);
		snprintf(what, sizeof(what), "power cut at %llu of %llu", (unsigned long long)at,
			(unsigned long long)length);
		enum deployment_state end = world_outcome(w, &why);
		struct story s = story();
		ck_assert_msg(s.ends == 1, "%s: %s", what, s.text);
		ck_assert_msg(end == DEPLOYMENT_CONFIRMED || end == DEPLOYMENT_REVERTED,
			"%s: %s: %s", what, deployment_state_word(end), why.detail);
		fleet_runs(end == DEPLOYMENT_CONFIRMED ? "2.0.0" : "1.0.0", what);
		if (end == DEPLOYMENT_CONFIRMED)
			ended_new++;
		else
			ended_old++;
		/* and the next one works */
		if (end == DEPLOYMENT_REVERTED) {
			install("2.0.0");
			world_run(w, 0, false);
			ends(DEPLOYMENT_CONFIRMED);
			fleet_runs("2.0.0", what);
		}
	}
	ck_assert_uint_gt(ended_new, 0);
	ck_assert_uint_gt(ended_old, 0);
}
END_TEST

START_TEST(killed_anywhere_on_the_way_back) /* I-5 */
{
	world_script(w, "10-fail", "echo no good; exit 1");
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_REVERTED);
	uint64_t length = w->iterations;
	for (int cut = 0; cut < 2; cut++)
		for (uint64_t at = 1; at < length; at++) {
			char what[64];
			world_free(w);
			setup();
			world_script(w, "10-fail", "echo no good; exit 1");
			install("2.0.0");
			world_run(w, at, cut);
			snprintf(what, sizeof(what), "%s at %llu of %llu", cut ? "cut" : "killed",
				(unsigned long long)at, (unsigned long long)length);
			struct error why;
			ck_assert_msg(world_outcome(w, &why) == DEPLOYMENT_REVERTED, "%s", what);
			fleet_runs("1.0.0", what);
			ck_assert_msg(story().ends == 1, "%s: %s", what, story().text);
		}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/killed");
	TCase *t = tcase_create("killed");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, killed_anywhere_it_still_gets_there);
	tcase_add_test(t, killed_anywhere_a_bundle_still_gets_there);
	tcase_add_test(t, a_bundle_that_is_gone_after_a_restart);
	tcase_add_test(t, power_cut_anywhere_ends_old_or_new);
	tcase_add_test(t, killed_anywhere_on_the_way_back);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
