/* SPDX-License-Identifier: Apache-2.0 */
/* The node's key and session counter in flash: what a power cut at any operation leaves (F-18). */
#include "boot/secrets.h"
#include "flash-sim.h"
#include "unit.h"
#include "wire/crc.h"
#include <string.h>

#define MARKS ((512u - 96u - 32u) / 4u)
#define NEAR_THE_END (MARKS - 3)

static const struct secret_key none;
static struct secret_key first, second;

static void setup(void)
{
	memset(&first, 0x11, sizeof(first));
	memset(&second, 0x22, sizeof(second));
	first.required = true;
	second.required = false;
	sim_init(512, 1, 4, true);
	sim_power_on();
}

static bool holds(const struct secret_key *key)
{
	struct secret_key k;

	return secrets_load(&k) && memcmp(k.psk, key->psk, 32) == 0 &&
	       memcmp(k.seed, key->seed, 32) == 0 && k.required == key->required;
}

static void use(unsigned times)
{
	while (times--)
		ck_assert_int_eq(secrets_use_counter(secrets_counter()), 0);
}

START_TEST(without_a_key)
{
	struct secret_key k;

	ck_assert(!secrets_load(&k));
	ck_assert_mem_eq(k.psk, none.psk, 32);
	ck_assert_uint_eq(secrets_counter(), 0);
	ck_assert_int_lt(secrets_use_counter(0), 0);
	ck_assert_int_lt(secrets_use_counter(1), 0);
	secrets_tidy();
	ck_assert_uint_eq(sim.operations, 0);
}
END_TEST

START_TEST(without_an_area)
{
	struct secret_key k;

	sim.board.secrets = (struct port_area){0, 0};
	memset(sim.flash, 0, 1024); /* slot 0 is none */
	ck_assert_int_lt(secrets_store(&first), 0);
	ck_assert(!secrets_load(&k));
	ck_assert_uint_eq(secrets_counter(), 0);
	secrets_tidy();
	ck_assert_uint_eq(sim.operations, 0);
}
END_TEST

START_TEST(counters_go_up_by_one)
{
	ck_assert_int_eq(secrets_store(&first), 0);
	for (uint32_t n = 1; n < 5 * MARKS; n++) {
		ck_assert_uint_eq(secrets_counter(), n);
		ck_assert_uint_eq(secrets_counter(), n); /* asking uses nothing up */
		ck_assert_int_lt(secrets_use_counter(n + 1), 0);
		ck_assert_int_eq(secrets_use_counter(n), 0);
		ck_assert_int_lt(secrets_use_counter(n), 0);
		ck_assert(holds(&first));
	}
	/* wear: one erase a page of marks */
	ck_assert_uint_le(sim.erases, 5);
}
END_TEST

START_TEST(a_new_key_leaves_nothing_of_the_old_one) /* S-31 */
{
	ck_assert_int_eq(secrets_store(&first), 0);
	use(5);
	ck_assert_int_eq(secrets_store(&second), 0);
	ck_assert(holds(&second));
	ck_assert_uint_eq(secrets_counter(), 6);
	for (uint32_t i = 0; i + 32 <= sim.size; i++)
		ck_assert(memcmp(sim.flash + i, first.psk, 32) != 0);
}
END_TEST

