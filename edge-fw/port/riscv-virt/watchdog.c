/* SPDX-License-Identifier: Apache-2.0 */
/* Intel 6300ESB watchdog, device 1 on the PCI bus. It outlives the bootloader's jump; the place of
 * its registers is set by whichever program comes first. */
#include "watchdog.h"
#include "agent/crash.h"
#include "port/mcu/mcu.h"

#define PCI_CONFIG 0x30008000u
#define PCI_COMMAND REG16(PCI_CONFIG + 0x04)
#define PCI_BAR REG32(PCI_CONFIG + 0x10)
#define COMMAND_MEMORY 2u
#define ID 0x25ab8086u

#define CONFIG REG16(PCI_CONFIG + 0x60) /* 0: counts of 2^15 PCI clocks, a reset at the end */
#define LOCK REG8(PCI_CONFIG + 0x68)
#define LOCK_ENABLED 3u /* for good */

#define WDT 0x40000000u /* in the window of PCI memory */
#define STAGE1 REG32(WDT + 0x0)
#define STAGE2 REG32(WDT + 0x4)
#define RELOAD REG16(WDT + 0xc)
#define RELOAD_COUNT 0x100u
#define RELOAD_TIMED_OUT 0x200u

/* Each write to a register of its own wants these two before it. */
static void unlock(void)
{
	RELOAD = 0x80;
	RELOAD = 0x86;
}

void watchdog_init(void)
{
	if (REG32(PCI_CONFIG) != ID)
		for (;;) /* not this board: nothing may run that nothing ends */
			core_sleep();
	PCI_BAR = WDT;
	PCI_COMMAND = COMMAND_MEMORY;
	/* it resets without a word before: that it bit is all that can be recorded, and only now */
	if (RELOAD & RELOAD_TIMED_OUT)
		crash_record(PORT_CAUSE_WATCHDOG, &(struct crash_site){0});
}

void watchdog_start(uint32_t ms)
{
	CONFIG = 0;
	unlock();
	STAGE1 = ms / 2;
	unlock();
	STAGE2 = ms / 2;
	LOCK = LOCK_ENABLED;
}

void port_watchdog_feed(void)
{
	unlock();
	RELOAD = RELOAD_COUNT;
}

enum port_cause port_reset_cause(void)
{
	if (!(RELOAD & RELOAD_TIMED_OUT))
		return PORT_CAUSE_UNKNOWN;
	unlock();
	RELOAD = RELOAD_TIMED_OUT; /* clears it */
	return PORT_CAUSE_WATCHDOG;
}
