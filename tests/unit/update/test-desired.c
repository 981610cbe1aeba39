/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node's failure means for the rest, and nodes that do not run what the release of the
 * running slot says: away, exchanged, or ahead because the gateway fell back (F-30, I-3, I-5,
 * S-13).
 */
#include "../unit.h"
#include "world.h"
#include <string.h>

static struct world *w;

static void setup(void)
{
	w = world_new();
	w->config.catch_up = true;
	world_publish(w, &(struct world_release){.version = "1.0.0", .sequence = 1});
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_start(w);
}

static void teardown(void)
{
	world_free(w);
}

static void install(const char *version)
{
	struct error e = {0};
	uint64_t id;

	ck_assert_msg(update_install(w->update, version, &id, &e) == EF_REASON_OK, "%s", e.detail);
	world_run(w, 0, false);
}

static struct error ends(enum deployment_state state)
{
	struct error why;
	enum deployment_state got = world_outcome(w, &why);

	ck_assert_msg(got == state, "%s, not %s: %s: %s", deployment_state_word(got),
		deployment_state_word(state), reason_word(why.reason), why.detail);
	return why;
}

static bool node_has(size_t i, const char *version)
{
	uint8_t hash[32];

	world_hash(w, version, i, hash);
	return memcmp(w->nodes[i].id.slots[0].hash, hash, 32) == 0 && !w->nodes[i].id.trial;
}

/* Nothing is asked for by hand; the loop turns until the condition holds. */
static bool comes(bool (*condition)(void))
{
	uint64_t end = now_monotonic_us() + 8 * USEC_PER_SEC;

	while (!condition() && now_monotonic_us() < end)
		ck_assert_int_ge(sd_event_run(w->event, 10000), 0);
	return condition();
}

static bool began(void)
{
	return update_current(w->update);
}

/* A while in which nothing may begin. */
static void stays_idle(void)
{
	uint64_t end = now_monotonic_us() + 300 * USEC_PER_MSEC;

	nodes_poll(w->update);
	while (now_monotonic_us() < end) {
		ck_assert_ptr_null(update_current(w->update));
		ck_assert_int_ge(sd_event_run(w->event, 10000), 0);
	}
}

static int origin_of(void *ctx, const struct deployment *d)
{
	*(enum deployment_origin *)ctx = d->origin;
	return 1;
}

static void caught_up(void)
{
	enum deployment_origin origin = ORIGIN_SOURCE;

	nodes_poll(w->update);
	ck_assert(comes(began));
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	update_deployments(w->update, 1, origin_of, &origin);
	ck_assert_int_eq(origin, ORIGIN_CATCH_UP);
}

static const struct part *part_on(const char *place)
{
	const struct deployment *d = w->update->current;

	for (size_t i = 0; d && i < d->n_parts; i++)
		if (strcmp(d->parts[i].place, place) == 0)
			return &d->parts[i];
	return NULL;
}

/* --- what a failure means --- */

START_TEST(a_deferred_node_is_caught_up)
{
	struct error e = {0};
	uint64_t id;

	world_publish(w, &(struct world_release){
				 .version = "3.0.0", .sequence = 3, .sensor_policy = "deferred"});
	w->nodes[1].unreachable = true;
	ck_assert_int_eq(update_install(w->update, "3.0.0", &id, &e), EF_REASON_OK);
	while (w->update->current->state == DEPLOYMENT_OFFERED)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	ck_assert_ptr_nonnull(part_on("sensor-1"));
	ck_assert_int_eq(part_on("sensor-1")->error.reason, EF_REASON_DEFERRED);
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(0, "3.0.0") && node_has(1, "1.0.0"));
	stays_idle(); /* it is still away */
	w->nodes[1].unreachable = false;
	caught_up();
	ck_assert(node_has(1, "3.0.0"));
	ck_assert_uint_eq(w->nodes[0].uploads, 1); /* the other was left alone */
	ck_assert_uint_eq(w->worker_jobs, 1);
	stays_idle();
}
END_TEST

/* Leaves OFFERED within so long. */
static bool planned(uint64_t us)
{
	uint64_t end = now_monotonic_us() + us;

	while (w->update->current->state == DEPLOYMENT_OFFERED && now_monotonic_us() < end)
		ck_assert_int_ge(sd_event_run(w->event, 1000), 0);
	return w->update->current->state != DEPLOYMENT_OFFERED;
}

