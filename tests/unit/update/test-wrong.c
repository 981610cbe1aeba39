/* SPDX-License-Identifier: Apache-2.0 */
/* What goes wrong on the way: what is ridden out, and what takes everything back. */
#include "../unit.h"
#include "net/fetch.h"
#include "run.h"
#include <string.h>

START_TEST(a_failing_check_takes_everything_back)
{
	world_script(w, "10-fail", "echo the pump is off; exit 1");
	install("2.0.0");
	world_run(w, 0, false);
	struct error why = ends(DEPLOYMENT_REVERTED);
	ck_assert_int_eq(why.reason, EF_REASON_CHECK_FAILED);
	ck_assert_str_eq(why.detail, "10-fail: status 1: the pump is off");
	fleet_runs("1.0.0", "check");
	ck_assert_str_eq(update_release(w->update), "");
	ck_assert_str_eq(
		story().text, "offered fetching staged activating trial reverting reverted ");
	ck_assert_int_eq(world_boot(w).mark[SLOT_B], SLOT_BAD);
}
END_TEST

START_TEST(checks_that_do_not_end) /* S-20 */
{
	w->config.check_us = 700000;
	world_script(w, "10-wait", "exec sleep 20");
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_CHECK_FAILED);
	fleet_runs("1.0.0", "deadline");
}
END_TEST

START_TEST(a_slot_that_does_not_boot) /* F-23 */
{
	w->slot_unbootable[SLOT_B] = true;
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_TRIAL_NOT_BOOTED);
	fleet_runs("1.0.0", "unbootable");
}
END_TEST

START_TEST(a_node_that_goes_back_at_once)
{
	w->nodes[1].bad_start = true;
	install("2.0.0");
	world_run(w, 0, false);
	struct error why = ends(DEPLOYMENT_REVERTED);
	ck_assert_int_eq(why.reason, EF_REASON_NODE_REVERTED);
	ck_assert_ptr_nonnull(strstr(why.detail, reason_text(EF_REASON_NOT_CONFIRMED)));
	ck_assert_ptr_nonnull(strstr(why.detail, "sensor-1"));
	fleet_runs("1.0.0", "node");
}
END_TEST

START_TEST(a_node_that_goes_back_in_the_trial) /* E-05 */
{
	w->nodes[0].back_in_trial = true;
	w->nodes[0].back_after = 1;
	install("2.0.0");
	world_run(w, 0, false);
	struct error why = ends(DEPLOYMENT_REVERTED);
	ck_assert_int_eq(why.reason, EF_REASON_NODE_REVERTED);
	ck_assert_ptr_nonnull(strstr(why.detail, reason_text(EF_REASON_NOT_CONFIRMED)));
	fleet_runs("1.0.0", "node");
}
END_TEST

START_TEST(a_self_test_that_fails)
{
	w->nodes[0].bad_self_test = true;
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_SELF_TEST);
	fleet_runs("1.0.0", "self-test");
	ck_assert(gateway_runs("1.0.0"));
}
END_TEST

START_TEST(what_went_back_is_not_offered_again)
{
	size_t n;

	ck_assert_str_eq(check_now().version, "2.0.0");
	w->nodes[0].bad_self_test = true;
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_REVERTED);
	ck_assert_str_eq(check_now().version, "");
	const struct known_release *k = update_known(w->update, &n);
	ck_assert_uint_eq(n, 2);
	ck_assert_str_eq(k[0].version, "2.0.0");
	ck_assert_int_eq(k[0].error.reason, EF_REASON_SELF_TEST);
	/* by hand it may be tried again; and when it works, that is forgotten */
	w->nodes[0].bad_self_test = false;
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_str_eq(check_now().version, "");
	k = update_known(w->update, &n);
	ck_assert(k[0].installed);
	ck_assert_int_eq(k[0].error.reason, EF_REASON_OK);
	ck_assert_int_eq(k[1].error.reason, EF_REASON_DOWNGRADE);
}
END_TEST

