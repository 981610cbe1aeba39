/* SPDX-License-Identifier: Apache-2.0 */
/* The boot decision: every phase, and what damage does to each. */
#include "node.h"
#include <string.h>

static const bool cores[] = {false, true}; /* slow: digest at boot; fast: signature at boot */

static void setup(int core)
{
	node_make(cores[core]);
}

START_TEST(fresh_from_the_factory)
{
	setup(_i);
	node_start();
	ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
	ck_assert_uint_eq(node_state().floor, OLD_COUNTER); /* not below what it runs */
	ck_assert_uint_eq(sim.started, sim.board.slot[0].offset + 64);
	uint32_t before = sim.operations;
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	ck_assert_uint_eq(sim.operations, before); /* a boot that changes nothing writes nothing */
	node_free();
}
END_TEST

START_TEST(trial_and_confirm)
{
	setup(_i);
	node_put_on_trial();
	ck_assert_uint_eq(node_state().floor, OLD_COUNTER); /* E-06 */
	assert_good(gateway_state(&node.agent, node.fresh.digest, true, 0));
	ck_assert_uint_eq(node_state().floor, NEW_COUNTER);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	ck_assert(node_slot_is(0, &node.fresh));
	ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
	/* what lies in slot 1 now is below the floor: it is no image to go back to any more */
	ck_assert_int_eq(
		gateway_state(&node.agent, node.old.digest, false, 0).reason, EF_REASON_NOT_FOUND);
	node_free();
}
END_TEST

START_TEST(trial_not_confirmed) /* E-05 */
{
	setup(_i);
	node_put_on_trial();
	node_start();
	ck_assert(node_slot_is(0, &node.old) && node_slot_is(1, &node.fresh));
	ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
	ck_assert_int_eq(node_state().revert, EF_REASON_NOT_CONFIRMED);
	/* it may be tried again, and the reason is then forgotten */
	assert_good(gateway_state(&node.agent, node.fresh.digest, false, 0));
	ck_assert_int_eq(node_state().revert, EF_REASON_OK);
	node_start();
	ck_assert(node_slot_is(0, &node.fresh));
	node_free();
}
END_TEST

START_TEST(self_test_failed)
{
	setup(_i);
	node_put_on_trial();
	node.self_test = SELF_TEST_FAILED;
	agent_poll(&node.agent);
	assert_refused(gateway_state(&node.agent, NULL, true, 0), SELF_TEST);
	node_start();
	ck_assert_int_eq(node_state().revert, EF_REASON_SELF_TEST);
	ck_assert(node_slot_is(0, &node.old));
	node_free();
}
END_TEST

static void poll_agent(void *ctx)
{
	(void)ctx;
	agent_poll(&node.agent);
}

START_TEST(deadline)
{
	setup(_i);
	node_put_on_trial(); /* 30 s */
	sim.millis += 29999;
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
	sim.millis += 1;
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_RESET);
	node_start();
	ck_assert(node_slot_is(0, &node.old));
	ck_assert_uint_eq(reply_uint((struct reply[]){gateway_read(
					     &node.agent, EF_GROUP_EDGEFERRY, EF_EF_IDENTIFY)},
				  "cause"),
		PORT_CAUSE_REQUEST);
	node_free();
}
END_TEST

START_TEST(pending_image_damaged) /* E-03: verified again before it is moved */
{
	setup(_i);
	node_start();
	node_stage();
	node_damage(1, 1000);
	node_start();
	ck_assert(node_slot_is(0, &node.old));
	ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
	ck_assert_int_eq(node_state().revert, EF_REASON_IMAGE_DIGEST);
	node_free();
}
END_TEST

START_TEST(trial_image_damaged_in_the_swap)
{
	setup(_i);
	node_start();
	node_stage();
	/* up to the trial record, then a bit of slot 0 flips before it is started */
	sim.cut_at = 0;
	struct state s = node_state();
	memcpy(s.digest[0], node.fresh.digest, 32);
	memcpy(s.digest[1], node.old.digest, 32);
	s.phase = PHASE_TRIAL;
	ck_assert_int_eq(state_store(&s), 0);
	node_put_image(0, &node.fresh);
	node_put_image(1, &node.old);
	node_damage(0, 2000);
	node_start();
	ck_assert(node_slot_is(0, &node.old));
	ck_assert_int_eq(node_state().revert, EF_REASON_IMAGE_DIGEST);
	node_free();
}
END_TEST

