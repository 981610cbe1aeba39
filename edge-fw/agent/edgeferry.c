/* SPDX-License-Identifier: Apache-2.0 */
/* Group 239: who this node is, and whether it would take an image. */
#include "agent/agent.h"
#include "agent/request.h"
#include "boot/retained.h"
#include "boot/verify.h"
#include <string.h>

#define PROTOCOL_VERSION 1u
#define NONCE_MAX 32u

static uint32_t self_test(const struct agent *a)
{
	return a->program->self_test ? a->program->self_test() : SELF_TEST_RUNNING;
}

struct outcome ef_identify(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	const struct port_board *b = port_board();
	struct ef_version boot;
	char version[EF_VERSION_TEXT_MAX];
	struct retained r;

	if (v[0].size > NONCE_MAX)
		return smp_error(EF_SMP_INVALID);
	retained_load(&r);
	retained_load_boot_version(&boot);
	ef_version_format(&boot, version);
	put_uint(w, "v", PROTOCOL_VERSION);
	put_text(w, "board", b->name);
	put_bytes(w, "vid", a->factory.vendor, 16);
	put_bytes(w, "cid", a->factory.class_id, 16);
	put_uint(w, "hwrev", a->factory.hardware_revision);
	put_bytes(w, "id", a->factory.device_id, 16);
	put_uint(w, "mode", !a->program->bootloader);
	put_text(w, "boot", version);
	put_uint(w, "buf", PORT_MESSAGE_MAX);
	put_uint(w, "win", PORT_WINDOW);
	put_uint(w, "slot", b->slot[0].size);
	put_uint(w, "floor", a->state.floor);
	put_bool(w, "trial", agent_on_trial(a));
	put_uint(w, "test", self_test(a));
	put_uint(w, "revert", a->state.revert);
	put_uint(w, "attempts", agent_on_trial(a) ? a->state.attempts : r.boots);
	put_uint(w, "cause", r.cause);
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
