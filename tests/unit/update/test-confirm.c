/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confirming, on both sides of the first thing that is permanent (S-22): before it a failure takes
 * everything back, after it a node is brought up again or stays behind, by name. And the way back
 * of nodes in whatever state they are.
 */
#include "../unit.h"
#include "dfu/node.h"
#include "run.h"
#include <string.h>

void world_node_reset(struct fake_node *f);

static unsigned goes_back; /* so many requests to confirm find node 0 gone back */
static bool no_image;	   /* nothing can be staged while confirming */

/* The linker leads calls of ours here (--wrap). */
int __real_node_confirm(struct node *n, const uint8_t hash[32], node_done done, void *ctx);
int __wrap_node_confirm(struct node *n, const uint8_t hash[32], node_done done, void *ctx);
int __wrap_node_confirm(struct node *n, const uint8_t hash[32], node_done done, void *ctx)
{
	if (goes_back > 0 && strcmp(node_name(n), w->nodes[0].name) == 0) {
		goes_back--;
		world_node_reset(&w->nodes[0]);
	}
	return __real_node_confirm(n, hash, done, ctx);
}

enum ef_reason __real_stage_node(
	struct update *u, struct node_state *ns, size_t part, node_part_done done, struct error *e);
enum ef_reason __wrap_stage_node(
	struct update *u, struct node_state *ns, size_t part, node_part_done done, struct error *e);
enum ef_reason __wrap_stage_node(
	struct update *u, struct node_state *ns, size_t part, node_part_done done, struct error *e)
{
	if (no_image && u->current->state == DEPLOYMENT_CONFIRMING)
		return error_set(e, EF_REASON_BAD_DIGEST, "the stored image is gone");
	return __real_stage_node(u, ns, part, done, e);
}

static void prepare(void)
{
	goes_back = 0;
	no_image = false;
	w = world_new();
	world_publish(w, &(struct world_release){.version = "1.0.0", .sequence = 1});
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_publish(
		w, &(struct world_release){.version = "3.0.0", .sequence = 3, .no_rootfs = true});
	world_publish(w,
		&(struct world_release){
			.version = "4.0.0", .sequence = 4, .no_rootfs = true, .meter_budget = 1});
	world_start(w);
}

static struct error run_to(enum deployment_state state)
{
	world_run(w, 0, false);
	return ends(state);
}

/* For good. */
static bool node_keeps(size_t i, const char *version)
{
	const struct node_identity *id = &w->nodes[i].id;

	return node_has(i, version) && id->slots[0].confirmed && !id->trial;
}

static bool gateway_keeps(const char *version)
{
	struct boot_state b = world_boot(w);

	return gateway_runs(version) && b.primary == b.running;
}

static void install_until(const char *version, enum deployment_state state)
{
	install(version);
	while (w->rebooting || !w->update->current || w->update->current->state != state) {
		ck_assert(w->rebooting || w->update->current);
		if (w->rebooting) {
			world_kill(w);
			world_reboot(w);
			world_start(w);
		}
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	}
}

struct wanted {
	const char *name;
	enum component_state to;
	enum ef_reason reason;
	unsigned found;
};

static int look_for(void *ctx, const struct event *ev)
{
	struct wanted *v = ctx;

	v->found += strcmp(ev->word, "component") == 0 && strcmp(ev->component, v->name) == 0 &&
		    strcmp(ev->to, component_state_word(v->to)) == 0 &&
		    ev->error.reason == v->reason;
	return 0;
}

static unsigned history_says(const char *name, enum component_state to, enum ef_reason reason)
{
	struct wanted v = {name, to, reason, 0};

	ck_assert_int_eq(update_history(w->update, 0, look_for, &v), 0);
	return v.found;
}

/* --- nothing is permanent yet --- */

