/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "port/mps2/mps2-config.h"

#define BOARD_NAME "mps2-an385"
#define BOARD_CORE "Cortex-M3"
#define BOARD_IRQS 2
#define BOARD_IRQ_UART 0 /* receive */
#define BOARD_IRQ_UART_TX 1

#define CPU_HZ 25000000u
#define UART 0x40004000u
#define WDT 0x40008000u
#define FLASH 0x21000000u
