/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused before anything is touched, and what the daemon does not start with. */
#include "../unit.h"
#include "run.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

START_TEST(an_image_for_another_board_reaches_no_node) /* S-09, S-23, F-22 */
{
	world_publish(
		w, &(struct world_release){
			   .version = "3.0.0", .sequence = 3, .wrong_board = "nrf51-microbit"});
	install("");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_NOT_COMPATIBLE);
	ck_assert_uint_eq(w->worker_jobs, 0);
	ck_assert_uint_eq(w->nodes[0].erases + w->nodes[1].erases, 0);
	ck_assert_int_eq(world_boot(w).mark[SLOT_B], SLOT_GOOD);
	fleet_runs("1.0.0", "refused");
	/* the next good one still works */
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

START_TEST(swapped_cables) /* F-22 */
{
	struct node_identity id = w->nodes[0].id;
	memcpy(w->nodes[0].id.class_id, w->nodes[1].id.class_id, 16);
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_NODE_MISMATCH);
	ck_assert_uint_eq(w->worker_jobs, 0);
	ck_assert_uint_eq(w->nodes[0].erases + w->nodes[1].erases, 0);
	w->nodes[0].id = id;
}
END_TEST

/* F-22: seen when a node answers, not only when something is to be installed; tried again later. */
START_TEST(a_swapped_cable_is_shown_F22)
{
	struct error last;
	int64_t seen;
	bool present;

	memset(w->nodes[0].id.vendor, 0x55, sizeof(w->nodes[0].id.vendor));
	world_kill(w);
	world_start(w);
	check_now();
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_REFUSED);
	update_node(w->update, 0, &present, &seen, &last);
	ck_assert(present);
	ck_assert_int_eq(last.reason, EF_REASON_NODE_MISMATCH);
	ck_assert_str_eq(check_now().version, "2.0.0"); /* wiring is put right here */
}
END_TEST

START_TEST(a_key_that_the_node_does_not_know)
{
	w->nodes[0].reject_image = true;
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_FAILED).reason, EF_REASON_IMAGE_KEY);
	ck_assert_uint_eq(w->nodes[0].erases, 0);
	fleet_runs("1.0.0", "key");
}
END_TEST

START_TEST(a_release_signed_by_the_wrong_key)
{
	struct story s;

	w->trust_error = EF_REASON_BAD_SIGNATURE;
	install("");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_BAD_SIGNATURE);
	fleet_runs("1.0.0", "signature");
	/* found while looking: one event, however often it is looked at */
	for (int i = 0; i < 3; i++) {
		struct checked c = check_now();
		ck_assert_int_eq(c.error.reason, EF_REASON_BAD_SIGNATURE);
		ck_assert_str_eq(c.version, "");
	}
	s = story();
	ck_assert_str_eq(s.text, "offered refused  ");
}
END_TEST

/* S-14: state that is not mounted, where only the slot's own folder is, is no first start. */
START_TEST(state_in_the_running_slot_is_refused)
{
	struct update_env env = w->update->env;
	struct stat root, state;
	struct update *u = NULL;
	struct error e = {0};
	char boot[] = "grub";

	world_kill(w);
	char *before = w->config.boot;
	w->config.boot = boot;
	ck_assert_int_eq(stat("/", &root), 0);
	ck_assert_int_eq(stat(w->config.state_dir, &state), 0);
	enum ef_reason r = update_new(&u, &env, &e);
	ck_assert_int_eq(r, root.st_dev == state.st_dev ? EF_REASON_CONFIG : EF_REASON_OK);
	if (r)
		ck_assert_ptr_nonnull(strstr(e.detail, "lies in the running slot"));
	update_free(u);
	w->config.boot = before;
	world_start(w);
}
END_TEST

/* In the clear only where the administrator says so in so many words. */
START_TEST(a_node_without_a_session_must_be_allowed)
{
	struct update_env env = w->update->env;
	struct update *u = NULL;
	struct error e = {0};

	world_kill(w);
	w->config_nodes[0].security = SECURITY_SESSION;
	ck_assert_int_eq(update_new(&u, &env, &e), EF_REASON_CONFIG);
	ck_assert_ptr_nonnull(strstr(e.detail, "Key="));
	w->config_nodes[0].security = SECURITY_NONE;
	world_start(w);
}
END_TEST

START_TEST(a_trust_file_that_is_gone_stops_it)
{
	static const char *const files[] = {"timestamp.json", "snapshot.json"};
	struct update_env env = w->update->env;
	struct update *u = NULL;
	struct error e = {0};
	char path[256], kept[256];

	check_now();
	for (size_t i = 0; i < 2; i++) {
		world_kill(w);
		world_start(w); /* everything there: starts */
		world_kill(w);
		snprintf(path, sizeof(path), "%s/state/trust/%s", w->dir, files[i]);
		snprintf(kept, sizeof(kept), "%s/kept", w->dir);
		ck_assert_int_eq(rename(path, kept), 0);
		error_clear(&e);
		ck_assert_int_eq(update_new(&u, &env, &e), EF_REASON_STATE_UNREADABLE);
		ck_assert_ptr_nonnull(strstr(e.detail, files[i]));
		ck_assert_int_eq(rename(kept, path), 0);
		world_start(w);
	}
}
END_TEST

/* S-14: sequence and floors are gone with it, so it is no first start, even without the mark. */
START_TEST(trust_without_a_state_stops_it)
{
	static const char *const files[] = {"state.db", "state.mark"};
	struct update_env env = w->update->env;
	struct update *u = NULL;
	struct error e = {0};
	char path[256], kept[256];

	world_kill(w);
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/state/%s", w->dir, files[i]);
		snprintf(kept, sizeof(kept), "%s/kept-%zu", w->dir, i);
		ck_assert_int_eq(rename(path, kept), 0);
	}
	ck_assert_int_eq(update_new(&u, &env, &e), EF_REASON_STATE_UNREADABLE);
	ck_assert_ptr_nonnull(strstr(e.detail, "state.db is gone"));
	snprintf(path, sizeof(path), "%s/state/state.db", w->dir);
	ck_assert_int_ne(access(path, F_OK), 0); /* and it does not look like one the next time */
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/state/%s", w->dir, files[i]);
		snprintf(kept, sizeof(kept), "%s/kept-%zu", w->dir, i);
		ck_assert_int_eq(rename(kept, path), 0);
	}
	world_start(w);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/refused");
	TCase *t = tcase_create("refused");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, an_image_for_another_board_reaches_no_node);
	tcase_add_test(t, swapped_cables);
	tcase_add_test(t, a_swapped_cable_is_shown_F22);
	tcase_add_test(t, a_key_that_the_node_does_not_know);
	tcase_add_test(t, a_release_signed_by_the_wrong_key);
	tcase_add_test(t, state_in_the_running_slot_is_refused);
	tcase_add_test(t, a_node_without_a_session_must_be_allowed);
	tcase_add_test(t, a_trust_file_that_is_gone_stops_it);
	tcase_add_test(t, trust_without_a_state_stops_it);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
