/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the bootloader lends the application: its cryptography, so that there is one copy of it on
 * the chip. The table lies at the end of the bootloader's area, where every application that comes
 * later looks for it: entries are appended, a change of what is there is another magic.
 */
#include "boot/crypto.h"

#define ROM_MAGIC 0x31524645u /* "EFR1" */

struct rom_table {
	uint32_t magic;
	uint32_t size; /* of the table as this bootloader knows it */
	void (*crypto_init)(struct crypto *c);
};

/* Of the bootloader: rom.c; of an application: an address, by the linker script. */
extern const struct rom_table rom_table;
