/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rollout statements that are followed, through the whole engine with a clock in the test's hands:
 * who comes when, what has expired (R-01, S-21), what is halted.
 */
#include "rollout-scene.h"

/* --- who comes when --- */

START_TEST(the_share_decides) /* */
{
	unsigned place = my_place(), share = 0, mine = 0;

	say(1, TWO(place, false)); /* up to this one, without it */
	for (int i = 0; i < 3; i++)
		offers("");
	held("2.0.0", EF_REASON_LATER);
	ck_assert(known("2.0.0")->placed);
	ck_assert_uint_eq(known("2.0.0")->share, place);
	ck_assert_uint_eq(known("2.0.0")->place, place);
	ck_assert_int_eq(sscanf(known("2.0.0")->error.detail, "%u.%u", &share, &mine), 2);
	ck_assert_uint_eq(share * 10 + mine, place);
	ck_assert_uint_eq(events("refused", EF_REASON_LATER), 1); /* one, however often it looks */
	refused("", EF_REASON_LATER);
	nothing_touched();
	ck_assert_str_eq(update_state_word(w->update), "idle");
	say(2, TWO(place + 1, false));
	offers("2.0.0");
	ck_assert_int_eq(known("2.0.0")->error.reason, EF_REASON_OK);
	install("");
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "in the share");
}
END_TEST

/* What a person names goes in before its turn; what is stopped, or not known to go, does not. */
START_TEST(by_hand) /* */
{
	static const struct {
		struct entry entry;
		const char *until;
		enum ef_reason reason;
	} cases[] = {
		{TWO(0, false), SOON, EF_REASON_OK},
		{{.version = "9.0.0", .sequence = 9, .share = 1000}, SOON, EF_REASON_OK},
		{{.version = "2.0.0", .sequence = 7, .share = 1000}, SOON, EF_REASON_OK},
		{TWO(1000, true), SOON, EF_REASON_HALTED},
		{TWO(1000, false), "2027-01-15T08:00:00Z", EF_REASON_EXPIRED},
	};
	static const enum ef_reason shown[] = {EF_REASON_LATER, EF_REASON_UNLISTED,
		EF_REASON_UNLISTED, EF_REASON_HALTED, EF_REASON_EXPIRED};

	say_until(cases[_i].until, 1, &cases[_i].entry, 1);
	offers("");
	held("2.0.0", shown[_i]);
	ck_assert_uint_eq(events("refused", shown[_i]), 1);
	if (cases[_i].reason == EF_REASON_OK) {
		install("2.0.0");
		ends(DEPLOYMENT_CONFIRMED);
		return;
	}
	refused("2.0.0", cases[_i].reason);
	nothing_touched();
	/* and is not held against the release once it goes on */
	say(2, TWO(1000, false));
	offers("2.0.0");
	install("");
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

/* Whoever hands over a bundle has decided. */
START_TEST(a_bundle_is_not_asked)
{
	struct error e = {0};
	uint64_t id;

	say(1, TWO(1000, true));
	offers("");
	int fd = world_bundle(w);
	w->server_down = false; /* the server is there, and is asked in the trial */
	ck_assert_int_eq(update_install_bundle(w->update, fd, "demo.ferry", &id, &e), EF_REASON_OK);
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

/* The newest is not for this one yet, the one before is for all. */
START_TEST(an_older_one_that_goes)
{
	const struct entry list[] = {{.version = "3.0.0", .sequence = 3, .share = 0},
		{.version = "2.0.0", .sequence = 2, .share = 1000}};

	world_publish(w, &(struct world_release){.version = "3.0.0", .sequence = 3});
	say_until(SOON, 1, list, 2);
	offers("2.0.0");
	held("3.0.0", EF_REASON_LATER);
	install("");
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "older");
	offers("");
	install(""); /* nothing to do, not a step back */
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_ALREADY_INSTALLED);
	held("3.0.0", EF_REASON_LATER);
	/* one that came before its turn stays */
	install("3.0.0");
	ends(DEPLOYMENT_CONFIRMED);
	offers("");
	ck_assert(known("3.0.0")->installed && !known("3.0.0")->held);
	refused("", EF_REASON_ALREADY_INSTALLED);
}
END_TEST

