/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the image in slot 0 cannot or must not run any longer: what takes its place, what does not,
 * and that it always comes to an end (F-23).
 */
#include "node.h"
#include <string.h>

static void setup(int core)
{
	node_make(core); /* slow: digest at boot; fast: signature at boot */
}

/* The new image runs and is confirmed, and the old one, no lower in its counter, is in slot 1. */
static void put_fallback(void)
{
	test_image_make(&node.fresh, node.key, NEW, OLD_COUNTER, 4001);
	node_put_on_trial();
	assert_good(gateway_state(&node.agent, NULL, true, 0));
	ck_assert(node_state().flags & STATE_FALLBACK);
}

static void poll_agent(void *ctx)
{
	(void)ctx;
	agent_poll(&node.agent);
}

START_TEST(damaged_and_a_fallback) /* what was confirmed before takes its place, for good */
{
	setup(_i);
	put_fallback();
	for (int again = 0; again < 2; again++) {
		node_damage(0, 500);
		node_start();
		ck_assert(node_slot_is(0, &node.old) && node_slot_is(1, &node.old));
		ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
		ck_assert_int_eq(node_state().revert, EF_REASON_IMAGE_DIGEST);
		uint32_t before = sim.operations;
		ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
		ck_assert_uint_eq(sim.operations, before);
	}
	node_damage(0, 500);
	node_damage(1, 500);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	node_free();
}
END_TEST

START_TEST(damaged_and_a_fallback_below_the_floor)
{
	setup(_i);
	node_put_on_trial();
	assert_good(gateway_state(&node.agent, NULL, true, 0));
	ck_assert_uint_eq(node_state().floor, NEW_COUNTER);
	node_damage(0, 500);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	ck_assert(node_slot_is(1, &node.old));
	node_free();
}
END_TEST

/* However it came to slot 1: an image that was never confirmed here does not run unless asked for.
 */
static void never_confirmed(void)
{
	uint32_t before = sim.operations;

	node_damage(0, 500);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	ck_assert_uint_eq(sim.operations, before);
	node_serve();
	struct reply r = gateway_read(&node.agent, EF_GROUP_EDGEFERRY, EF_EF_IDENTIFY);
	ck_assert_uint_eq(reply_uint(&r, "revert"), EF_REASON_IMAGE_DIGEST); /* why not */
	assert_good(gateway_state(&node.agent, node.fresh.digest, false, 0));
	node_start();
	ck_assert(node_slot_is(0, &node.fresh));
	ck_assert_int_eq(node_state().phase, PHASE_TRIAL);
	ck_assert(!(node_state().flags & STATE_FALLBACK));
}

START_TEST(damaged_and_an_upload)
{
	struct reply r;

	setup(_i);
	put_fallback(); /* that the upload takes the place of */
	test_image_make(&node.fresh, node.key, NEW + 1, OLD_COUNTER, 5000);
	assert_good(gateway_preflight(&node.agent, &node.fresh));
	r = gateway_upload(&node.agent, &node.fresh, 300);
	ck_assert(reply_good(&r) && r.match);
	never_confirmed();
	node_free();
}
END_TEST

START_TEST(damaged_and_a_failed_trial)
{
	setup(_i);
	node_put_on_trial();
	node_start();
	ck_assert(node_slot_is(0, &node.old));
	never_confirmed();
	node_free();
}
END_TEST

START_TEST(damaged_and_a_stranger) /* put there behind the bootloader's back, though well signed */
{
	setup(_i);
	node_start();
	node_put_image(1, &node.fresh);
	never_confirmed();
	node_free();
	/* in place of the one to go back to, as well */
	setup(_i);
	put_fallback();
	test_image_make(&node.fresh, node.key, NEW + 1, OLD_COUNTER, 5000);
	node_put_image(1, &node.fresh);
	node_damage(0, 500);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	node_free();
}
END_TEST

/* ---- a confirmed image that does not work ---- */

