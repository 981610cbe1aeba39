/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An application of one's own: a task twice a second, a self-test that decides whether an update
 * stays, and the agent, which receives the next one. Start here.
 */
#include "agent/agent.h"
#include "port/port.h"

#define PERIOD_MS 500u
#define TEST_BLINKS 2u

static struct agent agent;
static volatile uint32_t elapsed, blinks;

/* From the tick interrupt: no signature check holds it up. A product would drive a line here. */
static void tick(void)
{
	elapsed += PORT_TICK_MS;
	if (elapsed < PERIOD_MS)
		return;
	elapsed = 0;
	blinks++;
}

/* A new image that never says PASSED is taken back by the bootloader. */
static enum self_test self_test(void)
{
	return blinks < TEST_BLINKS ? SELF_TEST_RUNNING : SELF_TEST_PASSED;
}

/* What `edgeferry nodes` and OS info show of it. */
static void details(struct text *t)
{
	text_add(t, ", blinks ");
	text_add_uint(t, blinks);
}

int main(void);
int main(void)
{
	static const struct agent_program program = {.self_test = self_test, .details = details};

	port_init();
	port_stack_free(); /* begins to measure */
	agent_init(&agent, &program);
	settings_load(&agent);
	port_on_tick(tick);
	for (;;)
		if (!agent_poll(&agent))
			port_wait();
}
