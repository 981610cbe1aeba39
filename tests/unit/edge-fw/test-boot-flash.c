/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boot decision on flash that is worn or tells lies (F-19): what cannot be recorded is not
 * begun, nothing half is started, and the next start goes on from there.
 */
#include "boot/keyset.h"
#include "boot/verify.h"
#include "dfu/image-middle.h"
#include "flash-keys.h"
#include "node.h"
#include <string.h>

#define PLACE (sizeof(struct state) + 16u)

static uint32_t records(void)
{
	return sim.board.page / PLACE;
}

static uint8_t *record(uint32_t page, uint32_t index)
{
	return sim.flash + sim.board.state.offset + page * sim.board.page + index * PLACE;
}

/* The page that the newest record ends; it is recorded again until it does. */
static uint32_t fill_page(void)
{
	for (;;) {
		struct state s = node_state();
		for (uint32_t page = 0; page < 2; page++)
			if (memcmp(record(page, records() - 1), &s, sizeof(s)) == 0)
				return page;
		ck_assert_int_eq(state_store(&s), 0);
	}
}

static void page_is_bad(uint32_t offset)
{
	sim.fault = FAULT_REPORTED;
	sim.bad_page = offset / sim.board.page + 1;
}

/* No record fits into the page, and the other one cannot be erased. */
static void nothing_can_be_recorded(void)
{
	uint32_t full = fill_page();
	page_is_bad(sim.board.state.offset + !full * sim.board.page);
}

static void fresh(void)
{
	page_is_bad(sim.board.state.offset);
}

static void pending(void)
{
	node_start();
	node_stage();
}

static void pending_no_journal(void)
{
	pending();
	page_is_bad(sim.board.journal.offset);
}

static void pending_no_record(void)
{
	pending();
	nothing_can_be_recorded();
}

static void pending_worn_slot(void)
{
	pending();
	page_is_bad(sim.board.slot[0].offset + 1024);
}

static void trial_to_come(void)
{
	struct retained r;

	pending();
	retained_load(&r);
	r.stay = true;
	retained_store(&r);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	ck_assert_int_eq(node_state().phase, PHASE_TRIAL);
	ck_assert_int_eq(node_state().attempts, 0);
	nothing_can_be_recorded();
}

static void trial_over(void)
{
	node_put_on_trial();
	nothing_can_be_recorded();
}

static void trial_over_worn_slot(void)
{
	node_put_on_trial();
	page_is_bad(sim.board.slot[0].offset + 1024);
}

static void cut_swap(void)
{
	static struct sim before;

	pending();
	before = sim;
	node_start();
	uint32_t operations = sim.operations - before.operations;
	sim = before;
	sim.cut_kind = CUT_AFTER;
	sim.cut_at = sim.operations + operations / 2;
	ck_assert_int_eq(node_boot(), SIM_CUT);
	ck_assert_int_eq(node_state().phase, PHASE_SWAPPING);
	sim_power_on();
}

static void swap_cut_no_journal(void)
{
	cut_swap();
	page_is_bad(sim.board.journal.offset);
}

static void swap_cut_short_journal(void) /* a port that is wrong: nothing is moved */
{
	cut_swap();
	sim.board.journal.size = 16;
}

static void failed_start(void)
{
	node_start();
	nothing_can_be_recorded();
	retained_set_cause(PORT_CAUSE_WATCHDOG);
}

static const struct {
	const char *what;
	void (*prepare)(void);
	struct test_image *after; /* what runs when the flash is well again */
} worn[] = {
	{"fresh from the factory", fresh, &node.old},
	{"before the swap, its journal", pending_no_journal, &node.fresh},
	{"before the swap, its record", pending_no_record, &node.fresh},
	{"in the swap, a page of the slot", pending_worn_slot, &node.fresh},
	{"in the swap, a journal too short", swap_cut_short_journal, &node.fresh},
	{"in the swap, cut and no journal", swap_cut_no_journal, &node.fresh},
	{"before the trial, its record", trial_to_come, &node.fresh},
	{"after the trial, its record", trial_over, &node.old},
	{"on the way back, a page of the slot", trial_over_worn_slot, &node.old},
	{"a start that failed, its record", failed_start, &node.old},
};

