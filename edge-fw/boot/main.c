/* SPDX-License-Identifier: Apache-2.0 */
/* The bootloader as an image of its own, on a board. */
#include "boot/boot.h"

int main(void);
int main(void)
{
	boot_main();
}