static void begin(const char *version)
{
	struct error e = {0};
	uint64_t id;

	ck_assert_msg(update_install(w->update, version, &id, &e) == EF_REASON_OK, "%s", e.detail);
}

/* One that nobody needs and that has stopped to speak goes as one that is away; one that is needed
 * is waited for (F-32). */
START_TEST(a_plan_does_not_wait_for_a_slow_node_F32)
{
	world_kill(w);
	w->patience_us = 5000;
	w->config_nodes[1].required = false;
	world_start(w);
	install("1.0.0");
	w->nodes[1].mute = true;
	begin("2.0.0");
	ck_assert(planned(5 * USEC_PER_SEC));
	ck_assert_int_eq(part_on("sensor-1")->state, COMPONENT_SKIPPED);
	ck_assert_int_eq(part_on("sensor-1")->error.reason, EF_REASON_NODE_UNREACHABLE);
	w->nodes[1].mute = false;
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(0, "2.0.0") && node_has(1, "1.0.0"));
	caught_up();
	ck_assert(node_has(1, "2.0.0"));

	w->config_nodes[1].required = true;
	w->nodes[1].mute = true;
	world_publish(w, &(struct world_release){.version = "3.0.0", .sequence = 3});
	begin("3.0.0");
	ck_assert(!planned(100 * USEC_PER_MSEC));
	w->nodes[1].mute = false;
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(1, "3.0.0"));
}
END_TEST

/* Deferred is about being away: one that is there and cannot run it fails the release. */
START_TEST(a_deferred_node_that_fails)
{
	world_publish(w, &(struct world_release){
				 .version = "3.0.0", .sequence = 3, .sensor_policy = "deferred"});
	w->nodes[1].bad_self_test = true;
	install("3.0.0");
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_SELF_TEST);
	ck_assert(node_has(0, "1.0.0") && node_has(1, "1.0.0"));
}
END_TEST

START_TEST(a_failure_within_the_budget)
{
	world_publish(
		w, &(struct world_release){.version = "3.0.0", .sequence = 3, .sensor_budget = 1});
	w->nodes[1].bad_self_test = true;
	install("3.0.0");
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(0, "3.0.0"));
	ck_assert(!node_has(1, "3.0.0"));
	world_power_cut(w); /* it goes back by itself, and is not tried again by itself */
	ck_assert(node_has(1, "1.0.0"));
}
END_TEST

START_TEST(a_node_lost_within_the_budget)
{
	world_publish(
		w, &(struct world_release){.version = "3.0.0", .sequence = 3, .sensor_budget = 1});
	w->config.check_us = 1500000;
	struct error e = {0};
	uint64_t id;
	ck_assert_int_eq(update_install(w->update, "3.0.0", &id, &e), EF_REASON_OK);
	while (!(w->update->current && w->update->current->state == DEPLOYMENT_TRIAL)) {
		if (w->rebooting) {
			world_kill(w);
			world_reboot(w);
			world_start(w);
		}
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	}
	w->nodes[1].unreachable = true;
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(0, "3.0.0"));
}
END_TEST

/* --- desired state --- */

START_TEST(a_spare_part_is_brought_up)
{
	install("2.0.0");
	ends(DEPLOYMENT_CONFIRMED);
	stays_idle();
	world_hash(w, "1.0.0", 1, w->nodes[1].id.slots[0].hash);
	caught_up();
	ck_assert(node_has(1, "2.0.0"));
}
END_TEST

START_TEST(only_when_it_is_wanted)
{
	w->config.catch_up = false;
	install("2.0.0");
	world_hash(w, "1.0.0", 1, w->nodes[1].id.slots[0].hash);
	stays_idle();
	ck_assert(node_has(1, "1.0.0"));
}
END_TEST

/* What does not do on a node is not tried on it for ever (E-11); somebody may still say so. */
START_TEST(what_failed_is_not_tried_for_ever)
{
	install("2.0.0");
	world_hash(w, "1.0.0", 1, w->nodes[1].id.slots[0].hash);
	w->nodes[1].bad_self_test = true;
	for (int i = 0; i < 3; i++) {
		nodes_poll(w->update);
		ck_assert_msg(comes(began), "%d", i);
		world_run(w, 0, false);
		world_power_cut(w); /* back to what it ran */
	}
	world_kill(w);
	world_start(w);
	unsigned resets = w->nodes[1].resets;
	stays_idle();
	ck_assert_uint_eq(w->nodes[1].resets, resets);
	w->nodes[1].bad_self_test = false;
	install("2.0.0");
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(1, "2.0.0"));
}
END_TEST