static enum sim_event crash(enum port_cause cause)
{
	retained_set_cause(cause);
	return node_boot();
}

/* Fails until the bootloader has had enough; that is after as many starts as it says. */
static enum sim_event crash_loop(enum port_cause cause)
{
	for (unsigned i = 1; i < BOOT_FAILURES_MAX; i++) {
		ck_assert_int_eq(crash(cause), SIM_STARTED);
		ck_assert_int_eq(node_state().attempts, i);
	}
	return crash(cause);
}

START_TEST(crash_loop_and_a_fallback)
{
	/* nobody said so, which is how an assertion ends; a watchdog; a fault */
	static const enum port_cause causes[] = {
		PORT_CAUSE_UNKNOWN, PORT_CAUSE_WATCHDOG, PORT_CAUSE_FAULT};

	for (size_t i = 0; i < 3; i++) {
		setup(_i);
		put_fallback();
		node_start(); /* answered since it was confirmed */
		ck_assert_int_eq(node_state().attempts, 0);
		ck_assert_int_eq(crash_loop(causes[i]), SIM_STARTED);
		ck_assert(node_slot_is(0, &node.old));
		ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
		ck_assert_int_eq(node_state().revert, EF_REASON_CRASH_LOOP);
		ck_assert_int_eq(node_state().attempts, 0);
		/* and when that one does not work either, that is the end: no ping-pong */
		ck_assert_int_eq(crash_loop(causes[i]), SIM_SERVING);
		uint32_t before = sim.operations;
		for (int j = 0; j < 20; j++) {
			/* but for one start after whatever ended the bootloader's service */
			ck_assert_int_eq(crash(causes[i]), SIM_STARTED);
			ck_assert_int_eq(crash(causes[i]), SIM_SERVING);
		}
		ck_assert_uint_eq(sim.operations, before);
		node_free();
	}
}
END_TEST

START_TEST(crash_loop_and_nothing_else)
{
	setup(_i);
	node_start();
	ck_assert_int_eq(crash_loop(PORT_CAUSE_WATCHDOG), SIM_SERVING);
	node_serve();
	struct reply r = gateway_read(&node.agent, EF_GROUP_EDGEFERRY, EF_EF_IDENTIFY);
	ck_assert_uint_eq(reply_uint(&r, "revert"), EF_REASON_CRASH_LOOP);
	/* power-up and a reset on request give it one more start each, which costs no flash */
	for (int i = 0; i < 3; i++) {
		uint32_t before = sim.operations;
		ck_assert_int_eq(i ? node_power_cycle() : crash(PORT_CAUSE_REQUEST), SIM_STARTED);
		ck_assert_int_eq(crash(PORT_CAUSE_WATCHDOG), SIM_SERVING);
		ck_assert_uint_eq(sim.operations, before);
	}
	/* what takes its place has no such thing to go back to */
	node_serve();
	node_stage();
	node_start();
	ck_assert(node_slot_is(0, &node.fresh) && !(node_state().flags & STATE_FALLBACK));
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	ck_assert_int_eq(node_state().phase, PHASE_EMPTY);
	node_free();
}
END_TEST

START_TEST(resets_that_are_no_failures)
{
	setup(_i);
	node_start();
	uint32_t before = sim.operations;
	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(crash(PORT_CAUSE_REQUEST), SIM_STARTED);
		ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
		sim.chip_cause = PORT_CAUSE_POWER; /* or pin, where the chip tells */
		ck_assert_int_eq(node_boot(), SIM_STARTED);
		sim.chip_cause = PORT_CAUSE_UNKNOWN;
		/* it works: it has answered */
		gateway_read(&node.agent, EF_GROUP_OS, EF_OS_PARAMS);
		ck_assert_int_eq(crash(PORT_CAUSE_WATCHDOG), SIM_STARTED);
		gateway_read(&node.agent, EF_GROUP_OS, EF_OS_PARAMS);
	}
	ck_assert_uint_eq(sim.operations, before);
	ck_assert_int_eq(node_state().attempts, 0);
	node_free();
}
END_TEST

