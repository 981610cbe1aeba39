/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent as the wire sees it: bytes in, frames taken apart, requests answered, on a board in
 * memory. First byte: 0 bytes on the line, 3 the same on a node that stock clients may update (raw
 * messages have no CRC to be found), 4 messages for a node with an address, 5 a patch that was
 * announced, for whatever fits a blank slot 0, else a sequence of messages (u16 size, message)
 * whose frames are made here so that the fuzzer need not find CRCs.
 * Nothing outside slot 1 and the state pages may change.
 */
#include "agent/patch.h"
#include "flash-gateway.h"
#include "flash-sim.h"
#include "wire/crc.h"
#include <edgeferry/patch.h>
#include <stdlib.h>
#include <string.h>

#define APPROVED_SIZE 200u
#define ADDRESS 5u
#define PATCHED_SIZE 700u

static enum self_test passed(void)
{
	return SELF_TEST_PASSED;
}

static const struct agent_program program = {.self_test = passed};
static struct agent agent;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_node(uint32_t flags)
{
	struct factory f = {
		.magic = FACTORY_MAGIC, .version = FACTORY_VERSION, .size = sizeof(f), .n_keys = 1};

	sim_init(512, 1, 4, true);
	f.flags = flags;
	memset(f.keys[0].hash, 0x77, 32);
	f.keys[0].point[0] = 4;
	f.crc = crc32_ieee(0, &f, offsetof(struct factory, crc));
	memcpy(sim.flash + sim.board.factory.offset, &f, sizeof(f));
	sim_power_on();
	agent_init(&agent, &program);
}

static void poll_agent(void *ctx)
{
	(void)ctx;
	while (agent_poll(&agent))
		;
}

static void line_in(const uint8_t *data, size_t size)
{
	while (size) {
		size_t n = size < sizeof(sim.input) ? size : sizeof(sim.input);
		memcpy(sim.input, data, n);
		sim.in_at = 0;
		sim.in_size = n;
		sim.out_size = 0;
		if (sim_run(poll_agent, NULL) == SIM_RESET)
			agent_init(&agent, &program);
		data += n;
		size -= n;
	}
}

static void take_patch(const uint8_t *data, size_t size)
{
	static struct test_image patch;

	if (size < EF_PATCH_SIZES_END || size > sizeof(patch.data))
		return;
	memcpy(patch.data, data, size);
	patch.size = (uint32_t)size;
	EVP_Digest(data, size, patch.digest, NULL, EVP_sha256(), NULL);
	agent.upload.approved = true;
	agent.upload.approved_image = PATCHED_SIZE;
	agent.upload.approved_patch = patch.size;
	gateway_upload(&agent, &patch, 400);
	while (patch_poll(&agent))
		port_watchdog_feed();
}

static bool same(const struct port_area *a, const uint8_t *before)
{
	return memcmp(sim.flash + a->offset, before + a->offset, a->size) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t before[SIM_SIZE_MAX], frame[EF_SMP_FRAME_MAX(PORT_MESSAGE_MAX)];

	if (size < 1)
		return 0;
	make_node(data[0] == 3	 ? FACTORY_PLAIN_CLIENTS
		  : data[0] == 4 ? ADDRESS << FACTORY_ADDRESS_SHIFT
				 : 0);
	memcpy(before, sim.flash, sim.size);
	if (data[0] == 2) {
		/* a signature is more than a fuzzer finds: an all-zero header of this size is
		 * approved */
		agent.upload.approved = true;
		agent.upload.approved_size = APPROVED_SIZE;
		agent.upload.approved_image = APPROVED_SIZE - 30;
	}
	if (data[0] == 5) {
		take_patch(data + 1, size - 1);
	} else if (data[0] == 0 || data[0] == 3) {
		line_in(data + 1, size - 1);
	} else {
		for (size_t at = 1; size - at > 2;) {
			size_t n = (size_t)(data[at] << 8 | data[at + 1]);
			at += 2;
			if (n > size - at || n > PORT_MESSAGE_MAX)
				break;
			line_in(frame, frame_encode(data + at, n, frame));
			at += n;
		}
	}
	if (!same(&sim.board.slot[0], before) || !same(&sim.board.factory, before) ||
		!same(&sim.board.journal, before) || !same(&sim.board.keys, before) ||
		!same(&sim.board.recovery, before))
		abort();
	return 0;
}
