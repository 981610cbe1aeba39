/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest recovery image: what the bootloader's own agent does, in a place of its own, where a
 * product adds the links that the bootloader has no room for.
 */
#include "agent/agent.h"
#include "port/port.h"

int main(void);

static void details(struct text *t)
{
	text_add(t, ", recovery image");
}

int main(void)
{
	static const struct agent_program program = {.bootloader = true, .details = details};
	static struct agent agent;

	port_init();
	agent_init(&agent, &program);
	for (;;)
		if (!agent_poll(&agent))
			port_wait();
}