START_TEST(an_hour_of_calm) /* and nothing less starts the count of failures anew */
{
	setup(_i);
	node_start();
	for (unsigned i = 1; i < BOOT_FAILURES_MAX; i++)
		ck_assert_int_eq(crash(PORT_CAUSE_FAULT), SIM_STARTED);
	gateway_read(&node.agent, EF_GROUP_OS, EF_OS_PARAMS);
	sim.millis += 3600000 - 1;
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
	ck_assert_int_eq(node_state().attempts, BOOT_FAILURES_MAX - 1);
	sim.millis += 1;
	uint32_t before = node_state().sequence;
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
	ck_assert_int_eq(node_state().attempts, 0);
	ck_assert_uint_gt(node_state().sequence, before);
	before = sim.operations;
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
	ck_assert_uint_eq(sim.operations, before);
	/* it has shown that it works without ever being asked anything */
	node_start();
	sim.millis += 3600000;
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
	ck_assert_int_eq(crash(PORT_CAUSE_FAULT), SIM_STARTED);
	ck_assert_int_eq(node_state().attempts, 0);
	node_free();
}
END_TEST

START_TEST(ram_that_a_reset_clears) /* the count is in flash: the chip's word is enough */
{
	setup(_i);
	put_fallback();
	for (unsigned i = 1; i <= BOOT_FAILURES_MAX; i++) {
		sim_power_on();
		sim.chip_cause = PORT_CAUSE_WATCHDOG;
		ck_assert_int_eq(node_boot(), SIM_STARTED);
		/* with power cuts in between, which count for nothing */
		ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	}
	ck_assert(node_slot_is(0, &node.old));
	ck_assert_int_eq(node_state().revert, EF_REASON_CRASH_LOOP);
	node_free();
}
END_TEST

START_TEST(reset_inside_the_bootloader) /* is no failure of the image */
{
	setup(_i);
	node_start();
	node_stage();
	node.agent.state = node_state();
	/* the watchdog bites in the middle of the swap */
	sim.cut_at = sim.operations + 20;
	ck_assert_int_eq(node_boot(), SIM_CUT);
	sim.cut_at = 0;
	ck_assert_int_eq(crash(PORT_CAUSE_WATCHDOG), SIM_STARTED);
	ck_assert_int_eq(node_state().phase, PHASE_TRIAL);
	ck_assert_int_eq(crash(PORT_CAUSE_WATCHDOG), SIM_STARTED);
	ck_assert(node_slot_is(0, &node.old));
	ck_assert_int_eq(node_state().attempts, 0); /* the failed start was the trial's */
	node_free();
}
END_TEST

/* ---- recovery image ---- */

static struct test_image golden;

/* Of the factory's keys and floor, whatever became of them. */
static void put_recovery(EVP_PKEY *key, uint32_t counter)
{
	test_image_make(&golden, key, 9, counter, 1000);
	memcpy(sim.flash + sim.board.recovery.offset, golden.data, golden.size);
}

static void no_slot_is_good(void)
{
	node_put_on_trial();
	assert_good(gateway_state(&node.agent, NULL, true, 0));
	node_damage(0, 500);
}

START_TEST(recovery_image)
{
	setup(_i);
	put_recovery(node.key, 1); /* the factory's floor; below the one that was reached since */
	no_slot_is_good();
	ck_assert_uint_eq(node_state().floor, NEW_COUNTER);
	uint32_t before = sim.operations;
	node_start();
	ck_assert_uint_eq(sim.started, sim.board.recovery.offset + 64);
	ck_assert_uint_eq(sim.operations, before);
	/* it does what the bootloader's own agent does, under the real state */
	node_serve();
	assert_rc(gateway_state(&node.agent, NULL, true, 0), BAD_STATE);
	assert_refused(gateway_preflight(&node.agent, &node.old), FLOOR);
	test_image_make(&node.fresh, node.key, NEW, NEW_COUNTER, 4001);
	node_stage();
	ck_assert_int_eq(crash(PORT_CAUSE_REQUEST), SIM_STARTED);
	ck_assert_uint_eq(sim.started, sim.board.slot[0].offset + 64);
	ck_assert(node_slot_is(0, &node.fresh));
	node_free();
}
END_TEST

