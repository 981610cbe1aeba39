/* SPDX-License-Identifier: Apache-2.0 */
/* On trial: what ends it, what is waited for, and who is not blamed, one decision a test. */
#include "../unit.h"
#include "run.h"
#include "util/cleanup.h"
#include <string.h>

static void prepare(void)
{
	w = world_new();
	world_publish(w, &(struct world_release){.version = "1.0.0", .sequence = 1});
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_publish(w, &(struct world_release){
				 .version = "3.0.0", .sequence = 3, .sensor_policy = "optional"});
	world_publish(
		w, &(struct world_release){.version = "4.0.0", .sequence = 4, .no_rootfs = true});
}

static struct error run_to(enum deployment_state state)
{
	world_run(w, 0, false);
	return ends(state);
}

static void step(void)
{
	if (w->rebooting) {
		world_kill(w);
		world_reboot(w);
		world_start(w);
	}
	ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
}

static void run_until(enum deployment_state state)
{
	while (w->rebooting || !w->update->current || w->update->current->state != state) {
		ck_assert(w->rebooting || w->update->current);
		step();
	}
}

/* Checks that last as long as the file "wait" is there. */
static void wait_for_checks(void)
{
	char body[256];

	snprintf(body, sizeof(body), "while [ -e %s/wait ]; do sleep 0.05; done", w->dir);
	world_script(w, "10-wait", body);
	snprintf(body, sizeof(body), "touch %s/wait", w->dir);
	ck_assert_int_eq(system(body), 0);
}

static void checks_may_end(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/wait", w->dir);
	ck_assert_int_eq(unlink(path), 0);
}

static void on_trial(const char *version)
{
	wait_for_checks();
	world_start(w);
	install(version);
	run_until(DEPLOYMENT_TRIAL);
}

static void restart_without_sensor(void)
{
	world_kill(w);
	w->config.n_nodes = 1;
	world_start(w);
}

struct wanted {
	const char *word, *name, *to; /* name: of the component, or of the check */
	enum ef_reason reason;
	unsigned found;
};

static int look_for(void *ctx, const struct event *ev)
{
	struct wanted *v = ctx;

	v->found += strcmp(ev->word, v->word) == 0 && strcmp(ev->component, v->name) == 0 &&
		    strcmp(ev->to, v->to) == 0 && ev->error.reason == v->reason;
	return 0;
}

static unsigned history_says(
	const char *word, const char *name, const char *to, enum ef_reason reason)
{
	struct wanted v = {word, name, to, reason, 0};

	ck_assert_int_eq(update_history(w->update, 0, look_for, &v), 0);
	return v.found;
}

/* --- nodes --- */

START_TEST(a_self_test_that_fails_later)
{
	on_trial("2.0.0");
	w->nodes[0].id.self_test = 2;
	struct error why = run_to(DEPLOYMENT_REVERTED);
	ck_assert_int_eq(why.reason, EF_REASON_SELF_TEST);
	ck_assert_ptr_nonnull(strstr(why.detail, "meter-1"));
	ck_assert(node_has(0, "1.0.0") && node_has(1, "1.0.0"));
}
END_TEST

START_TEST(a_node_that_is_exchanged)
{
	on_trial("2.0.0");
	memset(w->nodes[1].id.slots[0].hash, 7, 32); /* and it says nothing of having gone back */
	struct error why = run_to(DEPLOYMENT_REVERTED);
	ck_assert_int_eq(why.reason, EF_REASON_NODE_REVERTED);
	ck_assert_str_eq(why.detail, "node sensor-1: it runs something else");
}
END_TEST

START_TEST(a_node_that_is_lost) /* F-17 */
{
	on_trial("2.0.0");
	w->nodes[1].unreachable = true;
	struct error why = run_to(DEPLOYMENT_REVERTED);
	ck_assert_int_eq(why.reason, EF_REASON_NODE_LOST);
	ck_assert_ptr_nonnull(strstr(why.detail, "sensor-1"));
	ck_assert(node_has(0, "1.0.0"));
	/* its own deadline takes it back; that is on record as not seen */
	ck_assert_uint_eq(
		history_says("component", "sensor", "reverted", EF_REASON_NODE_UNREACHABLE), 1);
}
END_TEST