START_TEST(the_first_node_goes_back) /* and everything with it */
{
	goes_back = 1;
	install_until("3.0.0", DEPLOYMENT_CONFIRMING);
	ck_assert_int_eq(run_to(DEPLOYMENT_REVERTED).reason, EF_REASON_NODE_REVERTED);
	ck_assert(node_keeps(0, "1.0.0") && node_keeps(1, "1.0.0"));
	ck_assert_uint_eq(history_says("sensor", COMPONENT_CONFIRMED, EF_REASON_OK), 0);
}
END_TEST

START_TEST(the_first_node_goes_back_which_it_may) /* the others go on */
{
	goes_back = 1;
	install_until("4.0.0", DEPLOYMENT_CONFIRMING);
	run_to(DEPLOYMENT_CONFIRMED);
	ck_assert(node_keeps(0, "1.0.0") && node_keeps(1, "4.0.0"));
	ck_assert_uint_eq(history_says("meter", COMPONENT_FAILED, EF_REASON_NODE_REVERTED), 1);
}
END_TEST

START_TEST(the_first_node_is_lost)
{
	install_until("3.0.0", DEPLOYMENT_CONFIRMING);
	w->nodes[0].unreachable = true;
	ck_assert_int_eq(run_to(DEPLOYMENT_REVERTED).reason, EF_REASON_NODE_UNREACHABLE);
	ck_assert(node_keeps(1, "1.0.0"));
	ck_assert_uint_eq(history_says("meter", COMPONENT_REVERTED, EF_REASON_NODE_UNREACHABLE), 1);
}
END_TEST

START_TEST(the_first_node_is_no_longer_configured)
{
	install_until("3.0.0", DEPLOYMENT_CONFIRMING);
	world_kill(w);
	w->config.nodes = &w->config_nodes[1];
	w->config.n_nodes = 1;
	world_start(w);
	ck_assert_int_eq(run_to(DEPLOYMENT_REVERTED).reason, EF_REASON_CONFIG);
	ck_assert(node_keeps(1, "1.0.0"));
}
END_TEST

/* --- the gateway is permanent --- */

START_TEST(a_node_that_goes_back_is_brought_up_again)
{
	goes_back = 1;
	install_until("2.0.0", DEPLOYMENT_CONFIRMING);
	run_to(DEPLOYMENT_CONFIRMED);
	ck_assert(node_keeps(0, "2.0.0") && node_keeps(1, "2.0.0") && gateway_keeps("2.0.0"));
}
END_TEST

START_TEST(a_node_that_goes_back_each_time_stays_behind)
{
	goes_back = 10;
	install_until("2.0.0", DEPLOYMENT_CONFIRMING);
	run_to(DEPLOYMENT_CONFIRMED);
	ck_assert(node_keeps(0, "1.0.0") && node_keeps(1, "2.0.0") && gateway_keeps("2.0.0"));
	ck_assert_uint_eq(goes_back, 7); /* twice it was brought up again */
	ck_assert_uint_eq(history_says("meter", COMPONENT_FAILED, EF_REASON_NODE_REVERTED), 1);
}
END_TEST

START_TEST(a_node_that_does_not_start_any_more_stays_behind)
{
	goes_back = 1;
	install_until("2.0.0", DEPLOYMENT_CONFIRMING);
	w->nodes[0].bad_start = true;
	run_to(DEPLOYMENT_CONFIRMED);
	ck_assert(node_keeps(0, "1.0.0") && node_keeps(1, "2.0.0") && gateway_keeps("2.0.0"));
	ck_assert_uint_eq(history_says("meter", COMPONENT_FAILED, EF_REASON_NOT_CONFIRMED), 1);
}
END_TEST

START_TEST(a_node_whose_image_is_gone_stays_behind)
{
	goes_back = 1;
	install_until("2.0.0", DEPLOYMENT_CONFIRMING);
	no_image = true;
	run_to(DEPLOYMENT_CONFIRMED);
	ck_assert(node_keeps(0, "1.0.0") && node_keeps(1, "2.0.0") && gateway_keeps("2.0.0"));
	ck_assert_uint_eq(history_says("meter", COMPONENT_FAILED, EF_REASON_BAD_DIGEST), 1);
}
END_TEST

