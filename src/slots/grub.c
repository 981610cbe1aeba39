/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GRUB: conf/boot/edgeferry.grub takes the trial out of grubenv before it starts the slot, and says
 * on the kernel's command line what it started.
 */
#include "slots/backend.h"
#include "slots/evidence.h"
#include "slots/grub-env.h"
#include "slots/one-sector.h"
#include "util/cleanup.h"
#include <errno.h>

struct grub {
	struct boot boot;
	const char *root;
	char *path;
};

static void grub_close(struct boot *b)
{
	struct grub *g = (struct grub *)b;

	free(g->path);
	free(g);
}

static enum ef_reason grub_open(const struct boot_place *place, struct boot **ret, struct error *e)
{
	struct grub *g = calloc(1, sizeof(*g));

	if (!g || asprintf(&g->path, "%s/grubenv", place->dir) < 0) {
		free(g);
		return error_set(e, EF_REASON_NO_MEMORY, "grubenv");
	}
	g->root = place->root;
	*ret = &g->boot;
	return EF_REASON_OK;
}

static enum ef_reason read_block(const struct grub *g, char block[GRUB_ENV_SIZE], struct error *e)
{
	size_t size;

	if (one_sector_read(g->path, block, GRUB_ENV_SIZE, &size, e))
		return e->reason;
	if (size != GRUB_ENV_SIZE)
		return error_set(e, EF_REASON_BOOT_STATE,
			"%s: %zu bytes instead of %u; make it with grub-editenv %s create", g->path,
			size, GRUB_ENV_SIZE, g->path);
	return EF_REASON_OK;
}

static enum ef_reason grub_load(
	struct boot *b, struct slot_vars *vars, struct slot_evidence *now, struct error *e)
{
	const struct grub *g = (struct grub *)b;
	char block[GRUB_ENV_SIZE];

	if (read_block(g, block, e) || grub_env_parse(block, vars, e))
		return e->reason;
	return evidence_cmdline(g->root, now, e);
}

static enum ef_reason grub_store(struct boot *b, const struct slot_vars *vars,
	const struct slot_evidence *now, struct error *e)
{
	const struct grub *g = (struct grub *)b;
	char block[GRUB_ENV_SIZE];

	(void)now;
	if (read_block(g, block, e) || grub_env_format(block, vars, e))
		return e->reason;
	return one_sector_write(g->path, block, GRUB_ENV_SIZE, e);
}

static enum ef_reason grub_set_args(
	struct boot *b, enum slot_id slot, const char *args, struct error *e)
{
	const struct grub *g = (struct grub *)b;
	char block[GRUB_ENV_SIZE];

	if (read_block(g, block, e) || grub_env_set_args(block, slot, args, e))
		return e->reason;
	return one_sector_write(g->path, block, GRUB_ENV_SIZE, e);
}

const struct boot_ops boot_grub = {
	.name = "grub",
	.open = grub_open,
	.close = grub_close,
	.load = grub_load,
	.store = grub_store,
	.set_args = grub_set_args,
};