START_TEST(a_node_that_is_no_longer_configured)
{
	on_trial("2.0.0");
	restart_without_sensor();
	struct error why = run_to(DEPLOYMENT_REVERTED);
	ck_assert_int_eq(why.reason, EF_REASON_NODE_LOST);
	ck_assert_str_eq(why.detail, "node sensor-1: not configured");
	ck_assert_uint_eq(
		history_says("component", "sensor", "reverted", EF_REASON_NODE_UNREACHABLE), 1);
}
END_TEST

START_TEST(an_optional_one_that_is_no_longer_configured) /* is not waited for */
{
	on_trial("3.0.0");
	restart_without_sensor();
	checks_may_end();
	run_to(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(0, "3.0.0"));
	/* it was on trial, and stays behind, by name */
	ck_assert_uint_eq(history_says("component", "sensor", "failed", EF_REASON_CONFIG), 1);
}
END_TEST

START_TEST(a_node_that_the_release_has_nothing_for) /* must be reachable as before all the same */
{
	const char *other = "edgeferry.github.io,riscv-virt";

	w->nodes[1].compatible = w->config_nodes[1].compatible = (char *)other;
	ck_assert(compatible_uuids(other, w->nodes[1].id.vendor, w->nodes[1].id.class_id));
	on_trial("3.0.0");
	w->nodes[1].unreachable = true;
	struct error why = run_to(DEPLOYMENT_REVERTED);
	ck_assert_int_eq(why.reason, EF_REASON_NODE_LOST);
	ck_assert_ptr_nonnull(strstr(why.detail, "sensor-1"));
}
END_TEST

/* Present as far as anybody knows, and it does not answer: within its budget it is given up, and a
 * node that had nothing to do is not. */
START_TEST(a_node_that_has_no_answer)
{
	world_publish(w,
		&(struct world_release){
			.version = "5.0.0", .sequence = 5, .no_rootfs = true, .sensor_budget = 1});
	world_hash(w, "5.0.0", 0, w->nodes[0].id.slots[0].hash);
	world_start(w);
	install("5.0.0");
	run_until(DEPLOYMENT_TRIAL);
	w->nodes[1].mute = true;
	while (w->update->current->parts[1].state == COMPONENT_TRIAL)
		step();
	ck_assert(w->update->nodes[1].present);
	w->nodes[1].mute = false;
	run_to(DEPLOYMENT_CONFIRMED);
	ck_assert_uint_eq(history_says("component", "sensor", "failed", EF_REASON_NODE_LOST), 1);
	ck_assert_uint_eq(history_says("component", "meter", "failed", EF_REASON_NODE_LOST), 0);
}
END_TEST

/* The checks have passed, and a node has gone meanwhile. */
static void checks_pass_without_sensor(void)
{
	w->config.check_us = 12 * USEC_PER_SEC;
	on_trial("2.0.0");
	/* the checks begin once all of them have answered */
	while (!w->update->run.checks)
		step();
	w->nodes[1].unreachable = true;
	while (w->update->nodes[1].present)
		step();
	checks_may_end();
	while (!w->update->run.checks_ok)
		step();
	ck_assert_int_eq(w->update->current->state, DEPLOYMENT_TRIAL);
}

START_TEST(passed_checks_are_not_enough)
{
	checks_pass_without_sensor();
	for (int i = 0; i < 20; i++)
		step();
	ck_assert_int_eq(w->update->current->state, DEPLOYMENT_TRIAL);
	w->nodes[1].unreachable = false;
	run_to(DEPLOYMENT_CONFIRMED);
	ck_assert_uint_eq(history_says("check", "10-wait", "passed", EF_REASON_OK), 1);
}
END_TEST

/* --- the core, the server, the machine --- */

