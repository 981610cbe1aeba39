/* SPDX-License-Identifier: Apache-2.0 */
/* Images by patch: uploaded beside the image's place and made out of slot 0, after any power cut
 * too, and never anywhere else. */
#include "agent/patch.h"
#include "boot/flash.h"
#include "node.h"
#include "patch/patch.h"
#include <string.h>

static struct test_image patch; /* data, size, and in digest its SHA-256 */

static void name_patch(void)
{
	ck_assert_int_eq(
		EVP_Digest(patch.data, patch.size, patch.digest, NULL, EVP_sha256(), NULL), 1);
}

static void make_patch(
	const struct test_image *from, const struct test_image *to, const struct ef_patch_model *m)
{
	const struct patch_image old = {from->data, from->size}, new = {to->data, to->size};
	const struct patch_hints hints = {m, true, 0x1000};
	uint8_t *data;
	size_t size;

	ck_assert_int_eq(patch_make(&old, &new, &hints, &data, &size), 0);
	ck_assert_uint_le(size, sizeof(patch.data));
	memcpy(patch.data, data, size);
	patch.size = (uint32_t)size;
	free(data);
	name_patch();
}

static void setup(void)
{
	node_make(true);
	test_image_make_like(&node.fresh, node.key, NEW, NEW_COUNTER, 4001, 2500);
	node_start();
	make_patch(&node.old, &node.fresh, &ef_patch_thumb);
}

static void teardown(void)
{
	node_free();
}

static struct reply preflight(void)
{
	return gateway_preflight_patch(&node.agent, &node.fresh, &patch, node.old.digest);
}

static struct reply ask(void)
{
	return gateway_read(&node.agent, EF_GROUP_EDGEFERRY, EF_EF_PATCH);
}

static struct reply chunk(uint32_t off)
{
	return gateway_chunk(
		&node.agent, &patch, off, patch.size - off < 100 ? patch.size - off : 100);
}

/* Until the image is made or is not going to be; its last answer. */
static struct reply wait(void)
{
	while (patch_poll(&node.agent))
		port_watchdog_feed();
	return ask();
}

static enum ef_reason reason_of(const struct reply *r)
{
	if (r->reason == EF_REASON_PATCH)
		return (enum ef_reason)reply_uint(r, "why");
	ck_assert(r->answered && r->rc == 0);
	return r->reason;
}

/* As a gateway brings it. OK, or why not: what the node says of a patch it says as "why". */
static enum ef_reason bring(void)
{
	struct reply r = preflight();

	if (reply_good(&r))
		r = gateway_upload(&node.agent, &patch, 100);
	if (reply_good(&r))
		r = wait();
	ck_assert(!reply_good(&r) || r.match);
	return reason_of(&r);
}

static void bring_by_patch(void *attempt)
{
	struct node_attempt *a = attempt;

	a->refused = bring();
	a->whole = a->refused == EF_REASON_OK;
	/* which the gateway answers with the whole image */
	if (!a->whole)
		a->refused = EF_REASON_PATCH;
}

static void confirm(void)
{
	assert_good(gateway_state(&node.agent, node.fresh.digest, false, 30));
	node_start();
	ck_assert(node_slot_is(0, &node.fresh));
	assert_good(gateway_state(&node.agent, NULL, true, 0));
}

START_TEST(made_and_run)
{
	ck_assert_int_eq(bring(), EF_REASON_OK);
	ck_assert(node_slot_is(0, &node.old) && node_slot_is(1, &node.fresh));
	confirm();
}
END_TEST

/* Swapped, and by patch again, many times: in front of the image and behind it. */
START_TEST(back_and_forth)
{
	static struct test_image versions[2];

	versions[0] = node.old;
	test_image_make_like(&versions[1], node.key, NEW, OLD_COUNTER, 4001, 2500);
	for (unsigned i = 0; i < 5; i++) {
		node.old = versions[i % 2];
		node.fresh = versions[1 - i % 2];
		make_patch(&node.old, &node.fresh, i % 3 ? &ef_patch_riscv : &ef_patch_generic);
		ck_assert_int_eq(bring(), EF_REASON_OK);
		confirm();
		ck_assert_uint_eq(node_state().flags & STATE_SHIFTED, i % 2 ? 0 : STATE_SHIFTED);
	}
}
END_TEST

START_TEST(from_the_bootloader)
{
	node_serve();
	ck_assert_int_eq(bring(), EF_REASON_OK);
	assert_good(gateway_state(&node.agent, node.fresh.digest, false, 30));
	node_start();
	ck_assert(node_slot_is(0, &node.fresh));
}
END_TEST

