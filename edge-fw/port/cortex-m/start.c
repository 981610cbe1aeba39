/* SPDX-License-Identifier: Apache-2.0 */
/* Vector table and reset of every Cortex-M board. */
#include "port/mcu/mcu.h"

#define NVIC_ENABLE 0xE000E100u
#define NVIC_DISABLE 0xE000E180u
#define NVIC_CLEAR_PENDING 0xE000E280u
#define ICSR REG32(0xE000ED04)
#define ICSR_PENDSTCLR (1u << 25)
#define AIRCR REG32(0xE000ED0C)
#define AIRCR_SYSRESETREQ 0x05FA0004u

extern uint32_t stack_top[];

void irq_enable(unsigned number)
{
	REG32(NVIC_ENABLE + number / 32 * 4) = 1u << (number & 31);
}

STOP_HERE void port_reset(void)
{
	__asm volatile("dsb" ::: "memory");
	AIRCR = AIRCR_SYSRESETREQ;
	for (;;)
		;
}

void irq_disable_all(uint32_t keep)
{
	__asm volatile("cpsid i" ::: "memory");
	for (unsigned i = 0; i < BOARD_IRQS; i += 32) {
		REG32(NVIC_DISABLE + i / 8) = i ? ~0u : ~keep;
		REG32(NVIC_CLEAR_PENDING + i / 8) = ~0u;
	}
	ICSR = ICSR_PENDSTCLR;
}

void start_vectors(uint32_t table)
{
	const uint32_t *v = (const uint32_t *)(uintptr_t)table;
	__asm volatile("msr msp, %0\n cpsie i\n bx %1" ::"r"(v[0]), "r"(v[1]) : "memory");
	__builtin_unreachable();
}

void reset_handler(void)
{
	c_start();
}

/* An interrupt that nobody has enabled has no vector. */
__attribute__((section(".vectors"), used)) const vector image_vectors[16 + BOARD_IRQS] = {
	[0] = (vector)stack_top,
	[1] = (vector)reset_handler,
	[3] = fault,
	[4] = fault,
	[5] = fault,
	[6] = fault,
	[16 + BOARD_IRQ_TICK] = board_tick_irq,
	[16 + BOARD_IRQ_WATCHDOG] = board_watchdog_irq,
	[16 + BOARD_IRQ_UART] = board_uart_irq,
#if BOARD_IRQ_UART_TX != BOARD_IRQ_UART
	[16 + BOARD_IRQ_UART_TX] = board_uart_irq,
#endif
};
