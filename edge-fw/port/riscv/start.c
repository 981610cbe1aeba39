/* SPDX-License-Identifier: Apache-2.0 */
/* Reset and traps of a 32-bit RISC-V core with one hart in machine mode. */
#include "agent/crash.h"
#include "port/mcu/mcu.h"

#define INTERRUPT 0x80000000u
#define TIMER (INTERRUPT | 7u)
#define EXTERNAL (INTERRUPT | 11u)

/* Where the program stood is recorded, then the chip is reset. */
_Noreturn static void fault(uint32_t cause)
{
	struct crash_site site = {.exception = cause};

	__asm volatile("csrr %0, mepc" : "=r"(site.pc));
	__asm volatile("csrr %0, mstatus" : "=r"(site.psr));
	__asm volatile("csrr %0, mtval" : "=r"(site.address));
	crash_record(PORT_CAUSE_FAULT, &site);
	reset_because(PORT_CAUSE_FAULT);
}

__attribute__((interrupt("machine"), aligned(4), used)) static void trap(void)
{
	uint32_t cause;
	__asm volatile("csrr %0, mcause" : "=r"(cause));
	if (cause == TIMER)
		board_tick_irq();
	else if (cause == EXTERNAL)
		board_external_irq();
	else
		fault(cause);
}

/* Whatever ran before may have left interrupts on. */
__attribute__((naked, section(".vectors"), used)) void reset_handler(void)
{
	__asm volatile("csrci mstatus, 8\n"
		       "csrw mie, zero\n"
		       ".option push\n"
		       ".option norelax\n"
		       "la gp, __global_pointer$\n"
		       ".option pop\n"
		       "la sp, stack_top\n"
		       "la t0, trap\n"
		       "csrw mtvec, t0\n"
		       "tail c_start\n");
}