START_TEST(a_node_that_is_lost_stays_behind)
{
	install_until("2.0.0", DEPLOYMENT_CONFIRMING);
	w->nodes[0].unreachable = true;
	run_to(DEPLOYMENT_CONFIRMED);
	ck_assert(node_keeps(1, "2.0.0") && gateway_keeps("2.0.0"));
	ck_assert_uint_eq(history_says("meter", COMPONENT_FAILED, EF_REASON_NODE_UNREACHABLE), 1);
}
END_TEST

START_TEST(a_node_that_is_lost_for_a_moment_does_not)
{
	install_until("2.0.0", DEPLOYMENT_CONFIRMING);
	w->nodes[0].unreachable = true;
	while (w->update->run.n_parts == 0 || w->update->run.parts[0].attempts == 0)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	w->nodes[0].unreachable = false;
	run_to(DEPLOYMENT_CONFIRMED);
	ck_assert(node_keeps(0, "2.0.0") && node_keeps(1, "2.0.0") && gateway_keeps("2.0.0"));
	ck_assert_uint_eq(w->nodes[0].uploads, 1);
}
END_TEST

/* --- on the way back --- */

/* As a node may be met: what it runs, whether for good, and what it is going to try. */
static const struct {
	bool back, confirmed, pending[2], unreachable, empty;
} met[] = {
	{.back = false},
	{.back = true, .confirmed = true},
	{.back = true, .confirmed = false},
	{.back = true, .confirmed = true, .pending = {false, true}},
	{.back = true, .confirmed = true, .pending = {true, false}},
	{.back = true, .confirmed = true, .empty = true},
	{.back = true, .confirmed = true, .unreachable = true},
};

START_TEST(a_node_as_it_is_met)
{
	struct fake_node *f = &w->nodes[1];

	world_script(w, "10-fail", "exit 1");
	install_until("2.0.0", DEPLOYMENT_REVERTING);
	if (met[_i].back)
		world_node_reset(f);
	f->id.slots[0].confirmed = met[_i].back && met[_i].confirmed;
	for (int i = 0; i < 2; i++)
		f->id.slots[i].pending = met[_i].pending[i];
	f->id.slots[0].active = !met[_i].empty;
	f->unreachable = met[_i].unreachable;
	ck_assert_int_eq(run_to(DEPLOYMENT_REVERTED).reason, EF_REASON_CHECK_FAILED);
	ck_assert(gateway_keeps("1.0.0") && node_keeps(0, "1.0.0"));
	if (met[_i].confirmed && !met[_i].empty && !met[_i].pending[0])
		ck_assert(node_keeps(1, "1.0.0") && !f->id.slots[1].pending);
	ck_assert_uint_eq(
		history_says("sensor", COMPONENT_REVERTED,
			met[_i].unreachable ? EF_REASON_NODE_UNREACHABLE : EF_REASON_CHECK_FAILED),
		1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/confirm");
	TCase *t = tcase_create("confirm");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, prepare, teardown);
	tcase_add_test(t, the_first_node_goes_back);
	tcase_add_test(t, the_first_node_goes_back_which_it_may);
	tcase_add_test(t, the_first_node_is_lost);
	tcase_add_test(t, the_first_node_is_no_longer_configured);
	tcase_add_test(t, a_node_that_goes_back_is_brought_up_again);
	tcase_add_test(t, a_node_that_goes_back_each_time_stays_behind);
	tcase_add_test(t, a_node_that_does_not_start_any_more_stays_behind);
	tcase_add_test(t, a_node_whose_image_is_gone_stays_behind);
	tcase_add_test(t, a_node_that_is_lost_stays_behind);
	tcase_add_test(t, a_node_that_is_lost_for_a_moment_does_not);
	tcase_add_loop_test(t, a_node_as_it_is_met, 0, (int)(sizeof(met) / sizeof(met[0])));
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
