/* SPDX-License-Identifier: Apache-2.0 */
/* The rate of the serial line: raised when asked, lowered again by itself (F-16, F-26). */
#include "node.h"
#include "vectors.h"
#include <string.h>

#define FIRST 115200u

static void poll_agent(void *ctx)
{
	(void)ctx;
	while (agent_poll(&node.agent))
		;
}

static void poll_at(uint32_t ms)
{
	sim.millis = ms;
	sim.in_at = sim.in_size = sim.out_size = 0;
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
}

/* Puts a request on the line and has it answered. */
static void say(uint32_t ms, uint32_t baud)
{
	uint8_t message[64], *p = message + EF_SMP_HEADER_SIZE;
	struct ef_smp_header h = {.op = EF_SMP_WRITE,
		.version = 1,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_RATE,
		.length = 11};

	memcpy(p,
		"\xa1\x64"
		"baud\x1a",
		7);
	for (int i = 0; i < 4; i++)
		p[7 + i] = (uint8_t)(baud >> (24 - 8 * i));
	ef_smp_header_encode(&h, message);
	sim.millis = ms;
	sim.in_at = sim.out_size = 0;
	sim.in_size = frame_encode(message, EF_SMP_HEADER_SIZE + 11, sim.input);
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
	ck_assert_uint_gt(sim.out_size, 0);
}

static void setup(void)
{
	node_make(true);
	node_start();
	node_serve();
	sim.baud = FIRST;
}

START_TEST(raised_and_lowered)
{
	say(0, 1000000);
	ck_assert_uint_eq(sim.baud, 1000000);
	say(100, 0);
	ck_assert_uint_eq(sim.baud, FIRST);
	poll_at(5000);
	ck_assert_uint_eq(sim.baud, FIRST);
}
END_TEST

/* Noise that has the form of a request in a session, for which frames have no checksum. */
static void sessionlike_noise(uint32_t ms)
{
	uint8_t frame[40];

	memset(frame, 0x55, sizeof frame);
	frame[0] = EF_SESSION_REQUEST;
	sim.millis = ms;
	sim.in_at = 0;
	sim.in_size = frame_encode(frame, sizeof frame, sim.input);
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
}

/* F-16: noise does not keep it up, a message does. */
START_TEST(lowered_by_silence_F16)
{
	say(0, 1000000);
	poll_at(RATE_SILENCE_MS - 1);
	ck_assert_uint_eq(sim.baud, 1000000);
	say(RATE_SILENCE_MS - 1, 1000000);
	sim.millis = 2 * RATE_SILENCE_MS - 2;
	sim.in_at = 0;
	sim.in_size = 200;
	memset(sim.input, 0x55, 200);
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
	ck_assert_uint_eq(sim.baud, 1000000);
	sessionlike_noise(2 * RATE_SILENCE_MS - 2);
	ck_assert_uint_eq(sim.baud, 1000000);
	poll_at(2 * RATE_SILENCE_MS - 1);
	ck_assert_uint_eq(sim.baud, FIRST);
}
END_TEST

/* F-26: what it cannot make changes nothing. */
START_TEST(refused_F26)
{
	say(0, 31250);
	ck_assert_uint_eq(sim.baud, FIRST);
	say(0, 0xffffffff);
	ck_assert_uint_eq(sim.baud, FIRST);
	assert_rc(gateway_ask(&node.agent, EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_RATE, "\xa0", 1),
		INVALID);
	assert_rc(gateway_ask(&node.agent, EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_RATE,
			  "\xa1\x64"
			  "baud\x19\x12\x34",
			  9),
		INVALID);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("rate");
	TCase *c = tcase_create("rate");

	tcase_add_checked_fixture(c, setup, node_free);
	tcase_add_test(c, raised_and_lowered);
	tcase_add_test(c, lowered_by_silence_F16);
	tcase_add_test(c, refused_F26);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
