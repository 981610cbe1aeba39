/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/health.h"
#include "boot/retained.h"

void health_answered(struct agent *a)
{
	struct retained r;

	if (a->works)
		return;
	a->works = true;
	retained_load(&r);
	r.started = STARTED_NONE;
	retained_store(&r);
}

void health_watch(struct agent *a)
{
	if (a->calm || port_millis() - a->started < HEALTH_CALM_MS)
		return;
	a->calm = true;
	health_answered(a);
	if (a->state.phase != PHASE_CONFIRMED || a->state.attempts == 0 || agent_in_bootloader(a))
		return;
	a->state.attempts = 0;
	state_store(&a->state); /* where that fails the count goes on: nothing is lost by it */
}
