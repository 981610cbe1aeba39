/* SPDX-License-Identifier: Apache-2.0 */
/* In the application, in place of crypto.c and the libraries: the bootloader's. */
#include "boot/crypto.h"
#include "boot/rom.h"
#include "port/port.h"

void crypto_init(struct crypto *c)
{
	/* a bootloader that this application was not made for: its trial ends here */
	if (rom_table.magic != ROM_MAGIC)
		port_reset();
	rom_table.crypto_init(c);
}