START_TEST(what_cannot_be_written_is_said)
{
	struct retained r;
	uint32_t journal;

	node_make(_i % 2);
	journal = sim.board.journal.size;
	worn[_i / 2].prepare();
	ck_assert_msg(node_boot() == SIM_SERVING, "%s", worn[_i / 2].what);
	ck_assert(retained_load(&r));
	ck_assert_int_eq(r.reason, EF_REASON_NODE_FLASH);
	ck_assert_int_eq(r.started, STARTED_NONE);
	sim.board.journal.size = journal;
	ck_assert_msg(node_power_cycle() == SIM_STARTED, "%s", worn[_i / 2].what);
	ck_assert_msg(node_slot_is(0, worn[_i / 2].after), "%s", worn[_i / 2].what);
	node_free();
}
END_TEST

/* The newest record was begun, and its end not reached; nor can it be written again. */
static void unsettled(void)
{
	uint32_t full = fill_page();

	memset(record(full, records() - 1) + sizeof(struct state), 0xff, 16);
	page_is_bad(sim.board.state.offset + !full * sim.board.page);
}

START_TEST(a_record_that_cannot_be_settled)
{
	struct retained r;

	/* what is confirmed runs all the same */
	node_make(_i);
	node_start();
	sim_power_on();
	unsettled();
	ck_assert_int_eq(node_boot(), SIM_STARTED);
	ck_assert_uint_eq(sim.started, sim.board.slot[0].offset + 64);
	node_free();
	/* what is begun on such a record is begun twice */
	node_make(_i);
	pending();
	unsettled();
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	ck_assert(retained_load(&r));
	ck_assert_int_eq(r.reason, EF_REASON_NODE_FLASH);
	ck_assert(node_slot_is(0, &node.old));
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	ck_assert(node_slot_is(0, &node.fresh));
	node_free();
}
END_TEST

START_TEST(a_record_that_reads_badly_once) /* is not taken for absent */
{
	node_make(true);
	node_put_on_trial();
	struct state want = node_state(), s;
	uint32_t before = sim.reads;
	ck_assert(state_load(&s));
	uint32_t reads = sim.reads - before;
	for (uint32_t at = 1; at <= reads; at++) {
		sim.fault = FAULT_READ;
		sim.fault_at = sim.reads + at;
		ck_assert(state_load(&s));
		ck_assert_mem_eq(&s, &want, sizeof(s));
	}
	node_free();
}
END_TEST

START_TEST(a_floor_comes_from_what_was_loaded) /* E-06, I-4 */
{
	struct state loaded, torn;

	node_make(true);
	node_start();
	loaded = torn = node_state();
	ck_assert_uint_eq(loaded.floor, OLD_COUNTER);
	/* a lower one does not get past the record that it comes from */
	struct state lower = loaded;
	lower.floor = 0;
	ck_assert_int_eq(state_store(&lower), 0);
	ck_assert_uint_eq(node_state().floor, OLD_COUNTER);
	/* one that shows itself only now was never in force, nor is its floor */
	torn = loaded = node_state();
	torn.floor = OLD_COUNTER + 1;
	ck_assert_int_eq(state_store(&torn), 0);
	ck_assert_int_eq(state_store(&loaded), 0);
	ck_assert_uint_eq(node_state().floor, OLD_COUNTER);
	ck_assert_uint_gt(loaded.sequence, torn.sequence);
	node_free();
}
END_TEST

/* Slot 0 is other for who verifies it than for who copies it: by the size of the pieces. */
static void lie_to_the_verifier(uint32_t offset, uint8_t *data, size_t size)
{
	if (offset < sim.board.slot[0].size && size == 128)
		data[0] ^= 1;
}

START_TEST(never_in_circles) /* the image is restored, and found bad, and restored: not for ever */
{
	struct retained r;

	node_make(_i);
	node_put_on_trial();
	struct reply confirmed = gateway_state(&node.agent, NULL, true, 0);
	ck_assert(reply_good(&confirmed));
	node_start();
	/* the one before it may come back: no floor in its way */
	struct state s = node_state();
	s.phase = PHASE_CONFIRMED;
	s.flags |= STATE_FALLBACK;
	memcpy(s.digest[1], node.fresh.digest, 32);
	ck_assert_int_eq(state_store(&s), 0);
	node_put_image(1, &node.fresh);
	sim.spoil = lie_to_the_verifier;
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	sim.spoil = NULL;
	ck_assert(retained_load(&r));
	ck_assert_int_eq(r.reason, EF_REASON_INTERNAL);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	ck_assert(node_slot_is(0, &node.fresh));
	node_free();
}
END_TEST

