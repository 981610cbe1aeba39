/* SPDX-License-Identifier: Apache-2.0 */
/* A line that several nodes share: who answers what (SPEC-dfu section 1; E-09). */
#include "boot/factory.h"
#include "node.h"
#include "vectors.h"
#include "wire/crc.h"
#include <string.h>

#define FILE_NAME "dfu.txt"
#define ADDRESS 5u

static void poll_agent(void *ctx)
{
	(void)ctx;
	while (agent_poll(&node.agent))
		;
}

static void on_the_line(size_t size)
{
	sim.in_at = sim.out_size = 0;
	sim.in_size = size;
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
}

static void say(const char *name)
{
	on_the_line(vector(FILE_NAME, name, sim.input, sizeof(sim.input)));
}

static void answered(const char *name)
{
	uint8_t want[512];
	size_t n = vector(FILE_NAME, name, want, sizeof(want));

	ck_assert_uint_eq(sim.out_size, n);
	ck_assert_mem_eq(sim.output, want, n);
}

/* The echo for an address, as a gateway or as another node sends it. */
static void say_to(uint8_t type, uint8_t address)
{
	uint8_t message[128] = {type, address, 0x12, 0x34};
	size_t n = vector(FILE_NAME, "echo-request", message + EF_SHARED_HEAD,
		sizeof(message) - EF_SHARED_HEAD);

	on_the_line(frame_encode(message, EF_SHARED_HEAD + n, sim.input));
}

static void set_address(uint8_t address)
{
	struct factory *f = (void *)(sim.flash + sim.board.factory.offset);

	f->flags = (uint32_t)address << FACTORY_ADDRESS_SHIFT;
	f->crc = crc32_ieee(0, f, offsetof(struct factory, crc));
	node_start();
}

static void setup(void)
{
	node_make(true);
	node_start();
}

START_TEST(own_address)
{
	set_address(ADDRESS);
	say("shared-request-frame");
	answered("shared-response-frame");
	say("shared-request-frame");
	answered("shared-response-frame");
}
END_TEST

START_TEST(silent_for_all_else)
{
	static const char *const others[] = {"echo-request-frame", "echo-request-console",
		"echo-request", "params-request-v1", "shared-response-frame"};

	set_address(ADDRESS);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		say(others[i]);
		ck_assert_msg(sim.out_size == 0, "%s", others[i]);
	}
	for (unsigned address = 0; address < 256; address++) {
		say_to(EF_SHARED_FROM_NODE, (uint8_t)address);
		ck_assert_uint_eq(sim.out_size, 0);
		say_to(EF_SHARED_TO_NODE, (uint8_t)address);
		ck_assert_msg((sim.out_size != 0) == (address == ADDRESS), "%u", address);
	}
	say("shared-request-frame");
	answered("shared-response-frame");
}
END_TEST

/* A frame that has nothing behind its head, or less than a header. */
START_TEST(short_frames_E09)
{
	uint8_t message[16] = {EF_SHARED_TO_NODE, ADDRESS, 0x12, 0x34};

	set_address(ADDRESS);
	for (size_t n = EF_SMP_HEADER_SIZE; n < EF_SHARED_HEAD + EF_SMP_HEADER_SIZE; n++) {
		on_the_line(frame_encode(message, n, sim.input));
		ck_assert_uint_eq(sim.out_size, 0);
	}
	say("shared-request-frame");
	answered("shared-response-frame");
}
END_TEST

START_TEST(without_address_as_before)
{
	say("shared-request-frame");
	ck_assert_uint_eq(sim.out_size, 0);
	say("echo-request-frame");
	answered("echo-response-frame");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("shared");
	TCase *t = tcase_create("shared");

	tcase_add_checked_fixture(t, setup, node_free);
	tcase_add_test(t, own_address);
	tcase_add_test(t, silent_for_all_else);
	tcase_add_test(t, short_frames_E09);
	tcase_add_test(t, without_address_as_before);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
