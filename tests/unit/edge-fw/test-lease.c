/* SPDX-License-Identifier: Apache-2.0 */
/* Two gateways on one line: who may change something in a node, and until when (F-20). */
#include "agent/lease.h"
#include "boot/factory.h"
#include "secure.h"
#include "wire/crc.h"
#include <string.h>

#define ADDRESS 5u

enum { ONE = 0x1111, TWO = 0x2222 };

static void poll_agent(void *ctx)
{
	(void)ctx;
	while (agent_poll(&node.agent))
		;
}

/* One message of a gateway, or frame of its session, on the line; the answer, without what is
 * around it. */
static size_t say(uint16_t sender, const uint8_t *data, size_t size, uint8_t *answer)
{
	uint8_t message[600] = {
		EF_SHARED_TO_NODE, ADDRESS, (uint8_t)(sender >> 8), (uint8_t)sender};
	struct frame_receiver r;
	uint8_t in[700];
	size_t n = 0;

	memcpy(message + EF_SHARED_HEAD, data, size);
	sim.in_at = sim.out_size = 0;
	sim.in_size = frame_encode(message, EF_SHARED_HEAD + size, sim.input);
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
	frame_receiver_init(&r, in, sizeof(in));
	for (size_t i = 0; i < sim.out_size; i++)
		n = frame_receive(&r, sim.output[i]);
	if (!n)
		return 0;
	ck_assert_uint_eq(in[0], EF_SHARED_FROM_NODE);
	ck_assert_uint_eq(in[2] << 8 | in[3], sender);
	memcpy(answer, in + EF_SHARED_HEAD, n - EF_SHARED_HEAD);
	return n - EF_SHARED_HEAD;
}

/* "rc" of the answer, or of its "err". */
static uint32_t outcome_of(const uint8_t *message, size_t size)
{
	struct cbor_reader r;
	const char *name;
	size_t n;
	uint64_t number;

	cbor_read_init(&r, message + EF_SMP_HEADER_SIZE, size - EF_SMP_HEADER_SIZE);
	if (!cbor_enter(&r) || cbor_peek(&r) != CBOR_TEXT || !cbor_get_text(&r, &name, &n) ||
		n != 3 || memcmp(name, "err", 3) != 0)
		return rc_of(message, size);
	ck_assert(cbor_enter(&r) && cbor_get_text(&r, &name, &n) && cbor_get_uint(&r, &number) &&
		  cbor_get_text(&r, &name, &n) && cbor_get_uint(&r, &number));
	return (uint32_t)number;
}

/* The outcome of a request in the clear; 0: done. */
static uint32_t ask(
	uint16_t sender, uint8_t op, uint16_t group, uint8_t command, const void *body, size_t size)
{
	uint8_t message[512], answer[600];
	size_t n = put_request(message, op, group, command, body, size);

	n = say(sender, message, n, answer);
	ck_assert_uint_gt(n, 0);
	return outcome_of(answer, n);
}

static uint32_t lease(uint16_t sender, const char *owner, uint32_t epoch, uint32_t seconds)
{
	uint8_t body[96];
	struct cbor_writer w;

	cbor_write_init(&w, body, sizeof(body));
	cbor_open_map(&w);
	cbor_put_text(&w, "owner");
	cbor_put_text(&w, owner);
	cbor_put_text(&w, "epoch");
	cbor_put_uint(&w, epoch);
	cbor_put_text(&w, "sec");
	cbor_put_uint(&w, seconds);
	cbor_close(&w);
	return ask(sender, EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_LEASE, body, w.used);
}

static uint32_t erase(uint16_t sender)
{
	return ask(sender, EF_SMP_WRITE, EF_GROUP_IMAGE, EF_IMAGE_ERASE, "\xa0", 1);
}

static bool names(uint16_t sender, const char *owner)
{
	uint8_t message[64], answer[600];
	size_t n = put_request(message, EF_SMP_READ, EF_GROUP_EDGEFERRY, EF_EF_IDENTIFY, "\xa0", 1);

	n = say(sender, message, n, answer);
	ck_assert_uint_gt(n, 0);
	return memmem(answer, n, owner, strlen(owner)) != NULL;
}

