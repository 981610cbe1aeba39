/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/boot.h"
#include "boot/keyset.h"
#include "boot/swap.h"
#include "boot/verify.h"
#include <string.h>

/* More phases than any way through the table has. */
#define STEPS_MAX 6

static enum boot_end recovery(struct boot *b, enum ef_reason reason)
{
	b->reason = reason;
	return BOOT_RECOVERY;
}

static enum boot_end enter(struct boot *b, enum phase phase)
{
	b->state.phase = (uint8_t)phase;
	if (state_store(&b->state) < 0)
		return recovery(b, EF_REASON_NODE_FLASH);
	return BOOT_AGAIN;
}

/* Of another image than the one that was started last. */
static void forget_starts(struct boot *b)
{
	b->retained.boots = 0;
	b->retained.self_test_failed = false;
	b->failed = false;
}

static enum ef_reason verify_signed(struct boot *b, unsigned slot, struct ef_image_info *info)
{
	struct port_area where = state_slot(&b->state, slot);
	return verify_image(&where, b->state.floor, &b->factory, info);
}

/*
 * The image of slot 0, which was installed before: the signature where the core is fast enough,
 * else the digest that was recorded when the signature was checked. Flash that read badly once is
 * no reason to give it up.
 */
static enum ef_reason verify_installed(struct boot *b, struct ef_image_info *info)
{
	struct port_area where = state_slot(&b->state, 0);
	enum ef_reason reason = EF_REASON_INTERNAL;

	for (int tries = 0; tries < 2 && reason != EF_REASON_OK; tries++)
		reason = port_board()->fast ? verify_signed(b, 0, info)
					    : verify_digest(&where, b->state.digest[0], info);
	return reason;
}

/* Slot 1 holds the image whose digest is recorded, and it may run: the keys may have changed since.
 */
static enum ef_reason verify_coming(struct boot *b, struct ef_image_info *info)
{
	enum ef_reason reason = verify_signed(b, 1, info);

	if (reason == EF_REASON_OK && memcmp(info->digest, b->state.digest[1], 32) != 0)
		reason = EF_REASON_IMAGE_DIGEST;
	return reason;
}

/* The very image that was confirmed here before. */
static bool has_fallback(struct boot *b, struct ef_image_info *info)
{
	return b->state.flags & STATE_FALLBACK &&
	       /* looked at twice: NOLINTNEXTLINE(misc-redundant-expression) */
	       (verify_coming(b, info) == EF_REASON_OK || verify_coming(b, info) == EF_REASON_OK);
}

/* Starts the exchange of both slots; coming: the image of slot 1, whose digest is recorded. */
static enum boot_end begin_swap(
	struct boot *b, const struct ef_image_info *coming, enum phase phase)
{
	struct ef_image_info leaving;
	uint16_t units = swap_units(coming->total_size);

	if (verify_installed(b, &leaving) == EF_REASON_OK) {
		if (swap_units(leaving.total_size) > units)
			units = swap_units(leaving.total_size);
	} else {
		b->state.flags &= (uint8_t)~STATE_FALLBACK;
		memset(leaving.digest, 0, 32);
	}
	memcpy(b->state.digest[0], b->state.digest[1], 32);
	memcpy(b->state.digest[1], leaving.digest, 32);
	b->state.flags &= (uint8_t)~STATE_UPLOADING;
	b->state.units = units;
	b->state.attempts = 0;
	if (swap_prepare() < 0)
		return recovery(b, EF_REASON_NODE_FLASH);
	return enter(b, phase);
}

/*
 * The image in slot 0 will not run. What was confirmed here before takes its place; an image that
 * was not runs only when it is asked for. keep: the one in slot 0 is whole, and goes to slot 1.
 */
static enum boot_end give_up(struct boot *b, enum ef_reason reason, bool keep)
{
	struct ef_image_info old;

	forget_starts(b);
	if (!has_fallback(b, &old)) {
		if (b->state.phase != PHASE_TRIAL)
			return recovery(b, reason);
		b->state.revert = (uint8_t)reason;
		return enter(b, PHASE_EMPTY);
	}
	b->state.revert = (uint8_t)reason;
	if (keep)
		return begin_swap(b, &old, PHASE_REVERTING);
	memcpy(b->state.digest[0], b->state.digest[1], 32);
	b->state.units = swap_units(old.total_size);
	return enter(b, PHASE_RESTORING);
}

static enum boot_end on_none(struct boot *b)
{
	enum ef_reason reason = verify_signed(b, 0, &b->image);

	/* a slow core will go by what is recorded now: not after one look alone (E-15) */
	if (reason == EF_REASON_OK)
		reason = verify_signed(b, 0, &b->image);
	if (reason == EF_REASON_OK) {
		if (b->state.floor < b->image.security_counter)
			b->state.floor = b->image.security_counter;
		memcpy(b->state.digest[0], b->image.digest, 32);
		return enter(b, PHASE_CONFIRMED);
	}
	return give_up(b, reason, false);
}

/* A start of the confirmed image failed: OK as long as it may be tried again. */
static enum ef_reason count_failure(struct boot *b)
{
	if (b->state.attempts < BOOT_FAILURES_MAX) {
		b->state.attempts++;
		if (b->state.attempts == BOOT_FAILURES_MAX)
			b->state.revert = EF_REASON_CRASH_LOOP;
		if (state_store(&b->state) < 0)
			return EF_REASON_NODE_FLASH;
	}
	return b->state.attempts < BOOT_FAILURES_MAX ? EF_REASON_OK : EF_REASON_CRASH_LOOP;
}