static void fall_back(void)
{
	install("1.0.0");
	ends(DEPLOYMENT_CONFIRMED);
	install("2.0.0");
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(0, "2.0.0") && node_has(1, "2.0.0"));
	world_kill(w);
	world_fall_back(w);
	world_start(w);
}

static int count_word(void *ctx, const struct event *ev)
{
	*(unsigned *)ctx += strcmp(ev->word, "fell-back") == 0;
	return 0;
}

START_TEST(a_gateway_that_fell_back_brings_its_nodes_back_F30)
{
	unsigned told = 0;

	fall_back();
	ck_assert_str_eq(update_release(w->update), "1.0.0");
	caught_up();
	ck_assert(node_has(0, "1.0.0") && node_has(1, "1.0.0"));
	ck_assert_str_eq(update_release(w->update), "1.0.0");
	/* said once, however often it starts; and what did not come up is not taken again by itself
	 */
	world_kill(w);
	world_start(w);
	ck_assert_int_eq(update_history(w->update, 0, count_word, &told), 0);
	ck_assert_uint_eq(told, 1);
	stays_idle();
	/* by hand it is */
	install("2.0.0");
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(0, "2.0.0") && node_has(1, "2.0.0"));
}
END_TEST

START_TEST(killed_anywhere_while_bringing_back_F30)
{
	fall_back();
	caught_up();
	uint64_t length = w->iterations;
	ck_assert_uint_gt(length, 10);
	for (int cut = 0; cut < 2; cut++)
		for (uint64_t at = 1; at < length; at += 3) {
			world_free(w);
			setup();
			fall_back();
			nodes_poll(w->update);
			ck_assert(comes(began));
			world_run(w, at, cut);
			while (!node_has(0, "1.0.0") || !node_has(1, "1.0.0")) {
				nodes_poll(w->update); /* a power cut in the trial: once more */
				ck_assert_msg(comes(began), "%s at %llu of %llu",
					cut ? "cut" : "killed", (unsigned long long)at,
					(unsigned long long)length);
				world_run(w, 0, false);
			}
		}
}
END_TEST

/* What nobody asked for gives way to what somebody wants, until it has activated something. */
START_TEST(gives_way)
{
	struct error e = {0};
	uint64_t id;

	install("1.0.0");
	world_hash(w, "2.0.0", 0, w->nodes[0].id.slots[0].hash);
	ck_assert_int_eq(update_catch_up(w->update, &id, &e), EF_REASON_OK);
	ck_assert_int_eq(update_current(w->update)->origin, ORIGIN_CATCH_UP);
	install("2.0.0");
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(0, "2.0.0") && node_has(1, "2.0.0"));
	ck_assert_str_eq(update_release(w->update), "2.0.0");
}
END_TEST

/* A floor is absolute (S-12): nodes that may not go back stay, and it is on record why. */
START_TEST(no_further_back_than_the_floor)
{
	world_publish(w, &(struct world_release){.version = "3.0.0", .sequence = 3, .security = 7});
	install("2.0.0");
	install("3.0.0");
	ends(DEPLOYMENT_CONFIRMED);
	world_kill(w);
	world_fall_back(w);
	world_start(w);
	nodes_poll(w->update);
	ck_assert(comes(began));
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_FLOOR);
	ck_assert(node_has(0, "3.0.0"));
	stays_idle(); /* and is not asked again and again */
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/desired");
	TCase *t = tcase_create("desired");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_deferred_node_is_caught_up);
	tcase_add_test(t, a_plan_does_not_wait_for_a_slow_node_F32);
	tcase_add_test(t, a_deferred_node_that_fails);
	tcase_add_test(t, a_failure_within_the_budget);
	tcase_add_test(t, a_node_lost_within_the_budget);
	tcase_add_test(t, a_spare_part_is_brought_up);
	tcase_add_test(t, only_when_it_is_wanted);
	tcase_add_test(t, what_failed_is_not_tried_for_ever);
	tcase_add_test(t, a_gateway_that_fell_back_brings_its_nodes_back_F30);
	tcase_add_test(t, killed_anywhere_while_bringing_back_F30);
	tcase_add_test(t, gives_way);
	tcase_add_test(t, no_further_back_than_the_floor);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