START_TEST(nothing_to_go_back_to)
{
	setup(_i);
	node_damage(0, 500);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	node_serve();
	node_stage();
	node_start();
	/* the image is not confirmed: nothing may run */
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	ck_assert_int_eq(node_state().phase, PHASE_EMPTY);
	ck_assert_int_eq(node_power_cycle(), SIM_SERVING);
	/* and one upload brings the node back */
	node_serve();
	test_image_make(&node.fresh, node.key, NEW, NEW_COUNTER, 2000);
	node_stage();
	/* asked for twice, or called off: what lies in slot 0 is still nothing to go back to */
	assert_good(gateway_state(&node.agent, node.fresh.digest, false, 30));
	ck_assert(!(node_state().flags & STATE_FALLBACK));
	test_image_make(&node.fresh, node.key, NEW, NEW_COUNTER, 1500);
	assert_good(gateway_preflight(&node.agent, &node.fresh));
	assert_good(gateway_chunk(&node.agent, &node.fresh, 0, 300));
	ck_assert_int_eq(node_state().phase, PHASE_EMPTY);
	node_stage();
	node_start();
	ck_assert(node_slot_is(0, &node.fresh));
	assert_good(gateway_state(&node.agent, node.fresh.digest, true, 0));
	node_start();
	ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
	node_free();
}
END_TEST

START_TEST(no_image_at_all)
{
	setup(_i);
	node_damage(0, 500);
	uint32_t before = sim.operations;
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	ck_assert_uint_eq(sim.operations, before);
	node_serve();
	assert_rc(gateway_state(&node.agent, NULL, true, 0), BAD_STATE);
	node_stage();
	node_start();
	ck_assert(node_slot_is(0, &node.fresh));
	node_free();
}
END_TEST

START_TEST(floor_from_the_factory) /* also where nothing ever ran */
{
	struct factory f;

	setup(_i);
	node_damage(0, 500);
	test_factory_make(&f, node.key, NEW_COUNTER + 1);
	memcpy(sim.flash + sim.board.factory.offset, &f, sizeof(f));
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	node_serve();
	assert_refused(gateway_preflight(&node.agent, &node.fresh), FLOOR);
	node_put_image(1, &node.fresh);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	node_free();
}
END_TEST

START_TEST(image_of_a_stranger_in_slot_0)
{
	setup(_i);
	test_image_make(&node.old, node.other_key, OLD, OLD_COUNTER, 3000);
	node_put_image(0, &node.old);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	node_free();
}
END_TEST

START_TEST(factory_page_damaged)
{
	setup(_i);
	node_start();
	sim.flash[sim.board.factory.offset + 70] ^= 1;
	/* without keys nothing verifies; a slow core still runs what it verified when it had them
	 */
	ck_assert_int_eq(node_boot(), cores[_i] ? SIM_SERVING : SIM_STARTED);
	node_serve();
	assert_refused(gateway_preflight(&node.agent, &node.fresh), NO_TRUST);
	node_free();
}
END_TEST

START_TEST(state_damaged) /* I-4: the floor does not fall below the image that runs */
{
	setup(_i);
	node_put_on_trial();
	assert_good(gateway_state(&node.agent, NULL, true, 0));
	memset(sim.flash + sim.board.state.offset, 0x33, sim.board.state.size);
	node_start();
	ck_assert(node_slot_is(0, &node.fresh));
	ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
	ck_assert_uint_eq(node_state().floor, NEW_COUNTER);
	node_free();
}
END_TEST

START_TEST(stay_uses_no_trial_up)
{
	struct retained r;

	setup(_i);
	node_start();
	node_stage();
	retained_load(&r);
	r.stay = true;
	retained_store(&r);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	ck_assert_int_eq(node_state().phase, PHASE_TRIAL);
	ck_assert_int_eq(node_state().attempts, 0);
	node_start(); /* once only */
	ck_assert(node_slot_is(0, &node.fresh));
	ck_assert_int_eq(node_state().attempts, 1);
	node_free();
}
END_TEST

static uint32_t identify(const char *key)
{
	struct reply r = gateway_read(&node.agent, EF_GROUP_EDGEFERRY, EF_EF_IDENTIFY);
	return reply_uint(&r, key);
}

START_TEST(attempts_and_cause)
{
	setup(_i);
	node_start();
	ck_assert_uint_eq(identify("attempts"), 1);
	ck_assert_uint_eq(identify("cause"), PORT_CAUSE_POWER);
	retained_set_cause(PORT_CAUSE_WATCHDOG);
	node_start();
	ck_assert_uint_eq(identify("attempts"), 2);
	ck_assert_uint_eq(identify("cause"), PORT_CAUSE_WATCHDOG);
	node_start(); /* by the pin, or by nobody knows what */
	ck_assert_uint_eq(identify("cause"), PORT_CAUSE_UNKNOWN);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	ck_assert_uint_eq(identify("cause"), PORT_CAUSE_POWER);
	ck_assert_uint_eq(identify("attempts"), 1);
	node_free();
}
END_TEST

