/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

#define MSTATUS_MIE 8u
#define MIE_TIMER (1u << 7)
#define MIE_EXTERNAL (1u << 11)

/* The board's handlers, called by the one trap of start.c. */
void board_tick_irq(void);
void board_external_irq(void);

/* The first instruction of a program. */
_Noreturn void reset_handler(void);

static inline uint32_t irq_lock(void)
{
	uint32_t mstatus;
	__asm volatile("csrrci %0, mstatus, %1" : "=r"(mstatus) : "i"(MSTATUS_MIE) : "memory");
	return mstatus & MSTATUS_MIE;
}

static inline void irq_restore(uint32_t mie)
{
	__asm volatile("csrs mstatus, %0" ::"r"(mie) : "memory");
}

static inline void irq_enable(uint32_t mie)
{
	__asm volatile("csrs mie, %0\n csrsi mstatus, %1" ::"r"(mie), "i"(MSTATUS_MIE) : "memory");
}

static inline void core_sleep(void)
{
	__asm volatile("wfi");
}
