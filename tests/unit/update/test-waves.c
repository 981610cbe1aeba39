/* SPDX-License-Identifier: Apache-2.0 */
/* Local waves over nodes: twenty meters, and a sensor that is alone. */
#include "../unit.h"
#include "update/waves.h"
#include "world.h"
#include <string.h>

#define METERS 20

/* --- how they are cut --- */

START_TEST(shares_R05)
{
	static const size_t t[][6] = {{20, 1, 2, 5, 10, 20}, {100, 1, 10, 25, 50, 100},
		{250, 3, 25, 63, 125, 250}, {1, 1, 1, 1, 1, 1}, {2, 1, 2, 2, 2, 2},
		{3, 1, 2, 3, 3, 3}, {4, 1, 2, 3, 4, 4}, {5, 1, 2, 3, 4, 5}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		for (unsigned k = 0; k < 5; k++)
			ck_assert_msg(waves_share(t[i][0], k) == t[i][k + 1], "%zu, wave %u: %zu",
				t[i][0], k, waves_share(t[i][0], k));
	ck_assert_uint_eq(waves_share(250, 9), 250);
}
END_TEST

START_TEST(every_member_has_one_wave_R05)
{
	static const char *groups[300];
	unsigned waves[300];

	for (size_t n = 1; n <= 300; n++) {
		unsigned all = waves_assign(groups, n, waves);
		for (unsigned k = 0; k < all; k++) {
			size_t up = 0;
			for (size_t i = 0; i < n; i++)
				up += waves[i] <= k;
			ck_assert_uint_eq(up, waves_share(n, k));
		}
		ck_assert_uint_le(all, 5);
	}
}
END_TEST

START_TEST(never_both_of_a_pair_R06) /* */
{
	const char *groups[24];
	unsigned waves[24];

	/* pairs side by side, pairs far apart, and one group of nine: more waves than five */
	for (size_t i = 0; i < 24; i++)
		groups[i] = i < 8    ? (const char *[]){"a", "b", "c", "d"}[i / 2]
			    : i < 16 ? (const char *[]){"e", "f", "g", "h"}[i % 4]
			    : i < 23 ? "nine"
				     : NULL;
	groups[9] = groups[10] = "nine";
	unsigned all = waves_assign(groups, 24, waves);
	for (size_t i = 0; i < 24; i++) {
		ck_assert_uint_lt(waves[i], all);
		for (size_t k = 0; k < i; k++)
			ck_assert_msg(!groups[i] || !groups[k] ||
					      strcmp(groups[i], groups[k]) != 0 ||
					      waves[i] != waves[k],
				"%zu and %zu", i, k);
	}
	ck_assert_uint_ge(all, 9);
	ck_assert_uint_eq(waves[0], 0);
}
END_TEST

START_TEST(limits_R09) /* */
{
	ck_assert_uint_eq(waves_limit(20, 0), 1);
	ck_assert_uint_eq(waves_limit(20, 1), 2);
	ck_assert_uint_eq(waves_limit(20, 2), 2);
	ck_assert_uint_eq(waves_limit(20, 3), 3);
	ck_assert_uint_eq(waves_limit(100, 4), 10);
	ck_assert_uint_eq(waves_limit(250, 3), 25);
	ck_assert_uint_eq(waves_limit(250, 7), 25);
}
END_TEST

/* --- a whole gateway --- */

static struct world *w;

static void setup(void)
{
	w = world_new();
	world_publish(w, &(struct world_release){.version = "1.0.0", .sequence = 1});
	world_start(w);
}

static void teardown(void)
{
	world_free(w);
}

/* The nth meter, as the configuration has them: node 1 is the sensor. */
static struct fake_node *meter(size_t n)
{
	return &w->nodes[n == 0 ? 0 : n + 1];
}

static bool runs(size_t node, const char *version)
{
	uint8_t hash[32];

	world_hash(w, version, node, hash);
	return memcmp(w->nodes[node].id.slots[0].hash, hash, 32) == 0 && !w->nodes[node].id.trial &&
	       w->nodes[node].id.slots[0].confirmed;
}

static size_t touched(void)
{
	size_t n = 0;

	for (size_t i = 0; i < METERS; i++)
		n += meter(i)->n_starts > 0;
	return n;
}

static void begin(const struct world_release *r)
{
	struct world_release two = *r;
	struct error e = {0};
	uint64_t id;

	two.version = "2.0.0";
	two.sequence = 2;
	two.no_rootfs = true;
	world_publish(w, &two);
	ck_assert_msg(update_install(w->update, "2.0.0", &id, &e) == EF_REASON_OK, "%s", e.detail);
}

static struct error ends(enum deployment_state state)
{
	struct error why;
	enum deployment_state got = world_outcome(w, &why);

	ck_assert_msg(got == state, "%s, not %s: %s: %s", deployment_state_word(got),
		deployment_state_word(state), reason_word(why.reason), why.detail);
	return why;
}

static void all_run(const char *version)
{
	for (size_t i = 0; i < WORLD_NODES; i++)
		ck_assert_msg(runs(i, version), "node %zu", i);
}

/* Of one run: the meters of a wave started after all of the wave before it. */
static void in_waves(void)
{
	static const size_t share[] = {1, 2, 5, 10, 20};

	for (size_t k = 0, from = 0; k < 5; from = share[k++])
		for (size_t i = from; i < share[k]; i++)
			for (size_t before = 0; before < from; before++)
				ck_assert_msg(meter(before)->starts[0] < meter(i)->starts[0],
					"%zu before %zu", i, before);
}

START_TEST(wave_after_wave_R07) /* */
{
	begin(&(struct world_release){.version = ""});
	while (update_current(w->update)) {
		/* whoever starts sees all of the waves before it up and well */
		static const size_t share[] = {1, 2, 5, 10, 20};
		size_t n = touched(), k = 0;
		while (share[k] < n)
			k++;
		for (size_t i = 0; k > 0 && i < share[k - 1]; i++)
			ck_assert(meter(i)->id.trial || meter(i)->id.slots[0].confirmed);
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	}
	ends(DEPLOYMENT_CONFIRMED);
	in_waves();
	all_run("2.0.0");
	for (size_t i = 0; i < METERS; i++)
		ck_assert_uint_eq(meter(i)->n_starts, 1);
}
END_TEST

/* until the last wave everything can be taken back, and is. */
START_TEST(a_failure_takes_all_waves_back_R10)
{
	meter(12)->bad_self_test = true; /* in the last one */
	begin(&(struct world_release){.version = ""});
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_SELF_TEST);
	ck_assert_uint_gt(touched(), 10);
	all_run("1.0.0");
}
END_TEST