START_TEST(an_absent_node_is_waited_for_then_named) /* F-17 */
{
	w->nodes[1].unreachable = true;
	install("2.0.0");
	world_run(w, 0, false);
	struct error why = ends(DEPLOYMENT_FAILED);
	ck_assert_int_eq(why.reason, EF_REASON_NODE_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(why.detail, "sensor-1"));
	ck_assert_uint_eq(w->worker_jobs, 0);
	/* an optional one is left out, and the rest is updated */
	w->config_nodes[1].required = false;
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(0, "2.0.0") && node_has(1, "1.0.0") && gateway_runs("2.0.0"));
}
END_TEST

START_TEST(transient_faults_are_ridden_out)
{
	w->fetch_errors = 2;
	w->worker_deaths = 2;
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "faults");
}
END_TEST

static int find_note(void *ctx, const struct event *ev)
{
	if (strcmp(ev->word, "component") == 0 && strcmp(ev->component, "rootfs") == 0 &&
		strcmp(ev->to, "staged") == 0) {
		ck_assert_int_eq(ev->error.reason, EF_REASON_OK);
		ck_assert_str_eq(ev->error.detail, the_world->fetch_note);
		++*(unsigned *)ctx;
	}
	return 0;
}

/* Why so much was fetched. */
START_TEST(a_server_without_ranges_is_noted)
{
	unsigned found = 0;

	w->fetch_note = FETCH_WHOLE_NOTE;
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_int_eq(update_history(w->update, 0, find_note, &found), 0);
	ck_assert_uint_eq(found, 1);
}
END_TEST

START_TEST(a_server_that_stays_away)
{
	w->server_down = true;
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_FAILED).reason, EF_REASON_NET_UNREACHABLE);
	fleet_runs("1.0.0", "server");
}
END_TEST

START_TEST(a_definite_slot_error_ends_it)
{
	w->worker_error = EF_REASON_SLOT_READ_BACK;
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_FAILED).reason, EF_REASON_SLOT_READ_BACK);
	ck_assert_uint_eq(w->worker_jobs, 1);
	ck_assert_int_eq(world_boot(w).mark[SLOT_B], SLOT_BAD);
	fleet_runs("1.0.0", "slot");
}
END_TEST

START_TEST(the_server_must_be_reachable_after_as_before) /* F-24 */
{
	w->server_lost_after_reboot = true;
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_SERVER_LOST);
	fleet_runs("1.0.0", "server lost");
}
END_TEST

/* F-24: server and node were away before, so their absence says nothing about the release. */
START_TEST(what_was_away_before_is_not_blamed)
{
	world_publish(w, &(struct world_release){
				 .version = "3.0.0", .sequence = 3, .sensor_policy = "optional"});
	w->nodes[1].unreachable = true;
	w->config_nodes[1].required = false;
	world_kill(w);
	world_start(w);
	install_bundle(); /* the server is away now */
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(gateway_runs("3.0.0"));
	ck_assert(node_has(0, "3.0.0"));
	ck_assert(node_has(1, "1.0.0"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/wrong");
	TCase *t = tcase_create("wrong");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_failing_check_takes_everything_back);
	tcase_add_test(t, checks_that_do_not_end);
	tcase_add_test(t, a_slot_that_does_not_boot);
	tcase_add_test(t, a_node_that_goes_back_at_once);
	tcase_add_test(t, a_node_that_goes_back_in_the_trial);
	tcase_add_test(t, a_self_test_that_fails);
	tcase_add_test(t, what_went_back_is_not_offered_again);
	tcase_add_test(t, an_absent_node_is_waited_for_then_named);
	tcase_add_test(t, transient_faults_are_ridden_out);
	tcase_add_test(t, a_server_without_ranges_is_noted);
	tcase_add_test(t, a_server_that_stays_away);
	tcase_add_test(t, a_definite_slot_error_ends_it);
	tcase_add_test(t, the_server_must_be_reachable_after_as_before);
	tcase_add_test(t, what_was_away_before_is_not_blamed);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