/* F-18, I-2: power goes at every operation of upload and rebuilding, in every way. */
START_TEST(power_cuts)
{
	unsigned anew, cuts = node_cut_everywhere(bring_by_patch, &anew);

	ck_assert_uint_gt(cuts, 400);
	ck_assert_uint_lt(anew, cuts / 20);
}
END_TEST

static uint32_t operations_of_a_whole(void)
{
	static struct sim before;
	uint32_t operations;

	before = sim;
	ck_assert_int_eq(bring(), EF_REASON_OK);
	operations = sim.operations - before.operations;
	sim = before;
	node_start();
	return operations;
}

/* A patch that is there is not sent again, nor is an image written again that is. */
START_TEST(goes_on_with_the_image)
{
	uint32_t operations = operations_of_a_whole(), again;
	struct node_attempt a;

	sim.cut_kind = CUT_AFTER;
	sim.cut_at = sim.operations + operations * 95 / 100;
	ck_assert_int_eq(sim_run(bring_by_patch, &a), SIM_CUT);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	again = sim.operations;
	ck_assert_int_eq(ask().rc, EF_SMP_BAD_STATE);
	assert_good(preflight());
	struct reply r = chunk(0);
	ck_assert(reply_good(&r) && r.match);
	ck_assert_uint_eq(r.off, patch.size);
	r = wait();
	ck_assert(reply_good(&r) && r.match);
	ck_assert(node_slot_is(1, &node.fresh));
	ck_assert_uint_lt(sim.operations - again, operations / 2);
}
END_TEST

START_TEST(goes_on_with_the_patch)
{
	struct reply r;

	assert_good(preflight());
	for (uint32_t off = 0; off < patch.size * 4 / 5; off = r.off)
		r = chunk(off);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	assert_good(preflight());
	uint32_t had = r.off;
	r = chunk(0);
	ck_assert(reply_good(&r) && !r.has_match);
	ck_assert_uint_ge(r.off + sim.board.page + 63, had);
	ck_assert_uint_gt(r.off, 0);
	/* another one for the same image begins anew */
	assert_good(preflight());
	patch.digest[0] ^= 1;
	r = chunk(0);
	ck_assert(reply_good(&r));
	ck_assert_uint_eq(r.off, 100);
}
END_TEST

/* What was made of the image is the beginning of the image, whoever sends the rest. */
START_TEST(goes_on_with_the_full_image)
{
	uint32_t operations = operations_of_a_whole();
	struct node_attempt a;

	sim.cut_kind = CUT_AFTER;
	sim.cut_at = sim.operations + operations * 95 / 100;
	ck_assert_int_eq(sim_run(bring_by_patch, &a), SIM_CUT);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	assert_good(gateway_preflight(&node.agent, &node.fresh));
	struct reply r = gateway_chunk(&node.agent, &node.fresh, 0, 100);
	ck_assert_uint_gt(r.off, node.fresh.size / 2);
	r = gateway_upload(&node.agent, &node.fresh, 300);
	ck_assert(reply_good(&r) && r.match);
}
END_TEST

static uint8_t flash_before[SIM_SIZE_MAX];

static void remember_flash(void)
{
	memcpy(flash_before, sim.flash, sizeof(flash_before));
}

/* Nothing but slot 1 and the state pages may be another than before. */
static void only_slot_1_changed(void)
{
	const struct port_area *s1 = &sim.board.slot[1], *st = &sim.board.state;

	for (uint32_t at = 0; at < sim.size; at++)
		if (at - s1->offset >= s1->size && at - st->offset >= st->size)
			ck_assert_msg(sim.flash[at] == flash_before[at], "at %u", (unsigned)at);
}

/* Refused before anything is erased or written; and the whole image comes then. */
static void refused_untouched(enum ef_reason why)
{
	uint32_t operations = sim.operations;

	ck_assert_int_eq(bring(), why);
	ck_assert_uint_eq(sim.operations, operations);
}

START_TEST(refused_before_it_is_sent)
{
	uint8_t was[32];

	memcpy(was, node.old.digest, 32);
	node.old.digest[5] ^= 1; /* E-04: for another image than the node runs */
	refused_untouched(EF_REASON_REQUIREMENT);
	memcpy(node.old.digest, was, 32);
	uint32_t size = patch.size, slot = sim.board.slot[1].size;
	patch.size = slot - round_up(node.fresh.size, sim.board.page) + 1;
	refused_untouched(EF_REASON_TOO_LARGE);
	patch.size--;
	assert_good(preflight());
	patch.size = size;
	node_stage();
}
END_TEST