static void set_address(void)
{
	struct factory *f = (void *)(sim.flash + sim.board.factory.offset);

	f->flags = ADDRESS << FACTORY_ADDRESS_SHIFT;
	f->crc = crc32_ieee(0, f, offsetof(struct factory, crc));
	node_start();
}

static void setup_shared(void)
{
	setup();
	set_address();
}

START_TEST(the_other_is_told_who_F20)
{
	ck_assert_uint_eq(erase(TWO), 0); /* nobody has it: anybody may */
	ck_assert_uint_eq(lease(ONE, "gw-one", 7, 30), 0);
	ck_assert_uint_eq(erase(ONE), 0);
	ck_assert_uint_eq(erase(TWO), EF_REASON_BUSY);
	ck_assert_uint_eq(lease(TWO, "gw-two", 9, 30), EF_REASON_BUSY);
	ck_assert(names(TWO, "gw-one"));
	ck_assert(!names(ONE, "gw-one"));
	/* reading and echo are nobody's business */
	ck_assert_uint_eq(ask(TWO, EF_SMP_READ, EF_GROUP_IMAGE, EF_IMAGE_STATE, "\xa0", 1), 0);
	ck_assert_uint_eq(
		ask(TWO, EF_SMP_WRITE, EF_GROUP_OS, EF_OS_ECHO, "\xa1\x61\x64\x61x", 5), 0);
	ck_assert_uint_eq(
		ask(TWO, EF_SMP_WRITE, EF_GROUP_OS, EF_OS_RESET, "\xa0", 1), EF_REASON_BUSY);
	ck_assert(!node.agent.reset);
}
END_TEST

START_TEST(a_stale_lease_ends_F20)
{
	ck_assert_uint_eq(lease(ONE, "gw-one", 7, 30), 0);
	sim.millis += 29000;
	ck_assert_uint_eq(erase(TWO), EF_REASON_BUSY); /* which does not renew it */
	sim.millis += 999;
	ck_assert_uint_eq(erase(TWO), EF_REASON_BUSY);
	sim.millis += 1;
	ck_assert_uint_eq(lease(TWO, "gw-two", 1, 30), 0);
	ck_assert_uint_eq(erase(ONE), EF_REASON_BUSY);
	/* traffic of its owner keeps it, and it can be given back */
	for (int i = 0; i < 5; i++) {
		sim.millis += 20000;
		ck_assert_uint_eq(erase(TWO), 0);
		ck_assert_uint_eq(erase(ONE), EF_REASON_BUSY);
	}
	ck_assert_uint_eq(lease(TWO, "gw-two", 1, 0), 0);
	ck_assert_uint_eq(erase(ONE), 0);
}
END_TEST

/* The same gateway after a restart has it at once; one of its name that started before has not. */
START_TEST(epochs_F20)
{
	ck_assert_uint_eq(lease(ONE, "gw-one", 7, 30), 0);
	ck_assert_uint_eq(lease(ONE, "gw-one", 8, 30), 0);
	ck_assert_uint_eq(lease(ONE, "gw-one", 7, 30), EF_REASON_BUSY);
	ck_assert_uint_eq(lease(ONE, "gw-one", 8, 30), 0);
}
END_TEST

/* What its owner has reset it for is its owner's to see through. */
START_TEST(outlives_a_reset_F20)
{
	ck_assert_uint_eq(lease(ONE, "gw-one", 7, 30), 0);
	lease_keep(&node.agent); /* as on the way into a reset */
	sim.millis = 0;
	node_start();
	ck_assert_uint_eq(lease(TWO, "gw-two", 1, 30), EF_REASON_BUSY);
	ck_assert_uint_eq(erase(TWO), EF_REASON_BUSY);
	ck_assert_uint_eq(erase(ONE), 0);
	sim.millis = 14999;
	ck_assert_uint_eq(erase(TWO), EF_REASON_BUSY);
	ck_assert_uint_eq(lease(ONE, "gw-one", 3, 30), 0);
	sim.millis = 40000;
	ck_assert_uint_eq(erase(TWO), EF_REASON_BUSY);
	lease_keep(&node.agent);
	sim.millis = 0;
	node_start();
	sim.millis = 15000;
	ck_assert_uint_eq(lease(TWO, "gw-two", 1, 30), 0);
	/* and with the power it is gone */
	lease_keep(&node.agent);
	sim.millis = 0;
	node_power_cycle();
	ck_assert_uint_eq(erase(ONE), 0);
}
END_TEST

