/* SPDX-License-Identifier: Apache-2.0 */
/* The settings: a fixed table of numbers, kept power-safely, nothing else (I-2). */
#include "node.h"
#include <string.h>

static void setup(void)
{
	node_make(true);
	node_start();
}

static struct reply ask(uint8_t op, uint16_t group, uint8_t command, const char *body, size_t size)
{
	return gateway_ask(&node.agent, op, group, command, body, size);
}
#define ASK(op, group, command, body) ask(EF_SMP_##op, group, command, body, sizeof(body) - 1)

/* One pair with a text, in a map. */
static struct reply ask_text(
	uint8_t op, uint16_t group, uint8_t command, const char *key, const char *text)
{
	uint8_t body[256];
	struct cbor_writer w;

	cbor_write_init(&w, body, sizeof(body));
	cbor_open_map(&w);
	cbor_put_text(&w, key);
	cbor_put_text(&w, text);
	cbor_close(&w);
	ck_assert(!w.overflow);
	return gateway_ask(&node.agent, op, group, command, body, w.used);
}

static void poll_agent(void *ctx)
{
	(void)ctx;
	while (agent_poll(&node.agent))
		;
}

static struct reply write_setting(const char *name, const void *value, size_t size)
{
	uint8_t body[128];
	struct cbor_writer w;

	cbor_write_init(&w, body, sizeof(body));
	cbor_open_map(&w);
	cbor_put_text(&w, "name");
	cbor_put_text(&w, name);
	cbor_put_text(&w, "val");
	cbor_put_bytes(&w, value, size);
	cbor_close(&w);
	return gateway_ask(
		&node.agent, EF_SMP_WRITE, EF_GROUP_SETTINGS, EF_SETTINGS_VALUE, body, w.used);
}

static struct reply set_period(uint16_t ms)
{
	return write_setting("app/period", (const uint8_t[]){(uint8_t)ms, (uint8_t)(ms >> 8)}, 2);
}

static uint32_t read_setting(const char *name)
{
	struct reply r = ask_text(EF_SMP_READ, EF_GROUP_SETTINGS, EF_SETTINGS_VALUE, "name", name);

	ck_assert(reply_good(&r));
	ck_assert_uint_eq(r.size, 9);
	ck_assert(memcmp(r.body, "\xbf\x63val\x42", 6) == 0);
	return (uint32_t)(r.body[6] | r.body[7] << 8);
}

static uint16_t in_force(enum setting number)
{
	return node.agent.settings.in_force[number];
}

#define SETTINGS(op, command) ASK(op, EF_GROUP_SETTINGS, EF_SETTINGS_##command, "\xa0")

START_TEST(settings_by_hand)
{
	struct reply r;
	uint32_t before = node_state().sequence;

	ck_assert_uint_eq(read_setting("app/period"), 100);
	ck_assert_uint_eq(read_setting("trial/deadline"), 60);
	assert_good(set_period(250));
	ck_assert_uint_eq(read_setting("app/period"), 250);
	ck_assert_uint_eq(in_force(SETTING_PERIOD), 100); /* not before commit */
	assert_good(SETTINGS(WRITE, COMMIT));
	ck_assert_uint_eq(in_force(SETTING_PERIOD), 250);
	ck_assert_uint_eq(node_state().sequence, before); /* nor stored before save */
	assert_good(set_period(300));
	assert_good(SETTINGS(READ, STORE)); /* load: what is stored, in force */
	ck_assert_uint_eq(read_setting("app/period"), 100);
	ck_assert_uint_eq(in_force(SETTING_PERIOD), 100);
	assert_good(set_period(300));
	assert_good(SETTINGS(WRITE, STORE));
	ck_assert_uint_eq(node_state().sequence, before + 1);
	assert_good(SETTINGS(WRITE, STORE)); /* once more is no wear */
	ck_assert_uint_eq(node_state().sequence, before + 1);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	ck_assert_uint_eq(read_setting("app/period"), 300);
	ck_assert_uint_eq(in_force(SETTING_PERIOD), 300);
	r = ask_text(EF_SMP_WRITE, EF_GROUP_SETTINGS, EF_SETTINGS_DELETE, "name", "app/period");
	assert_good(r);
	ck_assert_uint_eq(read_setting("app/period"), 100);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	ck_assert_uint_eq(read_setting("app/period"), 100);
	ck_assert_uint_eq(node_state().settings[SETTING_PERIOD], 0);
}
END_TEST

