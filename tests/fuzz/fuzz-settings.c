/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, values and times as the application takes them: settings, date and time, info formats,
 * statistics by name. A sequence of (command, u8 size, body). What is kept stays a number of the
 * table's range, only the state pages of flash change, and every answer is whole CBOR.
 */
#include "agent/agent.h"
#include "flash-sim.h"
#include "wire/crc.h"
#include <stdlib.h>
#include <string.h>

static const struct agent_program program;
static struct agent agent;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	uint16_t group;
	uint8_t command, op;
} commands[] = {
	{EF_GROUP_SETTINGS, EF_SETTINGS_VALUE, EF_SMP_READ},
	{EF_GROUP_SETTINGS, EF_SETTINGS_VALUE, EF_SMP_WRITE},
	{EF_GROUP_SETTINGS, EF_SETTINGS_DELETE, EF_SMP_WRITE},
	{EF_GROUP_SETTINGS, EF_SETTINGS_COMMIT, EF_SMP_WRITE},
	{EF_GROUP_SETTINGS, EF_SETTINGS_STORE, EF_SMP_READ},
	{EF_GROUP_SETTINGS, EF_SETTINGS_STORE, EF_SMP_WRITE},
	{EF_GROUP_OS, EF_OS_DATETIME, EF_SMP_READ},
	{EF_GROUP_OS, EF_OS_DATETIME, EF_SMP_WRITE},
	{EF_GROUP_OS, EF_OS_INFO, EF_SMP_READ},
	{EF_GROUP_OS, EF_OS_BOOTLOADER, EF_SMP_READ},
	{EF_GROUP_STAT, EF_STAT_READ, EF_SMP_READ},
	{EF_GROUP_EDGEFERRY, EF_EF_REPORT, EF_SMP_READ},
};
#define N_COMMANDS (sizeof(commands) / sizeof(*commands))

static void make_node(void)
{
	struct factory f = {
		.magic = FACTORY_MAGIC, .version = FACTORY_VERSION, .size = sizeof(f), .n_keys = 1};

	sim_init(512, 1, 2, true);
	f.crc = crc32_ieee(0, &f, offsetof(struct factory, crc));
	memcpy(sim.flash + sim.board.factory.offset, &f, sizeof(f));
	sim_power_on();
	agent_init(&agent, &program);
	settings_load(&agent);
}

static void ask(size_t which, const uint8_t *body, size_t size)
{
	uint8_t m[EF_SMP_HEADER_SIZE + 255];
	const struct ef_smp_header h = {.op = commands[which].op,
		.version = size & 1,
		.length = (uint16_t)size,
		.group = commands[which].group,
		.command = commands[which].command};
	struct cbor_reader r;

	ef_smp_header_encode(&h, m);
	memcpy(m + EF_SMP_HEADER_SIZE, body, size);
	size = agent_request(&agent, m, EF_SMP_HEADER_SIZE + size);
	if (size <= EF_SMP_HEADER_SIZE || size > AGENT_RESPONSE_MAX)
		abort();
	cbor_read_init(&r, agent.response + EF_SMP_HEADER_SIZE, size - EF_SMP_HEADER_SIZE);
	if (!cbor_skip(&r) || r.at != r.size)
		abort();
}

static bool in_range(const uint16_t *v, bool zero_too)
{
	return ((zero_too && v[0] == 0) || (v[0] >= 20 && v[0] <= 1000)) &&
	       ((zero_too && v[1] == 0) || (v[1] >= 10 && v[1] <= 3600));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t before[SIM_SIZE_MAX];

	make_node();
	memcpy(before, sim.flash, sim.size);
	for (size_t at = 0; size - at > 2;) {
		size_t which = data[at] % N_COMMANDS, n = data[at + 1];

		at += 2;
		if (n > size - at)
			n = size - at;
		ask(which, data + at, n);
		at += n;
	}
	if (!in_range(agent.settings.written, false) || !in_range(agent.settings.in_force, false) ||
		!in_range(agent.state.settings, true))
		abort();
	memcpy(before + sim.board.state.offset, sim.flash + sim.board.state.offset,
		sim.board.state.size);
	if (memcmp(before, sim.flash, sim.size) != 0)
		abort();
	return 0;
}