/* More releases are signed than are rolled out: they take no room from the one that is. */
START_TEST(many_that_wait)
{
	char version[8];

	for (unsigned i = 3; w->n_releases < 8; i++) {
		snprintf(version, sizeof(version), "%u.0.0", i);
		world_publish(w, &(struct world_release){.version = version, .sequence = i});
	}
	say(1, TWO(1000, false));
	offers("2.0.0");
	held("9.0.0", EF_REASON_UNLISTED);
}
END_TEST

/* --- time --- */

START_TEST(expired_means_hold) /* R-01, S-21 */
{
	say(1, TWO(1000, false));
	offers("2.0.0");
	ck_assert_str_eq(update_state_word(w->update), "idle");
	w->clock += 3 * DAY - 1;
	ck_assert_str_eq(update_state_word(w->update), "idle");
	w->clock += 1;
	ck_assert_str_eq(update_state_word(w->update), "stale"); /* without asking */
	if (_i)
		restart();
	ck_assert_str_eq(update_state_word(w->update), "stale");
	offers("");
	held("2.0.0", EF_REASON_EXPIRED);
	ck_assert_uint_eq(events("refused", EF_REASON_EXPIRED), 1);
	refused("2.0.0", EF_REASON_EXPIRED);
	refused("", EF_REASON_EXPIRED);
	nothing_touched();
	/* the same again for three days more, as 'rollout renew' says it */
	say_until("2027-01-21T08:00:00Z", 2, &TWO(1000, false), 1);
	offers("2.0.0");
	ck_assert_str_eq(update_state_word(w->update), "idle");
	install("");
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

/* The statement says three days, its role's metadata is good for one: one it is. */
START_TEST(the_role_expires_first) /* */
{
	say(1, TWO(1000, false));
	repo_expire(w->repo, "rollouts", "2027-01-16T08:00:00Z");
	say(2, TWO(1000, false));
	offers("2.0.0");
	w->clock += DAY;
	ck_assert_str_eq(update_state_word(w->update), "stale");
	restart();
	ck_assert_str_eq(update_state_word(w->update), "stale");
	offers("");
	held("2.0.0", EF_REASON_EXPIRED);
	refused("2.0.0", EF_REASON_EXPIRED);
	nothing_touched();
}
END_TEST

/* A false time server: statements are the shortest-lived of all, so they notice first. The bound of
 * time must not follow the lie, or a fleet would hold for as long as the lie was wide. */
START_TEST(a_time_server_that_lies) /* S-19 */
{
	int64_t before = w->clock;

	say(1, TWO(1000, false));
	offers("2.0.0");
	w->clock += 20 * DAY; /* everything else is good until 2030 */
	offers("");
	ck_assert_str_eq(update_state_word(w->update), "stale");
	w->clock = before;
	restart();
	ck_assert_int_lt(update_now(w->update), before + DAY);
	offers("2.0.0");
	install("");
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

/* --- halt --- */

static const char *at_text(uint64_t at, const char *state)
{
	static char text[64];

	snprintf(text, sizeof(text), "halted at %llu, %s", (unsigned long long)at, state);
	return text;
}

/* Told at any moment (the broker's wake): nothing of it is left, unless it was being made permanent
 * already. And when the publisher lets it go on, it is installed. */
START_TEST(halted_at_any_moment) /* */
{
	unsigned ended[DEPLOYMENT_STATES] = {0};

	for (uint64_t at = 0;; at++) {
		struct error why;
		say(1, TWO(1000, false));
		install("2.0.0");
		for (uint64_t i = 0; i < at && w->update->current; i++)
			turn();
		if (!w->update->current)
			break;
		enum deployment_state before = w->update->current->state;
		bool gone = before == DEPLOYMENT_CONFIRMING || before == DEPLOYMENT_CONFIRMED;
		const char *what = at_text(at, deployment_state_word(before));
		say(2, TWO(1000, true));
		look();
		if (_i) /* and the power goes right after */
			restart();
		world_run(w, 0, false);
		enum deployment_state got = world_outcome(w, &why);
		ended[got]++;
		if (got == DEPLOYMENT_CONFIRMED) {
			ck_assert_msg(gone || before == DEPLOYMENT_TRIAL, "%s", what);
			fleet_runs("2.0.0", what);
		} else {
			ck_assert_msg(why.reason == EF_REASON_HALTED, "%s: %s", what, why.detail);
			ck_assert_msg(!gone, "%s", what);
			fleet_runs("1.0.0", what);
			offers("");
			held("2.0.0", EF_REASON_HALTED);
			refused("2.0.0", EF_REASON_HALTED);
			say(3, TWO(1000, false));
			offers("2.0.0");
			install("");
			ends(DEPLOYMENT_CONFIRMED);
			fleet_runs("2.0.0", what);
		}
		teardown();
		setup();
	}
	ck_assert_uint_gt(ended[DEPLOYMENT_REFUSED], 0);
	ck_assert_uint_gt(ended[DEPLOYMENT_CANCELLED], 0);
	ck_assert_uint_gt(ended[DEPLOYMENT_REVERTED], 0);
}
END_TEST

/* Nobody wakes it: it asks by itself before it activates, and on trial. */
START_TEST(halted_without_a_wake) /* */
{
	say(1, TWO(1000, false));
	install("2.0.0");
	run_until(_i ? DEPLOYMENT_ACTIVATING : DEPLOYMENT_FETCHING);
	say(2, TWO(1000, true));
	struct error why = ends(_i ? DEPLOYMENT_REVERTED : DEPLOYMENT_CANCELLED);
	ck_assert_int_eq(why.reason, EF_REASON_HALTED);
	fleet_runs("1.0.0", "halted");
	if (!_i) {
		ck_assert_uint_eq(w->nodes[0].resets, 0);
		ck_assert_int_eq(world_boot(w).running, SLOT_A);
	}
}
END_TEST

/* The server is away just then: what it said last counts, as long as it holds. */
START_TEST(the_server_is_away_before_activation) /* */
{
	say(1, TWO(1000, false));
	install("2.0.0");
	run_until(DEPLOYMENT_FETCHING);
	while (w->update->current->state == DEPLOYMENT_FETCHING)
		turn();
	ck_assert_int_eq(w->update->current->state, DEPLOYMENT_STAGED);
	w->server_down = true;
	if (_i > 1)
		restart();
	if (_i % 2) {
		w->clock += 3 * DAY;
		ck_assert_int_eq(ends(DEPLOYMENT_CANCELLED).reason, EF_REASON_EXPIRED);
		fleet_runs("1.0.0", "expired");
		ck_assert_uint_eq(w->nodes[0].resets, 0);
		ck_assert_str_eq(update_state_word(w->update), "stale");
		return;
	}
	run_until(DEPLOYMENT_TRIAL);
	w->server_down = false;
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

/* Wrong statements stop nothing at once, but nothing begins to run after one. */
START_TEST(a_wrong_one_in_mid_download) /* */
{
	say(5, TWO(1000, false));
	install("2.0.0");
	run_until(DEPLOYMENT_FETCHING);
	say(4, TWO(1000, false));
	look();
	ck_assert(!deployment_over(w->update->current->state));
	ck_assert_int_eq(ends(DEPLOYMENT_CANCELLED).reason, EF_REASON_METADATA_ROLLBACK);
	fleet_runs("1.0.0", "wrong");
	say(6, TWO(1000, false));
	offers("2.0.0"); /* not held against the release */
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/rollout");
	TCase *t = tcase_create("rollout");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_share_decides);
	tcase_add_loop_test(t, by_hand, 0, 5);
	tcase_add_test(t, a_bundle_is_not_asked);
	tcase_add_test(t, an_older_one_that_goes);
	tcase_add_test(t, many_that_wait);
	tcase_add_loop_test(t, expired_means_hold, 0, 2);
	tcase_add_test(t, the_role_expires_first);
	tcase_add_test(t, a_time_server_that_lies);
	tcase_add_loop_test(t, halted_at_any_moment, 0, 2);
	tcase_add_loop_test(t, halted_without_a_wake, 0, 2);
	tcase_add_loop_test(t, the_server_is_away_before_activation, 0, 4);
	tcase_add_test(t, a_wrong_one_in_mid_download);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
