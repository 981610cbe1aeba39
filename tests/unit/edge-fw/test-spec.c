/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors of SPEC-dfu, at the node's end; tests/unit/wire/test-vectors.c is the gateway's. */
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

	ck_assert_uint_eq(agent_request(&node.agent, message, n), m);
	ck_assert_mem_eq(node.agent.response, want, m);
}

START_TEST(exchanges)
{
	asked("echo-request", "echo-response");
	asked("identify-request", "identify-response");
	asked("upload-request", "upload-refusal"); /* E-01 */
	asked("unknown-request", "unknown-response");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("spec");
	TCase *t = tcase_create("dfu");

	tcase_add_checked_fixture(t, setup, node_free);
	tcase_add_test(t, exchanges);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