START_TEST(every_bit_of_the_record_counts)
{
	struct secret_key k;

	ck_assert_int_eq(secrets_store(&first), 0);
	for (uint32_t bit = 0; bit < 8 * 96; bit++) {
		uint8_t *p = sim.flash + sim.board.secrets.offset + bit / 8;
		*p ^= (uint8_t)(1 << bit % 8);
		ck_assert(!secrets_load(&k));
		ck_assert_uint_eq(secrets_counter(), 0);
		*p ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert(holds(&first));
}
END_TEST

START_TEST(a_bad_cell_uses_nothing) /* F-19 */
{
	ck_assert_int_eq(secrets_store(&first), 0);
	sim.fault = FAULT_SILENT;
	sim.fault_at = sim.operations + 1;
	ck_assert_int_lt(secrets_use_counter(1), 0);
	sim.fault = FAULT_SILENT;
	sim.fault_at = sim.operations + 1;
	ck_assert_int_lt(secrets_store(&second), 0);
	ck_assert(holds(&first));
	ck_assert_int_eq(secrets_use_counter(1), 0);
}
END_TEST

START_TEST(tidying_that_fails_gives_no_counter_back) /* F-19 */
{
	ck_assert_int_eq(secrets_store(&first), 0);
	/* as a cut before the end of the record leaves it */
	memset(sim.flash + sim.board.secrets.offset + 96, 0xff, 16);
	sim.fault = FAULT_SILENT;
	sim.bad_page = sim.board.secrets.offset / sim.board.page + 2;
	secrets_tidy();
	use(3);
	sim.bad_page = 0;
	secrets_tidy();
	ck_assert(holds(&first));
	ck_assert_uint_eq(secrets_counter(), 4);
}
END_TEST

START_TEST(the_last_counter)
{
	struct secret_key k = first;

	ck_assert_int_eq(secrets_store(&k), 0);
	/* the record's own words: counter near the top, and a CRC that fits */
	uint8_t *r = sim.flash + sim.board.secrets.offset;
	uint32_t counter = UINT32_MAX - 1, crc;
	memcpy(r + 8, &counter, 4);
	crc = crc32_ieee(0, r, 92);
	memcpy(r + 92, &crc, 4);
	ck_assert_uint_eq(secrets_counter(), UINT32_MAX - 1);
	use(2);
	ck_assert_uint_eq(secrets_counter(), 0);
	ck_assert_int_lt(secrets_use_counter(0), 0);
}
END_TEST

/* ---- power cuts ---- */

#define CUTS 60 /* of those that leave unstable bits, at each place: what they do is chance */

static struct {
	uint32_t used;	/* the highest counter whose use was reported */
	bool replacing; /* the second key was on its way */
	bool replaced;	/* and it was said to be there */
} told;

/* Over the border of a page, a key replacement, and on. */
static void story(void *ctx)
{
	(void)ctx;
	for (int i = 0; i < 6; i++) {
		uint32_t n = secrets_counter();
		if (secrets_use_counter(n) == 0)
			told.used = n;
	}
	told.replacing = true;
	if (secrets_store(&second) == 0)
		told.replaced = true;
	for (int i = 0; i < 2; i++) {
		uint32_t n = secrets_counter();
		if (secrets_use_counter(n) == 0)
			told.used = n;
	}
}

static void tidy(void *ctx)
{
	(void)ctx;
	secrets_tidy();
}

static void check_after_cut(void)
{
	bool old = holds(&first), fresh = holds(&second);
	uint32_t n;

	ck_assert_msg(old || fresh, "no key is left");
	ck_assert_msg(!fresh || told.replacing, "the new key came from nowhere");
	ck_assert_msg(fresh || !told.replaced, "the key that was stored is gone");
	n = secrets_counter();
	ck_assert_msg(n > told.used, "counter %u was used before: %u", n, told.used);
	ck_assert_msg(n <= told.used + 2, "counter %u after %u", n, told.used);
}

static void start_again(void)
{
	secrets_tidy();
	for (int looks = 0; looks < 8; looks++)
		check_after_cut();
}

/* Uses a counter up, however often the torn mark reads otherwise between asking and using. */
static void use_one(void)
{
	for (int tries = 0; tries < 100; tries++) {
		uint32_t n = secrets_counter();

		if (secrets_use_counter(n) == 0) {
			ck_assert_msg(n > told.used, "counter %u was used twice", n);
			told.used = n;
			return;
		}
	}
	ck_abort_msg("no counter can be used");
}

/* What a node does after a cut: everything still works, and for good. */
static void go_on(void)
{
	use_one();
	ck_assert_int_eq(secrets_store(&second), 0);
	told.replacing = told.replaced = true;
	for (unsigned i = 0; i < 2 * MARKS; i++)
		use_one();
	for (int looks = 0; looks < 8; looks++)
		check_after_cut();
}

START_TEST(cut_at_every_operation)
{
	static struct sim start, after;
	unsigned cuts = 0;

	ck_assert_int_eq(secrets_store(&first), 0);
	use(NEAR_THE_END);
	start = sim;
	for (int kind = 0; kind < CUTS * CUT_KINDS; kind++) {
		if (kind >= 2 * CUT_KINDS && kind % CUT_KINDS != CUT_UNSTABLE)
			continue;
		for (uint32_t at = 1;; at++) {
			sim = start;
			memset(&told, 0, sizeof(told));
			told.used = NEAR_THE_END;
			sim.random = at * 7919 + (uint32_t)kind;
			sim.cut_kind = (enum sim_cut)(kind % CUT_KINDS);
			sim.cut_at = sim.operations + at;
			if (sim_run(story, NULL) != SIM_CUT)
				break;
			cuts++;
			sim_power_on();
			after = sim;
			/* and once more while it tidies up */
			for (uint32_t second_at = 1; second_at < 9; second_at++) {
				sim = after;
				sim.cut_at = sim.operations + second_at;
				if (sim_run(tidy, NULL) != SIM_CUT)
					break;
				cuts++;
				sim_power_on();
				start_again();
			}
			sim = after;
			start_again();
			go_on();
		}
	}
	ck_assert_uint_gt(cuts, 80);
}
END_TEST

/* The first key of all: there is none or it is there. */
START_TEST(cut_while_it_is_provisioned)
{
	static struct sim start;
	struct secret_key k;

	start = sim;
	for (int kind = 0; kind < CUT_KINDS; kind++) {
		sim = start;
		sim.cut_kind = (enum sim_cut)kind;
		sim.cut_at = 1;
		told.replaced = false;
		ck_assert_int_eq(sim_run(story, NULL), SIM_CUT);
		sim_power_on();
		secrets_tidy();
		ck_assert(!secrets_load(&k) || holds(&second));
		ck_assert_int_eq(secrets_store(&first), 0);
		ck_assert(holds(&first));
		ck_assert_uint_ge(secrets_counter(), 1);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/secrets");
	TCase *t = tcase_create("secrets");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, without_a_key);
	tcase_add_test(t, without_an_area);
	tcase_add_test(t, counters_go_up_by_one);
	tcase_add_test(t, a_new_key_leaves_nothing_of_the_old_one);
	tcase_add_test(t, every_bit_of_the_record_counts);
	tcase_add_test(t, a_bad_cell_uses_nothing);
	tcase_add_test(t, tidying_that_fails_gives_no_counter_back);
	tcase_add_test(t, the_last_counter);
	tcase_add_test(t, cut_at_every_operation);
	tcase_add_test(t, cut_while_it_is_provisioned);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
