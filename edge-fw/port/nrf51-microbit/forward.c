/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linked into the bootloader only. A Cortex-M0 takes its vectors from address 0, which is the
 * bootloader's for ever: these pass every exception on to the table named in the first word of
 * RAM, the bootloader's own or the running image's. The watchdog stays with the bootloader.
 */
#include "port/mcu/mcu.h"

extern const vector image_vectors[];
extern uint32_t stack_top[];

/* Registers r0 to r3 were saved by the core; lr still holds the way back. */
__attribute__((naked)) static void forward(void)
{
	__asm volatile(".syntax unified\n"
		       "ldr r1, =ram_head\n"
		       "ldr r1, [r1]\n"
		       "mrs r0, ipsr\n"
		       "lsls r0, r0, #2\n"
		       "ldr r1, [r1, r0]\n"
		       "bx r1\n"
		       ".ltorg\n");
}

__attribute__((naked)) _Noreturn static void first(void)
{
	__asm volatile(".syntax unified\n"
		       "ldr r0, =ram_head\n"
		       "ldr r1, =image_vectors\n"
		       "str r1, [r0]\n"
		       "ldr r0, =reset_handler\n"
		       "bx r0\n"
		       ".ltorg\n");
}

#define FORWARD4 forward, forward, forward, forward
#define IRQ(n) ((n) == BOARD_IRQ_WATCHDOG ? board_watchdog_irq : forward)
#define IRQ4(n) IRQ(n), IRQ((n) + 1), IRQ((n) + 2), IRQ((n) + 3)

/* All 26 of the chip: the image may use any. */
__attribute__((section(".rom_vectors"), used)) static const vector rom_vectors[16 + 26] = {
	(vector)stack_top, (vector)first, forward, forward, FORWARD4, FORWARD4, FORWARD4, IRQ4(0),
	IRQ4(4), IRQ4(8), IRQ4(12), IRQ4(16), IRQ4(20), IRQ(24), IRQ(25)};
