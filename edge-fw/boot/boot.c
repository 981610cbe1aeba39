/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/boot.h"
#include "boot/swap.h"
#include "boot/verify.h"
#include <string.h>

enum step {
	STEP_AGAIN, /* the phase changed: look again */
	STEP_RUN,
	STEP_RECOVERY,
};

/* More phases than any way through the table has. */
#define STEPS_MAX 12

static enum step recovery(struct boot *b, enum ef_reason reason)
{
	b->reason = reason;
	return STEP_RECOVERY;
}

static enum step enter(struct boot *b, enum phase phase)
{
	b->state.phase = (uint8_t)phase;
	if (state_store(&b->state) < 0)
		return recovery(b, EF_REASON_NODE_FLASH);
	return STEP_AGAIN;
}

static enum ef_reason verify_any(struct boot *b, unsigned slot, struct ef_image_info *info)
{
	return verify_image(slot, b->state.floor, &b->factory, info);
}

/*
 * An image that was installed before: the signature where the core is fast enough, else the digest
 * that was recorded when the signature was checked.
 */
static enum ef_reason verify_installed(struct boot *b, unsigned slot, struct ef_image_info *info)
{
	if (port_board()->fast)
		return verify_any(b, slot, info);
	return verify_digest(slot, b->state.digest[slot], info);
}

/* Starts the exchange of both slots; info: the image of slot 1 that is to run. */
static enum step begin_swap(struct boot *b, const struct ef_image_info *coming, enum phase phase)
{
	struct ef_image_info leaving;
	uint16_t units = swap_units(coming->total_size);

	b->state.flags &= (uint8_t)~STATE_UPLOADING;
	if (verify_installed(b, 0, &leaving) == EF_REASON_OK) {
		if (swap_units(leaving.total_size) > units)
			units = swap_units(leaving.total_size);
		memcpy(b->state.digest[1], leaving.digest, 32);
	} else {
		b->state.flags |= STATE_NO_WAY_BACK;
		memset(b->state.digest[1], 0, 32);
	}
	memcpy(b->state.digest[0], coming->digest, 32);
	b->state.units = units;
	b->state.attempts = 0;
	if (swap_prepare() < 0)
		return recovery(b, EF_REASON_NODE_FLASH);
	return enter(b, phase);
}

/* Slot 0 holds nothing that may run: slot 1 is tried, and if it is no better nothing is changed. */
static enum step rescue(struct boot *b, enum ef_reason reason)
{
	struct ef_image_info info;

	if (verify_any(b, 1, &info) != EF_REASON_OK)
		return recovery(b, reason);
	b->state.revert = (uint8_t)reason;
	b->state.deadline = 0;
	return begin_swap(b, &info, PHASE_SWAPPING);
}

static enum step on_none(struct boot *b)
{
	enum ef_reason reason;

	reason = verify_any(b, 0, &b->image);
	if (reason != EF_REASON_OK)
		return rescue(b, reason);
	if (b->state.floor < b->image.security_counter)
		b->state.floor = b->image.security_counter;
	memcpy(b->state.digest[0], b->image.digest, 32);
	return enter(b, PHASE_CONFIRMED);
}

static enum step on_confirmed(struct boot *b)
{
	enum ef_reason reason = verify_installed(b, 0, &b->image);

	if (reason != EF_REASON_OK)
		return rescue(b, reason);
	if (b->retained.boots < UINT8_MAX)
		b->retained.boots++;
	return STEP_RUN;
}

static enum step on_pending(struct boot *b)
{
	struct ef_image_info info;
	enum ef_reason reason = verify_any(b, 1, &info);

	if (reason == EF_REASON_OK && memcmp(info.digest, b->state.digest[1], 32) != 0)
		reason = EF_REASON_IMAGE_DIGEST;
	if (reason == EF_REASON_OK)
		return begin_swap(b, &info, PHASE_SWAPPING);
	b->state.revert = (uint8_t)reason;
	return enter(b, b->state.flags & STATE_NO_WAY_BACK ? PHASE_EMPTY : PHASE_CONFIRMED);
}

static enum step on_swapping(struct boot *b)
{
	if (swap_run(b->state.units) < 0)
		return recovery(b, EF_REASON_NODE_FLASH);
	b->retained.boots = 0;
	b->retained.self_test_failed = false;
	return enter(b, PHASE_TRIAL);
}

static enum step go_back(struct boot *b, enum ef_reason reason)
{
	struct ef_image_info old;

	b->state.revert = (uint8_t)reason;
	b->retained.self_test_failed = false;
	b->retained.boots = 0;
	if (b->state.flags & STATE_NO_WAY_BACK || verify_any(b, 1, &old) != EF_REASON_OK)
		return enter(b, PHASE_EMPTY);
	return begin_swap(b, &old, PHASE_REVERTING);
}

static enum step on_trial(struct boot *b)
{
	enum ef_reason reason;

	if (b->state.attempts)
		return go_back(b, b->retained.self_test_failed ? EF_REASON_SELF_TEST
							       : EF_REASON_NOT_CONFIRMED);
	reason = verify_installed(b, 0, &b->image);
	if (reason != EF_REASON_OK)
		return go_back(b, reason);
	if (b->stay)
		return recovery(b, EF_REASON_OK);
	/* used up before it is begun: whatever happens next, it had its one boot (F-02) */
	b->state.attempts = 1;
	return enter(b, PHASE_TRIAL) == STEP_AGAIN ? STEP_RUN : STEP_RECOVERY;
}

static enum step on_reverting(struct boot *b)
{
	if (swap_run(b->state.units) < 0)
		return recovery(b, EF_REASON_NODE_FLASH);
	b->state.flags = 0;
	return enter(b, PHASE_CONFIRMED);
}

static enum step on_empty(struct boot *b)
{
	return recovery(b, (enum ef_reason)b->state.revert);
}

static enum step (*const on_phase[PHASE_COUNT])(struct boot *b) = {
	[PHASE_NONE] = on_none,
	[PHASE_CONFIRMED] = on_confirmed,
	[PHASE_PENDING] = on_pending,
	[PHASE_SWAPPING] = on_swapping,
	[PHASE_TRIAL] = on_trial,
	[PHASE_REVERTING] = on_reverting,
	[PHASE_EMPTY] = on_empty,
};

enum boot_end boot_decide(struct boot *b)
{
	factory_load(&b->factory);
	state_load(&b->state, b->factory.floor);
	for (int i = 0; i < STEPS_MAX; i++) {
		enum step step = on_phase[b->state.phase](b);
		if (step == STEP_RUN)
			return BOOT_RUN;
		if (step == STEP_RECOVERY)
			return BOOT_RECOVERY;
	}
	b->reason = EF_REASON_INTERNAL;
	return BOOT_RECOVERY;
}
