/* SPDX-License-Identifier: Apache-2.0 */
#include "node.h"
#include "wire/crc.h"
#include <string.h>

struct node node;

static enum self_test self_test(void)
{
	return node.self_test;
}

static const struct agent_program application = {.self_test = self_test};
static const struct agent_program bootloader = {.bootloader = true};

void node_make(bool fast)
{
	struct factory f;

	memset(&node, 0, sizeof(node));
	node.self_test = SELF_TEST_PASSED;
	node.key = test_key_new();
	node.other_key = test_key_new();
	sim_init(512, 1, 12, fast);
	test_image_make(&node.old, node.key, OLD, OLD_COUNTER, 3000);
	test_image_make(&node.fresh, node.key, NEW, NEW_COUNTER, 4001);
	test_factory_make(&f, node.key, 1);
	memcpy(sim.flash + sim.board.factory.offset, &f, sizeof(f));
	node_put_image(0, &node.old);
	sim_power_on();
}

void node_free(void)
{
	EVP_PKEY_free(node.key);
	EVP_PKEY_free(node.other_key);
}

void node_put_image(unsigned slot, const struct test_image *i)
{
	struct state s = node_state();
	uint8_t *to = sim.flash + state_slot(&s, slot).offset;

	memset(to, 0xff, sim.board.slot[0].size);
	memcpy(to, i->data, i->size);
}

bool node_slot_is(unsigned slot, const struct test_image *i)
{
	struct state s = node_state();

	return memcmp(sim.flash + state_slot(&s, slot).offset, i->data, i->size) == 0;
}

static void run_boot(void *ctx)
{
	(void)ctx;
	boot_main();
}

enum sim_event node_boot(void)
{
	enum sim_event e = sim_run(run_boot, NULL);

	if (e == SIM_STARTED) {
		agent_init(&node.agent, &application);
		settings_load(&node.agent);
	}
	return e;
}

enum sim_event node_power_cycle(void)
{
	sim_power_on();
	return node_boot();
}

void node_start(void)
{
	ck_assert_int_eq(node_boot(), SIM_STARTED);
}

void node_serve(void)
{
	agent_init(&node.agent, &bootloader);
}

void node_allow_plain(void)
{
	struct factory *f = (void *)(sim.flash + sim.board.factory.offset);

	f->flags |= FACTORY_PLAIN_CLIENTS;
	f->crc = crc32_ieee(0, f, offsetof(struct factory, crc));
	node_start();
}

void node_stage(void)
{
	struct reply r;

	assert_good(gateway_preflight(&node.agent, &node.fresh));
	r = gateway_upload(&node.agent, &node.fresh, 300);
	ck_assert(reply_good(&r) && r.match);
	assert_good(gateway_state(&node.agent, node.fresh.digest, false, 30));
}

void node_put_on_trial(void)
{
	node_start();
	node_stage();
	node_start();
	ck_assert_int_eq(node_state().phase, PHASE_TRIAL);
	ck_assert(node_slot_is(0, &node.fresh) && node_slot_is(1, &node.old));
}

void node_damage(unsigned slot, uint32_t at)
{
	struct state s = node_state();

	sim.flash[state_slot(&s, slot).offset + at] ^= 0x40;
}

struct state node_state(void)
{
	struct state s;

	state_load(&s);
	return s;
}

static void cut_once(const struct sim *before, enum sim_cut kind, uint32_t at,
	void (*bring)(void *attempt), unsigned *anew)
{
	struct node_attempt a;

	sim = *before;
	node_start();
	sim.random = at;
	sim.cut_kind = kind;
	sim.cut_at = sim.operations + at;
	ck_assert_int_eq(sim_run(bring, &a), SIM_CUT);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	ck_assert(node_slot_is(0, &node.old));
	ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
	ck_assert_int_eq(sim_run(bring, &a), SIM_NONE);
	if (!a.whole) {
		++*anew;
		ck_assert(a.refused == EF_REASON_IMAGE_DIGEST || a.refused == EF_REASON_BAD_IMAGE ||
			  a.refused == EF_REASON_PATCH);
		ck_assert_int_eq(sim_run(bring, &a), SIM_NONE);
	}
	ck_assert(a.whole && node_slot_is(1, &node.fresh));
}

unsigned node_cut_everywhere(void (*bring)(void *attempt), unsigned *anew)
{
	static struct sim before;
	struct node_attempt a;
	unsigned cuts = 0;

	*anew = 0;
	before = sim;
	ck_assert_int_eq(sim_run(bring, &a), SIM_NONE);
	ck_assert(a.whole && node_slot_is(1, &node.fresh));
	uint32_t operations = sim.operations - before.operations;
	for (int kind = 0; kind < CUT_KINDS; kind++)
		for (uint32_t at = 1; at <= operations; at++, cuts++)
			cut_once(&before, (enum sim_cut)kind, at, bring, anew);
	return cuts;
}
