/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept in flash and in retained RAM: state records, factory page, swap, retained words. */
#include "boot/flash.h"
#include "boot/swap.h"
#include "node.h"
#include <string.h>

#define RECORDS (512u / sizeof(struct state)) /* in a page */

static void setup(void)
{
	node_make(false);
}

static void store(enum phase phase, uint32_t floor)
{
	struct state s;

	state_load(&s, 0);
	s.phase = (uint8_t)phase;
	s.floor = floor;
	ck_assert_int_eq(state_store(&s), 0);
}

START_TEST(state_wraps)
{
	struct state s;

	ck_assert(!state_load(&s, 0));
	ck_assert_int_eq(s.phase, PHASE_NONE);
	for (uint32_t i = 1; i < 10 * RECORDS; i++) {
		store(i % 2 ? PHASE_CONFIRMED : PHASE_PENDING, i);
		ck_assert(state_load(&s, 0));
		ck_assert_uint_eq(s.sequence, i);
		ck_assert_uint_eq(s.floor, i);
	}
	/* one erase a page of records */
	ck_assert_uint_le(sim.erases, 10);
}
END_TEST

START_TEST(floor_never_falls) /* I-4 */
{
	store(PHASE_CONFIRMED, 7);
	for (uint32_t i = 0; i < 3 * RECORDS; i++)
		store(PHASE_CONFIRMED, i % 7);
	ck_assert_uint_eq(node_state().floor, 7);
}
END_TEST