START_TEST(the_first_failure_stops_wave_one_R09)
{
	meter(0)->bad_self_test = true;
	begin(&(struct world_release){.version = "", .meter_budget = 10});
	world_run(w, 0, false);
	struct error why = ends(DEPLOYMENT_REVERTED);
	ck_assert_ptr_nonnull(strstr(why.detail, "1 of 20 nodes failed with meter by wave 1"));
	ck_assert_uint_eq(touched(), 1); /* one device harmed */
	world_power_cut(w);
	all_run("1.0.0");
}
END_TEST

START_TEST(two_stop_up_to_a_quarter_R09)
{
	meter(1)->bad_start = meter(3)->bad_start = true;
	begin(&(struct world_release){.version = "", .meter_budget = 10});
	world_run(w, 0, false);
	ck_assert_ptr_nonnull(strstr(ends(DEPLOYMENT_REVERTED).detail, "2 of 20"));
	ck_assert_uint_eq(touched(), 5);
	world_power_cut(w);
	all_run("1.0.0");
}
END_TEST

START_TEST(one_failure_is_within_the_budget_R09)
{
	meter(1)->bad_start = true;
	begin(&(struct world_release){.version = "", .meter_budget = 10});
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_uint_eq(touched(), 20);
	for (size_t i = 0; i < METERS; i++)
		ck_assert(runs(i == 0 ? 0 : i + 1, i == 1 ? "1.0.0" : "2.0.0"));
}
END_TEST