static enum boot_end on_confirmed(struct boot *b)
{
	enum ef_reason reason = verify_installed(b, &b->image);

	if (reason != EF_REASON_OK)
		return give_up(b, reason, false);
	if (b->failed) {
		reason = count_failure(b);
		/* the same image again would not fare better */
		if (reason == EF_REASON_CRASH_LOOP &&
			memcmp(b->state.digest[0], b->state.digest[1], 32) != 0)
			return give_up(b, reason, false);
		if (reason != EF_REASON_OK)
			return recovery(b, reason);
	}
	if (b->retained.boots < UINT8_MAX)
		b->retained.boots++;
	return BOOT_RUN;
}

static enum boot_end on_pending(struct boot *b)
{
	struct ef_image_info info;
	enum ef_reason reason = verify_coming(b, &info);
	bool good = b->state.flags & STATE_FALLBACK; /* slot 0, that is */

	if (reason == EF_REASON_OK) /* as in on_none */
		reason = verify_coming(b, &info);
	if (reason == EF_REASON_OK)
		return begin_swap(b, &info, PHASE_SWAPPING);
	b->state.revert = (uint8_t)reason;
	b->state.flags &= (uint8_t)~STATE_FALLBACK;
	return enter(b, good ? PHASE_CONFIRMED : PHASE_EMPTY);
}

static enum boot_end on_swapping(struct boot *b)
{
	if (swap_run(&b->state) < 0)
		return recovery(b, EF_REASON_NODE_FLASH);
	forget_starts(b);
	b->state.flags ^= STATE_SHIFTED;
	return enter(b, PHASE_TRIAL);
}

static enum boot_end on_trial(struct boot *b)
{
	enum ef_reason reason;

	if (b->state.attempts)
		return give_up(b,
			b->retained.self_test_failed ? EF_REASON_SELF_TEST
						     : EF_REASON_NOT_CONFIRMED,
			true);
	reason = verify_installed(b, &b->image);
	if (reason != EF_REASON_OK)
		return give_up(b, reason, false);
	if (b->stay)
		return recovery(b, EF_REASON_OK);
	/* used up before it is begun: whatever happens next, it had its one boot (F-02) */
	b->state.attempts = 1;
	return enter(b, PHASE_TRIAL) == BOOT_AGAIN ? BOOT_RUN : BOOT_RECOVERY;
}

static enum boot_end on_reverting(struct boot *b)
{
	if (swap_run(&b->state) < 0)
		return recovery(b, EF_REASON_NODE_FLASH);
	b->state.flags ^= STATE_SHIFTED;
	b->state.flags &= (uint8_t)~STATE_FALLBACK;
	return enter(b, PHASE_CONFIRMED);
}

static enum boot_end on_empty(struct boot *b)
{
	return recovery(b, (enum ef_reason)b->state.revert);
}

static enum boot_end on_restoring(struct boot *b)
{
	if (swap_restore(&b->state) < 0)
		return recovery(b, EF_REASON_NODE_FLASH);
	b->state.attempts = 0;
	return enter(b, PHASE_CONFIRMED);
}

static enum boot_end (*const on_phase[PHASE_COUNT])(struct boot *b) = {
	[PHASE_NONE] = on_none,
	[PHASE_CONFIRMED] = on_confirmed,
	[PHASE_PENDING] = on_pending,
	[PHASE_SWAPPING] = on_swapping,
	[PHASE_TRIAL] = on_trial,
	[PHASE_REVERTING] = on_reverting,
	[PHASE_EMPTY] = on_empty,
	[PHASE_RESTORING] = on_restoring,
};

enum boot_end boot_decide(struct boot *b)
{
	keyset_mend(&b->factory);
	state_load(&b->state);
	/* what is confirmed runs all the same */
	if (state_settle(&b->state) < 0 && b->state.phase != PHASE_CONFIRMED)
		return recovery(b, EF_REASON_NODE_FLASH);
	for (int i = 0; i < STEPS_MAX; i++) {
		enum boot_end end = on_phase[b->state.phase](b);
		if (end != BOOT_AGAIN)
			return end;
	}
	return recovery(b, EF_REASON_INTERNAL);
}

/* By its parts, which are numbers where the board is known: nothing then needs all of that. */
struct port_area boot_recovery_area(void)
{
	return (struct port_area){port_board()->recovery.offset, port_board()->recovery.size};
}

enum boot_end boot_recovery_image(struct boot *b)
{
	struct port_area where = boot_recovery_area();

	if (!where.size)
		return BOOT_RECOVERY;
	memset(&b->state, 0, sizeof(b->state));
	factory_read(port_board()->factory.offset, &b->factory);
	b->state.floor = b->factory.floor;
	return verify_image(&where, b->state.floor, &b->factory, &b->image) == EF_REASON_OK
		       ? BOOT_RUN
		       : BOOT_RECOVERY;
}

enum boot_end boot_look_again(struct boot *b, const struct port_area *where)
{
	enum ef_reason reason;

	/* nothing is recorded of a recovery image */
	if (port_board()->fast || where->offset != port_board()->slot[0].offset)
		reason = verify_image(where, b->state.floor, &b->factory, &b->image);
	else
		reason = verify_digest(where, b->state.digest[0], &b->image);
	return reason == EF_REASON_OK ? BOOT_RUN : BOOT_RECOVERY;
}