START_TEST(settings_that_are_none)
{
	static const char *const names[] = {"", "app", "app/", "app/perio", "app/period/",
		"app/periodx", "App/period", "trial/deadline ", "factory/keys", "../state"};
	static const uint16_t bad[] = {0, 19, 1001, 65535};
	static struct sim before;

	before = sim;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		assert_rc(ask_text(EF_SMP_READ, EF_GROUP_SETTINGS, EF_SETTINGS_VALUE, "name",
				  names[i]),
			NO_ENTRY);
		assert_rc(write_setting(names[i], "\x64\0", 2), NO_ENTRY);
		assert_rc(ask_text(EF_SMP_WRITE, EF_GROUP_SETTINGS, EF_SETTINGS_DELETE, "name",
				  names[i]),
			NO_ENTRY);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_rc(set_period(bad[i]), INVALID);
	assert_rc(write_setting("app/period", "\x64", 1), INVALID);
	assert_rc(write_setting("app/period", "\x64\0\0", 3), INVALID);
	assert_rc(write_setting("app/period", "", 0), INVALID);
	assert_rc(SETTINGS(WRITE, VALUE), INVALID);
	assert_rc(SETTINGS(READ, VALUE), INVALID);
	assert_rc(SETTINGS(WRITE, DELETE), INVALID);
	assert_rc(ASK(READ, EF_GROUP_SETTINGS, EF_SETTINGS_VALUE,
			  "\xa2\x64name\x6a"
			  "app/period\x68max_size\x01"),
		INVALID);
	struct reply r = ASK(READ, EF_GROUP_SETTINGS, EF_SETTINGS_VALUE,
		"\xa2\x64name\x6a"
		"app/period\x68max_size\x18\x40");
	ck_assert_uint_eq(reply_uint(&r, "max_size"), 2); /* there is not more */
	ck_assert_uint_eq(read_setting("app/period"), 100);
	ck_assert(memcmp(before.flash, sim.flash, sim.size) == 0);
	/* stored by another version of the firmware, for which it was good */
	node.agent.state.settings[SETTING_PERIOD] = 5000;
	ck_assert_int_eq(state_store(&node.agent.state), 0);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	ck_assert_uint_eq(in_force(SETTING_PERIOD), 100);
}
END_TEST

/* A trial that nobody gave a deadline lasts as long as the setting says. */
START_TEST(deadline_by_setting)
{
	assert_good(write_setting("trial/deadline", "\x14\0", 2)); /* 20 s */
	assert_good(SETTINGS(WRITE, STORE));
	assert_good(gateway_preflight(&node.agent, &node.fresh));
	struct reply r = gateway_upload(&node.agent, &node.fresh, 300);
	ck_assert(reply_good(&r));
	assert_good(gateway_state(&node.agent, node.fresh.digest, false, 0));
	node_start();
	ck_assert_int_eq(node_state().phase, PHASE_TRIAL);
	sim.millis += 19999;
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
	sim.millis += 1;
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_RESET);
	node_start();
	ck_assert(node_slot_is(0, &node.old));
	ck_assert_uint_eq(in_force(SETTING_DEADLINE), 20); /* the swaps have kept it */
}
END_TEST

static void save_settings(void *ctx)
{
	struct reply r = set_period(*(uint16_t *)ctx);
	ck_assert(reply_good(&r));
	r = SETTINGS(WRITE, STORE);
	ck_assert(reply_good(&r));
}

/* Power goes at every operation of a save, in every way: the old value or the new one (I-2). */
START_TEST(settings_and_power_cuts)
{
	uint16_t value = 300;
	unsigned cuts = 0, kept_old = 0;

	save_settings(&value);
	/* as many saves as it takes to have the record pages change */
	for (unsigned save = 0; save < 12; save++) {
		static struct sim before;
		uint16_t old = value, fresh = (uint16_t)(value + 1);
		uint32_t operations = sim.operations;

		before = sim;
		save_settings(&fresh);
		operations = sim.operations - operations;
		for (int kind = 0; kind < CUT_KINDS; kind++)
			for (uint32_t at = 1; at <= operations; at++) {
				sim = before;
				ck_assert_int_eq(node_boot(), SIM_STARTED);
				sim.cut_kind = (enum sim_cut)kind;
				sim.cut_at = sim.operations + at;
				sim.random = at;
				ck_assert_int_eq(sim_run(save_settings, &fresh), SIM_CUT);
				ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
				uint32_t now = in_force(SETTING_PERIOD);
				ck_assert(now == old || now == fresh);
				ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
				kept_old += now == old;
				cuts++;
			}
		sim = before;
		ck_assert_int_eq(node_boot(), SIM_STARTED);
		save_settings(&fresh);
		value = fresh;
	}
	ck_assert_uint_gt(cuts, 48);
	ck_assert_uint_gt(kept_old, cuts / 4);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/settings");
	TCase *c = tcase_create("settings");

	suite_add_tcase(s, c);
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, node_free);
	tcase_add_test(c, settings_by_hand);
	tcase_add_test(c, settings_that_are_none);
	tcase_add_test(c, deadline_by_setting);
	tcase_add_test(c, settings_and_power_cuts);
	return s;
}

UNIT_MAIN(suite())
