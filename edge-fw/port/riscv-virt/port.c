/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's RISC-V virt machine, 32 bits: 16550 UART behind the PLIC, CLINT timer, two banks of CFI
 * flash. The bootloader lies in bank 0, which is read-only, everything else in bank 1. An image is
 * copied to RAM and runs there: the emulator does not notice that code which it has translated
 * changed in flash. Its flash would also let a program turn 0 into 1: that real flash does not is
 * seen to here.
 */
#include "cfi.h"
#include "port/mcu/mcu.h"
#include "watchdog.h"
#include <string.h>

#define FINISHER REG32(0x00100000)
#define FINISHER_RESET 0x7777u
#define MTIMECMP 0x02004000u
#define MTIME 0x0200BFF8u
#define MTIME_HZ 10000000u
#define PLIC 0x0C000000u
#define PLIC_CLAIM REG32(PLIC + 0x200004)
#define UART 0x10000000u
#define UART_SOURCE 10u /* at the PLIC */
#define FLASH 0x22000000u
#define IMAGE 0x80010000u /* where images are linked */

#define PAGE 0x40000u
#define FLASH_END (14u * PAGE) /* of 128 */

static const struct port_board board = {
	.name = "riscv-virt",
	.core = "RV32IMAC",
	.page = PAGE,
	.word = 4,
	.slot = {{0, 2 * PAGE}, {2 * PAGE, 3 * PAGE}},
	.recovery = {5 * PAGE, PAGE},
	.journal = {6 * PAGE, PAGE},
	.state = {7 * PAGE, 2 * PAGE},
	.factory = {9 * PAGE, PAGE},
	.secrets = {10 * PAGE, 2 * PAGE},
	.keys = {12 * PAGE, 2 * PAGE},
	.watchdog_ms = 4000,
	.fast = true,
};

const struct port_board *port_board(void)
{
	return &board;
}

/* ---- UART ---- */

#define DATA REG8(UART)
#define INTERRUPTS REG8(UART + 1)
#define INTERRUPT_RECEIVED 1u
#define INTERRUPT_SENT 2u
#define IDENTITY REG8(UART + 2) /* read; FIFO control when written */
#define FIFO_ON 7u
#define LINE_CONTROL REG8(UART + 3)
#define LINE_8N1 3u
#define LINE_STATUS REG8(UART + 5)
#define STATUS_RECEIVED 1u
#define STATUS_FIFO_EMPTY 0x20u
#define FIFO_SIZE 16u

#define UART_HZ 3686400u   /* as the machine's device tree says */
#define LINE_DIVISOR 0x80u /* the first two registers are the divisor's */

bool port_uart_can_baud(uint32_t baud)
{
	return baud >= 1200 && baud <= UART_HZ / 16 && UART_HZ % (16 * baud) == 0;
}

void port_uart_set_baud(uint32_t baud)
{
	uint32_t divisor = UART_HZ / 16 / (baud ? baud : 115200);

	LINE_CONTROL = LINE_8N1 | LINE_DIVISOR;
	DATA = (uint8_t)divisor;
	INTERRUPTS = (uint8_t)(divisor >> 8);
	LINE_CONTROL = LINE_8N1;
}

static void uart_init(void)
{
	port_uart_set_baud(0);
	IDENTITY = FIFO_ON;
	INTERRUPTS = INTERRUPT_RECEIVED;
	REG32(PLIC + 4 * UART_SOURCE) = 1;	  /* priority */
	REG32(PLIC + 0x2000) = 1u << UART_SOURCE; /* for hart 0 in machine mode */
	REG32(PLIC + 0x200000) = 0;		  /* threshold */
}

void board_external_irq(void)
{
	uint32_t source = PLIC_CLAIM;
	(void)IDENTITY; /* takes back the interrupt of an empty FIFO */
	while (LINE_STATUS & STATUS_RECEIVED)
		ring_push(DATA);
	board_transmit();
	PLIC_CLAIM = source;
}

