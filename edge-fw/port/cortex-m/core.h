/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

typedef void (*vector)(void);

/* The board's handlers, named in the vector table of start.c; interrupt numbers as CMSIS counts
 * them: -14 is the NMI, -1 the SysTick. */
void board_uart_irq(void);
void board_tick_irq(void);

/* trap.c: the handler of every fault, and that of the watchdog. */
void fault(void);
void board_watchdog_irq(void);

void irq_enable(unsigned number);

_Noreturn void reset_handler(void);
/* Interrupts off, at the NVIC and pending, but for those in keep (of the first 32). */
void irq_disable_all(uint32_t keep);
/* Sets the stack and goes to the reset handler of a vector table. */
_Noreturn void start_vectors(uint32_t table);

static inline uint32_t irq_lock(void)
{
	uint32_t primask;
	__asm volatile("mrs %0, primask\n cpsid i" : "=r"(primask)::"memory");
	return primask;
}

static inline void irq_restore(uint32_t primask)
{
	__asm volatile("msr primask, %0" ::"r"(primask) : "memory");
}

static inline void core_sleep(void)
{
	__asm volatile("wfi");
}
