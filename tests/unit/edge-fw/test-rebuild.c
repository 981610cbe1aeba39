/* SPDX-License-Identifier: Apache-2.0 */
/* Images by patch: made out of slot 0 into slot 1, after any power cut too, and never anywhere
 * else. */
#include "agent/rebuild.h"
#include "node.h"
#include "patch/patch.h"
#include <string.h>

static const struct ef_patch_model *const models[] = {
	&ef_patch_generic, &ef_patch_thumb, &ef_patch_riscv, NULL};
static struct {
	uint8_t *data;
	size_t size, at;
} patch;
static struct rebuild rebuild;

static int next(void *source)
{
	(void)source;
	return patch.at < patch.size ? patch.data[patch.at++] : -1;
}

static void make_patch(const struct test_image *from)
{
	const struct patch_image old = {from->data, from->size},
				 new = {node.fresh.data, node.fresh.size};
	const struct patch_hints hints = {&ef_patch_thumb, true, 0x1000};

	free(patch.data);
	ck_assert_int_eq(patch_make(&old, &new, &hints, &patch.data, &patch.size), 0);
}

static void setup(void)
{
	node_make(true);
	node_start();
	make_patch(&node.old);
	ck_assert_uint_lt(patch.size, node.fresh.size);
}

static void teardown(void)
{
	free(patch.data);
	memset(&patch, 0, sizeof(patch));
	node_free();
}

static enum ef_reason step_until(bool (*end)(const struct rebuild *))
{
	enum ef_reason r = EF_REASON_OK;

	while (!r && !end(&rebuild)) {
		port_watchdog_feed();
		r = rebuild_step(&rebuild);
	}
	return r;
}

/* As a gateway would bring it. */
static enum ef_reason bring(void)
{
	enum ef_reason r;

	patch.at = 0;
	assert_good(gateway_preflight(&node.agent, &node.fresh));
	r = rebuild_begin(&rebuild, &node.agent, models, next, NULL);
	if (!r)
		r = step_until(rebuild_checked);
	if (r)
		return r;
	struct reply first = gateway_chunk(&node.agent, &node.fresh, 0, EF_IMAGE_HEADER_SIZE);
	return reply_good(&first) ? step_until(rebuild_done) : first.reason;
}

static void bring_by_patch(void *attempt)
{
	struct node_attempt *a = attempt;

	a->refused = bring();
	a->whole = a->refused == EF_REASON_OK;
}

START_TEST(made_and_run)
{
	ck_assert_int_eq(bring(), EF_REASON_OK);
	ck_assert(node_slot_is(0, &node.old) && node_slot_is(1, &node.fresh));
	assert_good(gateway_state(&node.agent, node.fresh.digest, false, 30));
	node_start();
	ck_assert(node_slot_is(0, &node.fresh));
}
END_TEST

/* F-18, I-2: power goes at every operation, in every way; the same patch goes on from a page's
 * beginning. */
START_TEST(power_cuts)
{
	unsigned anew, cuts = node_cut_everywhere(bring_by_patch, &anew);

	ck_assert_uint_gt(cuts, 100);
	ck_assert_uint_lt(anew, cuts / 20);
}
END_TEST

/* What is there already is not written again. */
START_TEST(goes_on_at_a_page)
{
	static struct sim before;
	struct node_attempt a;

	before = sim;
	ck_assert_int_eq(bring(), EF_REASON_OK);
	uint32_t operations = sim.operations - before.operations;
	sim = before;
	node_start();
	sim.cut_kind = CUT_AFTER;
	sim.cut_at = sim.operations + operations * 9 / 10;
	ck_assert_int_eq(sim_run(bring_by_patch, &a), SIM_CUT);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	uint32_t again = sim.operations;
	ck_assert_int_eq(bring(), EF_REASON_OK);
	ck_assert(node_slot_is(1, &node.fresh));
	ck_assert_uint_lt(sim.operations - again, operations / 2);
}
END_TEST

static uint8_t flash_before[SIM_SIZE_MAX];

/* Nothing but slot 1 and the state pages may be another than before. */
static void only_slot_1_changed(void)
{
	const struct port_area *s1 = &sim.board.slot[1], *st = &sim.board.state;

	for (uint32_t at = 0; at < sim.size; at++)
		if (at - s1->offset >= s1->size && at - st->offset >= st->size)
			ck_assert_msg(sim.flash[at] == flash_before[at], "at %u", (unsigned)at);
}

START_TEST(another_base_touches_nothing)
{
	uint32_t operations;

	make_patch(&node.fresh);
	operations = sim.operations;
	ck_assert_int_eq(bring(), EF_REASON_REQUIREMENT);
	ck_assert_uint_eq(sim.operations, operations);
	patch.data[0] ^= 1;
	ck_assert_int_eq(bring(), EF_REASON_BAD_FORMAT);
	ck_assert_uint_eq(sim.operations, operations);
	/* and the full image still comes */
	node_stage();
	ck_assert(node_slot_is(1, &node.fresh));
}
END_TEST

START_TEST(without_preflight)
{
	ck_assert_int_eq(
		rebuild_begin(&rebuild, &node.agent, models, next, NULL), EF_REASON_REQUIREMENT);
}
END_TEST

/* Every byte of the stream: it ends in an error or in the image, and touches nothing else. */
START_TEST(garbage_stays_in_slot_1)
{
	memcpy(flash_before, sim.flash, sizeof(flash_before));
	for (size_t at = 29; at < patch.size; at += 1 + patch.size / 150) {
		patch.data[at] ^= (uint8_t)(1 + at * 7);
		enum ef_reason r = bring();
		patch.data[at] ^= (uint8_t)(1 + at * 7);
		only_slot_1_changed();
		ck_assert(r != EF_REASON_OK || node_slot_is(1, &node.fresh));
		if (r)
			ck_assert(!(node.agent.state.flags & STATE_UPLOADING) ||
				  !node.agent.upload.open);
	}
	/* what it left is not gone on with */
	ck_assert_int_eq(bring(), EF_REASON_OK);
	ck_assert(node_slot_is(1, &node.fresh));
}
END_TEST

START_TEST(flash_that_fails)
{
	sim.fault = FAULT_REPORTED;
	sim.fault_at = sim.operations + 12;
	ck_assert_int_eq(bring(), EF_REASON_NODE_FLASH);
	ck_assert_int_eq(bring(), EF_REASON_OK);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("rebuild");
	TCase *c = tcase_create("rebuild");

	tcase_set_timeout(c, 100);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, made_and_run);
	tcase_add_test(c, power_cuts);
	tcase_add_test(c, goes_on_at_a_page);
	tcase_add_test(c, another_base_touches_nothing);
	tcase_add_test(c, without_preflight);
	tcase_add_test(c, garbage_stays_in_slot_1);
	tcase_add_test(c, flash_that_fails);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
