/* SPDX-License-Identifier: Apache-2.0 */
/*
 * E-15: one verification of all that a start makes says yes when it should say no, as a skipped
 * instruction can make it: a bad image is started neither then nor at any later start. The linker
 * puts these in front of the real ones (--wrap).
 */
#include "boot/verify.h"
#include "node.h"
#include <string.h>

static struct {
	unsigned at, asked; /* the verification that lies, from 1; 0: none */
} lie;

enum ef_reason __real_verify_image(const struct port_area *where, uint32_t floor,
	const struct factory *f, struct ef_image_info *ret);
enum ef_reason __real_verify_digest(
	const struct port_area *where, const uint8_t digest[32], struct ef_image_info *ret);
enum ef_reason __wrap_verify_image(const struct port_area *where, uint32_t floor,
	const struct factory *f, struct ef_image_info *ret);
enum ef_reason __wrap_verify_digest(
	const struct port_area *where, const uint8_t digest[32], struct ef_image_info *ret);

static enum ef_reason answer(enum ef_reason truth)
{
	return ++lie.asked == lie.at ? EF_REASON_OK : truth;
}

enum ef_reason __wrap_verify_image(const struct port_area *where, uint32_t floor,
	const struct factory *f, struct ef_image_info *ret)
{
	return answer(__real_verify_image(where, floor, f, ret));
}

enum ef_reason __wrap_verify_digest(
	const struct port_area *where, const uint8_t digest[32], struct ef_image_info *ret)
{
	return answer(__real_verify_digest(where, digest, ret));
}

/* ---- bad images ---- */

static void flip(struct test_image *i, uint32_t at)
{
	i->data[at] ^= 1;
}

enum bad { SIGNATURE, PAYLOAD, STRANGER, BELOW, KINDS };

static struct test_image whole[2]; /* what may start: the old and the new one as they were made */

static void make_bad(struct test_image *i, enum bad how)
{
	whole[0] = node.old;
	whole[1] = node.fresh;
	if (how == STRANGER)
		test_image_make(i, node.other_key, NEW, NEW_COUNTER, 3000);
	else if (how == BELOW)
		test_image_make(i, node.key, NEW, 0, 3000);
	else
		flip(i, how == SIGNATURE ? i->size - 5 : 1000);
}

/* ---- where they lie ---- */

static void first_start(enum bad how)
{
	make_bad(&node.old, how);
	node_put_image(0, &node.old);
}

static void confirmed(enum bad how)
{
	node_start();
	make_bad(&node.old, how);
	node_put_image(0, &node.old);
}

static void to_be_tried(enum bad how)
{
	node_start();
	node_stage();
	make_bad(&node.fresh, how);
	node_put_image(1, &node.fresh);
}

static void on_trial(enum bad how)
{
	node_put_on_trial();
	struct state s = node_state();
	s.attempts = 0;
	ck_assert_int_eq(state_store(&s), 0);
	make_bad(&node.fresh, how);
	node_put_image(0, &node.fresh);
}

static void fallback(enum bad how)
{
	test_image_make(&node.fresh, node.key, NEW, OLD_COUNTER, 4001);
	node_put_on_trial();
	assert_good(gateway_state(&node.agent, NULL, true, 0));
	node_damage(0, 500);
	make_bad(&node.old, how);
	node_put_image(1, &node.old);
}

static void recovery(enum bad how)
{
	node_damage(0, 500);
	make_bad(&node.fresh, how);
	memcpy(sim.flash + sim.board.recovery.offset, node.fresh.data, node.fresh.size);
}

static void (*const places[])(enum bad how) = {
	first_start, confirmed, to_be_tried, on_trial, fallback, recovery};
#define N_PLACES (sizeof(places) / sizeof(*places))

/* ---- what may start ---- */

static bool good(const uint8_t *flash)
{
	return memcmp(flash, whole[0].data, whole[0].size) == 0 ||
	       memcmp(flash, whole[1].data, whole[1].size) == 0;
}

static void start_and_judge(const char *how, int place, unsigned at)
{
	enum sim_event e = node_power_cycle();

	if (e == SIM_STARTED)
		ck_assert_msg(
			good(sim.flash + sim.started - 64), "%s: place %d, lie %u", how, place, at);
}

START_TEST(one_lie)
{
	static struct sim start;
	int place = _i % (int)N_PLACES;
	bool fast = _i / (int)N_PLACES % 2;
	enum bad how = (enum bad)(_i / (int)N_PLACES / 2);

	/* a slow core goes by the digest, which says nothing about the signature beside it */
	if (how == SIGNATURE && !fast && (places[place] == confirmed || places[place] == on_trial))
		return;
	node_make(fast);
	lie.at = 0;
	places[place](how);
	sim_copy(&start, &sim);
	lie.asked = 0;
	node_power_cycle();
	unsigned asked = lie.asked;
	for (unsigned at = 1; at <= asked + 4; at++) {
		sim_copy(&sim, &start);
		lie.asked = 0;
		lie.at = at;
		start_and_judge("with the lie", place, at);
		lie.at = 0;
		for (int i = 0; i < 3; i++)
			start_and_judge("later", place, at);
	}
	node_free();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/glitch");
	TCase *c = tcase_create("glitch");

	suite_add_tcase(s, c);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, one_lie, 0, (int)(N_PLACES * 2 * KINDS));
	return s;
}

UNIT_MAIN(suite())
