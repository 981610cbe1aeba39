/* SPDX-License-Identifier: Apache-2.0 */
/*
 * a signed halt that comes between two local waves. The next wave never begins, those
 * that were begun are taken back, a restart forgets nothing of it, and only a later statement lets
 * the release go on.
 */
#include "rollout-scene.h"

#define METERS 20
#define HALTED_AFTER 2 /* waves of 1, 2, 5, 10 and 20 */

static struct fake_node *meter(size_t n)
{
	return &w->nodes[n == 0 ? 0 : n + 1]; /* node 1 is the sensor */
}

static size_t touched(void)
{
	size_t n = 0;

	for (size_t i = 0; i < METERS; i++)
		n += meter(i)->n_starts > 0;
	return n;
}

static void nodes_run(const char *version, const char *what)
{
	for (size_t i = 0; i < WORLD_NODES; i++)
		ck_assert_msg(node_runs(i, version) && !w->nodes[i].id.trial &&
				      w->nodes[i].id.slots[0].confirmed,
			"%s: node %zu", what, i);
}

#define THREE(is_halted) \
	((struct entry){.version = "3.0.0", .sequence = 3, .share = 1000, .halted = is_halted})

/* Two waves are up and the soak lasts. */
static void until_between_waves(void)
{
	world_publish(w, &(struct world_release){.version = "3.0.0",
				 .sequence = 3,
				 .no_rootfs = true,
				 .meter_budget = 10,
				 .meter_soak = 1});
	say(1, THREE(false));
	install("3.0.0");
	while (!(touched() == HALTED_AFTER && w->update->run.soak_since_us)) {
		ck_assert_ptr_nonnull(update_current(w->update));
		ck_assert_uint_le(touched(), HALTED_AFTER);
		turn();
	}
	ck_assert_int_eq(w->update->current->state, DEPLOYMENT_ACTIVATING);
}

static void stays_halted(void)
{
	ck_assert_uint_eq(counter(), 2);
	offers("");
	held("3.0.0", EF_REASON_HALTED);
	refused("3.0.0", EF_REASON_HALTED);
	ck_assert_uint_eq(touched(), HALTED_AFTER);
}

START_TEST(a_halt_between_waves_stops_the_next_R04)
{
	until_between_waves();
	say(2, THREE(true));
	if (_i)
		restart(); /* it finds two waves begun, and the server's word */
	look();
	if (_i)
		restart(); /* the word is stored, and nothing was done about it yet */
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_HALTED);
	nodes_run("1.0.0", "halted");
	stays_halted();
	restart();
	stays_halted();
	say(1, THREE(false)); /* nor does it go on by what was said before */
	offers("");
	held("3.0.0", EF_REASON_METADATA_ROLLBACK);
	refused("3.0.0", EF_REASON_HALTED);
	ck_assert_uint_eq(counter(), 2);
	ck_assert_uint_eq(touched(), HALTED_AFTER);
}
END_TEST

/* nor is a halt a failure of the image, so what it took back does not count when it goes on.
 */
START_TEST(it_goes_on_by_a_later_statement_R04)
{
	until_between_waves();
	say(2, THREE(true));
	look();
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_HALTED);
	restart();
	meter(4)->bad_start = true; /* in the third wave, where one may and two may not */
	say(3, THREE(false));
	offers("3.0.0");
	install("");
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_uint_eq(touched(), METERS);
	for (size_t i = 0; i < WORLD_NODES; i++)
		ck_assert(node_runs(i, &w->nodes[i] == meter(4) ? "1.0.0" : "3.0.0"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/halt-waves");
	TCase *t = tcase_create("halt");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, a_halt_between_waves_stops_the_next_R04, 0, 2);
	tcase_add_test(t, it_goes_on_by_a_later_statement_R04);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
