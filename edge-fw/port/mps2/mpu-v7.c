/* SPDX-License-Identifier: Apache-2.0 */
/* MPU of ARMv7-M: one region by base and size. */
#include "mps2.h"
#include "port/mcu/mcu.h"

#define MPU 0xE000ED90u
#define REGION 7u
#define SIZE 23u /* 2^(23 + 1) bytes */
_Static_assert(FLASH_BYTES == 1u << (SIZE + 1), "the region is the flash");

void mpu_flash_writable(bool writable)
{
	REG32(MPU + 0x08) = REGION;
	REG32(MPU + 0x0C) = FLASH;
	/* normal memory, privileged: read-write or read-only */
	REG32(MPU + 0x10) = (writable ? 1u : 5u) << 24 | 3u << 16 | SIZE << 1 | 1u;
	REG32(MPU + 0x04) = 1u << 2 | 1u; /* default map elsewhere; enable */
	__asm volatile("dsb\n isb" ::: "memory");
}
