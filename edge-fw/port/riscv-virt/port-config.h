/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#define PORT_MESSAGE_MAX 1024u
#define PORT_WINDOW 4u
#define PORT_RING 4096u /* more than (window - 1) frames */
#define PORT_TICK_MS 10u
