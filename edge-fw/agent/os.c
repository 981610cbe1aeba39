/* SPDX-License-Identifier: Apache-2.0 */
/* Group 0: what every SMP server has. */
#include "agent/agent.h"
#include "agent/request.h"
#include "boot/retained.h"

static struct outcome os_echo(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	(void)a;
	if (!v[0].present)
		return smp_error(EF_SMP_INVALID);
	cbor_put_text(w, "r");
	cbor_put_text_of(w, (const char *)v[0].data, v[0].size);
	return DONE;
}

static struct outcome os_reset(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	struct retained r;

	(void)w;
	if (v[0].number > 1) /* 1: the bootloader */
		return smp_error(EF_SMP_INVALID);
	retained_load(&r);
	r.stay = v[0].number == 1;
	retained_store(&r);
	a->reset = true;
	return DONE;
}

static struct outcome os_params(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	(void)a;
	(void)v;
	put_uints(w, "buf_size buf_count", (const uint32_t[]){PORT_MESSAGE_MAX, PORT_WINDOW});
	return DONE;
}

static const struct command commands[] = {
	{EF_OS_ECHO, EF_SMP_WRITE, true, "d:t", os_echo},
	{EF_OS_ECHO, EF_SMP_READ, true, "d:t", os_echo},
	{EF_OS_RESET, EF_SMP_WRITE, false, "boot_mode:u", os_reset},
	{EF_OS_PARAMS, EF_SMP_READ, true, "", os_params},
};
const struct command_group os_group = COMMAND_GROUP(EF_GROUP_OS, false, commands);
