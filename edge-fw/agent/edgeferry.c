/* SPDX-License-Identifier: Apache-2.0 */
/* Group 239: who this node is, and whether it would take an image. */
#include "agent/agent.h"
#include "agent/patch.h"
#include "agent/plain.h"
#include "agent/rate.h"
#include "agent/session.h"
#include "boot/retained.h"
#include "boot/verify.h"
#include <string.h>

#define PROTOCOL_VERSION 1u
#define NONCE_MAX 32u

static uint32_t self_test(const struct agent *a)
{
	return a->program->self_test ? a->program->self_test() : SELF_TEST_RUNNING;
}

static struct outcome ef_identify(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	const struct port_board *b = port_board();
	struct ef_version boot;
	struct port_power power;
	struct retained r;

	if (v[0].size > NONCE_MAX)
		return smp_error(EF_SMP_INVALID);
	retained_load(&r);
	retained_load_boot_version(&boot);
	port_power(&power);
	put_text(w, "board", b->name);
	put_bytes(w, "vid", a->factory.vendor, 16);
	put_bytes(w, "cid", a->factory.class_id, 16);
	put_bytes(w, "id", a->factory.device_id, 16);
	put_version(w, "boot", &boot);
	put_uints(w, "v hwrev mode buf win slot floor test revert attempts cause bat",
		(const uint32_t[]){PROTOCOL_VERSION, a->factory.hardware_revision,
			!agent_in_bootloader(a), PORT_MESSAGE_MAX, PORT_WINDOW, b->slot[0].size,
			a->state.floor, self_test(a), a->state.revert,
			agent_on_trial(a) ? a->state.attempts : r.boots, r.cause, power.battery});
	put_bools(w, "ext trial plain",
		power.external | agent_on_trial(a) << 1 | plain_allowed(a) << 2);
	if (ahead_span())
		put_uint(w, "ahead", ahead_span());
	patch_put_identity(a, w);
	if (shared_address(a)) {
		put_uint(w, "addr", shared_address(a));
		put_uint(w, "spread", spread_block_max());
		if (!lease_admits(a))
			lease_put_owner(a, w);
	}
	if (v[0].present)
		put_bytes(w, "nonce", v[0].data, v[0].size);
	return DONE;
}

struct outcome ef_preflight(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	struct upload *u = &a->upload;
	struct preflight p = {v[0].data, v[1].data, (uint32_t)v[1].size, v[2].number,
		{v[3].data, v[3].data + 32, v[3].size - 32}};
	struct ef_image_info info;
	enum ef_reason reason;

	(void)w;
	if (v[0].size != EF_IMAGE_HEADER_SIZE || !v[1].present || !v[2].present || v[3].size < 32)
		return smp_error(EF_SMP_INVALID);
	reason = verify_preflight(&p, a->state.floor, &a->factory, &info);
	if (reason != EF_REASON_OK)
		return refused(reason);
	u->approved = true;
	u->approved_size = p.size;
	u->approved_image = info.total_size;
	memcpy(u->approved_header, p.header, EF_IMAGE_HEADER_SIZE);
	memcpy(u->approved_digest, info.digest, 32);
	return DONE;
}

static const struct command commands[] = {
	{EF_EF_IDENTIFY, EF_SMP_READ, true, "nonce:b", ef_identify},
	{EF_EF_PREFLIGHT, EF_SMP_WRITE, true, PREFLIGHT_FIELDS, ef_preflight},
	{EF_EF_RATE, EF_SMP_WRITE, false, "baud:u", ef_rate},
	{EF_EF_KEY, EF_SMP_WRITE, false, "key:b seed:b required:f", ef_key},
};
const struct command_group edgeferry_group = COMMAND_GROUP(EF_GROUP_EDGEFERRY, false, commands);
