/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Everything runs in the Secure state: the SAU stays off. */
#include "port/mps2/mps2-config.h"

#define BOARD_NAME "mps2-an505"
#define BOARD_CORE "Cortex-M33"
#define BOARD_IRQS 34
#define BOARD_IRQ_UART 32 /* receive */
#define BOARD_IRQ_UART_TX 33

#define CPU_HZ 20000000u
#define UART 0x50200000u
#define WDT 0x50081000u
#define FLASH 0x80000000u
