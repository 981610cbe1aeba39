/* SPDX-License-Identifier: Apache-2.0 */
/* Intel command set of the board's flash: two 16-bit chips side by side, so that every command goes
 * to both halves of a word. */
#include "cfi.h"
#include "port/mcu/mcu.h"

#define BOTH(n) ((n)*0x00010001u)
#define READ_ARRAY BOTH(0xffu)
#define READ_STATUS BOTH(0x70u)
#define CLEAR_STATUS BOTH(0x50u)
#define ERASE BOTH(0x20u)
#define BUFFERED BOTH(0xe8u)
#define CONFIRM BOTH(0xd0u)
#define READY BOTH(0x80u)
#define FAILED BOTH(0x3au) /* erase, program, voltage, locked */

static int finish(uint32_t address)
{
	uint32_t status;
	do {
		REG32(address) = READ_STATUS;
		status = REG32(address);
	} while ((status & READY) != READY);
	REG32(address) = CLEAR_STATUS;
	REG32(address) = READ_ARRAY;
	return status & FAILED ? -1 : 0;
}

int cfi_erase(uint32_t address)
{
	REG32(address) = ERASE;
	REG32(address) = CONFIRM;
	return finish(address);
}

int cfi_program(uint32_t address, const uint32_t *data, uint32_t words)
{
	REG32(address) = BUFFERED;
	REG32(address) = BOTH(words - 1);
	for (uint32_t i = 0; i < words; i++)
		REG32(address + 4 * i) = data[i];
	REG32(address) = CONFIRM;
	return finish(address);
}
