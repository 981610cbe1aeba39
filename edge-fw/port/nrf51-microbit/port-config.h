/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* 16 KiB of RAM, of which bootloader and agent leave a half to the application. */
#define PORT_MESSAGE_MAX 512u
#define PORT_WINDOW 2u	/* one is on the line while one is worked on */
#define PORT_RING 1024u /* more than (window - 1) frames */
#define PORT_TICK_MS 10u

#define BOARD_IRQS 10
#define BOARD_IRQ_UART 2
#define BOARD_IRQ_UART_TX 2
#define BOARD_IRQ_TICK 8     /* TIMER0 */
#define BOARD_IRQ_WATCHDOG 9 /* TIMER1 */
