/* SPDX-License-Identifier: Apache-2.0 */
/* Group 1: what lies in the slots, trial and confirmation. */
#include "agent/agent.h"
#include "agent/patch.h"
#include "agent/request.h"
#include "agent/upload.h"
#include "boot/boot.h"
#include "boot/flash.h"
#include "boot/verify.h"
#include <string.h>

static void put_slot(struct agent *a, unsigned slot, struct cbor_writer *w)
{
	const struct slot_view *s = agent_slot(a, slot);
	bool trial = agent_on_trial(a), pending = slot == 1 && a->state.phase == PHASE_PENDING,
	     active = slot == 0 && !agent_in_bootloader(a);
	/* while slot 0 is on trial, the image that would come back is the confirmed one */
	bool confirmed = slot == 0 ? !trial && a->state.phase != PHASE_EMPTY : trial;

	if (s->reason != EF_REASON_OK)
		return;
	cbor_open_map(w);
	put_uint(w, "slot", slot);
	put_version(w, "version", &s->info.header.version);
	put_bytes(w, "hash", s->info.digest, 32);
	put_bools(w, "bootable pending confirmed active permanent",
		1u | pending << 1 | confirmed << 2 | active << 3);
	cbor_close(w);
}

static struct outcome image_state_read(
	struct agent *a, const struct value *v, struct cbor_writer *w)
{
	(void)v;
	cbor_put_text(w, "images");
	cbor_open_array(w);
	put_slot(a, 0, w);
	put_slot(a, 1, w);
	cbor_close(w);
	return DONE;
}

static bool holds(struct agent *a, unsigned slot, const struct value *hash)
{
	const struct slot_view *s = agent_slot(a, slot);
	return s->reason == EF_REASON_OK && hash->size == 32 &&
	       memcmp(s->info.digest, hash->data, 32) == 0;
}

static enum ef_reason try_image(struct agent *a, const struct value *hash, uint32_t deadline)
{
	struct state next = a->state;
	enum ef_reason busy = agent_slot_busy(a);

	if (busy)
		return busy;
	if (!holds(a, 1, hash))
		return holds(a, 0, hash) ? EF_REASON_ALREADY_INSTALLED : EF_REASON_NOT_FOUND;
	if (a->state.phase != PHASE_PENDING) {
		next.flags &= STATE_SHIFTED;
		if (a->state.phase != PHASE_EMPTY && a->state.attempts < BOOT_FAILURES_MAX)
			next.flags |= STATE_FALLBACK;
	}
	next.phase = PHASE_PENDING;
	next.revert = EF_REASON_OK;
	next.attempts = 0;
	next.deadline = (uint16_t)(deadline < UINT16_MAX ? deadline : UINT16_MAX);
	memcpy(next.digest[1], hash->data, 32);
	if (state_store(&next) < 0)
		return EF_REASON_NODE_FLASH;
	a->state = next;
	return EF_REASON_OK;
}

static enum ef_reason confirm_image(struct agent *a, const struct value *hash)
{
	struct state next = a->state;
	struct port_area where;
	struct ef_image_info info;
	enum ef_reason reason;

	if (hash->present && !holds(a, 0, hash))
		return EF_REASON_NOT_FOUND;
	if (!agent_on_trial(a))
		return EF_REASON_OK; /* already */
	if (a->program->self_test && a->program->self_test() != SELF_TEST_PASSED)
		return EF_REASON_SELF_TEST;
	/* on a slow core this is, after the install, the second and last look at the signature */
	where = state_slot(&a->state, 0);
	reason = verify_image(&where, a->state.floor, &a->factory, &info);
	if (reason != EF_REASON_OK)
		return reason;
	next.phase = PHASE_CONFIRMED;
	next.flags &= (uint8_t)~STATE_UPLOADING;
	next.attempts = 0;
	next.revert = EF_REASON_OK;
	if (next.floor < info.security_counter)
		next.floor = info.security_counter;
	if (state_store(&next) < 0)
		return EF_REASON_NODE_FLASH;
	a->state = next;
	a->slot[1].known = false; /* it may lie below the floor now */
	return EF_REASON_OK;
}

static struct outcome image_state_write(
	struct agent *a, const struct value *v, struct cbor_writer *w)
{
	bool confirm = v[1].number;
	enum ef_reason reason;

	if (!confirm && !v[0].present)
		return smp_error(EF_SMP_INVALID);
	if (confirm && agent_in_bootloader(a))
		return smp_error(EF_SMP_BAD_STATE);
	reason = confirm ? confirm_image(a, &v[0]) : try_image(a, &v[0], v[2].number);
	if (reason != EF_REASON_OK)
		return refused(reason);
	return image_state_read(a, v, w);
}

static struct outcome image_erase(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	struct port_area slot = state_slot(&a->state, 1);
	enum ef_reason reason;

	(void)w;
	if (v[0].present && v[0].number != 1)
		return smp_error(EF_SMP_INVALID);
	reason = agent_claim_slot(a);
	if (reason != EF_REASON_OK)
		return refused(reason);
	patch_stop(a);
	a->upload.open = false;
	a->upload.complete = false;
	a->upload.erases += slot.size / port_board()->page;
	if (flash_erase(slot.offset, slot.size) < 0)
		return refused(EF_REASON_NODE_FLASH);
	return DONE;
}

static const struct command commands[] = {
	{EF_IMAGE_STATE, EF_SMP_READ, true, "", image_state_read},
	{EF_IMAGE_STATE, EF_SMP_WRITE, false, "hash:b confirm:f deadline:u", image_state_write},
	{EF_IMAGE_UPLOAD, EF_SMP_WRITE, false, UPLOAD_FIELDS, image_upload},
	{EF_IMAGE_ERASE, EF_SMP_WRITE, false, "slot:u", image_erase},
};
const struct command_group image_group = COMMAND_GROUP(EF_GROUP_IMAGE, false, commands);
