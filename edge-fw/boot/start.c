/* SPDX-License-Identifier: Apache-2.0 */
/* The bootloader: decide, then start the image or serve as agent until there is one. */
#include "agent/agent.h"
#include "agent/crash.h"
#include "boot/boot.h"
#include <string.h>

static enum port_cause reset_cause(const struct retained *r, bool ram_kept)
{
	enum port_cause chip = port_reset_cause();

	if (chip != PORT_CAUSE_UNKNOWN)
		return chip;
	return ram_kept ? (enum port_cause)r->next_cause : PORT_CAUSE_POWER;
}

_Noreturn static void serve(void)
{
	static const struct agent_program program = {.bootloader = true};
	static struct agent agent;

	agent_init(&agent, &program);
	for (;;)
		if (!agent_poll(&agent))
			port_wait();
}

void boot_main(void)
{
	static struct boot b;
	const struct ef_version version = {EF_BOOT_VERSION};
	enum boot_end end;
	bool kept;

	port_init();
	port_watchdog_start();
	crash_running(&version, true);
	memset(&b, 0, sizeof(b));
	kept = retained_load(&b.retained);
	b.retained.cause = (uint8_t)reset_cause(&b.retained, kept);
	b.retained.next_cause = PORT_CAUSE_POWER; /* unless someone says otherwise */
	b.stay = b.retained.stay;
	b.retained.stay = false;
	end = boot_decide(&b);
	retained_store(&b.retained);
	retained_store_boot_version(&version);
	if (end == BOOT_RECOVERY || b.stay)
		serve();
	port_watchdog_feed();
	crash_running(&b.image.header.version, false);
	port_start_image(port_board()->slot[0].offset + b.image.header.hdr_size);
}
