/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#define PORT_MESSAGE_MAX 1024u
#define PORT_WINDOW 4u
#define PORT_RING 4096u /* more than (window - 1) frames */
#define PORT_TICK_MS 10u

#define BOARD_IRQ_UART 0
#define BOARD_IRQ_UART_TX 1
#define BOARD_IRQ_TICK -1
#define BOARD_IRQ_WATCHDOG -1
#define BOARD_NMI board_watchdog_irq
#define BOARD_SYSTICK board_tick_irq
