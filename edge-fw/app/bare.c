/* SPDX-License-Identifier: Apache-2.0 */
/* An application with a task and no agent: what another has more is what the agent costs it. */
#include "app/app.h"
#include "port/port.h"

static volatile uint32_t ticks;

static void task(void)
{
	ticks++;
}

void app_main(void)
{
	port_init();
	port_on_tick(task);
	for (;;) {
		port_watchdog_feed();
		port_wait();
	}
}
