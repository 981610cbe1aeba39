/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors of SPEC-dfu, at the node's end; tests/unit/wire/test-vectors.c is the gateway's. */
#include "agent/crash.h"
#include "boot/retained.h"
#include "node.h"
#include "vectors.h"
#include <string.h>

#define FILE_NAME "dfu.txt"

static void setup(void)
{
	const struct ef_version boot = {1, 2, 3, 0};

	node_make(true);
	sim.board.name = "mps2-an385";
	node_start();
	retained_store_boot_version(&boot);
}

static void asked(const char *request, const char *response)
{
	uint8_t message[512], want[512];
	size_t n = vector(FILE_NAME, request, message, sizeof(message));
	size_t m = vector(FILE_NAME, response, want, sizeof(want));

	ck_assert_msg(agent_request(&node.agent, message, n) == m, "%s", request);
	ck_assert_mem_eq(node.agent.response, want, m);
}

START_TEST(exchanges)
{
	static const struct crash_site site = {.pc = 0x21000a54,
		.lr = 0x21000a3d,
		.psr = 0x61000000,
		.exception = 3,
		.status = {0x10000, 0x40000000}};

	asked("echo-request", "echo-response");
	asked("identify-request", "identify-response");
	asked("upload-request", "upload-refusal"); /* E-01 */
	asked("unknown-request", "unknown-response");
	asked("params-request-v1", "params-response-v1");
	asked("upload-request-v1", "upload-refusal-v1");
	asked("slot-info-request", "slot-info-response");
	asked("datetime-set-request", "datetime-set-response");
	asked("datetime-get-request", "datetime-get-response");
	asked("stat-list-request", "stat-list-response");
	asked("stat-request", "stat-response");
	asked("setting-write-request", "setting-write-response");
	asked("setting-read-request", "setting-read-response");
	asked("rate-request", "rate-response");
	crash_record(PORT_CAUSE_FAULT, &site);
	asked("crash-request", "crash-response");
	asked("data-request", "data-response");
	asked("patch-request", "patch-response");
	/* a node that knows no key has no image that it could vouch for */
	node.agent.factory.n_keys = 0;
	node.agent.slot[0].known = false;
	asked("report-request", "report-response");
}
END_TEST

static void poll_agent(void *ctx)
{
	(void)ctx;
	while (agent_poll(&node.agent))
		;
}

static void on_the_line(const char *request, const char *response)
{
	uint8_t want[512];
	size_t n = vector(FILE_NAME, response, want, sizeof(want));

	sim.in_at = sim.out_size = 0;
	sim.in_size = vector(FILE_NAME, request, sim.input, sizeof(sim.input));
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
	ck_assert_uint_eq(sim.out_size, n);
	ck_assert_mem_eq(sim.output, want, n);
}

/* Each question is answered in its own framing. */
START_TEST(framings)
{
	for (int i = 0; i < 2; i++) {
		on_the_line("echo-request-frame", "echo-response-frame");
		on_the_line("echo-request-console", "echo-response-console");
		on_the_line("echo-request", "echo-response"); /* raw */
		on_the_line("params-request-v1", "params-response-v1");
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("spec");
	TCase *t = tcase_create("dfu");

	tcase_add_checked_fixture(t, setup, node_free);
	tcase_add_test(t, exchanges);
	tcase_add_test(t, framings);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