START_TEST(flash_fails_in_the_swap) /* F-19: reported, nothing half is started, and done later */
{
	uint32_t operations;
	static struct sim before;

	setup(_i);
	node_start();
	node_stage();
	before = sim;
	node_start();
	operations = sim.operations - before.operations;
	for (uint32_t at = 1; at <= operations; at++) {
		sim = before;
		sim.fault_at = sim.operations + at;
		enum sim_event e = node_boot();
		if (e != SIM_STARTED)
			ck_assert_int_eq(e, SIM_SERVING);
		else
			ck_assert(node_slot_is(0, &node.fresh) || node_slot_is(0, &node.old));
		sim.fault_at = 0;
		ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
		ck_assert(node_slot_is(0, &node.fresh) || node_slot_is(0, &node.old));
	}
	node_free();
}
END_TEST

/* ---- flash that answers differently from one reading to the next (E-04) ---- */

static struct {
	uint32_t from, reads; /* spoilt from this read of slot 0 on, from 1; made so far */
	bool once;	      /* this one alone */
	uint32_t hashed;      /* bytes that the digest covers */
	bool counts;	      /* some of them were spoilt */
	struct test_image other;
} changing;

/* Slot 0 shows another image. */
static void show_other(uint32_t offset, uint8_t *data, size_t size)
{
	if (offset >= sim.board.slot[0].size)
		return;
	changing.reads++;
	if (changing.once ? changing.reads != changing.from : changing.reads < changing.from)
		return;
	memcpy(data, changing.other.data + offset, size);
	changing.counts |= offset < changing.hashed;
}

static enum sim_event boot_while_changing(const struct sim *start, uint32_t from, bool once)
{
	sim_copy(&sim, start);
	changing.from = from;
	changing.reads = 0;
	changing.once = once;
	changing.counts = false;
	sim.spoil = show_other;
	enum sim_event e = node_boot();
	sim.spoil = NULL;
	return e;
}

static void change_at_every_read(const struct sim *start, const struct test_image *i)
{
	changing.hashed = i->signed_size;
	ck_assert_int_eq(boot_while_changing(start, UINT32_MAX, true), SIM_STARTED);
	uint32_t reads = changing.reads;
	ck_assert_uint_gt(reads, 20);
	for (uint32_t at = 1; at <= reads; at++) {
		/* whatever was verified until then, nothing that was not read as it is runs */
		if (boot_while_changing(start, at, false) == SIM_STARTED)
			ck_assert(!changing.counts);
		/* and one lie does not lead the jump astray */
		if (boot_while_changing(start, at, true) == SIM_STARTED)
			ck_assert_uint_eq(sim.started, sim.board.slot[0].offset + 64);
	}
}

START_TEST(flash_that_changes)
{
	static struct sim start;
	bool stranger = _i / 2;

	setup(_i % 2);
	/* what it shows is a stranger's and starts elsewhere, or well signed and below the floor */
	test_image_make(&changing.other, stranger ? node.other_key : node.key, NEW, 0, 3000);
	if (stranger)
		changing.other.data[8] = 128; /* header size */
	sim_copy(&start, &sim);
	change_at_every_read(&start, &node.old); /* the first boot */
	sim_copy(&sim, &start);
	node_start();
	sim_power_on();
	sim_copy(&start, &sim);
	change_at_every_read(&start, &node.old); /* a confirmed image */
	sim_copy(&sim, &start);
	node_start();
	node_stage();
	node_start();
	struct state s = node_state();
	s.attempts = 0;
	ck_assert_int_eq(state_store(&s), 0);
	sim_copy(&start, &sim);
	change_at_every_read(&start, &node.fresh); /* one about to be tried */
	node_free();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/boot");
	TCase *c = tcase_create("boot");

	suite_add_tcase(s, c);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, fresh_from_the_factory, 0, 2);
	tcase_add_loop_test(c, trial_and_confirm, 0, 2);
	tcase_add_loop_test(c, trial_not_confirmed, 0, 2);
	tcase_add_loop_test(c, self_test_failed, 0, 2);
	tcase_add_loop_test(c, deadline, 0, 2);
	tcase_add_loop_test(c, pending_image_damaged, 0, 2);
	tcase_add_loop_test(c, trial_image_damaged_in_the_swap, 0, 2);
	tcase_add_loop_test(c, nothing_to_go_back_to, 0, 2);
	tcase_add_loop_test(c, no_image_at_all, 0, 2);
	tcase_add_loop_test(c, floor_from_the_factory, 0, 2);
	tcase_add_loop_test(c, image_of_a_stranger_in_slot_0, 0, 2);
	tcase_add_loop_test(c, factory_page_damaged, 0, 2);
	tcase_add_loop_test(c, state_damaged, 0, 2);
	tcase_add_loop_test(c, stay_uses_no_trial_up, 0, 2);
	tcase_add_loop_test(c, attempts_and_cause, 0, 2);
	tcase_add_loop_test(c, flash_fails_in_the_swap, 0, 2);
	tcase_add_loop_test(c, flash_that_changes, 0, 4);
	return s;
}

UNIT_MAIN(suite())