START_TEST(a_core_that_ends_again_and_again) /* does not prolong it for ever */
{
	on_trial("2.0.0");
	for (int i = 0; i < 3; i++) {
		while (!w->update->run.begun)
			step();
		world_kill(w);
		world_start(w);
	}
	struct error why = run_to(DEPLOYMENT_REVERTED);
	ck_assert_int_eq(why.reason, EF_REASON_NOT_CONFIRMED);
	ck_assert_ptr_nonnull(strstr(why.detail, "again and again"));
	ck_assert(node_has(0, "1.0.0"));
}
END_TEST

START_TEST(a_server_that_is_no_longer_configured)
{
	world_start(w);
	w->server_lost_after_reboot = true;
	install("2.0.0");
	while (!w->rebooting)
		step();
	char *url = w->config.url;
	w->config.url = NULL;
	ck_assert_int_eq(run_to(DEPLOYMENT_REVERTED).reason, EF_REASON_SERVER_LOST);
	w->config.url = url;
}
END_TEST

static int on_answer(sd_event_source *s, void *userdata);
static update_services_done services_done;
static void *services_ctx;

/* The service manager, which is not heard of again in the new slot. */
static void ask_services(void *ctx, update_services_done done, void *done_ctx)
{
	services_done = done;
	services_ctx = done_ctx;
	if (world_boot(w).running == SLOT_A)
		ck_assert_int_ge(
			sd_event_add_defer(w->event, &w->services_answer, on_answer, NULL), 0);
}

static int on_answer(sd_event_source *s, void *userdata)
{
	w->services_answer = sd_event_source_disable_unref(w->services_answer);
	services_done(services_ctx, true, false, "");
	return 0;
}

START_TEST(services_that_nobody_says_anything_of)
{
	w->services.ask = ask_services;
	w->config.check_us = USEC_PER_SEC;
	world_start(w);
	install("2.0.0");
	struct error why = run_to(DEPLOYMENT_REVERTED);
	ck_assert_int_eq(why.reason, EF_REASON_NOT_CONFIRMED);
	ck_assert_ptr_nonnull(strstr(why.detail, "did not end in time"));
}
END_TEST

START_TEST(a_gateway_without_slots) /* its nodes alone; checks are told so */
{
	free(TAKE_PTR(w->config.slot_a));
	free(TAKE_PTR(w->config.slot_b));
	world_script(w, "10-slot",
		"[ \"$EDGEFERRY_SLOT\" = none ] && [ -z \"${EDGEFERRY_SLOT_PATH+x}\" ]");
	world_start(w);
	install("4.0.0");
	run_to(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(0, "4.0.0") && node_has(1, "4.0.0"));
	ck_assert_uint_eq(history_says("check", "10-slot", "passed", EF_REASON_OK), 1);
}
END_TEST

START_TEST(checks_are_told_of_the_slot)
{
	char body[256];

	snprintf(body, sizeof(body),
		"[ \"$EDGEFERRY_SLOT\" = B ] && [ \"$EDGEFERRY_SLOT_PATH\" = %s/slot-b ] &&"
		" [ \"$EDGEFERRY_RELEASE\" = 2.0.0 ]",
		w->dir);
	world_script(w, "10-slot", body);
	world_start(w);
	install("2.0.0");
	run_to(DEPLOYMENT_CONFIRMED);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/trial");
	TCase *t = tcase_create("trial");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, prepare, teardown);
	tcase_add_test(t, a_self_test_that_fails_later);
	tcase_add_test(t, a_node_that_is_exchanged);
	tcase_add_test(t, a_node_that_is_lost);
	tcase_add_test(t, a_node_that_is_no_longer_configured);
	tcase_add_test(t, an_optional_one_that_is_no_longer_configured);
	tcase_add_test(t, a_node_that_the_release_has_nothing_for);
	tcase_add_test(t, a_node_that_has_no_answer);
	tcase_add_test(t, passed_checks_are_not_enough);
	tcase_add_test(t, a_core_that_ends_again_and_again);
	tcase_add_test(t, a_server_that_is_no_longer_configured);
	tcase_add_test(t, services_that_nobody_says_anything_of);
	tcase_add_test(t, a_gateway_without_slots);
	tcase_add_test(t, checks_are_told_of_the_slot);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
