/* SPDX-License-Identifier: Apache-2.0 */
/* Group 239, keys: which set is in force, and the next one. The bootloader has no room for it and
 * needs none: it takes an image first. */
#include "agent/agent.h"
#include "boot/keyset.h"
#include "boot/verify.h"

/* No set is taken under which the image in slot 0 could not run. */
static enum ef_reason take_set(struct agent *a, const struct value *document)
{
	struct port_area where = state_slot(&a->state, 0);
	struct ef_image_info info;
	struct factory next;
	enum ef_reason reason;

	if (agent_on_trial(a))
		return EF_REASON_TRIAL_RUNNING;
	reason = keyset_check(document->data, document->size, &a->factory, &next);
	if (reason == EF_REASON_OK)
		reason = verify_image(&where, 0, &next, &info);
	if (reason == EF_REASON_OK && keyset_store(&next) < 0)
		reason = EF_REASON_NODE_FLASH;
	return reason;
}

static struct outcome ef_keys(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	enum ef_reason reason;

	if (v[0].present) {
		reason = take_set(a, &v[0]);
		/* whatever came of it: what is in force is what flash says */
		keyset_load(&a->factory);
		a->slot[1].known = false;
		a->upload.approved = false;
		if (reason != EF_REASON_OK)
			return refused(reason);
	}
	put_uint(w, "set", a->factory.key_set);
	return DONE;
}

static const struct command commands[] = {
	{EF_EF_KEYS, EF_SMP_WRITE, false, "doc:b", ef_keys},
};
const struct command_group keys_group = COMMAND_GROUP(EF_GROUP_EDGEFERRY, true, commands);
