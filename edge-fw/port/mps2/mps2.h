/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>

#define FLASH_BYTES 0x01000000u /* that the emulator keeps; PORT uses the first part */

/* Whether stores into the flash are let through: mpu-v7.c or mpu-v8.c, as the core has it. */
void mpu_flash_writable(bool writable);