START_TEST(every_bit_of_a_record_counts)
{
	struct state s;

	store(PHASE_CONFIRMED, 1);
	store(PHASE_PENDING, 1);
	for (uint32_t bit = 0; bit < 8 * sizeof(s); bit++) {
		uint8_t *p = sim.flash + sim.board.state.offset + sizeof(s) + bit / 8;
		*p ^= (uint8_t)(1 << bit % 8);
		state_load(&s, 0);
		ck_assert_int_eq(s.phase, PHASE_CONFIRMED); /* the one before */
		*p ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_int_eq(node_state().phase, PHASE_PENDING);
}
END_TEST

START_TEST(store_reports_a_bad_cell) /* F-19 */
{
	struct state s = {.phase = PHASE_CONFIRMED};

	sim.fail_at = sim.operations + 1;
	ck_assert_int_lt(state_store(&s), 0);
	ck_assert(!state_load(&s, 0));
}
END_TEST

START_TEST(factory_page)
{
	struct factory f;

	ck_assert(factory_load(&f));
	ck_assert_uint_eq(f.hardware_revision, 3);
	for (uint32_t bit = 0; bit < 8 * sizeof(f); bit++) {
		uint8_t *p = sim.flash + sim.board.factory.offset + bit / 8;
		*p ^= (uint8_t)(1 << bit % 8);
		ck_assert(!factory_load(&f));
		ck_assert_uint_eq(f.n_keys, 0);
		*p ^= (uint8_t)(1 << bit % 8);
	}
}
END_TEST

static void fill(uint32_t offset, uint32_t size, uint8_t salt)
{
	for (uint32_t i = 0; i < size; i++)
		sim.flash[offset + i] = (uint8_t)(i * 13 + (i >> 8) + salt);
}

START_TEST(swap_moves_its_units_only)
{
	const struct port_board *b = &sim.board;
	uint16_t all = (uint16_t)(b->slot[0].size / b->scratch.size);
	static uint8_t before[SIM_SIZE_MAX];

	for (uint16_t units = 0; units <= all; units++) {
		uint32_t moved = units * b->scratch.size, rest = b->slot[0].size - moved;
		fill(b->slot[0].offset, b->slot[0].size, 1);
		fill(b->slot[1].offset, b->slot[1].size, 2);
		memcpy(before, sim.flash, sim.size);
		ck_assert_int_eq(swap_prepare(), 0);
		ck_assert_int_eq(swap_run(units), 0);
		ck_assert_int_eq(swap_run(units), 0); /* I-5: done is done */
		for (unsigned s = 0; s < 2; s++) {
			uint32_t here = b->slot[s].offset, there = b->slot[!s].offset;
			ck_assert(memcmp(sim.flash + here, before + there, moved) == 0);
			ck_assert(
				memcmp(sim.flash + here + moved, before + here + moved, rest) == 0);
		}
	}
	ck_assert_int_lt(swap_run(all + 1), 0);
	ck_assert_uint_eq(swap_units(0), 0);
	ck_assert_uint_eq(swap_units(1), 1);
	ck_assert_uint_eq(swap_units(b->scratch.size), 1);
	ck_assert_uint_eq(swap_units(b->scratch.size + 1), 2);
}
END_TEST

START_TEST(erases_of_a_swap)
{
	/* wear: one erase of each slot's page and one of scratch for each page moved */
	uint32_t before;

	ck_assert_int_eq(swap_prepare(), 0);
	before = sim.erases;
	ck_assert_int_eq(swap_run(5), 0);
	ck_assert_uint_eq(sim.erases - before, 5 * 3);
}
END_TEST

START_TEST(flash_says_what_it_did_not_do) /* E-02, F-19 */
{
	uint8_t data[64];

	memset(data, 0x5a, sizeof(data));
	fill(0, 512, 3);
	sim.fail_at = sim.operations + 1;
	ck_assert_int_lt(flash_erase(0, 512), 0);
	ck_assert_int_eq(flash_erase(0, 512), 0);
	ck_assert(flash_blank(0, 512));
	sim.fail_at = sim.operations + 1;
	ck_assert_int_lt(flash_write(0, data, sizeof(data)), 0);
	ck_assert_int_eq(flash_write(0, data, sizeof(data)), 0);
	data[10] = 0xff;
	ck_assert_int_lt(flash_write(0, data, sizeof(data)), 0); /* bits do not come back */
	ck_assert_int_lt(port_flash_read(sim.size - 3, data, 4), 0);
}
END_TEST

START_TEST(retained_words)
{
	struct retained r = {.next_cause = 2,
				.cause = 4,
				.boots = 255,
				.stay = true,
				.self_test_failed = true},
			s;
	struct ef_version v = {1, 2, 3, 0}, w;

	ck_assert(!retained_load(&s)); /* after power-up */
	ck_assert(!s.stay && !s.boots);
	retained_store(&r);
	ck_assert(retained_load(&s));
	ck_assert_int_eq(s.next_cause, 2);
	ck_assert_int_eq(s.cause, 4);
	ck_assert_int_eq(s.boots, 255);
	ck_assert(s.stay && s.self_test_failed);
	retained_set_cause(PORT_CAUSE_FAULT);
	retained_load(&s);
	ck_assert_int_eq(s.next_cause, PORT_CAUSE_FAULT);
	ck_assert_int_eq(s.boots, 255);
	sim.retained[0] ^= 0x100;
	ck_assert(!retained_load(&s));
	retained_store_boot_version(&v);
	retained_load_boot_version(&w);
	ck_assert_int_eq(ef_version_compare(&v, &w), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/records");
	TCase *c = tcase_create("records");

	suite_add_tcase(s, c);
	tcase_add_checked_fixture(c, setup, node_free);
	tcase_add_test(c, state_wraps);
	tcase_add_test(c, floor_never_falls);
	tcase_add_test(c, every_bit_of_a_record_counts);
	tcase_add_test(c, store_reports_a_bad_cell);
	tcase_add_test(c, factory_page);
	tcase_add_test(c, swap_moves_its_units_only);
	tcase_add_test(c, erases_of_a_swap);
	tcase_add_test(c, flash_says_what_it_did_not_do);
	tcase_add_test(c, retained_words);
	return s;
}

UNIT_MAIN(suite())