/* Optional nodes do not fail the release, but the rest of them is spared. */
START_TEST(an_optional_component_is_stopped_too_R09)
{
	meter(0)->bad_start = true;
	begin(&(struct world_release){.version = "", .meter_policy = "optional"});
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_uint_eq(touched(), 1);
	ck_assert(runs(1, "2.0.0")); /* the sensor */
}
END_TEST

/* a line that is lost has retries of its own, and says nothing about the image. */
START_TEST(lines_are_not_images_R08)
{
	meter(0)->unreachable = true;
	meter(2)->unreachable = true;
	for (size_t i = 0; i < WORLD_NODES; i++)
		w->config_nodes[i].required = false;
	begin(&(struct world_release){.version = "", .meter_policy = "optional"});
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_uint_eq(touched(), 18);
}
END_TEST

START_TEST(what_goes_back_in_the_soak_stops_it)
{
	meter(0)->back_in_trial = true;
	meter(0)->back_after = 1;
	begin(&(struct world_release){.version = "", .meter_soak = 3});
	uint64_t begun = now_monotonic_us();
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_NODE_REVERTED);
	ck_assert_uint_eq(touched(), 1);
	ck_assert_uint_lt(now_monotonic_us() - begun, 3 * USEC_PER_SEC); /* not only at its end */
	all_run("1.0.0");
}
END_TEST

START_TEST(the_soak_is_waited_for_R07)
{
	struct error e = {0};

	begin(&(struct world_release){.version = "", .meter_soak = 1});
	uint64_t begun = now_monotonic_us(), second = 0;
	while (touched() < 5) {
		if (touched() == 2 && second == 0)
			second = now_monotonic_us();
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	}
	ck_assert_uint_ge(second - begun, USEC_PER_SEC);
	ck_assert_uint_ge(now_monotonic_us() - second, USEC_PER_SEC);
	/* halted by hand: the rest is never touched, and the five go back */
	ck_assert_int_eq(update_reject(w->update, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_REJECTED);
	ck_assert_uint_eq(touched(), 5);
	all_run("1.0.0");
}
END_TEST

/* the core ends anywhere; nobody is skipped, nobody is started twice, and the order is the
 * same. */
START_TEST(killed_between_waves_R11)
{
	begin(&(struct world_release){.version = ""});
	world_run(w, 0, false);
	uint64_t length = w->iterations;
	ck_assert_uint_gt(length, 100);
	for (uint64_t at = 1; at < length; at += 13) {
		world_free(w);
		setup();
		begin(&(struct world_release){.version = ""});
		world_run(w, at, false);
		ends(DEPLOYMENT_CONFIRMED);
		all_run("2.0.0");
		in_waves();
		for (size_t i = 0; i < METERS; i++)
			ck_assert_msg(meter(i)->n_starts == 1,
				"killed at %llu: meter %zu, %u times", (unsigned long long)at, i,
				meter(i)->n_starts);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/waves");
	TCase *p = tcase_create("pure"), *t = tcase_create("waves");

	tcase_add_test(p, shares_R05);
	tcase_add_test(p, every_member_has_one_wave_R05);
	tcase_add_test(p, never_both_of_a_pair_R06);
	tcase_add_test(p, limits_R09);
	suite_add_tcase(s, p);
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, wave_after_wave_R07);
	tcase_add_test(t, a_failure_takes_all_waves_back_R10);
	tcase_add_test(t, the_first_failure_stops_wave_one_R09);
	tcase_add_test(t, two_stop_up_to_a_quarter_R09);
	tcase_add_test(t, one_failure_is_within_the_budget_R09);
	tcase_add_test(t, an_optional_component_is_stopped_too_R09);
	tcase_add_test(t, lines_are_not_images_R08);
	tcase_add_test(t, what_goes_back_in_the_soak_stops_it);
	tcase_add_test(t, the_soak_is_waited_for_R07);
	tcase_add_test(t, killed_between_waves_R11);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
