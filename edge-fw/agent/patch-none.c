/* SPDX-License-Identifier: Apache-2.0 */
/* Images come as they are. */
#include "agent/patch.h"

void patch_init(struct agent *a)
{
	(void)a;
}

void patch_put_identity(const struct agent *a, struct cbor_writer *w)
{
	(void)a;
	(void)w;
}

void patch_put_why(const struct agent *a, struct cbor_writer *w, enum ef_reason reason)
{
	(void)a;
	(void)w;
	(void)reason;
}

bool patch_begins(struct upload *u)
{
	(void)u;
	return false;
}

bool patch_is(const struct upload *u)
{
	(void)u;
	return false;
}

enum ef_reason patch_vouch(struct agent *a, const struct value *data)
{
	(void)a;
	(void)data;
	return EF_REASON_PATCH;
}

bool patch_known(const struct agent *a, const struct upload *u)
{
	(void)a;
	(void)u;
	return true;
}

int patch_note(struct agent *a, struct upload *u)
{
	(void)a;
	(void)u;
	return 0;
}

bool patch_whole(struct upload *u)
{
	(void)u;
	return false;
}

enum ef_reason patch_finish(struct agent *a)
{
	(void)a;
	return EF_REASON_PATCH;
}

bool patch_poll(struct agent *a)
{
	(void)a;
	return false;
}

bool patch_making(const struct agent *a)
{
	(void)a;
	return false;
}

void patch_stop(struct agent *a)
{
	(void)a;
}

const struct command_group patch_group = {.number = EF_GROUP_EDGEFERRY};
