/* SPDX-License-Identifier: Apache-2.0 */
/* Faults and the watchdog's bite: where the program stood is recorded, then the chip is reset. */
#include "agent/crash.h"
#include "port/mcu/mcu.h"

#define CFSR REG32(0xE000ED28)
#define HFSR REG32(0xE000ED2C)
#define MMFAR REG32(0xE000ED34)
#define BFAR REG32(0xE000ED38)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_BFARVALID (1u << 15)

enum { LR = 5, PC = 6, PSR = 7 }; /* of the words that the core has pushed */
/* The exceptions between these are faults; the watchdog's is none of them. */
enum { HARD_FAULT = 3, USAGE_FAULT = 6 };

__attribute__((used)) _Noreturn static void record(const uint32_t *frame)
{
	struct crash_site site = {.lr = frame[LR], .pc = frame[PC], .psr = frame[PSR]};
	enum port_cause cause = PORT_CAUSE_WATCHDOG;

	__asm volatile("mrs %0, ipsr" : "=r"(site.exception));
	if (site.exception >= HARD_FAULT && site.exception <= USAGE_FAULT)
		cause = PORT_CAUSE_FAULT;
	if (__ARM_ARCH > 6) { /* ARMv6-M has no such registers */
		site.status[0] = CFSR;
		site.status[1] = HFSR;
		if (CFSR & CFSR_MMARVALID)
			site.address = MMFAR;
		else if (CFSR & CFSR_BFARVALID)
			site.address = BFAR;
	}
	crash_record(cause, &site);
	reset_because(cause);
}

__attribute__((naked)) void fault(void)
{
	__asm volatile("mrs r0, msp\n ldr r1, =record\n bx r1\n .ltorg");
}

void board_watchdog_irq(void) __attribute__((alias("fault")));
