/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the boards of every core share: the head of RAM, the start of C, the receive ring, the
 * transmitter, the tick. core.h is the core's; a board brings the rest.
 */
#include "core.h" /* by the include path: port/cortex-m or port/riscv */
#include "port/port.h"

/* A function that tests find by its name, to stop the board there. */
#define STOP_HERE __attribute__((noinline, noclone))

#define REG8(address) (*(volatile uint8_t *)(uintptr_t)(address))
#define REG16(address) (*(volatile uint16_t *)(uintptr_t)(address))
#define REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))

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

/* For the core's first instructions in C: .data, .bss, main. */
_Noreturn void c_start(void);

/* Tells the program after the next reset that a fault or the watchdog caused it. */
_Noreturn void reset_because(enum port_cause cause);

/* Called by the board's interrupt handlers. */
void ring_push(uint8_t byte);
void tick(void);
/* When the transmitter has room: the next byte to send; -1: none is left, the data counts as sent.
 */
int transmit_next(void);

/* The board's own: start sending with transmit_next, in a way that goes on by interrupt. */
void board_transmit(void);