START_TEST(recovery_image_that_fails) /* leaves the bootloader's agent, in turn with it */
{
	setup(_i);
	put_recovery(node.key, 1);
	no_slot_is_good();
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(crash(i ? PORT_CAUSE_REQUEST : PORT_CAUSE_WATCHDOG), SIM_STARTED);
		ck_assert_int_eq(crash(PORT_CAUSE_WATCHDOG), SIM_SERVING);
		ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
		node_serve();
		gateway_read(&node.agent, EF_GROUP_OS, EF_OS_PARAMS);
		ck_assert_int_eq(crash(PORT_CAUSE_WATCHDOG), SIM_STARTED); /* it had answered */
		sim_power_on();
		sim.chip_cause = PORT_CAUSE_WATCHDOG; /* nobody knows whose */
		ck_assert_int_eq(node_boot(), SIM_SERVING);
		sim.chip_cause = PORT_CAUSE_UNKNOWN;
	}
	ck_assert_int_eq(node_state().attempts, 0);
	node_free();
}
END_TEST

START_TEST(recovery_image_after_a_crash_loop)
{
	setup(_i);
	put_recovery(node.key, 1);
	node_start();
	ck_assert_int_eq(crash_loop(PORT_CAUSE_FAULT), SIM_STARTED);
	ck_assert_uint_eq(sim.started, sim.board.recovery.offset + 64);
	node_free();
}
END_TEST

START_TEST(recovery_image_is_not_wanted)
{
	struct retained r;

	setup(_i);
	put_recovery(node.other_key, 1);
	no_slot_is_good();
	ck_assert_int_eq(node_boot(), SIM_SERVING); /* of a stranger */
	put_recovery(node.key, 0);
	ck_assert_int_eq(node_boot(), SIM_SERVING); /* below the factory's floor */
	put_recovery(node.key, 1);
	retained_load(&r);
	r.stay = true;
	retained_store(&r);
	ck_assert_int_eq(node_boot(), SIM_SERVING); /* asked for the bootloader */
	node_start();
	ck_assert_uint_eq(sim.started, sim.board.recovery.offset + 64);
	golden.size = sim.board.recovery.size = 0; /* a board without one */
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	node_free();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/escape");
	TCase *c = tcase_create("escape");

	suite_add_tcase(s, c);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, damaged_and_a_fallback, 0, 2);
	tcase_add_loop_test(c, damaged_and_a_fallback_below_the_floor, 0, 2);
	tcase_add_loop_test(c, damaged_and_an_upload, 0, 2);
	tcase_add_loop_test(c, damaged_and_a_failed_trial, 0, 2);
	tcase_add_loop_test(c, damaged_and_a_stranger, 0, 2);
	tcase_add_loop_test(c, crash_loop_and_a_fallback, 0, 2);
	tcase_add_loop_test(c, crash_loop_and_nothing_else, 0, 2);
	tcase_add_loop_test(c, resets_that_are_no_failures, 0, 2);
	tcase_add_loop_test(c, an_hour_of_calm, 0, 2);
	tcase_add_loop_test(c, ram_that_a_reset_clears, 0, 2);
	tcase_add_loop_test(c, reset_inside_the_bootloader, 0, 2);
	tcase_add_loop_test(c, recovery_image, 0, 2);
	tcase_add_loop_test(c, recovery_image_that_fails, 0, 2);
	tcase_add_loop_test(c, recovery_image_after_a_crash_loop, 0, 2);
	tcase_add_loop_test(c, recovery_image_is_not_wanted, 0, 2);
	return s;
}

UNIT_MAIN(suite())
