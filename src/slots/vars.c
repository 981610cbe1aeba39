/* SPDX-License-Identifier: Apache-2.0 */
#include "slots/vars.h"

static enum ef_reason need_slot(enum slot_id slot, struct error *e)
{
	if (slot == SLOT_A || slot == SLOT_B)
		return EF_REASON_OK;
	return error_set(e, EF_REASON_USAGE, "a boot slot is A or B");
}

enum ef_reason vars_try_next(
	struct slot_vars *v, enum slot_id running, enum slot_id slot, struct error *e)
{
	if (need_slot(slot, e))
		return e->reason;
	if (slot == running)
		return error_set(e, EF_REASON_SLOT_RUNNING, "slot %s cannot be tried: it runs",
			slot_word(slot));
	v->trial = slot;
	/* What was bad about it was its former content. */
	v->mark[slot] = SLOT_GOOD;
	return EF_REASON_OK;
}

enum ef_reason vars_mark_good(struct slot_vars *v, enum slot_id slot, struct error *e)
{
	if (need_slot(slot, e))
		return e->reason;
	v->primary = slot;
	v->trial = SLOT_NONE;
	v->mark[slot] = SLOT_GOOD;
	return EF_REASON_OK;
}

enum ef_reason vars_mark_bad(struct slot_vars *v, enum slot_id slot, struct error *e)
{
	if (need_slot(slot, e))
		return e->reason;
	if (slot == v->primary)
		return error_set(
			e, EF_REASON_USAGE, "slot %s is primary and stays good", slot_word(slot));
	v->mark[slot] = SLOT_BAD;
	if (v->trial == slot)
		v->trial = SLOT_NONE;
	return EF_REASON_OK;
}

bool vars_choose(struct slot_vars *v, struct slot_evidence *ret)
{
	enum slot_id trial = v->trial;

	*ret = (struct slot_evidence){.running = v->primary};
	if (trial == SLOT_NONE)
		return false;
	v->trial = SLOT_NONE;
	if (v->mark[trial] == SLOT_GOOD)
		*ret = (struct slot_evidence){.running = trial, .trial = true};
	return true;
}
