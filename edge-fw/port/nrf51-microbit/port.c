/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BBC micro:bit, nRF51822: Cortex-M0, 256 KiB flash behind the NVMC, 16 KiB RAM. The emulator has
 * no WDT, so TIMER1 at the highest priority stands in for it beside the real one; a program that
 * hangs with interrupts off is then caught on silicon only.
 */
#include "port/mcu/mcu.h"
#include <string.h>

#define CLOCK 0x40000000u
#define RESETREAS REG32(0x40000400)
#define UART 0x40002000u
#define TIMER0 0x40008000u
#define TIMER1 0x40009000u
#define RNG 0x4000D000u
#define WDT 0x40010000u
#define NVMC 0x4001E000u
#define TIMER_HZ 1000000u
#define TICK_US (PORT_TICK_MS * (TIMER_HZ / 1000))

#define PAGE 1024u
#define FLASH_END 0x40000u
#define LOADER_END 0x8000u

static const struct port_board board = {
	.name = "nrf51-microbit",
	.core = "Cortex-M0",
	.page = PAGE,
	.word = 4,
	.slot = {{0x08000, 96 * 1024}, {0x20000, 97 * 1024}},
	.recovery = {0x38400, 21 * 1024},
	.keys = {0x3E400, 2 * PAGE},
	.state = {0x3F000, 2 * PAGE},
	.factory = {0x3F800, PAGE},
	.secrets = {0x3D800, 2 * PAGE},
	.journal = {0x3FC00, PAGE},
	/* a signature check takes about 8 s at 16 MHz */
	.watchdog_ms = 12000,
	.fast = false,
};

const struct port_board *port_board(void)
{
	return &board;
}

/* Of the rates that its generator makes, the first one and those above; 0: it does not make this
 * one. */
static uint32_t baud_word(uint32_t baud)
{
	static const struct {
		uint32_t baud, word;
	} known[] = {
		{115200, 0x01D7E000},
		{230400, 0x03AFB000},
		{460800, 0x075F7000},
		{921600, 0x0EBEDFA4},
		{1000000, 0x10000000},
	};

	for (unsigned i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].baud == baud)
			return known[i].word;
	return 0;
}

bool port_uart_can_baud(uint32_t baud)
{
	return baud_word(baud) != 0;
}

void port_uart_set_baud(uint32_t baud)
{
	REG32(UART + 0x524) = baud_word(baud ? baud : 115200);
}

/* What is written to a register, in the order of a table: its address in words from PERIPHERALS. */
struct setting {
	uint16_t word, value;
};
#define PERIPHERALS 0x40000000u
#define SETTING(address, value)                                \
	{                                                      \
		(uint16_t)(((address)-PERIPHERALS) / 4), value \
	}

/* Timers count microseconds; COMPARE[0] fires after what CC[0] says. */
static const struct setting at_start[] = {
	/* 16 MHz crystal: the UART needs it on silicon */
	SETTING(CLOCK + 0x100, 0), SETTING(CLOCK + 0x000, 1),
	SETTING(UART + 0x50C, 24),		  /* PSELTXD */
	SETTING(UART + 0x514, 25),		  /* PSELRXD */
	SETTING(UART + 0x500, 4),		  /* ENABLE */
	SETTING(UART + 0x304, 1u << 2 | 1u << 7), /* INTENSET: RXDRDY, TXDRDY */
	SETTING(UART + 0x000, 1),		  /* STARTRX */
	SETTING(UART + 0x008, 1),		  /* STARTTX */
	/* the bootloader's still runs when the application starts */
	SETTING(TIMER0 + 0x004, 1),	  /* STOP */
	SETTING(TIMER0 + 0x00C, 1),	  /* CLEAR */
	SETTING(TIMER0 + 0x140, 0),	  /* the event */
	SETTING(TIMER0 + 0x504, 0),	  /* MODE timer */
	SETTING(TIMER0 + 0x508, 3),	  /* 32 bits */
	SETTING(TIMER0 + 0x510, 4),	  /* 16 MHz / 2^4 */
	SETTING(TIMER0 + 0x540, TICK_US), /* CC[0] */
	SETTING(TIMER0 + 0x200, 1),	  /* COMPARE[0] clears the counter */
	SETTING(TIMER0 + 0x000, 1),	  /* START */
};

void port_init(void)
{
	/* all at priority 1, so that the watchdog's timer alone is at 0; the line waits for the
	 * tick */
	for (uint32_t at = 0xE000E400; at != 0xE000E420; at += 4)
		REG32(at) = 0x40404040;
	REG32(0xE000E400) = 0x40804040; /* interrupt 2 */
	REG32(0xE000E408) = 0x40400040; /* interrupt 9 */
	port_uart_set_baud(0);
	REG32(TIMER0 + 0x304) = 1u << 16; /* INTENSET: COMPARE[0] */
	for (const struct setting *s = at_start; s != at_start + sizeof(at_start) / sizeof(*s); s++)
		REG32(PERIPHERALS + s->word * 4u) = s->value;
	irq_enable(BOARD_IRQ_UART);
	irq_enable(BOARD_IRQ_TICK);
	__asm volatile("cpsie i" ::: "memory");
}