START_TEST(refusals)
{
	ck_assert_uint_eq(lease(ONE, "", 1, 30), EF_SMP_INVALID);
	ck_assert_uint_eq(lease(ONE, "a\x1b[2J", 1, 30), EF_SMP_INVALID);
	ck_assert_uint_eq(lease(ONE, "123456789012345678901234567890123", 1, 30), EF_SMP_INVALID);
	ck_assert_uint_eq(lease(ONE, "gw-one", 1, 301), EF_SMP_INVALID);
	ck_assert_uint_eq(erase(TWO), 0);
}
END_TEST

/* In a node that answers to sessions only the lease comes in one, and no other is made while it
 * lasts. */
START_TEST(sessions_F20)
{
	struct ef_session_hello hello;
	uint8_t frame[ROOM], answer[ROOM], token[EF_SESSION_TOKEN_SIZE] = {1}, version;
	struct cbor_writer w;
	uint8_t body[96];
	size_t n;

	put_key(true);
	node_start();
	ck_assert_uint_eq(lease(TWO, "gw-two", 9, 30), EF_SMP_ACCESS_DENIED);
	node.agent.shared.sender = ONE;
	ck_assert(meet());
	cbor_write_init(&w, body, sizeof(body));
	cbor_open_map(&w);
	cbor_put_text(&w, "owner");
	cbor_put_text(&w, "gw-one");
	cbor_put_text(&w, "epoch");
	cbor_put_uint(&w, 1);
	cbor_put_text(&w, "sec");
	cbor_put_uint(&w, 30);
	cbor_close(&w);
	n = seal(frame, EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_LEASE, body, w.used);
	ck_assert_uint_eq(rc_in_session(to_node(frame, n)), 0);
	uint32_t counter = node.agent.session.started;

	ef_session_put_hello(token, frame);
	n = say(TWO, frame, EF_SESSION_HELLO_SIZE, answer);
	ck_assert_ptr_nonnull(ef_session_get_hello_answer(answer, n, &version, &hello));
	ck_assert(hello.flags & EF_SESSION_LEASED);
	ck_assert(names(TWO, "gw-one"));
	node.agent.shared.sender = TWO;
	ck_assert(!meet());
	ck_assert_uint_eq(node.agent.session.started, counter);
	ck_assert(node.agent.session.open);
	n = say(ONE, frame, EF_SESSION_HELLO_SIZE, answer);
	ck_assert_ptr_nonnull(ef_session_get_hello_answer(answer, n, &version, &hello));
	ck_assert(!(hello.flags & EF_SESSION_LEASED));
	sim.millis += 31000;
	node.agent.shared.sender = TWO;
	ck_assert(meet());
}
END_TEST

/* Without an address there is one gateway, and no lease. */
START_TEST(not_without_an_address)
{
	ck_assert_uint_eq(rc_in_the_clear(EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_LEASE,
				  "\xa3\x65owner\x61x\x65"
				  "epoch\x01\x63"
				  "sec\x05",
				  21),
		EF_SMP_NOT_SUPPORTED);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("lease");
	TCase *t = tcase_create("lease"), *alone = tcase_create("alone");

	tcase_add_checked_fixture(t, setup_shared, node_free);
	tcase_add_test(t, the_other_is_told_who_F20);
	tcase_add_test(t, a_stale_lease_ends_F20);
	tcase_add_test(t, epochs_F20);
	tcase_add_test(t, outlives_a_reset_F20);
	tcase_add_test(t, refusals);
	tcase_add_test(t, sessions_F20);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(alone, setup, node_free);
	tcase_add_test(alone, not_without_an_address);
	suite_add_tcase(s, alone);
	return s;
}
UNIT_MAIN(suite())
