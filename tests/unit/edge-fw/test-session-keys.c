/* SPDX-License-Identifier: Apache-2.0 */
/* How a node gets its key, and the next one under the old one (SPEC-session, section 6). */
#include "secure.h"
#include <string.h>

static size_t put_key_request(uint8_t *body, const uint8_t psk[32], bool required)
{
	struct cbor_writer w;

	cbor_write_init(&w, body, ROOM);
	cbor_open_map(&w);
	cbor_put_text(&w, "key");
	cbor_put_bytes(&w, psk, 32);
	cbor_put_text(&w, "seed");
	cbor_put_bytes(&w, secret, 32);
	cbor_put_text(&w, "required");
	cbor_put_bool(&w, required);
	cbor_close(&w);
	return w.used;
}

START_TEST(the_first_key)
{
	uint8_t body[ROOM], frame[ROOM];
	struct secret_key k;
	size_t n = put_key_request(body, shared.psk, true);

	ck_assert_uint_eq(key_in_the_clear(body, n), 0);
	ck_assert(secrets_load(&k));
	ck_assert_mem_eq(k.psk, shared.psk, 32);
	ck_assert_mem_ne(k.seed, secret, 32); /* nobody knows it but the node */
	ck_assert(k.required);
	ck_assert(meet());
	assert_works();
	/* the second one comes in a session or not at all, whatever the policy */
	ck_assert_uint_eq(key_in_the_clear(body, n), EF_SMP_ACCESS_DENIED);
	n = put_key_request(body, shared.psk, false);
	ck_assert_uint_eq(rc_in_session(to_node(frame, seal_key(frame, body, n))), 0);
	ck_assert_uint_eq(ask_hello().flags, EF_SESSION_HAS_KEY | EF_SESSION_REPAIRS);
	ck_assert_uint_eq(key_in_the_clear(body, n), EF_SMP_ACCESS_DENIED);
	ck_assert_uint_eq(rc_in_the_clear(EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_KEY, "\xa0", 1),
		EF_SMP_INVALID);
}
END_TEST

static struct {
	uint8_t frame[ROOM];
	size_t size, answer;
} sending;

static void send_it(void *ctx)
{
	(void)ctx;
	sending.answer = to_node(sending.frame, sending.size);
}

/* Key replacement under the old key; power goes at any operation: one of the two keys works. */
START_TEST(the_next_key)
{
	static struct sim start;
	static struct agent agent;
	struct ef_session session;
	uint8_t body[ROOM], old[32], fresh[32];
	unsigned cuts = 0;
	size_t n;

	memcpy(old, shared.psk, 32);
	memset(fresh, 0x5a, 32);
	ck_assert(meet());
	assert_works();
	n = put_key_request(body, fresh, true);
	sending.size = seal_key(sending.frame, body, n);
	start = sim;
	agent = node.agent;
	session = gateway;
	for (int kind = 0; kind < CUT_KINDS; kind++)
		for (uint32_t at = 1;; at++) {
			bool with_old, with_fresh;

			sim = start;
			node.agent = agent;
			sim.cut_kind = (enum sim_cut)kind;
			sim.cut_at = sim.operations + at;
			sim.random = at;
			if (sim_run(send_it, NULL) != SIM_CUT)
				break;
			cuts++;
			sim_power_on();
			agent_init(&node.agent, node.agent.program);
			memcpy(shared.psk, old, 32);
			with_old = meet();
			memcpy(shared.psk, fresh, 32);
			with_fresh = meet();
			ck_assert(with_old != with_fresh);
		}
	ck_assert_uint_ge(cuts, 2 * CUT_KINDS); /* the new record, the old page */
	/* nothing is cut: the session goes on, the next one needs the new key */
	sim.cut_at = 0;
	gateway = session;
	ck_assert_uint_eq(rc_in_session(sending.answer), 0);
	assert_works();
	memcpy(shared.psk, old, 32);
	ck_assert(!meet());
	assert_works();
	memcpy(shared.psk, fresh, 32);
	ck_assert(meet());
	assert_works();
}
END_TEST

START_TEST(flash_that_fails) /* F-19 */
{
	uint8_t body[ROOM], frame[ROOM];
	uint8_t before[32];
	size_t n;

	memcpy(before, shared.psk, 32);
	sim.fault = FAULT_SILENT;
	sim.fault_at = sim.operations + 1;
	ck_assert(!meet()); /* the counter was not used up: no session */
	ck_assert(meet());
	memset(shared.psk, 0x5a, 32);
	n = put_key_request(body, shared.psk, true);
	n = seal_key(frame, body, n);
	sim.fault = FAULT_SILENT;
	sim.fault_at = sim.operations + 1;
	ck_assert_uint_eq(rc_in_session(to_node(frame, n)), 0); /* a reason, no rc */
	memcpy(shared.psk, before, 32);
	ck_assert(meet());
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/session-keys");
	TCase *fresh = tcase_create("fresh"), *t = tcase_create("keys");

	tcase_add_checked_fixture(fresh, setup, node_free);
	tcase_add_test(fresh, the_first_key);
	suite_add_tcase(s, fresh);
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup_required, node_free);
	tcase_add_test(t, the_next_key);
	tcase_add_test(t, flash_that_fails);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
