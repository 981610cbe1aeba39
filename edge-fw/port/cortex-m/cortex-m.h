/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the Cortex-M boards share: start-up, the receive ring, the tick. A board brings the rest. */
#include "port/port.h"

#define REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define AIRCR REG32(0xE000ED0C)
#define AIRCR_SYSRESETREQ 0x05FA0004u
#define VTOR REG32(0xE000ED08)

/*
 * First words of RAM, never initialised: where interrupts go on a core without VTOR, then what
 * port_retained hands out.
 */
struct ram_head {
	uint32_t vectors;
	uint32_t retained[PORT_RETAINED_WORDS];
};
extern volatile struct ram_head ram_head; /* by the linker script */
_Static_assert(sizeof(struct ram_head) == 84, "RAM_HEAD of image.ld");

typedef void (*vector)(void);

/* The board's handlers, named in the one vector table of start.c. */
void board_uart_irq(void);
void board_tick_irq(void);
void board_watchdog_irq(void);

/* Called by the board's handlers. */
void ring_push(uint8_t byte);
void tick(void);
/* The next byte to send; -1: none is left. */
int transmit_next(void);

/* The board's own: start sending with transmit_next, in a way that goes on by interrupt. */
void board_transmit(void);

static inline void irq_enable(unsigned number)
{
	REG32(0xE000E100 + number / 32 * 4) = 1u << (number & 31);
}

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

/* Tells the program after the next reset that a fault or the watchdog caused it. */
_Noreturn void reset_because(enum port_cause cause);

/* trap.c: the handler of every fault. That of the watchdog is there as well. */
void fault(void);

/* Sets the stack and goes to the reset handler of a vector table. */
_Noreturn void reset_handler(void);
_Noreturn void start_vectors(uint32_t table);
