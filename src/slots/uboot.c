/* SPDX-License-Identifier: Apache-2.0 */
/*
 * U-Boot: its environment through libubootenv, found by fw_env.config. With a redundant environment
 * a change is old or new after a power cut; with a single one it is not (docs/DESIGN.md).
 */
#include "slots/backend.h"
#include "slots/evidence.h"
#include "slots/uboot-vars.h"
#include "util/cleanup.h"
#include <errno.h>
#include <libuboot.h>
#include <string.h>

struct uboot {
	struct boot boot;
	const char *root;
	char *config;
};

static void uboot_close(struct boot *b)
{
	struct uboot *u = (struct uboot *)b;

	free(u->config);
	free(u);
}

static enum ef_reason uboot_open(const struct boot_place *place, struct boot **ret, struct error *e)
{
	struct uboot *u = calloc(1, sizeof(*u));

	if (!u || asprintf(&u->config, "%s/fw_env.config", place->dir) < 0) {
		free(u);
		return error_set(e, EF_REASON_NO_MEMORY, "fw_env.config");
	}
	u->root = place->root;
	*ret = &u->boot;
	return EF_REASON_OK;
}

static void env_close(struct uboot_ctx **ctx)
{
	if (!*ctx)
		return;
	libuboot_close(*ctx);
	libuboot_exit(*ctx);
}

static enum ef_reason failed(const struct uboot *u, int r, const char *what, struct error *e)
{
	errno = r < -1 ? -r : EIO;
	return error_set(e, EF_REASON_BOOT_STATE, "%s: %s: %m", u->config, what);
}

/* Anew for each call: fw_setenv, or the boot script, may have changed it. */
static enum ef_reason env_open(const struct uboot *u, struct uboot_ctx **ret, struct error *e)
{
	int r = libuboot_initialize(ret, NULL);

	if (r < 0) {
		*ret = NULL;
		return error_set(e, EF_REASON_NO_MEMORY, "libubootenv");
	}
	r = libuboot_read_config(*ret, u->config);
	if (r < 0)
		return failed(u, r, "cannot be read", e);
	r = libuboot_open(*ret);
	return r < 0 ? failed(u, r, "no valid environment there", e) : EF_REASON_OK;
}

static enum ef_reason env_load(struct uboot_ctx *ctx, struct uboot_vars *ret, struct error *e)
{
	char *text[UBOOT_NAMES];

	for (size_t i = 0; i < UBOOT_NAMES; i++)
		text[i] = libuboot_get_env(ctx, uboot_names[i]);
	uboot_vars_parse((const char *const *)text, ret, e);
	for (size_t i = 0; i < UBOOT_NAMES; i++)
		free(text[i]);
	return e->reason;
}

static enum ef_reason env_store(
	const struct uboot *u, struct uboot_ctx *ctx, const struct uboot_vars *v, struct error *e)
{
	char text[UBOOT_NAMES][UBOOT_TEXT_MAX];
	int r = 0;

	uboot_vars_format(v, text);
	for (size_t i = 0; r == 0 && i < UBOOT_NAMES; i++)
		r = libuboot_set_env(ctx, uboot_names[i], text[i][0] ? text[i] : NULL);
	if (r == 0)
		r = libuboot_env_store(ctx);
	return r < 0 ? failed(u, r, "cannot be written", e) : EF_REASON_OK;
}

static enum ef_reason uboot_load(
	struct boot *b, struct slot_vars *vars, struct slot_evidence *now, struct error *e)
{
	const struct uboot *u = (struct uboot *)b;
	_cleanup_(env_close) struct uboot_ctx *ctx = NULL;
	struct uboot_vars v;

	if (env_open(u, &ctx, e) || env_load(ctx, &v, e) || evidence_cmdline(u->root, now, e))
		return e->reason;
	uboot_to_slots(&v, now->running, vars);
	now->trial = now->running != vars->primary;
	return EF_REASON_OK;
}

static enum ef_reason uboot_store(struct boot *b, const struct slot_vars *vars,
	const struct slot_evidence *now, struct error *e)
{
	const struct uboot *u = (struct uboot *)b;
	_cleanup_(env_close) struct uboot_ctx *ctx = NULL;
	struct uboot_vars v;

	(void)now;
	uboot_from_slots(vars, &v);
	return env_open(u, &ctx, e) ? e->reason : env_store(u, ctx, &v, e);
}

/* None where there were none changes nothing. */
static enum ef_reason uboot_set_args(
	struct boot *b, enum slot_id slot, const char *args, struct error *e)
{
	static const char *const names[] = {"edgeferry_verity_A", "edgeferry_verity_B"};
	const struct uboot *u = (struct uboot *)b;
	_cleanup_(env_close) struct uboot_ctx *ctx = NULL;
	const char *wanted = args[strspn(args, " ")] ? args : NULL;

	if (env_open(u, &ctx, e))
		return e->reason;
	_cleanup_free_ char *is = libuboot_get_env(ctx, names[slot]);
	if (wanted ? is && strcmp(is, wanted) == 0 : !is)
		return EF_REASON_OK;
	int r = libuboot_set_env(ctx, names[slot], wanted);
	if (r == 0)
		r = libuboot_env_store(ctx);
	return r < 0 ? failed(u, r, "cannot be written", e) : EF_REASON_OK;
}

/* The attempt that the script took for this start is given back. Not to a trial: it has one. */
static enum ef_reason uboot_came_up(struct boot *b, struct error *e)
{
	const struct uboot *u = (struct uboot *)b;
	_cleanup_(env_close) struct uboot_ctx *ctx = NULL;
	struct slot_evidence now;
	struct uboot_vars v;

	if (env_open(u, &ctx, e) || env_load(ctx, &v, e) || evidence_cmdline(u->root, &now, e))
		return e->reason;
	if (v.trial == now.running || v.left[now.running] >= UBOOT_ATTEMPTS)
		return EF_REASON_OK;
	v.left[now.running] = UBOOT_ATTEMPTS;
	return env_store(u, ctx, &v, e);
}

const struct boot_ops boot_uboot = {
	.name = "uboot",
	.open = uboot_open,
	.close = uboot_close,
	.load = uboot_load,
	.store = uboot_store,
	.set_args = uboot_set_args,
	.came_up = uboot_came_up,
};
