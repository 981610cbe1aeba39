/* SPDX-License-Identifier: Apache-2.0 */
#include "slots/boot.h"
#include "slots/backend.h"
#include "util/hex.h"
#include <stdio.h>
#include <string.h>

static const struct boot_ops *const table[] = {&boot_sim, &boot_grub, &boot_uboot, &boot_tryboot};

const char *slot_word(enum slot_id s)
{
	static const char *const words[] = {"A", "B", "none"};

	return s <= SLOT_NONE ? words[s] : words[SLOT_NONE];
}

static const struct boot_ops *find(const char *name)
{
	for (size_t i = 0; name && i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
	return NULL;
}

enum ef_reason boot_open(
	const char *name, const struct boot_place *place, struct boot **ret, struct error *e)
{
	const struct boot_ops *ops = find(name);

	if (!ops)
		return error_set(
			e, EF_REASON_CONFIG, "no boot loader \"%s\" is known", name ? name : "");
	if (ops->open(place, ret, e))
		return e->reason;
	(*ret)->ops = ops;
	return EF_REASON_OK;
}

void boot_close(struct boot *b)
{
	if (b)
		b->ops->close(b);
}

enum ef_reason boot_state(struct boot *b, struct boot_state *ret, struct error *e)
{
	struct slot_vars v;
	struct slot_evidence now;

	if (b->ops->load(b, &v, &now, e))
		return e->reason;
	*ret = (struct boot_state){
		.running = now.running,
		.primary = v.primary,
		.trial = v.trial,
		.on_trial = now.trial && now.running != v.primary,
		.mark = {v.mark[SLOT_A], v.mark[SLOT_B]},
	};
	return EF_REASON_OK;
}

enum ef_reason boot_try_next(struct boot *b, enum slot_id slot, struct error *e)
{
	struct slot_vars v;
	struct slot_evidence now;

	if (b->ops->load(b, &v, &now, e) || vars_try_next(&v, now.running, slot, e))
		return e->reason;
	return b->ops->store(b, &v, &now, e);
}

enum ef_reason boot_set_verity(
	struct boot *b, enum slot_id slot, const uint8_t root[32], uint64_t offset, struct error *e)
{
	char args[BOOT_ARGS_SIZE + 1], hex[DIGEST_HEX_MAX];
	struct slot_vars v;
	struct slot_evidence now;

	if (!b->ops->set_args)
		return EF_REASON_OK;
	if (b->ops->load(b, &v, &now, e))
		return e->reason;
	if (slot == now.running || slot == v.primary)
		return error_set(e, EF_REASON_SLOT_RUNNING, "slot %s", slot_word(slot));
	if (offset)
		snprintf(args, sizeof(args), BOOT_ARGS_FORMAT, digest_hex(root, hex),
			(unsigned long long)offset);
	else
		snprintf(args, sizeof(args), "%*s", (int)BOOT_ARGS_SIZE, "");
	return b->ops->set_args(b, slot, args, e);
}

enum ef_reason boot_mark_good(struct boot *b, enum slot_id slot, struct error *e)
{
	struct slot_vars v;
	struct slot_evidence now;

	if (b->ops->load(b, &v, &now, e) || vars_mark_good(&v, slot, e))
		return e->reason;
	return b->ops->store(b, &v, &now, e);
}

enum ef_reason boot_mark_bad(struct boot *b, enum slot_id slot, struct error *e)
{
	struct slot_vars v;
	struct slot_evidence now;

	if (b->ops->load(b, &v, &now, e) || vars_mark_bad(&v, slot, e))
		return e->reason;
	return b->ops->store(b, &v, &now, e);
}

enum ef_reason boot_came_up(struct boot *b, struct error *e)
{
	return b->ops->came_up ? b->ops->came_up(b, e) : EF_REASON_OK;
}

enum ef_reason boot_rebooting(struct boot *b, const char **parameter, struct error *e)
{
	*parameter = NULL;
	return b->ops->rebooting ? b->ops->rebooting(b, parameter, e) : EF_REASON_OK;
}
