/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest application: a periodic task that an update must not disturb, a self-test, and the
 * agent. The task runs from the tick interrupt, so a signature check does not hold it up.
 */
#include "app/app.h"
#include "agent/keys.h"
#include "port/port.h"

#define PERIOD_TICKS (100u / PORT_TICK_MS) /* of the task */
#define TEST_PERIODS 5u			   /* that the self-test wants to see on time */

static volatile uint32_t ticks, task_runs;

/* What a product would do: read a sensor, drive an output. */
static void periodic_task(void)
{
	if (++ticks % PERIOD_TICKS == 0)
		task_runs++;
}

/* The task runs, and the image on flash answers for its version. */
static enum self_test self_test(void)
{
	if (behaviour() == BEHAVE_NEVER_READY)
		return SELF_TEST_RUNNING;
	if (task_runs < TEST_PERIODS)
		return SELF_TEST_RUNNING;
	return behaviour() == BEHAVE_FAIL_TEST ? SELF_TEST_FAILED : SELF_TEST_PASSED;
}

static void details(struct text *t)
{
	text_add(t, ", tick ");
	text_add_uint(t, task_runs);
}

void app_main(void)
{
	static const struct agent_program program = {
		.self_test = self_test, .details = details, .extra = &keys_command, .n_extra = 1};
	static struct agent agent;

	ticks = task_runs = 0;
	port_init();
	while (behaviour() == BEHAVE_HANG)
		port_wait();
	agent_init(&agent, &program);
	if (behaviour() == BEHAVE_RELAPSE && !agent_on_trial(&agent))
		port_reset();
	port_on_tick(periodic_task);
	for (;;)
		if (!agent_poll(&agent))
			port_wait();
}
