/* SPDX-License-Identifier: Apache-2.0 */
/* Group 0, what people and stock clients ask for: the smallest bootloader does without. */
#include "agent/agent.h"
#include "agent/request.h"
#include "boot/retained.h"

struct outcome os_info(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	struct ef_version version;
	char line[120];
	struct text t;

	(void)v;
	text_init(&t, line, sizeof(line));
	if (agent_in_bootloader(a))
		retained_load_boot_version(&version);
	else
		version = agent_slot(a, 0)->info.header.version;
	text_add(&t, agent_in_bootloader(a) ? "bootloader " : "app ");
	text_add_version(&t, &version);
	text_add(&t, " on ");
	text_add(&t, port_board()->name);
	text_add(&t, " (");
	text_add(&t, port_board()->core);
	text_add(&t, ")");
	if (a->program->details)
		a->program->details(&t);
	put_text(w, "output", line);
	return DONE;
}

/* A console client may ask for the echo of what it types to be turned off: there is none. */
static struct outcome os_console_echo(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	(void)a;
	(void)v;
	(void)w;
	return DONE;
}

static const struct command commands[] = {
	{EF_OS_CONSOLE_ECHO, EF_SMP_WRITE, true, "", os_console_echo},
	{EF_OS_INFO, EF_SMP_READ, true, "", os_info},
};
const struct command_group os_info_group = COMMAND_GROUP(EF_GROUP_OS, false, commands);