START_TEST(refused_by_its_header)
{
	static const struct {
		unsigned at;
		enum ef_reason why;
	} wrong[] = {{0, EF_REASON_BAD_FORMAT}, {1, EF_REASON_BAD_FORMAT},
		{2, EF_REASON_NOT_COMPATIBLE}, {3, EF_REASON_NOT_COMPATIBLE},
		{17, EF_REASON_BAD_SIZE}, {20, EF_REASON_BAD_SIZE}};

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		patch.data[wrong[i].at] ^= 0x20;
		refused_untouched(wrong[i].why);
		patch.data[wrong[i].at] ^= 0x20;
	}
	/* cut off in it; without a name; of another size than was said */
	assert_good(preflight());
	struct reply r = gateway_chunk(&node.agent, &patch, 0, 20);
	ck_assert_int_eq(reason_of(&r), EF_REASON_BAD_SIZE);
	assert_good(preflight());
	patch.size--;
	r = chunk(0);
	ck_assert_int_eq(reason_of(&r), EF_REASON_BAD_SIZE);
	patch.size++;
	/* the image itself is not what was announced */
	assert_good(preflight());
	r = gateway_chunk(&node.agent, &node.fresh, 0, 100);
	ck_assert_int_eq(r.reason, EF_REASON_PATCH);
	node_stage();
}
END_TEST

/* A base that has the right hash and is not what the patch was made for, or no patch at all. */
START_TEST(refused_before_the_image_is_begun)
{
	struct reply r;

	patch.data[5] ^= 1;
	name_patch();
	ck_assert_int_eq(bring(), EF_REASON_REQUIREMENT);
	ck_assert(flash_blank(state_slot(&node.agent.state, 1).offset, node.fresh.size));
	ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
	/* other bytes than were announced */
	patch.digest[9] ^= 1;
	ck_assert_int_eq(bring(), EF_REASON_BAD_DIGEST);
	ck_assert(flash_blank(state_slot(&node.agent.state, 1).offset, node.fresh.size));
	r = ask();
	ck_assert_int_eq(r.rc, EF_SMP_BAD_STATE);
	node_stage();
}
END_TEST

START_TEST(without_preflight)
{
	assert_refused(chunk(0), IMAGE_UNSIGNED);
	ck_assert_int_eq(ask().rc, EF_SMP_BAD_STATE);
	/* one that was not accepted is none */
	node.old.digest[0] ^= 1;
	assert_refused(preflight(), PATCH);
	assert_refused(chunk(0), IMAGE_UNSIGNED);
}
END_TEST

/* Every byte of header and stream: it ends in an error or in the image, and touches nothing else.
 */
START_TEST(garbage_stays_in_slot_1)
{
	remember_flash();
	for (uint32_t at = 4; at < patch.size; at += 1 + patch.size / 150) {
		patch.data[at] ^= (uint8_t)(1 + at * 7);
		name_patch();
		enum ef_reason r = bring();
		patch.data[at] ^= (uint8_t)(1 + at * 7);
		only_slot_1_changed();
		ck_assert(r != EF_REASON_OK || node_slot_is(1, &node.fresh));
		if (r)
			ck_assert(!node.agent.upload.open);
	}
	/* what it left is not gone on with */
	name_patch();
	ck_assert_int_eq(bring(), EF_REASON_OK);
	ck_assert(node_slot_is(1, &node.fresh));
}
END_TEST

/* A patch that makes what nobody signed: the image is checked as any other (I-3). */
START_TEST(another_image_than_was_vouched_for)
{
	node.fresh.data[2000] ^= 1;
	make_patch(&node.old, &node.fresh, &ef_patch_thumb);
	node.fresh.data[2000] ^= 1;
	ck_assert_int_eq(bring(), EF_REASON_IMAGE_DIGEST);
	assert_refused(gateway_state(&node.agent, node.fresh.digest, false, 30), NOT_FOUND);
	/* or what somebody signed, but is another one */
	static struct test_image other;
	test_image_make_like(&other, node.key, 3, NEW_COUNTER, 4001, 2500);
	ck_assert_uint_eq(other.tlv_at, node.fresh.tlv_at);
	while (other.size != node.fresh.size) /* a signature has 70 to 72 bytes */
		test_image_make_like(&other, node.key, 3, NEW_COUNTER, 4001, 2500);
	make_patch(&node.old, &other, &ef_patch_thumb);
	ck_assert_int_eq(bring(), EF_REASON_BAD_DIGEST);
	assert_refused(gateway_state(&node.agent, other.digest, false, 30), NOT_FOUND);
	make_patch(&node.old, &node.fresh, &ef_patch_thumb);
	ck_assert_int_eq(bring(), EF_REASON_OK);
}
END_TEST

