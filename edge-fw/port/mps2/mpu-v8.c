/* SPDX-License-Identifier: Apache-2.0 */
/* MPU of ARMv8-M: one region by base and limit. */
#include "mps2.h"
#include "port/mcu/mcu.h"

#define MPU 0xE000ED90u
#define REGION 7u

void mpu_flash_writable(bool writable)
{
	REG32(MPU + 0x30) = 0xff; /* attribute 0: normal memory, write-back */
	REG32(MPU + 0x08) = REGION;
	REG32(MPU + 0x0C) = FLASH | (writable ? 0u : 2u)
					    << 1; /* privileged: read-write or read-only */
	REG32(MPU + 0x10) = (FLASH + FLASH_BYTES - 32) | 1u;
	REG32(MPU + 0x04) = 1u << 2 | 1u; /* default map elsewhere; enable */
	__asm volatile("dsb\n isb" ::: "memory");
}
