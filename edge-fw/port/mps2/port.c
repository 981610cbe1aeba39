/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arm MPS2 board with a Cortex-M image in its FPGA: CMSDK UART and watchdog, at the places that the
 * image's port-config.h says. The board has no flash controller: flash is modelled at this lowest
 * layer by 16 MiB of RAM that the emulator keeps in a file, with NOR rules: program clears bits
 * only, erase goes word by word, and the MPU keeps the area read-only outside the driver, so that a
 * stray store faults and changes nothing.
 */
#include "mps2.h"
#include "port/mcu/mcu.h"

#define FLASH_SIZE 0x00100000u /* of FLASH_BYTES */
#define PAGE 4096u

#define NVIC_PRIORITY 0xE000E400u
#define SYSTICK 0xE000E010u
#define VTOR REG32(0xE000ED08)

static const struct port_board board = {
	.name = BOARD_NAME,
	.core = BOARD_CORE,
	.page = PAGE,
	.word = 4,
	.slot = {{0x00000, 384 * 1024}, {0x60000, 388 * 1024}},
	.recovery = {0xC1000, 128 * 1024},
	.journal = {0xE4000, PAGE},
	.state = {0xE6000, 2 * PAGE},
	.factory = {0xE8000, PAGE},
	.keys = {0xEA000, 2 * PAGE},
	.secrets = {0xEC000, 2 * PAGE},
	.watchdog_ms = 4000,
	.fast = true,
};

const struct port_board *port_board(void)
{
	return &board;
}

/* The divisor is at least 16; one in a hundred is what rounding may cost. */
bool port_uart_can_baud(uint32_t baud)
{
	uint32_t divisor = baud ? CPU_HZ / baud : 0;

	return divisor >= 16 && divisor < 1u << 20 && CPU_HZ - divisor * baud <= CPU_HZ / 100;
}

void port_uart_set_baud(uint32_t baud)
{
	REG32(UART + 0x10) = CPU_HZ / (baud ? baud : 115200); /* BAUDDIV */
}

void port_init(void)
{
	mpu_flash_writable(false);
	port_uart_set_baud(0);
	REG32(UART + 0x08) = 0xF; /* transmit, receive, and their interrupts */
	/* the line waits for the tick, not the tick for the line */
	REG8(NVIC_PRIORITY + BOARD_IRQ_UART) = 0x40;
	REG8(NVIC_PRIORITY + BOARD_IRQ_UART_TX) = 0x40;
	irq_enable(BOARD_IRQ_UART);
	irq_enable(BOARD_IRQ_UART_TX);
	REG32(SYSTICK + 4) = CPU_HZ / 1000 * PORT_TICK_MS - 1;
	REG32(SYSTICK + 8) = 0;
	REG32(SYSTICK) = 7;
	__asm volatile("cpsie i" ::: "memory");
}

void board_tick_irq(void)
{
	tick();
}

void board_uart_irq(void)
{
	REG32(UART + 0x0C) = 3; /* both interrupts */
	while (REG32(UART + 0x04) & 2)
		ring_push((uint8_t)REG32(UART));
	board_transmit();
}

void board_transmit(void)
{
	int c;
	while (!(REG32(UART + 0x04) & 1) && (c = transmit_next()) >= 0)
		REG32(UART) = (uint32_t)c;
}

void port_watchdog_start(void)
{
	REG32(WDT + 0xC00) = 0x1ACCE551; /* LOCK */
	REG32(WDT + 0x000) = board.watchdog_ms * (CPU_HZ / 1000);
	REG32(WDT + 0x008) = 3; /* first an NMI, then a reset */
}

void port_watchdog_feed(void)
{
	REG32(WDT + 0x00C) = 1;
}

uint32_t port_tick_late(void)
{
	return (CPU_HZ / 1000 * PORT_TICK_MS - 1 - REG32(SYSTICK + 8)) / (CPU_HZ / 1000000);
}

enum port_cause port_reset_cause(void)
{
	return PORT_CAUSE_UNKNOWN;
}

bool port_random(void *buf, size_t size)
{
	(void)buf;
	(void)size;
	return false;
}

static bool in_flash(uint32_t offset, size_t size)
{
	return offset <= FLASH_SIZE && size <= FLASH_SIZE - offset;
}

int port_flash_read(uint32_t offset, void *buf, size_t size)
{
	if (!in_flash(offset, size))
		return -1;
	const uint8_t *from = (const uint8_t *)(uintptr_t)(FLASH + offset);
	uint8_t *to = buf;
	while (size--)
		*to++ = *from++;
	return 0;
}

STOP_HERE int port_flash_erase(uint32_t offset)
{
	if (!in_flash(offset, PAGE) || offset % PAGE)
		return -1;
	mpu_flash_writable(true);
	for (uint32_t i = 0; i < PAGE; i += 4)
		REG32(FLASH + offset + i) = 0xffffffffu;
	mpu_flash_writable(false);
	return 0;
}

STOP_HERE int port_flash_program(uint32_t offset, const void *data, size_t size)
{
	const uint8_t *from = data;
	if (!in_flash(offset, size) || (offset | size) % 4)
		return -1;
	mpu_flash_writable(true);
	for (; size; size -= 4, offset += 4, from += 4)
		REG32(FLASH + offset) &= from[0] | (uint32_t)from[1] << 8 |
					 (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
	mpu_flash_writable(false);
	return 0;
}

STOP_HERE void port_start_image(uint32_t offset)
{
	REG32(SYSTICK) = 0;
	irq_disable_all(0);
	VTOR = FLASH + offset;
	start_vectors(FLASH + offset);
}
