/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The whole porting contract: what the bootloader, the agent and the application need of a board.
 * A port is one folder that implements these functions and has a port-config.h. The bootloader and
 * the application link the same port; nothing above it knows a register.
 */
#include "port-config.h" /* PORT_MESSAGE_MAX, PORT_WINDOW, PORT_RING: sizes of static buffers */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct port_area {
	uint32_t offset, size;
};

/*
 * Geometry and map of the flash behind port_flash_*. Areas are whole pages. Slot 1 is larger than
 * slot 0 by the unit that one step of a swap moves; slot 0 is a multiple of it. An image is at most
 * as large as slot 0.
 */
struct port_board {
	const char *name, *core; /* "mps2-an385", "Cortex-M3" */
	uint32_t page;		 /* bytes erased at once */
	uint32_t word;		 /* bytes programmed at once, a power of two, at most 16 */
	struct port_area slot[2];
	struct port_area recovery; /* image linked for there, written when the device is made; or
				      size 0 */
	struct port_area journal;  /* 2 words of 4 bytes at least for each unit of slot 0 */
	struct port_area state;	   /* two pages */
	struct port_area keys;	   /* two pages */
	struct port_area factory;  /* struct factory, written when the device is made */
	struct port_area secrets;  /* two pages; size 0: this board makes no sessions */
	uint32_t watchdog_ms;	   /* more than one signature check takes */
	bool fast; /* verifies a signature in well under a second: it is then checked at every boot
		    */
};

/* Clock, UART, tick. Called once, first. */
void port_init(void);
const struct port_board *port_board(void);

/*
 * Flash. Offsets, not addresses. 0, or negative when the hardware reports an error or the range is
 * not in flash. Erase takes one page (its first offset) to 0xff; program clears bits only and takes
 * whole words. A power cut may leave the page or the word under way in any state.
 */
int port_flash_read(uint32_t offset, void *buf, size_t size);
int port_flash_erase(uint32_t offset);
int port_flash_program(uint32_t offset, const void *data, size_t size);

/* The serial line. Received bytes wait in a ring that an interrupt fills (PORT_RING bytes). */
size_t port_uart_read(uint8_t *buf, size_t size);
/* Starts to send; data stays untouched until port_uart_idle. Waits for the one before. */
void port_uart_write(const uint8_t *data, size_t size);
bool port_uart_idle(void);
/*
 * Its rate: whether this one can be made, within what a receiver stands, and from now on, once
 * port_uart_idle; 0: the one that port_init sets, which is always 115200 or what the board says.
 */
bool port_uart_can_baud(uint32_t baud);
void port_uart_set_baud(uint32_t baud);

uint32_t port_millis(void);	       /* since port_init; wraps */
void port_on_tick(void (*hook)(void)); /* from the tick interrupt, every PORT_TICK_MS */
void port_wait(void);		       /* sleeps until something may have happened */

/* Once started it cannot be stopped: no feeding for watchdog_ms ends in a reset. */
void port_watchdog_start(void);
void port_watchdog_feed(void);

_Noreturn void port_reset(void);

/* What the chip knows about the last reset; UNKNOWN where it does not tell. */
enum port_cause {
	PORT_CAUSE_UNKNOWN,
	PORT_CAUSE_POWER,
	PORT_CAUSE_REQUEST,
	PORT_CAUSE_WATCHDOG,
	PORT_CAUSE_FAULT
};
enum port_cause port_reset_cause(void);

/*
 * Words that keep their value across a reset, not across a loss of power; never initialised. The
 * first three are the bootloader's (boot/retained.h), the others the crash record's
 * (agent/crash.h), which a port's handlers of faults and of the watchdog write with crash_record.
 */
#define PORT_RETAINED_CRASH 3
#define PORT_RETAINED_WORDS 20
uint32_t *port_retained(void);

/* What a program can tell of its board. */
struct port_power {
	uint8_t battery; /* percent that is left; 100 where there is no battery */
	bool external;	 /* it does not run on the battery */
};
void port_power(struct port_power *p);
uint32_t port_uart_lost(void); /* bytes that came and found no room, since port_init */
/* Bytes of the reserved stack that were not used since the first call. */
uint32_t port_stack_free(void);
/* Microseconds since the tick was due; from the tick's hook only. */
uint32_t port_tick_late(void);

/* Unique random bytes. False where the board has no source of them. */
bool port_random(void *buf, size_t size);

/* Leaves the bootloader: starts what is linked at this flash offset. */
_Noreturn void port_start_image(uint32_t offset);