void board_transmit(void)
{
	int c = 0;
	if (!(LINE_STATUS & STATUS_FIFO_EMPTY))
		return;
	for (unsigned i = 0; i < FIFO_SIZE && (c = transmit_next()) >= 0; i++)
		DATA = (uint8_t)c;
	INTERRUPTS = c < 0 ? INTERRUPT_RECEIVED : INTERRUPT_RECEIVED | INTERRUPT_SENT;
}

/* ---- timer ---- */

#define TICK (MTIME_HZ / 1000 * PORT_TICK_MS)

static uint64_t next_tick;

static void set_timer(void)
{
	next_tick += TICK;
	REG32(MTIMECMP + 4) = ~0u; /* no interrupt in between */
	REG32(MTIMECMP) = (uint32_t)next_tick;
	REG32(MTIMECMP + 4) = (uint32_t)(next_tick >> 32);
}

static uint64_t now(void)
{
	uint32_t high, low;
	do {
		high = REG32(MTIME + 4);
		low = REG32(MTIME);
	} while (high != REG32(MTIME + 4));
	return (uint64_t)high << 32 | low;
}

void board_tick_irq(void)
{
	set_timer();
	tick();
}

uint32_t port_tick_late(void)
{
	return (uint32_t)(now() - (next_tick - TICK)) / (MTIME_HZ / 1000000);
}

/* ---- the rest ---- */

void port_init(void)
{
	watchdog_init();
	uart_init();
	next_tick = now();
	set_timer();
	irq_enable(MIE_TIMER | MIE_EXTERNAL);
}

void port_watchdog_start(void)
{
	watchdog_start(board.watchdog_ms);
}

STOP_HERE void port_reset(void)
{
	FINISHER = FINISHER_RESET;
	for (;;)
		;
}

/* The seed register of the Zkr extension: 16 bits at a time, when they are ready. */
static uint32_t seed(void)
{
	uint32_t v;
	do
		__asm volatile("csrrw %0, 0x015, zero" : "=r"(v));
	while (v >> 30 != 2);
	return v;
}

bool port_random(void *buf, size_t size)
{
	uint8_t *p = buf;
	while (size--)
		*p++ = (uint8_t)seed();
	return true;
}

static bool in_flash(uint32_t offset, size_t size)
{
	return offset <= FLASH_END && size <= FLASH_END - offset;
}

int port_flash_read(uint32_t offset, void *buf, size_t size)
{
	if (!in_flash(offset, size))
		return -1;
	memcpy(buf, (const void *)(uintptr_t)(FLASH + offset), size);
	return 0;
}

STOP_HERE int port_flash_erase(uint32_t offset)
{
	if (!in_flash(offset, PAGE) || offset % PAGE)
		return -1;
	return cfi_erase(FLASH + offset);
}

STOP_HERE int port_flash_program(uint32_t offset, const void *data, size_t size)
{
	uint32_t buf[64];
	const uint8_t *from = data;
	if (!in_flash(offset, size) || (offset | size) % 4)
		return -1;
	while (size) {
		uint32_t n = CFI_LINE - offset % CFI_LINE;
		if (n > sizeof(buf))
			n = sizeof(buf);
		if (n > size)
			n = (uint32_t)size;
		memcpy(buf, from, n);
		for (uint32_t i = 0; i < n / 4; i++)
			buf[i] &= REG32(FLASH + offset + 4 * i);
		if (cfi_program(FLASH + offset, buf, n / 4) < 0)
			return -1;
		offset += n;
		from += n;
		size -= n;
	}
	return 0;
}

STOP_HERE void port_start_image(uint32_t offset)
{
	memcpy((void *)(uintptr_t)IMAGE, (const void *)(uintptr_t)(FLASH + offset),
		board.slot[0].size - offset % PAGE);
	__asm volatile("fence.i" ::: "memory");
	/* its first instructions turn interrupts off and set everything else */
	((void (*)(void))(uintptr_t)IMAGE)();
	__builtin_unreachable();
}
