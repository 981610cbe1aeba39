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

/*
 * The image before it, if there was one, was started and did not live to show that it works: RAM
 * says so, or where that is lost, the chip does.
 */
static bool start_failed(const struct retained *r, bool ram_kept)
{
	return (r->started || !ram_kept) && r->cause != PORT_CAUSE_POWER &&
	       r->cause != PORT_CAUSE_REQUEST;
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

/* What was decided is not believed, nor where it came from: the last look is the one before the
 * jump, and where to jump is taken from what that look has hashed (E-04, E-15). */
_Noreturn static void start(struct boot *b, const struct port_area *where)
{
	if (boot_look_again(b, where) != BOOT_RUN)
		port_reset();
	port_watchdog_feed();
	crash_running(&b->image.header.version, false);
	port_start_image(where->offset + b->image.header.hdr_size);
}

void boot_main(void)
{
	static struct boot b;
	const struct ef_version version = {EF_BOOT_VERSION};
	struct port_area where;
	enum boot_end end;
	bool kept, failed, recovery_failed;

	port_init();
	port_watchdog_start();
	crash_running(&version, true);
	memset(&b, 0, sizeof(b));
	kept = retained_load(&b.retained);
	b.retained.cause = (uint8_t)reset_cause(&b.retained, kept);
	b.retained.next_cause = PORT_CAUSE_UNKNOWN; /* unless someone says otherwise */
	failed = start_failed(&b.retained, kept);
	b.failed = failed && b.retained.started != STARTED_RECOVERY;
	recovery_failed = failed && b.retained.started != STARTED_SLOT;
	b.retained.started = STARTED_NONE; /* a reset from in here is no failure of the image */
	b.stay = b.retained.stay;
	b.retained.stay = false;
	retained_store(&b.retained);
	end = boot_decide(&b);
	b.retained.reason = (uint8_t)b.reason;
	b.retained.started = STARTED_SLOT;
	where = state_slot(&b.state, 0);
	/* a recovery image that does not work either leaves the bootloader's own agent */
	if (end != BOOT_RUN && !b.stay && !recovery_failed) {
		end = boot_recovery_image(&b);
		b.retained.started = STARTED_RECOVERY;
		where = boot_recovery_area();
	}
	if (end != BOOT_RUN || b.stay)
		b.retained.started = STARTED_NONE;
	retained_store(&b.retained);
	retained_store_boot_version(&version);
	if (end != BOOT_RUN || b.stay)
		serve();
	start(&b, &where);
}
