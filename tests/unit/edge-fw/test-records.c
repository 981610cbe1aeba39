/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept in flash and in retained RAM: state records, factory page, swap, retained words. */
#include "boot/flash.h"
#include "boot/swap.h"
#include "node.h"
#include <string.h>

#define PLACE (sizeof(struct state) + 16u)
#define RECORDS (512u / PLACE) /* in a page */

static void setup(void)
{
	node_make(false);
}

static void start_over(void)
{
	node_free();
	setup();
}

static void store(enum phase phase, uint32_t floor)
{
	struct state s;

	state_load(&s);
	s.phase = (uint8_t)phase;
	s.floor = floor;
	ck_assert_int_eq(state_store(&s), 0);
}

START_TEST(state_wraps)
{
	struct state s;
	uint32_t last = 0;

	ck_assert(!state_load(&s));
	ck_assert_int_eq(s.phase, PHASE_NONE);
	for (uint32_t i = 1; i < 10 * RECORDS; i++) {
		store(i % 2 ? PHASE_CONFIRMED : PHASE_PENDING, i);
		ck_assert(state_load(&s));
		ck_assert_uint_gt(s.sequence, last);
		ck_assert_uint_eq(s.floor, i);
		last = s.sequence;
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
		uint8_t *p = sim.flash + sim.board.state.offset + PLACE + bit / 8;
		*p ^= (uint8_t)(1 << bit % 8);
		state_load(&s);
		ck_assert_int_eq(s.phase, PHASE_CONFIRMED); /* the one before */
		*p ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_int_eq(node_state().phase, PHASE_PENDING);
}
END_TEST

static bool fails_at(unsigned operation, enum sim_fault kind)
{
	struct state s = {.phase = PHASE_CONFIRMED};

	sim.fault = kind;
	sim.fault_at = sim.operations + operation;
	return state_store(&s) < 0;
}

START_TEST(bad_cells) /* F-19: one is passed over, a page of them is reported */
{
	struct state s = {.phase = PHASE_CONFIRMED};

	for (enum sim_fault kind = 0; kind < FAULT_READ; kind++)
		for (unsigned operation = 1; operation <= 2; operation++) {
			ck_assert(!fails_at(operation, kind));
			ck_assert(state_load(&s));
		}
	start_over();
	sim.bad_page = sim.board.state.offset / sim.board.page + 1;
	ck_assert_int_lt(state_store(&s), 0);
	ck_assert(!state_load(&s));
}
END_TEST

static void cut_while_storing(void *ctx)
{
	state_store(ctx);
}

/* A record that was torn so that it looks whole now and then is not relied on until it is written
 * again. */
START_TEST(torn_record_is_settled)
{
	for (unsigned age = 0; age < 2 * RECORDS; age++) {
		static struct sim torn;
		struct state next, s;

		start_over();
		for (unsigned i = 0; i <= age; i++)
			store(PHASE_CONFIRMED, 1);
		next = node_state();
		next.phase = PHASE_PENDING;
		sim.cut_kind = CUT_UNSTABLE;
		sim.cut_at = sim.operations + (next.sequence % RECORDS == 0 ? 2 : 1);
		ck_assert_int_eq(sim_run(cut_while_storing, &next), SIM_CUT);
		sim_power_on();
		sim_copy(&torn, &sim);
		for (uint32_t chance = 0; chance < 50; chance++) {
			sim_copy(&sim, &torn);
			sim.random = chance * 77777;
			ck_assert(state_load(&s));
			enum phase was = (enum phase)s.phase;
			ck_assert_int_eq(state_settle(&s), 0);
			for (int i = 0; i < 20; i++)
				ck_assert_int_eq(node_state().phase, was);
			uint32_t before = sim.operations;
			ck_assert_int_eq(state_settle(&s), 0);
			ck_assert_uint_eq(sim.operations, before);
		}
	}
}
END_TEST

/* A place where a record was hardly begun may look blank to whoever writes the next one there. What
 * is recorded then reads the same every time. */
START_TEST(record_in_a_place_that_looks_blank)
{
	static struct sim torn;
	struct state next, s;

	for (uint32_t cut = 0; cut < 20; cut++) {
		start_over();
		state_load(&s);
		memset(s.digest, 0xff, sizeof(s.digest)); /* which programs nothing */
		ck_assert_int_eq(state_store(&s), 0);
		next = s;
		memset(next.digest, 0, sizeof(next.digest));
		sim.random = cut * 55555;
		sim.cut_kind = CUT_UNSTABLE;
		sim.cut_at = sim.operations + 1;
		ck_assert_int_eq(sim_run(cut_while_storing, &next), SIM_CUT);
		sim_power_on();
		sim_copy(&torn, &sim);
		for (uint32_t chance = 0; chance < 100; chance++) {
			sim_copy(&sim, &torn);
			sim.random = chance * 77777;
			ck_assert(state_load(&s));
			ck_assert_int_eq(state_settle(&s), 0);
			store(PHASE_REVERTING, 1);
			for (int i = 0; i < 20; i++)
				ck_assert_int_eq(node_state().phase, PHASE_REVERTING);
		}
	}
}
END_TEST

START_TEST(factory_page)
{
	struct factory f;

	ck_assert(factory_read(sim.board.factory.offset, &f));
	ck_assert_uint_eq(f.hardware_revision, 3);
	for (uint32_t bit = 0; bit < 8 * sizeof(f); bit++) {
		uint8_t *p = sim.flash + sim.board.factory.offset + bit / 8;
		*p ^= (uint8_t)(1 << bit % 8);
		ck_assert(!factory_read(sim.board.factory.offset, &f));
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

static struct state swapping(uint16_t units, bool shifted)
{
	return (struct state){.units = units, .flags = shifted ? STATE_SHIFTED : 0};
}

START_TEST(swap_moves_its_units_only)
{
	const struct port_board *b = &sim.board;
	uint32_t unit = b->slot[1].size - b->slot[0].size;
	uint16_t all = (uint16_t)(b->slot[0].size / unit);
	static uint8_t before[SIM_SIZE_MAX];
	bool shifted = _i;
	struct state s;

	for (uint16_t units = 0; units <= all; units++) {
		uint32_t moved = units * unit, rest = b->slot[0].size - moved;
		uint32_t from = b->slot[1].offset + shifted * unit;
		uint32_t to = b->slot[1].offset + !shifted * unit;
		fill(b->slot[0].offset, b->slot[0].size, 1);
		fill(b->slot[1].offset, b->slot[1].size, 2);
		memcpy(before, sim.flash, sim.size);
		ck_assert_int_eq(swap_prepare(), 0);
		s = swapping(units, shifted);
		ck_assert_int_eq(swap_run(&s), 0);
		ck_assert_int_eq(swap_run(&s), 0); /* I-5: done is done */
		ck_assert(memcmp(sim.flash + b->slot[0].offset, before + from, moved) == 0);
		ck_assert(memcmp(sim.flash + to, before + b->slot[0].offset, moved) == 0);
		ck_assert(memcmp(sim.flash + b->slot[0].offset + moved,
				  before + b->slot[0].offset + moved, rest) == 0);
		ck_assert(memcmp(sim.flash + b->journal.offset + b->journal.size,
				  before + b->journal.offset + b->journal.size,
				  sim.size - b->journal.offset - b->journal.size) == 0);
	}
	s = swapping(all + 1, shifted);
	ck_assert_int_lt(swap_run(&s), 0);
	ck_assert_uint_eq(swap_units(0), 0);
	ck_assert_uint_eq(swap_units(1), 1);
	ck_assert_uint_eq(swap_units(unit), 1);
	ck_assert_uint_eq(swap_units(unit + 1), 2);
}
END_TEST

static void run_swap(void *ctx)
{
	ck_assert_int_eq(swap_run(ctx), 0);
}

/* Power goes while a mark is hardly written, and again a little later, when its step has been taken
 * for done and its source is gone: the mark must not be blank again then. */
START_TEST(swap_with_torn_marks)
{
	static struct sim start, torn;
	static uint8_t want[SIM_SIZE_MAX];
	struct state s = swapping(3, _i);
	uint32_t operations, size = 3 * sim.board.page;

	fill(0, sim.board.slot[0].size, 1);
	fill(sim.board.slot[1].offset, sim.board.slot[1].size, 2);
	memset(sim.flash + sim.board.page, 0xff, sim.board.page);
	memset(sim.flash + state_slot(&s, 1).offset + 2 * sim.board.page, 0xff, sim.board.page);
	ck_assert_int_eq(swap_prepare(), 0);
	sim_copy(&start, &sim);
	run_swap(&s);
	operations = sim.operations - start.operations;
	memcpy(want, sim.flash, sim.size);
	for (uint32_t at = 0; at < operations * 8; at++)
		for (uint32_t later = 1; later <= 4; later++) {
			sim_copy(&sim, &start);
			sim.random = at;
			sim.cut_kind = CUT_UNSTABLE;
			sim.cut_at = sim.operations + at % operations + 1;
			ck_assert_int_eq(sim_run(run_swap, &s), SIM_CUT);
			sim_copy(&torn, &sim);
			sim.cut_kind = CUT_AFTER;
			sim.cut_at = sim.operations + later;
			sim_run(run_swap, &s);
			sim.cut_at = 0;
			run_swap(&s);
			ck_assert(memcmp(sim.flash, want, size) == 0);
			ck_assert(memcmp(sim.flash + sim.board.slot[1].offset,
					  want + sim.board.slot[1].offset,
					  sim.board.slot[1].size) == 0);
			unsigned unstable = 0;
			for (uint32_t i = 0; i < sim.board.journal.offset; i++)
				unstable += sim.unstable[i];
			ck_assert_uint_eq(unstable, 0);
		}
}
END_TEST

static void erase_two_pages(void *ctx)
{
	(void)ctx;
	flash_erase(0, 2 * sim.board.page);
}

/* Who goes on with an upload takes the last page that holds anything for the last one begun. */
START_TEST(erase_leaves_nothing_behind)
{
	memset(sim.flash, 0, 2 * sim.board.page);
	sim.cut_kind = CUT_BEFORE;
	sim.cut_at = sim.operations + 2;
	ck_assert_int_eq(sim_run(erase_two_pages, NULL), SIM_CUT);
	sim_power_on();
	ck_assert(!flash_blank(0, sim.board.page));
	ck_assert(flash_blank(sim.board.page, sim.board.page));
}
END_TEST

static void erase_first_page(void *ctx)
{
	(void)ctx;
	port_flash_erase(0);
}

/* It may look blank, and equal to what is to be copied there: it is erased all the same. */
START_TEST(half_erased_page_that_is_to_be_blank)
{
	uint32_t page = sim.board.page, blank = sim.board.recovery.offset;

	for (uint32_t chance = 0; chance < 300; chance++) {
		memset(sim.flash, 0, page);
		sim.random = chance * 77777;
		sim.cut_kind = CUT_UNSTABLE;
		sim.cut_at = sim.operations + 1;
		ck_assert_int_eq(sim_run(erase_first_page, NULL), SIM_CUT);
		sim_power_on();
		ck_assert_int_eq(flash_copy(0, blank, page, false), 0);
		for (uint32_t i = 0; i < page; i++)
			ck_assert_uint_eq(sim.unstable[i], 0);
	}
}
END_TEST

START_TEST(erases_of_a_swap)
{
	/* wear: one erase of each page of both slots; none in slot 0 where both hold the same */
	struct state s = swapping(5, _i);
	uint32_t page = sim.board.page, before;

	fill(0, sim.board.slot[0].size, 1);
	fill(sim.board.slot[1].offset, sim.board.slot[1].size, 2);
	ck_assert_int_eq(swap_prepare(), 0);
	before = sim.erases;
	ck_assert_int_eq(swap_run(&s), 0);
	ck_assert_uint_eq(sim.erases - before, 5 * 2);
	s.flags ^= STATE_SHIFTED;
	memcpy(sim.flash + 2 * page, sim.flash + state_slot(&s, 1).offset + 2 * page, 2 * page);
	ck_assert_int_eq(swap_prepare(), 0);
	before = sim.erases;
	ck_assert_int_eq(swap_run(&s), 0);
	ck_assert_uint_le(sim.erases - before, 5 * 2 - 2);
	for (uint32_t i = 0; i < sim.size / page; i++)
		ck_assert_uint_le(sim.wear[i], 3);
}
END_TEST

START_TEST(restore_copies)
{
	struct state s = swapping(5, _i);
	uint32_t from = state_slot(&s, 1).offset, size = 5 * sim.board.page;
	static uint8_t before[SIM_SIZE_MAX];

	fill(0, sim.board.slot[0].size, 1);
	fill(sim.board.slot[1].offset, sim.board.slot[1].size, 2);
	memcpy(before, sim.flash, sim.size);
	ck_assert_int_eq(swap_restore(&s), 0);
	ck_assert(memcmp(sim.flash, before + from, size) == 0);
	ck_assert(memcmp(sim.flash + size, before + size, sim.size - size) == 0);
}
END_TEST

START_TEST(flash_says_what_it_did_not_do) /* E-02, F-19 */
{
	uint8_t data[64];

	memset(data, 0x5a, sizeof(data));
	fill(0, 512, 3);
	sim.fault_at = sim.operations + 1;
	ck_assert_int_lt(flash_erase(0, 512), 0);
	ck_assert_int_eq(flash_erase(0, 512), 0);
	ck_assert(flash_blank(0, 512));
	sim.fault_at = sim.operations + 1;
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
				.started = STARTED_RECOVERY,
				.reason = 110,
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
	ck_assert_int_eq(s.started, STARTED_RECOVERY);
	ck_assert_int_eq(s.reason, 110);
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
	tcase_add_test(c, bad_cells);
	tcase_add_test(c, torn_record_is_settled);
	tcase_add_test(c, record_in_a_place_that_looks_blank);
	tcase_add_test(c, erase_leaves_nothing_behind);
	tcase_add_test(c, half_erased_page_that_is_to_be_blank);
	tcase_add_test(c, factory_page);
	tcase_add_loop_test(c, swap_moves_its_units_only, 0, 2); /* both ways */
	tcase_add_loop_test(c, swap_with_torn_marks, 0, 2);
	tcase_add_loop_test(c, erases_of_a_swap, 0, 2);
	tcase_add_loop_test(c, restore_copies, 0, 2);
	tcase_add_test(c, flash_says_what_it_did_not_do);
	tcase_add_test(c, retained_words);
	return s;
}

UNIT_MAIN(suite())