START_TEST(damaged_before_it_is_tried_and_nothing_to_go_back_to) /* E-03 */
{
	node_make(_i);
	node_damage(0, 500);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	node_serve();
	node_stage();
	node_start();
	ck_assert_int_eq(node_boot(), SIM_SERVING); /* the trial is over */
	node_serve();
	node_stage();
	node_damage(1, 1000);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	ck_assert_int_eq(node_state().phase, PHASE_EMPTY);
	ck_assert_int_eq(node_state().revert, EF_REASON_IMAGE_DIGEST);
	node_serve();
	node_stage();
	node_start();
	ck_assert(node_slot_is(0, &node.fresh));
	node_free();
}
END_TEST

START_TEST(no_counter_no_floor) /* E-06: an image of counter 0 neither raises nor needs one */
{
	struct factory f;

	node_make(_i);
	test_factory_make(&f, node.key, 0);
	memcpy(sim.flash + sim.board.factory.offset, &f, sizeof(f));
	test_image_make(&node.old, node.key, OLD, 0, 3000);
	node_put_image(0, &node.old);
	node_start();
	ck_assert_uint_eq(node_state().floor, 0);
	ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
	node_free();
}
END_TEST

START_TEST(starts_are_counted_as_far_as_they_go)
{
	struct retained r;

	node_make(_i);
	node_start();
	retained_load(&r);
	r.boots = UINT8_MAX - 1;
	retained_store(&r);
	for (int i = 0; i < 3; i++) {
		node_start();
		retained_load(&r);
		ck_assert_uint_eq(r.boots, UINT8_MAX);
	}
	node_free();
}
END_TEST

START_TEST(a_board_without_a_recovery_image)
{
	node_make(_i);
	sim.board.recovery = (struct port_area){0, 0};
	node_damage(0, 500);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	node_serve();
	node_stage();
	node_start();
	ck_assert(node_slot_is(0, &node.fresh));
	node_free();
}
END_TEST

/* ---- the preflight, which believes no size (E-01) ---- */

static enum ef_reason preflight(const uint8_t *tlv, uint32_t size)
{
	struct ef_image_info info = {.header = {.img_size = node.fresh.tlv_at}};
	uint8_t middle[IMAGE_MIDDLE_MAX];
	size_t n = image_middle(node.fresh.data, &info, middle);
	struct preflight p = {
		node.fresh.data, tlv, size, node.fresh.size, {middle, middle + 32, n - 32}};
	struct factory f;

	keyset_load(&f);
	return verify_preflight(&p, 0, &f, &info);
}

START_TEST(tlvs_that_were_not_sent)
{
	uint8_t tlv[512];
	uint32_t size, at;

	node_make(true);
	size = node.fresh.size - node.fresh.tlv_at;
	ck_assert_uint_le(size, sizeof(tlv));
	memcpy(tlv, node.fresh.data + node.fresh.tlv_at, size);
	/* fewer than the size of the file has room for */
	for (uint32_t n = 0; n < size; n++) {
		uint8_t *exact = malloc(n + 1); /* so that reading on is seen */
		memcpy(exact, tlv, n);
		ck_assert_int_eq(preflight(exact, n), EF_REASON_BAD_IMAGE);
		free(exact);
	}
	ck_assert_int_eq(preflight(tlv, size), EF_REASON_OK);
	/* one that is passed over unread and ends behind what was sent, the next one behind that */
	ck_assert_uint_eq(tlv[0] | tlv[1] << 8, EF_IMAGE_TLV_PROT_INFO);
	at = (uint32_t)(tlv[2] | tlv[3] << 8); /* the other area: digest, key, signature */
	tlv[at + 4] = EF_TLV_ECDSA_SIG;
	ck_assert_int_eq(preflight(tlv, at + 4 + 4 + 8), EF_REASON_BAD_IMAGE);
	node_free();
}
END_TEST