START_TEST(answers_while_it_makes)
{
	uint32_t made = 0, last;
	struct reply r;

	assert_good(preflight());
	r = gateway_upload(&node.agent, &patch, 100);
	ck_assert(reply_good(&r) && r.match);
	/* its answer was lost */
	r = chunk(patch.size / 100 * 100);
	ck_assert(reply_good(&r) && r.match && r.off == patch.size);
	r = chunk(0);
	ck_assert(reply_good(&r) && r.match && r.off == patch.size);
	for (unsigned n = 0; patch_poll(&node.agent); n++) {
		last = made;
		r = ask();
		ck_assert(reply_good(&r));
		made = reply_uint(&r, "made");
		ck_assert_uint_ge(made, last);
		ck_assert_uint_le(made, last + EF_PATCH_PAGE + 3);
		ck_assert_uint_eq(reply_uint(&r, "size"), node.fresh.size);
		/* late ones of the upload change nothing */
		assert_good(chunk(100 * (n % 3)));
	}
	ck_assert_uint_eq(made, node.fresh.size);
	ck_assert(r.match && node_slot_is(1, &node.fresh));
}
END_TEST

START_TEST(something_else_ends_it)
{
	static struct test_image other;

	assert_good(preflight());
	gateway_upload(&node.agent, &patch, 100);
	ck_assert(patch_making(&node.agent));
	assert_good(
		gateway_ask(&node.agent, EF_SMP_WRITE, EF_GROUP_IMAGE, EF_IMAGE_ERASE, "\xa0", 1));
	ck_assert(!patch_making(&node.agent));
	assert_good(preflight());
	test_image_make(&other, node.key, 3, NEW_COUNTER, 4001);
	gateway_upload(&node.agent, &patch, 100);
	ck_assert_int_eq(patch_making(&node.agent), true);
	assert_good(gateway_preflight(&node.agent, &other));
	ck_assert(!patch_making(&node.agent));
	/* the same preflight again does not */
	assert_good(preflight());
	gateway_upload(&node.agent, &patch, 100);
	assert_good(preflight());
	ck_assert(patch_making(&node.agent));
	struct reply r = wait();
	ck_assert(reply_good(&r) && r.match);
}
END_TEST

/* While an image is on trial, slot 1 is the way back (E-05). */
START_TEST(not_on_trial)
{
	node_stage();
	node_start();
	make_patch(&node.fresh, &node.old, &ef_patch_thumb);
	test_image_make_like(&node.old, node.key, 3, NEW_COUNTER, 4001, 2500);
	make_patch(&node.fresh, &node.old, &ef_patch_thumb);
	remember_flash();
	assert_good(gateway_preflight_patch(&node.agent, &node.old, &patch, node.fresh.digest));
	assert_refused(chunk(0), TRIAL_RUNNING);
	ck_assert_mem_eq(sim.flash, flash_before, sim.size);
}
END_TEST

START_TEST(flash_that_fails)
{
	uint32_t operations = operations_of_a_whole();

	for (uint32_t at = 3; at < operations; at += operations / 9) {
		sim.fault = FAULT_REPORTED;
		sim.fault_at = sim.operations + at;
		enum ef_reason r = bring();
		sim.fault_at = 0;
		ck_assert(r == EF_REASON_OK || r == EF_REASON_NODE_FLASH);
		ck_assert_int_eq(bring(), EF_REASON_OK);
		assert_good(gateway_ask(
			&node.agent, EF_SMP_WRITE, EF_GROUP_IMAGE, EF_IMAGE_ERASE, "\xa0", 1));
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("patch");
	TCase *c = tcase_create("patch");

	tcase_set_timeout(c, 100);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, made_and_run);
	tcase_add_test(c, back_and_forth);
	tcase_add_test(c, from_the_bootloader);
	tcase_add_test(c, power_cuts);
	tcase_add_test(c, goes_on_with_the_image);
	tcase_add_test(c, goes_on_with_the_patch);
	tcase_add_test(c, goes_on_with_the_full_image);
	tcase_add_test(c, refused_before_it_is_sent);
	tcase_add_test(c, refused_by_its_header);
	tcase_add_test(c, refused_before_the_image_is_begun);
	tcase_add_test(c, without_preflight);
	tcase_add_test(c, garbage_stays_in_slot_1);
	tcase_add_test(c, another_image_than_was_vouched_for);
	tcase_add_test(c, answers_while_it_makes);
	tcase_add_test(c, something_else_ends_it);
	tcase_add_test(c, not_on_trial);
	tcase_add_test(c, flash_that_fails);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
