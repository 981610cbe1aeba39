/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest application: a periodic task that an update must not disturb, a self-test, and the
 * agent. The task runs from the tick interrupt, so a signature check does not hold it up; how late
 * it ran while an image came in is measured.
 */
#include "app/app.h"
#include "agent/patch.h"
#include "app/jitter.h"
#include "port/port.h"
#include <string.h>

#define TEST_RUNS 5u /* of the task, that the self-test wants to see */

static struct agent agent;
static volatile uint32_t elapsed, task_runs; /* elapsed: milliseconds since the last run */
static volatile bool asleep;
static struct {
	uint32_t longest;	/* microseconds, since the start */
	struct jitter updating; /* while the agent was at work on an image, the last one */
	bool was_updating;
} late;

/* What a product would do: read a sensor, drive an output. */
static void periodic_task(void)
{
	task_runs++;
}

static void measure(uint32_t microseconds)
{
	bool updating = (agent.upload.open && !agent.upload.complete) || patch_making(&agent);

	if (late.longest < microseconds)
		late.longest = microseconds;
	if (updating && !late.was_updating)
		memset(&late.updating, 0, sizeof(late.updating));
	if (updating && !asleep)
		jitter_add(&late.updating, microseconds);
	late.was_updating = updating;
}

static void tick(void)
{
	measure(port_tick_late());
	elapsed += PORT_TICK_MS;
	if (elapsed < agent.settings.in_force[SETTING_PERIOD])
		return;
	elapsed = 0;
	periodic_task();
}

/* The task runs, and the image on flash answers for its version. */
static enum self_test self_test(void)
{
	if (behaviour() == BEHAVE_NEVER_READY)
		return SELF_TEST_RUNNING;
	if (task_runs < TEST_RUNS)
		return SELF_TEST_RUNNING;
	return behaviour() == BEHAVE_FAIL_TEST ? SELF_TEST_FAILED : SELF_TEST_PASSED;
}

static void details(struct text *t)
{
	text_add(t, ", tick ");
	text_add_uint(t, task_runs);
}

static void put_stats(const struct agent *a, struct cbor_writer *w)
{
	(void)a;
	put_uints(w, "runs late_max upload_ticks upload_late_max upload_late_p99",
		(const uint32_t[]){task_runs, late.longest, late.updating.count,
			late.updating.longest, jitter_p99(&late.updating)});
}

void app_main(void)
{
	static const struct statistics stats = {"task", put_stats};
	static const struct agent_program program = {
		.self_test = self_test, .details = details, .stats = &stats};

	elapsed = task_runs = 0;
	memset(&late, 0, sizeof(late));
	port_init();
	port_stack_free(); /* begins to measure */
	while (behaviour() == BEHAVE_HANG)
		port_wait();
	agent_init(&agent, &program);
	if (behaviour() == BEHAVE_RELAPSE && !agent_on_trial(&agent))
		port_reset();
	settings_load(&agent);
	port_on_tick(tick);
	for (;;) {
		if (!agent_poll(&agent)) {
			asleep = true;
			port_wait();
			asleep = false;
		}
		if (behaviour() == BEHAVE_FAULT && task_runs >= TEST_RUNS)
			__builtin_trap();
	}
}