void board_tick_irq(void)
{
	REG32(TIMER0 + 0x140) = 0;
	tick();
	/* the emulator forgets to interrupt when its peer was slow to take a byte: look at each
	 * tick */
	REG32(0xE000E200) = 1u << BOARD_IRQ_UART;
}

void board_uart_irq(void)
{
	while (REG32(UART + 0x108)) {
		REG32(UART + 0x108) = 0; /* before the read, which brings the next byte up */
		ring_push((uint8_t)REG32(UART + 0x518));
	}
	if (REG32(UART + 0x11C)) {
		REG32(UART + 0x11C) = 0;
		board_transmit();
	}
}

void board_transmit(void)
{
	int c = transmit_next();
	if (c >= 0)
		REG32(UART + 0x51C) = (uint32_t)c;
}

void port_watchdog_start(void)
{
	/* as TIMER0; the rest of it is as a reset leaves it */
	REG32(TIMER1 + 0x508) = 3;
	REG32(TIMER1 + 0x510) = 4;
	REG32(TIMER1 + 0x540) = board.watchdog_ms * (TIMER_HZ / 1000);
	REG32(TIMER1 + 0x304) = 1u << 16;
	irq_enable(BOARD_IRQ_WATCHDOG);
	REG32(TIMER1 + 0x000) = 1;
	REG32(WDT + 0x504) = board.watchdog_ms / 1000 * 32768; /* CRV */
	REG32(WDT + 0x508) = 1;				       /* RREN */
	REG32(WDT + 0x000) = 1;
}

void port_watchdog_feed(void)
{
	REG32(TIMER1 + 0x00C) = 1;
	REG32(WDT + 0x600) = 0x6E524635;
}

uint32_t port_tick_late(void)
{
	REG32(TIMER0 + 0x044) = 1; /* CAPTURE[1]: the counter began anew when the tick was due */
	return REG32(TIMER0 + 0x544);
}

enum port_cause port_reset_cause(void)
{
	uint32_t r = RESETREAS;
	/* the emulator has no such register and answers 1: trust the other bits only */
	RESETREAS = r;
	if (r & 1u << 1)
		return PORT_CAUSE_WATCHDOG;
	if (r & 1u << 3)
		return PORT_CAUSE_FAULT; /* lock-up */
	return PORT_CAUSE_UNKNOWN;
}

bool port_random(void *buf, size_t size)
{
	uint8_t *p = buf;
	REG32(RNG + 0x504) = 1; /* bias correction */
	REG32(RNG + 0x000) = 1;
	while (size--) {
		while (!REG32(RNG + 0x100))
			;
		REG32(RNG + 0x100) = 0;
		*p++ = (uint8_t)REG32(RNG + 0x508);
	}
	REG32(RNG + 0x004) = 1;
	return true;
}

static void nvmc(uint32_t mode)
{
	REG32(NVMC + 0x504) = mode;
	while (!(REG32(NVMC + 0x400) & 1))
		;
}

static bool in_flash(uint32_t offset, size_t size)
{
	return offset >= LOADER_END && offset <= FLASH_END && size <= FLASH_END - offset;
}

int port_flash_read(uint32_t offset, void *buf, size_t size)
{
	if (!in_flash(offset, size))
		return -1;
	memcpy(buf, (const void *)(uintptr_t)offset, size);
	return 0;
}

STOP_HERE int port_flash_erase(uint32_t offset)
{
	if (!in_flash(offset, PAGE) || offset % PAGE)
		return -1;
	nvmc(2);
	REG32(NVMC + 0x508) = offset;
	nvmc(0);
	return 0;
}

STOP_HERE int port_flash_program(uint32_t offset, const void *data, size_t size)
{
	const uint8_t *from = data;
	if (!in_flash(offset, size) || (offset | size) % 4)
		return -1;
	nvmc(1);
	for (; size; size -= 4, offset += 4, from += 4) {
		uint32_t word;

		memcpy(&word, from, 4);
		REG32(offset) = word;
		nvmc(1); /* waits */
	}
	nvmc(0);
	return 0;
}

STOP_HERE void port_start_image(uint32_t offset)
{
	irq_disable_all(1u << BOARD_IRQ_WATCHDOG);
	ram_head.vectors = offset; /* no VTOR: forward.c passes interrupts on */
	start_vectors(offset);
}