/* ---- key sets ---- */

static EVP_PKEY *key[4];
static struct test_keyset set0, set1;
static struct test_document doc;

static void bring_keys_up(void)
{
	struct factory f;

	node_make(true);
	for (unsigned i = 0; i < 4; i++)
		key[i] = i ? test_key_new() : node.key;
	set0 = (struct test_keyset){.n = 3, .threshold = 2, .keys = {key[0], key[1], key[2]}};
	set1 = (struct test_keyset){
		.n = 3, .threshold = 2, .number = 1, .keys = {key[0], key[1], key[3]}};
	test_factory_make(&f, node.key, 1);
	test_factory_keys(&f, &set0);
	memcpy(sim.flash + sim.board.factory.offset, &f, sizeof(f));
	node_start();
	test_document_whole(&doc, &set1, &set0, 2, 2);
}

static void bring_keys_down(void)
{
	for (unsigned i = 1; i < 4; i++)
		EVP_PKEY_free(key[i]);
	node_free();
}

static struct factory keys_in_force(void)
{
	struct factory f;

	keyset_load(&f);
	return f;
}

static int store_keys(void)
{
	struct factory f = keys_in_force(), next;

	ck_assert_int_eq(keyset_check(doc.data, doc.size, &f, &next), EF_REASON_OK);
	return keyset_store(&next);
}

START_TEST(keys_whose_first_copy_cannot_be_written) /* E-07: the set before stays in force */
{
	bring_keys_up();
	sim.fault = (enum sim_fault)_i;
	sim.bad_page = sim.board.keys.offset / sim.board.page + 1 + 1;
	ck_assert_int_lt(store_keys(), 0);
	ck_assert_uint_eq(keys_in_force().key_set, 0);
	ck_assert_uint_eq(keys_in_force().n_keys, 3);
	ck_assert_int_eq(node_boot(), SIM_STARTED);
	/* once the flash is well again, it is done */
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	ck_assert_int_eq(store_keys(), 0);
	ck_assert_uint_eq(keys_in_force().key_set, 1);
	bring_keys_down();
}
END_TEST

START_TEST(keys_of_which_only_a_worn_copy_is_left) /* nothing is erased beside it */
{
	static struct sim before;

	bring_keys_up();
	ck_assert_int_eq(store_keys(), 0);
	sim.flash[sim.board.keys.offset + 3] ^= 1;
	before = sim;
	page_is_bad(sim.board.keys.offset + sim.board.page);
	ck_assert_int_eq(node_boot(), SIM_STARTED);
	ck_assert_mem_eq(sim.flash + sim.board.keys.offset, before.flash + sim.board.keys.offset,
		2 * sim.board.page);
	ck_assert_uint_eq(keys_in_force().key_set, 1);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED); /* which mends it */
	ck_assert_mem_eq(sim.flash + sim.board.keys.offset,
		sim.flash + sim.board.keys.offset + sim.board.page, sizeof(struct factory));
	bring_keys_down();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/boot-flash");
	TCase *c = tcase_create("flash");

	suite_add_tcase(s, c);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(
		c, what_cannot_be_written_is_said, 0, 2 * (int)(sizeof(worn) / sizeof(*worn)));
	tcase_add_loop_test(c, a_record_that_cannot_be_settled, 0, 2);
	tcase_add_test(c, a_record_that_reads_badly_once);
	tcase_add_test(c, a_floor_comes_from_what_was_loaded);
	tcase_add_loop_test(c, never_in_circles, 0, 2);
	tcase_add_loop_test(c, damaged_before_it_is_tried_and_nothing_to_go_back_to, 0, 2);
	tcase_add_loop_test(c, no_counter_no_floor, 0, 2);
	tcase_add_loop_test(c, starts_are_counted_as_far_as_they_go, 0, 2);
	tcase_add_loop_test(c, a_board_without_a_recovery_image, 0, 2);
	tcase_add_test(c, tlvs_that_were_not_sent);
	tcase_add_loop_test(c, keys_whose_first_copy_cannot_be_written, 0, FAULT_READ);
	tcase_add_test(c, keys_of_which_only_a_worn_copy_is_left);
	return s;
}

UNIT_MAIN(suite())
