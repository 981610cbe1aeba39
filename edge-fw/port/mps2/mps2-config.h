/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* port-config.h, as far as all MPS2 images have it in common. */
#define PORT_MESSAGE_MAX 1024u
#define PORT_WINDOW 4u
#define PORT_RING 4096u /* more than (window - 1) frames */
#define PORT_TICK_MS 10u

#define BOARD_IRQ_TICK -1      /* SysTick */
#define BOARD_IRQ_WATCHDOG -14 /* NMI */
